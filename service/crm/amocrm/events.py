"""amoCRM's event log -> the past of deals and tasks.

Source: amoCRM developers "Events and notes"; proved by tests/crm/amocrm/samples/rest-events.json.
An event tells the value before and after. What was before the first event of a subject is placed
at the subject's creation, or where the reading begins, whichever is later (`beginnings`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.crm.amocrm import common
from service.crm.amocrm.common import author, link, linked_id
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

Row = dict[str, Any]
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
    if kind is None or name not in TYPES:
        return None
    before: Row | None = None
    after: Row | None = _WHOLE.get(name)
    if after is None:
        translate = _SIDES[name]
        before = translate(_side(row, "value_before"), currency)
        after = translate(_side(row, "value_after"), currency)
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
    values = row.get(name)
    found = values[0] if isinstance(values, list) and values else None
    return found if isinstance(found, dict) else {}


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
TYPES = (*_SIDES, *_WHOLE)
MESSAGES = {"incoming_chat_message": "in", "outgoing_chat_message": "out"}
