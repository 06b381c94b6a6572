"""Entities of amoCRM's API v4 (JSON) -> facts.

Sources: amoCRM developers "Leads", "Tasks", "Events and notes", "Contacts", "Incoming leads".
Proved by tests/crm/amocrm/samples/rest-*.json.
"""

from collections.abc import Iterator
from typing import Any

from service.crm.amocrm.common import (
    CALL_TYPES,
    MAX_TEXT,
    asker,
    author,
    call_body,
    direction_of,
    field_text,
    is_all_day,
    link,
    linked_id,
    message,
    reach,
)
from service.domain.facts import Fact, Kind, Rank
from service.domain.money import minor_units

CLOSED = {"142", "143"}
_OWNERS = {"leads": "deal", "contacts": "contact", "companies": "company"}
Row = dict[str, Any]


def deal(lead: Row, currency: str) -> list[Fact]:
    """A lead of `/api/v4/leads?with=contacts,loss_reason,source_id`.

    The image at its last change; a closed one also says when it got to its stage.
    """
    deal_id, at = str(lead["id"]), int(lead["updated_at"])
    place = {"pipeline": str(lead["pipeline_id"]), "stage": str(lead["status_id"])}
    body: Row = {
        **place,
        "name": lead.get("name") or "",
        "amount": minor_units(_price(lead), currency),
        "currency": currency,
        "responsible": linked_id(lead.get("responsible_user_id")),
        "created_at": int(lead["created_at"]),
        "created_by": author(lead.get("created_by")) or "0",
        "author": author(lead.get("updated_by")),
        "loss_reason": linked_id(lead.get("loss_reason_id")),
        "fields": dict(_fields(lead.get("custom_fields_values"))),
    }
    body |= _linked(lead.get("_embedded") or {})
    if "source_id" in lead:
        body["source"] = linked_id(lead["source_id"])
    if lead.get("is_deleted"):
        body["deleted"] = True
    facts = [Fact(Kind.DEAL, deal_id, at, body, Rank.FETCHED, at)]
    closed = lead.get("closed_at")
    if closed and place["stage"] in CLOSED and closed < at:
        facts.append(Fact(Kind.DEAL, deal_id, int(closed), dict(place), Rank.HISTORY))
    return facts


def _price(lead: Row) -> str:
    exact = lead.get("price_with_minor_units")
    return str(exact if exact is not None else lead.get("price") or 0)


def _linked(linked: Row) -> Row:
    """What stands beside a lead: an absent key is not told, an empty list is empty."""
    body: Row = {"tags": [tag.get("name") or "" for tag in linked.get("tags") or []]}
    if "contacts" in linked:
        body["contacts"] = [str(contact["id"]) for contact in linked["contacts"] or []]
    if "companies" in linked:
        companies = linked["companies"] or []
        body["company"] = f"co{companies[0]['id']}" if companies else None
    return body


def _fields(fields: Any) -> Iterator[tuple[str, str]]:
    for field in fields or []:
        told = [value.get("value") for value in field.get("values") or []]
        if value := field_text(told, field.get("field_code")):
            yield str(field["field_id"]), value


def task(task: Row, timezone: str) -> Fact:
    """A task of `/api/v4/tasks`. A completion has no instant here: `/events` tells it."""
    entity, at = task.get("entity_type"), int(task["updated_at"])
    result, due = task.get("result"), task.get("complete_till")
    body: Row = {
        "text": (task.get("text") or "")[:MAX_TEXT],
        "task_kind": str(task.get("task_type_id") or ""),
        "deal": linked_id(task.get("entity_id")) if entity == "leads" else None,
        "responsible": linked_id(task.get("responsible_user_id")),
        "created_at": int(task["created_at"]),
        "created_by": author(task.get("created_by")) or "0",
        "author": author(task.get("updated_by")),
        "due_at": due,
        "is_all_day": is_all_day(due, timezone),
        "is_open": not task.get("is_completed"),
    }
    if due and task.get("duration"):  # a slot in the calendar, taken to end with the deadline
        body |= {"starts_at": due - int(task["duration"]), "ends_at": due}
    words = result.get("text") if isinstance(result, dict) else None
    body["result"] = str(words)[:MAX_TEXT] if words else None
    if entity == "contacts":
        body["contact"] = linked_id(task.get("entity_id"))
    return Fact(Kind.TASK, str(task["id"]), at, body, Rank.FETCHED, at)


def note(note: Row, entity: str) -> Fact | None:
    """A note of `/api/v4/{leads,contacts,companies}/notes`; None: a kind that no rule needs."""
    kind, at = note.get("note_type"), int(note["updated_at"])
    given = note.get("params")
    params: Row = given if isinstance(given, dict) else {}
    body = link(_OWNERS[entity], linked_id(note.get("entity_id")))
    body["author"] = author(note.get("created_by"))
    created = int(note["created_at"])
    if kind in CALL_TYPES:
        body |= call_body(params, CALL_TYPES[kind]) | {"started_at": created}
        return Fact(Kind.CALL, f"c{note['id']}", at, body, Rank.FETCHED, at)
    direction = direction_of(kind, params)
    if direction is not None:
        who = body.pop("author")
        return message(body, f"n{note['id']}", direction, created, who, Rank.FETCHED)
    if kind != "common":
        return None
    body |= {"text": str(params.get("text") or "")[:MAX_TEXT], "created_at": created}
    return Fact(Kind.NOTE, str(note["id"]), at, body, Rank.FETCHED, at)


def person(contact: Row, secrets: dict[str, str], *, company: bool = False) -> Fact:
    """A contact or company: whether it can be reached, and by which keys it is known again."""
    told: dict[Any, list[Any]] = {}
    for field in contact.get("custom_fields_values") or []:
        if values := field.get("values"):
            told.setdefault(field.get("field_code"), []).extend(v.get("value") for v in values)
    key = f"co{contact['id']}" if company else str(contact["id"])
    body = reach(secrets, told)
    at = int(contact["updated_at"])
    return Fact(Kind.CONTACT, key, at, body, Rank.FETCHED, at)


def inquiry(item: Row, secrets: dict[str, str]) -> Fact:
    """An inquiry of `/api/v4/leads/unsorted`: it waits."""
    at = int(item["created_at"])
    body = {
        "state": "new",
        "category": item.get("category") or "",
        "source": item.get("source_name") or None,
        "pipeline": linked_id(item.get("pipeline_id")),
        "created_at": at,
    }
    linked = item.get("_embedded") or {}
    for lead in linked.get("leads") or []:
        body["card"] = linked_id(lead.get("id"))
    persons = [str(one["id"]) for one in linked.get("contacts") or [] if one.get("id")]
    body |= asker(secrets, str(item.get("category") or ""), item.get("metadata"), persons, {})
    return Fact(Kind.LEAD, str(item["uid"])[:64], at, body, Rank.FETCHED, at)
