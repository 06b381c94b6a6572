"""amoCRM entities -> facts: hook bodies (all texts) and REST objects (JSON).

Sources: amoCRM developers "Webhooks format", "Leads", "Tasks", "Events and notes" (copies looked at
2024-09 to 2026-04). Proved by the payload files in tests/crm/amocrm/samples.
"""

import json
from collections.abc import Iterator
from typing import Any

from service.crm.form import items, subject_id, text, whole
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

WON, LOST = "142", "143"
CALL_TYPES = {"10": "in", "11": "out", "call_in": "in", "call_out": "out"}
TEXT_TYPES = {"4", "13", "common"}
TALK_TOOK_PLACE = 4
MAX_TEXT = 500
_ENTITY_OF_TYPE = {"1": "contact", "2": "deal", "3": "company"}


def author(value: Any) -> str | None:
    """A user id as text; "0" is a robot; None is unknown."""
    if value is None or value == "":
        return None
    return str(value)


# --- hooks ----------------------------------------------------------------------------------------


def deal_of_hook(lead: Any, action: str, received: Instant, currency: str) -> Fact | None:
    """A lead of an account hook; None if it has no id."""
    deal = subject_id(lead, "id")
    if deal is None:
        return None
    if action == "delete":
        return Fact(Kind.DEAL, deal, received, {"deleted": True})
    at = whole(lead, "updated_at", "last_modified")
    body: dict[str, Any] = {"fields": dict(_hook_fields(lead.get("custom_fields")))}
    _put(body, "pipeline", text(lead, "pipeline_id"))
    _put(body, "stage", text(lead, "status_id"))
    _put(body, "name", text(lead, "name"))
    _put(body, "responsible", subject_id(lead, "responsible_user_id"))
    _put(body, "created_at", whole(lead, "created_at", "date_create"))
    _put(body, "created_by", text(lead, "created_user_id", "created_by"))
    _put(body, "author", author(text(lead, "modified_user_id", "modified_by")))
    if "price" in lead:
        body["amount"] = minor_units(text(lead, "price") or "0", currency)
        body["currency"] = currency
    body["tags"] = [name for tag in items(lead.get("tags")) if (name := text(tag, "name"))]
    if action == "restore":
        body |= {"restored": True, "deleted": False}
    return Fact(Kind.DEAL, deal, at if at is not None else received, body)


def _hook_fields(node: Any) -> Iterator[tuple[str, str]]:
    """(field id, value) of the filled fields, in any of the shapes that hooks use."""
    for field in items(node):
        field_id = subject_id(field, "id")
        if field_id is None:
            continue
        values = field.get("values")
        parts = []
        for value in items(values) or ([values] if isinstance(values, dict) else []):
            if isinstance(value, str):
                parts.append(value)
            elif (found := text(value, "value")) is not None:
                parts.append(found)
        if parts:
            yield field_id, ", ".join(parts)[:MAX_TEXT]


def task_of_hook(task: Any, action: str, received: Instant) -> Fact | None:
    """A task of an account hook; None if it has no id."""
    while isinstance(task, dict) and "id" not in task and isinstance(task.get("0"), dict):
        task = task["0"]  # the vendor's own example has one level too many
    task_id = subject_id(task, "id")
    if task_id is None:
        return None
    if action == "delete":
        return Fact(Kind.TASK, task_id, received, {"deleted": True})
    body: dict[str, Any] = {}
    _put(body, "text", (text(task, "text") or "")[:MAX_TEXT])
    _put(body, "task_kind", text(task, "task_type"))
    entity = _ENTITY_OF_TYPE.get(text(task, "element_type") or "")
    if "element_type" in task or "element_id" in task:
        body["deal"] = subject_id(task, "element_id") if entity == "deal" else None
    if entity == "contact":
        body["contact"] = subject_id(task, "element_id")
    _put(body, "responsible", subject_id(task, "responsible_user_id"))
    _put(body, "created_at", whole(task, "created_at"))
    _put(body, "created_by", text(task, "created_user_id"))
    _put(body, "author", author(text(task, "modified_by")))
    _put(body, "due_at", _deadline(task))
    status = text(task, "status")
    if status is not None:
        body["is_open"] = status != "1"
    _put(body, "result", text(task.get("result"), "text"))
    at = whole(task, "updated_at")
    return Fact(Kind.TASK, task_id, at if at is not None else received, body)


