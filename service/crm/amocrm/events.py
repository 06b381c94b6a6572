"""amoCRM's event log -> the past of deals and tasks.

Source: amoCRM developers "Events and notes"; proved by tests/crm/amocrm/samples/rest-events.json.
An event tells the value before and after. What was before the first event of a subject is placed
at the subject's creation, or where the reading begins, whichever is later (`beginnings`). Each
custom field has a history of its own; its events are asked for as FIELD, and come as FIELD or with
the field's id inside.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.crm.amocrm import common
from service.crm.amocrm.common import author, field_text, link, linked_id
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

Row = dict[str, Any]
FIELD = "custom_field_value_changed"
_OF_FIELD = re.compile(r"custom_field_(?:(\d+)_)?value_changed")
_WITHOUT_TEXT = {3, 8}  # a box to tick; phones and e-mails
_KINDS = {"lead": Kind.DEAL, "task": Kind.TASK}
_GONE: Row = {"deleted": True}
_WHOLE: dict[str, Row] = {
    "task_completed": {"is_open": False},
    "lead_deleted": _GONE,
    "task_deleted": _GONE,
    "lead_restored": {"restored": True, "deleted": False},
}


@dataclass(frozen=True, slots=True)
class Event:
    """One row, read: `before` and `after` are bodies (None = not told)."""

    kind: Kind
    subject: str
    type: str
    at: Instant
    id: str
    author: str | None
    before: Row | None
    after: Row | None


def read(row: Row, currency: str) -> Event | None:
    """An event of a deal or task that we know how to read; None for others."""
    kind, name = _KINDS.get(str(row.get("entity_type"))), str(row["type"])
    if kind is None:
        return None
    before: Row | None = None
    after: Row | None = _WHOLE.get(name)
    if name in _SIDES:
        translate = _SIDES[name]
        before = translate(_side(row, "value_before"), currency)
        after = translate(_side(row, "value_after"), currency)
    elif kind is Kind.DEAL and (of_field := _OF_FIELD.fullmatch(name)):
        name, before, after = _of_field(row, of_field[1])
    if before is None and after is None:
        return None
    who = author(row.get("created_by"))
    subject, at = str(row["entity_id"]), int(row["created_at"])
    return Event(kind, subject, name, at, str(row["id"]), who, before, after)


def message(row: Row) -> Fact | None:
    """A word in a chat; None for other events. A bot writes as user 0."""
    direction = MESSAGES.get(str(row.get("type")))
    told = _side(row, "value_after").get("message")
    key = told.get("id") if isinstance(told, dict) else None
    entity = {"lead": "deal"}.get(str(row.get("entity_type")), str(row.get("entity_type")))
    home = link(entity, linked_id(row.get("entity_id")))
    if direction is None or not home:
        return None
    at, who = int(row["created_at"]), author(row.get("created_by"))
    return common.message(home, str(key or row["id"]), direction, at, who, Rank.HISTORY)


def facts(found: Iterable[Event]) -> list[Fact]:
    """What the events say of their own instants.

    Events of one subject and type in one second are a chain: only where it ends counts.
    """
    seconds: dict[tuple[Kind, str, str, Instant], list[Event]] = {}
    for event in found:
        key = (event.kind, event.subject, event.type, event.at)
        seconds.setdefault(key, []).append(event)
    told = []
    for chain in seconds.values():
        event = _end(chain)
        if event.after is not None:
            body = {**event.after, "author": event.author}
            told.append(Fact(event.kind, event.subject, event.at, body, Rank.HISTORY))
    return told


def _end(chain: list[Event]) -> Event:
    """The event from which no other one goes on."""
    ordered = sorted(chain, key=lambda event: event.id)
    starts = [event.before for event in ordered]
    return next((event for event in reversed(ordered) if event.after not in starts), ordered[-1])


def _side(row: Row, name: str) -> Row:
    return next(iter(_elements(row, name)), {})


def _elements(row: Row, name: str) -> list[Row]:
    values = row.get(name)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _of_field(row: Row, told: str | None) -> tuple[str, Row | None, Row | None]:
    """A type of the field's own, and its value before and after; an empty side says: empty."""
    sides = [
        [value for one in _elements(row, name) if (value := one.get("custom_field_value"))]
        for name in ("value_before", "value_after")
    ]
    field = told or next((linked_id(v.get("field_id")) for side in sides for v in side), None)
    if field is None:
        return FIELD, None, None
    before, after = (field_text(map(_field_value, side), None) for side in sides)
    return f"field {field}", {"fields_changed": {field: before}}, {"fields_changed": {field: after}}


def _field_value(value: Row) -> Any:
    """The text; of phones and e-mails, as of an unticked box, only whether there is any."""
    found, kind = value.get("text"), value.get("field_type")
    return found not in (None, "", "0") if kind in _WITHOUT_TEXT else found


def _place(value: Row, _currency: str) -> Row | None:
    status = value.get("lead_status")
    if not status:
        return None
    return {"pipeline": str(status["pipeline_id"]), "stage": str(status["id"])}


def _owner(value: Row, _currency: str) -> Row | None:
    user = value.get("responsible_user")
    return {"responsible": linked_id(user.get("id"))} if user else None


def _amount(value: Row, currency: str) -> Row | None:
    found = value.get("sale_field_value")
    if found is None:
        return None
    return {"amount": minor_units(str(found.get("sale") or 0), currency), "currency": currency}


def _deadline(value: Row, _currency: str) -> Row | None:
    found = value.get("task_deadline")
    return {"due_at": int(found["timestamp"])} if found else None


_SIDES: dict[str, Callable[[Row, str], Row | None]] = {
    "lead_status_changed": _place,
    "entity_responsible_changed": _owner,
    "sale_field_changed": _amount,
    "task_deadline_changed": _deadline,
}
TYPES = (*_SIDES, *_WHOLE, FIELD)
MESSAGES = {"incoming_chat_message": "in", "outgoing_chat_message": "out"}
