"""amoCRM's event log, and what else only the journal knows, kept up to date as it grows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from service.portal.book import Book, Call, Change, Contact, Deal, Message, Note, Task
from service.portal.office import unix
from service.portal.reader import JournalReader

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SYSTEM_NOTE = 900_000_000
Values = list[dict[str, Any]]


@dataclass(frozen=True)
class Event:
    """One row of `/api/v4/events`."""

    id: str
    type: str
    entity_type: str
    entity_id: int
    created_by: int
    created_at: int
    after: Values
    before: Values


class EventLog(JournalReader):
    """Events oldest first; when each call was written down."""

    def __init__(self, book: Book) -> None:
        super().__init__(book)
        self.events: list[Event] = []
        self.call_written: dict[int, datetime] = {}

    def read(self, number: int, change: Change) -> None:
        """Take in one change."""
        if isinstance(change.after, Call):
            self.call_written[change.after.id] = change.at
        for kind, entity_type, entity_id, after, before in _events(number, change):
            self.events.append(
                Event(
                    id=_ulid(unix(change.at) * 1000, len(self.events)),
                    type=kind,
                    entity_type=entity_type,
                    entity_id=entity_id,
                    created_by=change.author,
                    created_at=unix(change.at),
                    after=after,
                    before=before,
                )
            )


_Row = tuple[str, str, int, Values, Values]


def _events(number: int, change: Change) -> Iterator[_Row]:
    before, after = change.before, change.after
    if isinstance(after, Deal):
        old = before if isinstance(before, Deal) else None
        yield from _deal_events(number, change.verb, old, after)
    elif isinstance(after, Task):
        old_task = before if isinstance(before, Task) else None
        yield from _task_events(change.verb, old_task, after)
    elif isinstance(after, Call):
        kind = "incoming_call" if after.direction == "in" else "outgoing_call"
        holder = _holder(after)
        if holder is not None:
            yield kind, *holder, _note(after.id), []
    elif isinstance(after, Note):
        yield "common_note_added", "lead", after.deal_id, _note(after.id), []
    elif isinstance(after, Message):
        kind = "incoming_chat_message" if after.direction == "in" else "outgoing_chat_message"
        yield kind, "lead", after.deal_id, [{"message": {"id": message_id(after)}}], []
    elif isinstance(after, Contact):
        yield from _contact_events(number, before, after)


def _holder(call: Call) -> tuple[str, int] | None:
    if call.deal_id is not None:
        return "lead", call.deal_id
    return None if call.contact_id is None else ("contact", call.contact_id)


def _deal_events(number: int, verb: str, old: Deal | None, deal: Deal) -> Iterator[_Row]:
    if old is None:
        yield "lead_added", "lead", deal.id, _note(_SYSTEM_NOTE + number), []
        return
    if verb in {"deal_deleted", "deal_restored"}:
        yield verb.replace("deal", "lead"), "lead", deal.id, [], []
    if (old.stage_id, old.pipeline_id) != (deal.stage_id, deal.pipeline_id):
        yield "lead_status_changed", "lead", deal.id, _status(deal), _status(old)
    if old.responsible != deal.responsible:
        row = _owner(deal.responsible), _owner(old.responsible)
        yield "entity_responsible_changed", "lead", deal.id, *row
    if old.amount != deal.amount:
        sale = _sale(deal.amount), _sale(old.amount)
        yield "sale_field_changed", "lead", deal.id, *sale
    yield from _field_events(old, deal)
    for contact_id in sorted(set(deal.contact_ids) - set(old.contact_ids)):
        linked = {"link": {"entity": {"type": "contact", "id": contact_id}}}
        yield "entity_linked", "lead", deal.id, [linked], []
    for contact_id in sorted(set(old.contact_ids) - set(deal.contact_ids)):
        unlinked = {"unlink": {"entity": {"type": "contact", "id": contact_id}}}
        yield "entity_unlinked", "lead", deal.id, [unlinked], []


def _field_events(old: Deal, deal: Deal) -> Iterator[_Row]:
    was, now = dict(old.fields), dict(deal.fields)
    for field_id in sorted(was.keys() | now.keys()):
        if was.get(field_id) != now.get(field_id):
            values = _field(field_id, now.get(field_id)), _field(field_id, was.get(field_id))
            yield "custom_field_value_changed", "lead", deal.id, *values


def _task_events(verb: str, old: Task | None, task: Task) -> Iterator[_Row]:
    whole = {"task_set": "task_added", "task_done": "task_completed"}
    kind = whole.get(verb) or ("task_deleted" if verb == "task_deleted" else None)
    if kind is not None:
        yield kind, "task", task.id, [], []
    if verb == "task_done" and task.result_text and task.deal_id is not None:
        yield "task_result_added", "lead", task.deal_id, _note(_result_note(task)), []
    if old is None:
        return
    if old.due_at != task.due_at:
        yield "task_deadline_changed", "task", task.id, _due(task), _due(old)
    if old.text != task.text:
        texts = [{"task": {"text": task.text}}], [{"task": {"text": old.text}}]
        yield "task_text_changed", "task", task.id, *texts
    if old.responsible != task.responsible:
        owners = _owner(task.responsible), _owner(old.responsible)
        yield "entity_responsible_changed", "task", task.id, *owners


def _contact_events(number: int, before: object, contact: Contact) -> Iterator[_Row]:
    if not isinstance(before, Contact):
        yield "contact_added", "contact", contact.id, _note(_SYSTEM_NOTE + number), []
    elif before.name != contact.name:
        names = [[{"name_field_value": {"name": name}}] for name in (contact.name, before.name)]
        yield "name_field_changed", "contact", contact.id, names[0], names[1]


def _result_note(task: Task) -> int:
    """The id of the note that holds a task's result."""
    return _SYSTEM_NOTE * 2 + task.id


def message_id(message: Message) -> str:
    """A chat gives its messages UUIDs."""
    return str(UUID(int=message.id, version=4))


def _note(note_id: int) -> Values:
    return [{"note": {"id": note_id}}]


def _status(deal: Deal) -> Values:
    return [{"lead_status": {"id": int(deal.stage_id), "pipeline_id": int(deal.pipeline_id)}}]


def _owner(user_id: int) -> Values:
    return [{"responsible_user": {"id": user_id}}]


def _sale(amount: int) -> Values:
    return [{"sale_field_value": {"sale": amount}}]


def _due(task: Task) -> Values:
    return [{"task_deadline": {"timestamp": unix(task.due_at)}}]


def _field(field_id: int, text: str | None) -> Values:
    if text is None:
        return []
    value = {"field_id": field_id, "field_type": 1, "enum_id": None, "text": text}
    return [{"custom_field_value": value}]


def _ulid(milliseconds: int, number: int) -> str:
    """26 characters like amoCRM's: ten of time, sixteen that only have to differ."""
    return _base32(milliseconds, 10) + _base32(number, 16)


def _base32(number: int, places: int) -> str:
    digits = []
    for _ in range(places):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