def _deadline(task: Any) -> Instant | None:
    """`complete_before`; else `complete_till` as UTC text, or as seconds if it is all digits."""
    due = whole(task, "complete_before", "complete_till")
    if due is not None:
        return due
    return utc_text(text(task, "complete_till"))


def utc_text(value: str | None) -> Instant | None:
    """`YYYY-MM-DD HH:MM:SS` in UTC, as tasks carry it."""
    from datetime import UTC, datetime

    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def note_of_hook(note: Any, received: Instant) -> Fact | None:
    """A note or call of `leads[note]` / `contacts[note]`; None: a kind that no rule needs."""
    note_id = subject_id(note, "id")
    kind = text(note, "note_type")
    if note_id is None or kind not in {*CALL_TYPES, *TEXT_TYPES}:
        return None
    entity = _ENTITY_OF_TYPE.get(text(note, "element_type") or "")
    link = _link(entity, subject_id(note, "element_id"))
    created = whole(note, "created_at")
    at = whole(note, "updated_at", "created_at")
    written = created if created is not None else received
    who = author(text(note, "created_by"))
    if kind in CALL_TYPES:
        body = _call_body(_json(text(note, "text")), CALL_TYPES[kind])
        body |= link | {"started_at": written, "author": who}
        return Fact(Kind.CALL, f"c{note_id}", at if at is not None else received, body)
    body = {**link, "text": (text(note, "text") or "")[:MAX_TEXT], "author": who}
    body["created_at"] = written
    return Fact(Kind.NOTE, note_id, at if at is not None else received, body)


def _link(entity: str | None, entity_id: str | None) -> dict[str, Any]:
    if entity == "deal":
        return {"deal": entity_id}
    if entity == "contact":
        return {"deal": None, "contact": entity_id}
    if entity == "company":
        return {"deal": None, "contact": f"co{entity_id}" if entity_id else None}
    return {}


def _json(value: str | None) -> dict[str, Any]:
    try:
        found = json.loads(value or "{}")
    except ValueError:
        return {}
    return {str(k).lower(): v for k, v in found.items()} if isinstance(found, dict) else {}


def _call_body(params: dict[str, Any], direction: str) -> dict[str, Any]:
    """Duration, answered and PBX id; without a status a duration says answered (decisions 18)."""
    seconds = _number(params.get("duration"))
    status = _number(params.get("call_status"), None)
    answered = status == TALK_TOOK_PLACE if status is not None else (seconds or 0) > 0
    uniq = params.get("uniq")
    return {
        "direction": direction, "seconds": seconds or 0, "answered": answered,
        "uniq": str(uniq) if uniq not in (None, "") else None,
    }  # fmt: skip


def _number(value: Any, default: int | None = 0) -> int | None:
    try:
        return min(max(int(float(value)), 0), 10**7)
    except (TypeError, ValueError, OverflowError):
        return default


def inquiry_of_hook(item: Any, action: str, received: Instant) -> list[Fact]:
    """`unsorted[add|update|delete]`: an inquiry, and the deals that it became."""
    uid = text(item, "uid")
    if uid is None:
        return []
    uid = uid[:64]
    created = whole(item, "created_at")
    body: dict[str, Any] = {"category": text(item, "category") or ""}
    _put(body, "pipeline", text(item, "pipeline_id"))
    source = item.get("source_data") if isinstance(item.get("source_data"), dict) else {}
    _put(body, "source", text(source, "source_name", "form_name", "service") or None)
    if action != "delete":
        body |= {"state": "new"}
        _put(body, "created_at", created)
        return [Fact(Kind.LEAD, uid, created if created is not None else received, body)]
    accepted = text(item, "action") != "decline"
    at = whole(item, "modified_at", "updated_at") or received
    result = item.get("accept_result" if accepted else "decline_result")
    leads = items(result.get("leads")) if isinstance(result, dict) else []
    deals = [found for lead in leads if (found := _lead_id(lead))]
    body |= {"state": "accepted" if accepted else "declined", "closed_at": at}
    body["author"] = author(text(item, "modified_user_id"))
    _put(body, "created_at", created)
    _put(body, "deal", deals[0] if accepted and deals else None)
    facts = [Fact(Kind.LEAD, uid, at, body)]
    if accepted:
        told: dict[str, Any] = {"inquiry": uid, "accepted_at": at}
        _put(told, "inquired_at", created)
        facts += [Fact(Kind.DEAL, deal, at, dict(told)) for deal in deals]
    return facts


def _lead_id(lead: Any) -> str | None:
    if isinstance(lead, str):
        return lead if lead.isdecimal() else None
    return subject_id(lead, "id")


