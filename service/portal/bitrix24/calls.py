"""Activities (mirrors of calls and tasks, mails) and the rows of the call statistics."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.portal.bitrix24.fields import fixed
from service.portal.bitrix24.log import History, Line
from service.portal.bitrix24.table import Column
from service.portal.book import TO_DO_KIND, Message, Task

DEAL, CONTACT = 2, 3
_CALL, _TASK, _MAIL, _PROVIDED = 2, 3, 4, 6
_SUCCESS, _MISSED, _CANCELLED = "200", "304", "603-S"
_REASONS = {_SUCCESS: "Success call", _MISSED: "Missed call", _CANCELLED: "Decline self"}


@dataclass(frozen=True)
class Activity:
    """A row of crm.activity.list. `bindings`: (owner type, owner id), the first is the owner."""

    id: int
    type: int
    provider: str
    provider_type: str
    subject: str
    bindings: tuple[tuple[int, int], ...]
    created: datetime
    updated: datetime
    start: datetime
    end: datetime
    deadline: datetime
    completed: bool
    direction: int
    responsible: int
    author: int
    editor: int
    associated: int = 0


def activities(history: History) -> Iterator[Activity]:
    """All activities: calls, mails, and the tasks of deals (the CRM keeps mirrors of them)."""
    for line in history.lines:
        yield of_call(line)
    for message in history.book.messages.values():
        yield _of_mail(message, history.book.deals[message.deal_id].responsible)
    for task in history.book.tasks.values():
        if task.deal_id is not None and task.deleted_at is None:
            yield _of_task(task, task.deal_id)


def of_call(line: Line) -> Activity:
    """The activity of a call: done, on the deal if it is known, else on the contact."""
    call = line.call
    linked = ((DEAL, call.deal_id), (CONTACT, call.contact_id))
    incoming = call.direction == "in"
    return Activity(
        id=call.id,
        type=_CALL,
        provider="VOXIMPLANT_CALL",
        provider_type="CALL",
        subject=f"{'Входящий' if incoming else 'Исходящий'} звонок {call.phone}",
        bindings=tuple((kind, number) for kind, number in linked if number is not None),
        created=line.written_at,
        updated=line.written_at,
        start=call.started_at,
        end=call.started_at + timedelta(seconds=call.seconds),
        deadline=call.started_at,
        completed=True,
        direction=1 if incoming else 2,
        responsible=call.author,
        author=call.author,
        editor=call.author,
    )


def _of_mail(message: Message, responsible: int) -> Activity:
    incoming = message.direction == "in"
    return Activity(
        id=message.id,
        type=_MAIL,
        provider="CRM_EMAIL",
        provider_type="EMAIL",
        subject="Письмо",
        bindings=((DEAL, message.deal_id),),
        created=message.sent_at,
        updated=message.sent_at,
        start=message.sent_at,
        end=message.sent_at,
        deadline=message.sent_at,
        completed=not incoming,
        direction=1 if incoming else 2,
        responsible=responsible,
        author=responsible if incoming else message.author,
        editor=responsible if incoming else message.author,
    )


def _of_task(task: Task, deal_id: int) -> Activity:
    is_todo = task.kind_id == TO_DO_KIND
    return Activity(
        id=task.id,
        type=_PROVIDED if is_todo else _TASK,
        provider="CRM_TODO" if is_todo else "CRM_TASKS_TASK",
        provider_type="TODO" if is_todo else "TASKS_TASK",
        subject=task.text,
        bindings=((DEAL, deal_id),),
        created=task.created_at,
        updated=task.updated_at,
        start=task.created_at,
        end=task.due_at,
        deadline=task.due_at,
        completed=task.done_at is not None,
        direction=0,
        responsible=task.responsible,
        author=task.created_by,
        editor=task.updated_by,
        associated=0 if is_todo else task.id,
    )


def activity_fields() -> dict[str, Column[Activity]]:
    """crm.activity.*."""
    return {
        "ID": Column("int", lambda row: row.id),
        "OWNER_ID": Column("int", lambda row: row.bindings[0][1] if row.bindings else 0),
        "OWNER_TYPE_ID": Column("int", lambda row: row.bindings[0][0] if row.bindings else 0),
        "TYPE_ID": Column("int", lambda row: row.type),
        "PROVIDER_ID": Column("text", lambda row: row.provider),
        "PROVIDER_TYPE_ID": Column("text", lambda row: row.provider_type),
        "PROVIDER_GROUP_ID": fixed(None),
        "ASSOCIATED_ENTITY_ID": Column("int", lambda row: row.associated),
        "SUBJECT": Column("text", lambda row: row.subject),
        "CREATED": Column("instant", lambda row: row.created),
        "LAST_UPDATED": Column("instant", lambda row: row.updated),
        "START_TIME": Column("instant", lambda row: row.start),
        "END_TIME": Column("instant", lambda row: row.end),
        "DEADLINE": Column("instant", lambda row: row.deadline),
        "COMPLETED": Column("text", lambda row: "Y" if row.completed else "N"),
        "STATUS": Column("int", lambda row: 2 if row.completed else 1),
        "RESPONSIBLE_ID": Column("int", lambda row: row.responsible),
        "PRIORITY": fixed("2"),
        "NOTIFY_TYPE": fixed("0"),
        "NOTIFY_VALUE": fixed("0"),
        "DESCRIPTION": fixed(""),
        "DESCRIPTION_TYPE": fixed("1"),
        "DIRECTION": Column("int", lambda row: row.direction),
        "LOCATION": fixed(""),
        "SETTINGS": fixed([]),
        "ORIGINATOR_ID": fixed(None),
        "ORIGIN_ID": fixed(None),
        "AUTHOR_ID": Column("int", lambda row: row.author),
        "EDITOR_ID": Column("int", lambda row: row.editor),
        "PROVIDER_PARAMS": fixed([]),
        "PROVIDER_DATA": fixed(None),
        "RESULT_MARK": fixed("0"),
        "RESULT_VALUE": fixed(None),
        "RESULT_SUM": fixed(None),
        "RESULT_CURRENCY_ID": fixed(None),
        "RESULT_STATUS": fixed("0"),
        "RESULT_STREAM": fixed("0"),
        "RESULT_SOURCE_ID": fixed(None),
        "AUTOCOMPLETE_RULE": fixed("0"),
        "IS_INCOMING_CHANNEL": fixed("N"),
    }


def failed_code(line: Line) -> str:
    """200 for a talk, 304 for a missed incoming call, 603-S for an outgoing one not taken."""
    if line.call.answered:
        return _SUCCESS
    return _MISSED if line.call.direction == "in" else _CANCELLED


def failed_reason(line: Line) -> str:
    """The words of the code."""
    return _REASONS[failed_code(line)]


def _entity(line: Line) -> tuple[str, int] | None:
    if line.call.contact_id is not None:
        return "CONTACT", line.call.contact_id
    return None if line.call.deal_id is None else ("DEAL", line.call.deal_id)


def statistic_fields() -> dict[str, Column[Line]]:
    """voximplant.statistic.get; the call hangs on the contact, its activity on the deal."""

    def recorded(line: Line) -> int | None:
        return 700_000 + line.id if line.call.answered else None

    return {
        "ID": Column("int", lambda line: line.id),
        "PORTAL_USER_ID": Column("int", lambda line: line.call.author),
        "PORTAL_NUMBER": fixed("74950000001"),
        "PHONE_NUMBER": Column("text", lambda line: line.call.phone),
        "CALL_ID": Column("text", lambda line: line.call.uniq),
        "EXTERNAL_CALL_ID": fixed(None),
        "CALL_CATEGORY": fixed("external"),
        "CALL_LOG": fixed(None),
        "CALL_DURATION": Column("int", lambda line: line.call.seconds),
        "CALL_START_DATE": Column("instant", lambda line: line.call.started_at),
        "CALL_RECORD_URL": fixed(""),
        "CALL_VOTE": fixed(None),
        "COST": fixed("0.0000"),
        "COST_CURRENCY": fixed("RUR"),
        "CALL_FAILED_CODE": Column("text", failed_code),
        "CALL_FAILED_REASON": Column("text", failed_reason),
        "CRM_ENTITY_TYPE": Column("text", lambda line: (_entity(line) or (None, 0))[0]),
        "CRM_ENTITY_ID": Column("int", lambda line: (_entity(line) or ("", None))[1]),
        "CRM_ACTIVITY_ID": Column("int", lambda line: line.call.id),
        "REST_APP_ID": fixed(None),
        "REST_APP_NAME": fixed(None),
        "TRANSCRIPT_ID": fixed(None),
        "TRANSCRIPT_PENDING": fixed("N"),
        "SESSION_ID": fixed(None),
        "REDIAL_ATTEMPT": fixed(None),
        "COMMENT": fixed(None),
        "RECORD_DURATION": Column(
            "int", lambda line: line.call.seconds if line.call.answered else None
        ),
        "RECORD_FILE_ID": Column("raw", recorded),
        "CALL_TYPE": Column("int", lambda line: 2 if line.call.direction == "in" else 1),
    }
