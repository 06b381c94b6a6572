"""GET tasks, notes (texts and calls), events, unsorted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, link, nothing, page
from service.portal.amocrm.leads import group_of
from service.portal.amocrm.log import Event, EventLog
from service.portal.amocrm.query import Ask, BadQueryError
from service.portal.book import Call, Inquiry, Note, Task
from service.portal.office import Office, unix

_TALKED, _NO_ANSWER = 4, 6
_PLURAL = {"lead": "leads", "contact": "contacts", "company": "companies", "task": "tasks"}
_TASK_ORDERS: dict[str, Callable[[Task], datetime]] = {
    "complete_till": lambda task: task.due_at,
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
}


def tasks(office: Office, ask: Ask) -> Response:
    """GET /api/v4/tasks."""
    rows = [task for task in office.book.tasks.values() if _task_matches(ask, task)]
    rows.sort(key=lambda task: task.id, reverse=ask.text("order", "id") == "desc")
    for name, key in _TASK_ORDERS.items():
        direction = ask.text("order", name)
        if direction is not None:
            rows.sort(key=key, reverse=direction == "desc")
    return page(office, ask, "tasks", rows, lambda task: _task(office, task))


def task(office: Office, ask: Ask) -> Response:
    """GET /api/v4/tasks/{id}."""
    found = office.book.tasks.get(int(ask.parts["id"]))
    if found is None or found.deleted_at is not None:
        return nothing()
    return hal(_task(office, found))


def _task_matches(ask: Ask, task: Task) -> bool:
    numbers = {
        "id": task.id,
        "responsible_user_id": task.responsible,
        "created_by": task.created_by,
        "task_type": task.kind_id,
        "task_type_id": task.kind_id,
        "is_completed": int(task.done_at is not None),
        "entity_id": task.deal_id,
    }
    for name, number in numbers.items():
        wanted = ask.numbers("filter", name)
        if wanted is not None and number not in wanted:
            return False
    kinds = ask.texts("filter", "entity_type")
    if kinds is not None and ("leads" not in kinds or task.deal_id is None):
        return False
    span = ask.span("filter", "updated_at")
    if span is not None and not span[0] <= unix(task.updated_at) <= span[1]:
        return False
    return task.deleted_at is None


def _task(office: Office, task: Task) -> Json:
    return {
        "id": task.id,
        "created_by": task.created_by,
        "updated_by": task.updated_by,
        "created_at": unix(task.created_at),
        "updated_at": unix(task.updated_at),
        "responsible_user_id": task.responsible,
        "group_id": group_of(office, task.responsible),
        "entity_id": task.deal_id,
        "entity_type": None if task.deal_id is None else "leads",
        "duration": 0,
        "is_completed": task.done_at is not None,
        "task_type_id": task.kind_id,
        "text": task.text,
        "result": {"text": task.result_text} if task.result_text else [],
        "complete_till": unix(task.due_at),
        "account_id": office.account_id,
        "_links": link(office, f"tasks/{task.id}"),
    }


def lead_notes(office: Office, log: EventLog, ask: Ask) -> Response:
    """GET /api/v4/leads/notes, /leads/{id}/notes: texts and calls of leads."""
    notes: list[Note | Call] = list(office.book.notes.values())
    calls = [call for call in office.book.calls.values() if call.deal_id is not None]
    return _notes(office, log, ask, "leads", [*notes, *calls])


def contact_notes(office: Office, log: EventLog, ask: Ask) -> Response:
    """GET /api/v4/contacts/notes: calls that hang on a contact only."""
    calls: list[Note | Call] = [
        call
        for call in office.book.calls.values()
        if call.deal_id is None and call.contact_id is not None
    ]
    return _notes(office, log, ask, "contacts", calls)


def lead_note(office: Office, log: EventLog, ask: Ask) -> Response:
    """GET /api/v4/leads/{id}/notes/{note}: 204 for an unknown one."""
    log.catch_up()
    number, lead = int(ask.parts["note"]), int(ask.parts["id"])
    row = office.book.notes.get(number) or office.book.calls.get(number)
    if row is None or row.deal_id != lead:
        return nothing()
    return hal(_note(office, "leads", _line(log, row)))


@dataclass(frozen=True)
class _Line:
    """A note or call with what lists are filtered and sorted by."""

    row: Note | Call
    entity_id: int | None
    note_type: str
    updated_at: int


def _line(log: EventLog, row: Note | Call) -> _Line:
    if isinstance(row, Note):
        return _Line(row, row.deal_id, "common", unix(row.created_at))
    kind = "call_in" if row.direction == "in" else "call_out"
    holder = row.contact_id if row.deal_id is None else row.deal_id
    return _Line(row, holder, kind, unix(log.call_written.get(row.id, row.started_at)))


def _notes(
    office: Office, log: EventLog, ask: Ask, entity: str, rows: list[Note | Call]
) -> Response:
    log.catch_up()
    matches = _note_filter(ask)
    found = [line for row in rows if matches(line := _line(log, row))]
    direction = ask.text("order", "updated_at")
    found.sort(key=lambda line: line.row.id)
    if direction is not None:
        found.sort(key=lambda line: line.updated_at, reverse=direction == "desc")
    return page(office, ask, "notes", found, lambda line: _note(office, entity, line))


def _note_filter(ask: Ask) -> Callable[[_Line], bool]:
    ids, holders = ask.numbers("filter", "id"), ask.numbers("filter", "entity_id")
    if "id" in ask.parts:
        holders = {int(ask.parts["id"])}
    kinds = ask.texts("filter", "note_type")
    first, last = ask.span("filter", "updated_at") or (0, 2**53)
    return lambda line: (
        (ids is None or line.row.id in ids)
        and (holders is None or line.entity_id in holders)
        and (kinds is None or line.note_type in kinds)
        and first <= line.updated_at <= last
    )


def _note(office: Office, entity: str, line: _Line) -> Json:
    row = line.row
    deal = office.book.deals.get(row.deal_id) if row.deal_id is not None else None
    owner = deal.responsible if deal else row.author
    return {
        "id": row.id,
        "entity_id": line.entity_id,
        "created_by": row.author,
        "updated_by": row.author,
        "created_at": unix(row.created_at if isinstance(row, Note) else row.started_at),
        "updated_at": line.updated_at,
        "responsible_user_id": owner,
        "group_id": group_of(office, owner),
        "note_type": line.note_type,
        "params": {"text": row.text} if isinstance(row, Note) else _call_params(row),
        "account_id": office.account_id,
        "_links": link(office, f"{entity}/{line.entity_id}/notes/{row.id}"),
    }


def recording(call: Call) -> str | None:
    """The address of the recording of a talk; a missed call has none."""
    return f"https://pbx.example/rec/{call.uniq}.mp3" if call.answered else None


def _call_params(call: Call) -> Json:
    return {
        "uniq": call.uniq,
        "duration": call.seconds,
        "source": "demo-pbx",
        "link": recording(call),
        "phone": call.phone,
        "call_result": "Разговор состоялся" if call.answered else "Не дозвонились",
        "call_status": _TALKED if call.answered else _NO_ANSWER,
        "call_responsible": call.author,
    }


def events(office: Office, log: EventLog, ask: Ask) -> Response:
    """GET /api/v4/events, newest first.

    Raises:
        BadQueryError: 400 as the vendor does for `entity_id` without exactly one `entity`.
    """
    log.catch_up()
    entities = ask.texts("filter", "entity")
    ids = ask.numbers("filter", "entity_id")
    if ids is not None and (len(entities or []) != 1 or len(ids) > 10):
        raise BadQueryError(400, "filter.entity_id needs exactly one entity and at most 10 ids")
    kinds = _kinds(ask)
    authors = ask.numbers("filter", "created_by")
    span = ask.span("filter", "created_at") or (0, 2**53)
    rows = [
        event
        for event in reversed(log.events)
        if (kinds is None or bool(kinds & _names(event)))
        and (entities is None or event.entity_type in entities)
        and (ids is None or event.entity_id in ids)
        and (authors is None or event.created_by in authors)
        and span[0] <= event.created_at <= span[1]
    ]
    rows.sort(key=lambda event: event.created_at, reverse=True)
    return page(office, ask, "events", rows, lambda event: _event(office, event), most=100)


def _kinds(ask: Ask) -> set[str] | None:
    found = ask.texts("filter", "type")
    if found is None:
        return None
    if len(found) > 1 and any(
        name.startswith("custom_field_") and name != _FIELD for name in found
    ):
        raise BadQueryError(400, "custom_field_{ID}_value_changed must be the only type")
    return set(found)


_FIELD = "custom_field_value_changed"


def _names(event: Event) -> set[str]:
    """The type, and for a custom field also the name with its id."""
    if event.type != _FIELD:
        return {event.type}
    values = event.after or event.before
    field_id = values[0]["custom_field_value"]["field_id"]
    return {event.type, f"custom_field_{field_id}_value_changed"}


def _event(office: Office, event: Event) -> Json:
    entity = f"{_PLURAL[event.entity_type]}/{event.entity_id}"
    return {
        "id": event.id,
        "type": event.type,
        "entity_id": event.entity_id,
        "entity_type": event.entity_type,
        "created_by": event.created_by,
        "created_at": event.created_at,
        "value_after": event.after,
        "value_before": event.before,
        "account_id": office.account_id,
        "_links": link(office, f"events/{event.id}"),
        "_embedded": {"entity": {"id": event.entity_id, "_links": link(office, entity)}},
    }


def unsorted(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/unsorted: what still waits."""
    uids = ask.texts("filter", "uid")
    categories = ask.texts("filter", "category")
    pipelines = ask.texts("filter", "pipeline_id")
    rows = [
        inquiry
        for inquiry in office.book.inquiries.values()
        if inquiry.outcome == "new"
        and (uids is None or inquiry.uid in uids)
        and (categories is None or inquiry.category in categories)
        and (pipelines is None or inquiry.pipeline_id in pipelines)
    ]
    newest_first = ask.text("order", "created_at") == "desc"
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=newest_first)
    return page(office, ask, "unsorted", rows, lambda row: _unsorted(office, row))


def _unsorted(office: Office, inquiry: Inquiry) -> Json:
    return {
        "uid": inquiry.uid,
        "source_uid": None,
        "source_name": inquiry.source_name,
        "category": inquiry.category,
        "pipeline_id": int(inquiry.pipeline_id),
        "created_at": unix(inquiry.created_at),
        "metadata": {
            "form_id": str(inquiry.id),
            "form_name": inquiry.source_name,
            "form_page": "https://site.example",
            "ip": "203.0.113.10",
            "form_sent_at": unix(inquiry.created_at),
            "referer": "https://search.example",
        },
        "account_id": office.account_id,
        "_links": link(office, f"leads/unsorted/{inquiry.uid}"),
        "_embedded": {"contacts": [], "leads": [{"id": inquiry.id}], "companies": []},
    }