def person_of_hook(contact: Any, action: str, received: Instant) -> Fact | None:
    """`contacts[...]`: whether a person or company can be reached."""
    contact_id = subject_id(contact, "id")
    if contact_id is None:
        return None
    key = f"co{contact_id}" if text(contact, "type") == "company" else contact_id
    if action == "delete":
        return Fact(Kind.CONTACT, key, received, {"deleted": True})
    codes = {text(field, "code") for field in items(contact.get("custom_fields"))}
    at = whole(contact, "updated_at", "last_modified")
    body = {"has_phone": "PHONE" in codes, "has_email": "EMAIL" in codes}
    return Fact(Kind.CONTACT, key, at if at is not None else received, body)


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


# --- REST -----------------------------------------------------------------------------------------


def deal_of_rest(lead: dict[str, Any], currency: str, seen_at: Instant) -> Fact:
    """A lead of `/api/v4/leads?with=contacts,loss_reason,source_id`."""
    linked = lead.get("_embedded") or {}
    price = lead.get("price_with_minor_units")
    body: dict[str, Any] = {
        "name": lead.get("name") or "",
        "pipeline": str(lead["pipeline_id"]),
        "stage": str(lead["status_id"]),
        "amount": minor_units(
            str(price if price is not None else lead.get("price") or 0), currency
        ),
        "currency": currency,
        "responsible": _id(lead.get("responsible_user_id")),
        "created_at": lead["created_at"],
        "created_by": author(lead.get("created_by")) or "0",
        "author": author(lead.get("updated_by")),
        "loss_reason": _id(lead.get("loss_reason_id")),
        "fields": dict(_rest_fields(lead.get("custom_fields_values"))),
        "tags": [tag.get("name") or "" for tag in linked.get("tags") or []],
    }
    if "contacts" in linked:
        body["contacts"] = [str(contact["id"]) for contact in linked["contacts"] or []]
    if "companies" in linked:
        companies = linked["companies"] or []
        body["company"] = f"co{companies[0]['id']}" if companies else None
    if lead.get("source_id") is not None:
        body["source"] = str(lead["source_id"])
    if lead.get("is_deleted"):
        body["deleted"] = True
    return Fact(Kind.DEAL, str(lead["id"]), lead["updated_at"], body, Rank.FETCHED, seen_at)


def _rest_fields(fields: Any) -> Iterator[tuple[str, str]]:
    for field in fields or []:
        values = [value.get("value") for value in field.get("values") or []]
        texts = [str(value) for value in values if value not in (None, "")]
        if texts:
            yield str(field["field_id"]), ", ".join(texts)[:MAX_TEXT]


def task_of_rest(task: dict[str, Any], seen_at: Instant) -> Fact:
    """A task of `/api/v4/tasks`. A completion has no instant here: `/events` tells it."""
    entity = task.get("entity_type")
    result = task.get("result")
    body: dict[str, Any] = {
        "text": (task.get("text") or "")[:MAX_TEXT],
        "task_kind": str(task.get("task_type_id") or ""),
        "deal": _id(task.get("entity_id")) if entity == "leads" else None,
        "responsible": _id(task.get("responsible_user_id")),
        "created_at": task["created_at"],
        "created_by": author(task.get("created_by")) or "0",
        "author": author(task.get("updated_by")),
        "due_at": task.get("complete_till"),
        "is_open": not task.get("is_completed"),
        "result": (result.get("text") or None) if isinstance(result, dict) else None,
    }
    if entity == "contacts":
        body["contact"] = _id(task.get("entity_id"))
    return Fact(Kind.TASK, str(task["id"]), task["updated_at"], body, Rank.FETCHED, seen_at)


def note_of_rest(note: dict[str, Any], entity: str, seen_at: Instant) -> Fact | None:
    """A note of `/api/v4/{leads,contacts}/notes`; None: a kind that no rule needs."""
    kind = note.get("note_type")
    kinds = {"leads": "deal", "contacts": "contact", "companies": "company"}
    link = _link(kinds[entity], _id(note.get("entity_id")))
    params = note.get("params") if isinstance(note.get("params"), dict) else {}
    who = author(note.get("created_by"))
    body: dict[str, Any]
    if kind in CALL_TYPES:
        body = _call_body(params or {}, CALL_TYPES[kind])
        body |= link | {"started_at": note["created_at"], "author": who}
        at, key, fact_kind = note["updated_at"], f"c{note['id']}", Kind.CALL
    elif kind == "common":
        words = str((params or {}).get("text") or "")[:MAX_TEXT]
        body = {**link, "text": words, "author": who, "created_at": int(note["created_at"])}
        at, key, fact_kind = note["updated_at"], str(note["id"]), Kind.NOTE
    else:
        return None
    return Fact(fact_kind, key, at, body, Rank.FETCHED, seen_at)


def person_of_rest(contact: dict[str, Any], seen_at: Instant, *, company: bool = False) -> Fact:
    """A contact or company: whether it can be reached."""
    codes = {
        field.get("field_code")
        for field in contact.get("custom_fields_values") or []
        if field.get("values")
    }
    key = f"co{contact['id']}" if company else str(contact["id"])
    body = {"has_phone": "PHONE" in codes, "has_email": "EMAIL" in codes}
    return Fact(Kind.CONTACT, key, contact["updated_at"], body, Rank.FETCHED, seen_at)


def inquiry_of_rest(item: dict[str, Any], seen_at: Instant) -> Fact:
    """An inquiry of `/api/v4/leads/unsorted`: it waits."""
    body = {
        "state": "new",
        "category": item.get("category") or "",
        "source": item.get("source_name"),
        "pipeline": _id(item.get("pipeline_id")),
        "created_at": item["created_at"],
    }
    return Fact(Kind.LEAD, str(item["uid"])[:64], item["created_at"], body, Rank.FETCHED, seen_at)


def facts_of_event(event: dict[str, Any], currency: str) -> list[Fact]:
    """A row of `/api/v4/events` as history; for a stage or owner also what was before.

    The value before is told one second earlier than nothing: it stands at instant 0 relative to the
    subject, so the caller places it at the subject's creation.
    """
    at, who = event["created_at"], author(event.get("created_by"))
    subject = str(event["entity_id"])
    after, kind = _side(event, "value_after"), event["type"]
    body: dict[str, Any]
    if kind == "lead_status_changed":
        return [Fact(Kind.DEAL, subject, at, _place(after, who), Rank.HISTORY)]
    if kind == "entity_responsible_changed" and event.get("entity_type") == "lead":
        body = {"responsible": _id((after.get("responsible_user") or {}).get("id")), "author": who}
        return [Fact(Kind.DEAL, subject, at, body, Rank.HISTORY)]
    if kind == "sale_field_changed":
        sale = (after.get("sale_field_value") or {}).get("sale")
        body = {"amount": minor_units(str(sale or 0), currency), "author": who}
        return [Fact(Kind.DEAL, subject, at, body, Rank.HISTORY)]
    if kind == "task_completed":
        return [Fact(Kind.TASK, subject, at, {"is_open": False, "author": who}, Rank.HISTORY)]
    if kind == "task_deadline_changed":
        due = (after.get("task_deadline") or {}).get("timestamp")
        return [Fact(Kind.TASK, subject, at, {"due_at": due, "author": who}, Rank.HISTORY)]
    if kind == "lead_deleted":
        return [Fact(Kind.DEAL, subject, at, {"deleted": True, "author": who}, Rank.HISTORY)]
    return []


def before_of_event(event: dict[str, Any], currency: str) -> dict[str, Any] | None:
    """What an event says of the time before it: the first one tells how the subject began."""
    before, kind = _side(event, "value_before"), event["type"]
    if kind == "lead_status_changed" and before.get("lead_status"):
        return _place(before, None)
    if kind == "entity_responsible_changed" and before.get("responsible_user"):
        return {"responsible": _id(before["responsible_user"].get("id"))}
    if kind == "sale_field_changed" and before.get("sale_field_value"):
        sale = before["sale_field_value"].get("sale")
        return {"amount": minor_units(str(sale or 0), currency)}
    if kind == "task_deadline_changed" and before.get("task_deadline"):
        return {"due_at": before["task_deadline"].get("timestamp")}
    return None


def _side(event: dict[str, Any], name: str) -> dict[str, Any]:
    values = event.get(name)
    found = values[0] if isinstance(values, list) and values else {}
    return found if isinstance(found, dict) else {}


def _place(value: dict[str, Any], who: str | None) -> dict[str, Any]:
    status = value.get("lead_status") or {}
    body: dict[str, Any] = {
        "pipeline": str(status.get("pipeline_id")), "stage": str(status.get("id"))
    }  # fmt: skip
    if who is not None:
        body["author"] = who
    return body


def _id(value: Any) -> str | None:
    return str(value) if value not in (None, 0, "0", "") else None
