"""Entities of amoCRM hooks (all values are texts) -> facts.

Sources: amoCRM and Kommo developers "Webhooks format" (copies of 2024-09 to 2026-04). Proved by
the bodies in tests/crm/amocrm/samples/*.form.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from service.crm.amocrm.common import (
    CALL_TYPES,
    MAIL_TYPES,
    MAX_TEXT,
    MESSAGE_TYPES,
    asker,
    author,
    call_body,
    direction_of,
    field_text,
    is_all_day,
    link,
    message,
    reach,
)
from service.crm.form import END_OF_TIME, instant, items, subject_id, text
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

_TEXT_TYPES = {"4", "13"}  # a note, a task's result
_ENTITIES = {"1": "contact", "2": "deal", "3": "company"}


def deal(lead: Any, action: str, received: Instant, currency: str) -> list[Fact]:
    """A lead of an account hook; nothing if it has no id.

    The whole image stands at the lead's own instant. A deletion carries none: it stands at the
    receipt, with the stage in which the lead was.
    """
    deal_id = subject_id(lead, "id")
    if deal_id is None:
        return []
    body: dict[str, Any] = {}
    _put(body, "pipeline", text(lead, "pipeline_id"))
    _put(body, "stage", text(lead, "status_id"))
    if action == "delete":
        facts = [Fact(Kind.DEAL, deal_id, received, {"deleted": True})]
        if len(body) == 2:
            facts.append(Fact(Kind.DEAL, deal_id, received, body, Rank.HISTORY))
        return facts
    _put(body, "name", text(lead, "name"))
    _put(body, "responsible", subject_id(lead, "responsible_user_id"))
    _put(body, "created_at", instant(lead, "created_at", "date_create"))
    _put(body, "created_by", text(lead, "created_user_id", "created_by"))
    _put(body, "author", author(text(lead, "modified_user_id", "modified_by")))
    _put(body, "source", subject_id(lead, "source_id"))
    if "price" in lead:
        body["amount"] = minor_units(text(lead, "price") or "0", currency)
        body["currency"] = currency
    body["fields"] = dict(_fields(lead.get("custom_fields")))
    body["tags"] = [name for tag in items(lead.get("tags")) if (name := text(tag, "name"))]
    if action == "restore":
        body |= {"restored": True, "deleted": False}
    at = instant(lead, "updated_at", "last_modified")
    return [Fact(Kind.DEAL, deal_id, received if at is None else at, body)]


def _fields(node: Any) -> Iterator[tuple[str, str]]:
    """(field id, value) of the filled fields, in any of the shapes that hooks use."""
    for field in items(node):
        field_id = subject_id(field, "id")
        if field_id is None:
            continue
        if value := field_text(_values(field), text(field, "code")):
            yield field_id, value


def _values(field: Any) -> list[str | None]:
    values = field.get("values") if isinstance(field, dict) else None
    listed = items(values) or ([values] if isinstance(values, dict) else [])
    return [v if isinstance(v, str) else text(v, "value") for v in listed]


def task(task: Any, action: str, received: Instant, timezone: str) -> Fact | None:
    """A task of an account hook; None if it has no id."""
    while isinstance(task, dict) and "id" not in task and isinstance(task.get("0"), dict):
        task = task["0"]  # the vendor's own example has one level too many
    task_id = subject_id(task, "id")
    if task_id is None:
        return None
    if action == "delete":
        return Fact(Kind.TASK, task_id, received, {"deleted": True})
    body: dict[str, Any] = {}
    if "text" in task:
        body["text"] = (text(task, "text") or "")[:MAX_TEXT]
    _put(body, "task_kind", text(task, "task_type"))
    _put_entity(body, task)
    _put(body, "responsible", subject_id(task, "responsible_user_id"))
    _put(body, "created_at", instant(task, "created_at") or _utc(text(task, "date_create")))
    _put(body, "created_by", text(task, "created_user_id"))
    _put(body, "author", author(text(task, "modified_by")))
    due = _deadline(task)
    if due is not None:
        body |= {"due_at": due, "is_all_day": is_all_day(due, timezone)}
    status = text(task, "status")
    if status is not None or text(task, "action_close") == "1":
        body["is_open"] = status != "1" and text(task, "action_close") != "1"
    _put(body, "result", (text(task.get("result"), "text") or "")[:MAX_TEXT] or None)
    at = instant(task, "updated_at") or _utc(text(task, "last_modified"))
    return Fact(Kind.TASK, task_id, received if at is None else at, body)


def _put_entity(body: dict[str, Any], task: Any) -> None:
    if "element_type" not in task and "element_id" not in task:
        return
    entity = _ENTITIES.get(text(task, "element_type") or "")
    entity_id = subject_id(task, "element_id")
    body["deal"] = entity_id if entity == "deal" else None
    if entity == "contact":
        body["contact"] = entity_id


def _deadline(task: Any) -> Instant | None:
    """`complete_before`; else `complete_till` as UTC text, or as seconds if it is all digits."""
    return instant(task, "complete_before", "complete_till") or _utc(text(task, "complete_till"))


def _utc(value: str | None) -> Instant | None:
    """`YYYY-MM-DD HH:MM:SS` in UTC, as tasks carry it."""
    try:
        moment = datetime.fromisoformat(value or "")
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= END_OF_TIME else None


def note(note: Any, owner: str | None, received: Instant) -> Fact | None:
    """A note or call; None: a kind that no rule needs. `owner`: what holds it if it does not say.

    Text dates of notes are in Moscow time; the unix fields are used.
    """
    note_id = subject_id(note, "id")
    kind = text(note, "note_type")
    if note_id is None or kind not in {*CALL_TYPES, *_TEXT_TYPES, *MESSAGE_TYPES, *MAIL_TYPES}:
        return None
    entity = _ENTITIES.get(text(note, "element_type") or "", owner)
    body = link(entity, subject_id(note, "element_id"))
    created = instant(note, "created_at") or received
    at = instant(note, "updated_at", "created_at") or received
    body["author"] = author(text(note, "created_by"))
    if kind in CALL_TYPES:
        body |= call_body(_json(text(note, "text")), CALL_TYPES[kind])
        return Fact(Kind.CALL, f"c{note_id}", at, body | {"started_at": created})
    if kind not in _TEXT_TYPES:
        direction = direction_of(kind, _json(text(note, "text")))
        who = body.pop("author")
        return message(body, f"n{note_id}", direction, created, who) if direction else None
    words = (text(note, "text") or "")[:MAX_TEXT]
    return Fact(Kind.NOTE, note_id, at, body | {"text": words, "created_at": created})


def _json(value: str | None) -> dict[str, Any]:
    """A call's particulars with lower-case keys; `{}` for what is no JSON object."""
    try:
        found = json.loads(value or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(k).lower(): v for k, v in found.items()} if isinstance(found, dict) else {}


def chat(item: Any, direction: str, received: Instant) -> Fact | None:
    """`message[add]`, `outgoing_message[add]`: a word in a chat; None if it hangs nowhere."""
    key, home = text(item, "id"), _talks_home(item)
    if key is None or not home:
        return None
    at = instant(item, "created_at") or received
    return message(home, key, direction, at, author(text(item, "created_by")))


def talk(item: Any, received: Instant) -> Fact | None:
    """`talk[update]` of a conversation that somebody closed: no answer is needed."""
    key, home = text(item, "talk_id", "id"), _talks_home(item)
    if key is None or not home or text(item, "is_in_work") != "0":
        return None
    at = instant(item, "updated_at") or received
    return message(home, f"t{key}.{at}", "closed", at, None)


def _talks_home(item: Any) -> dict[str, Any]:
    """The deal that a conversation is of, else the person."""
    kind, key = text(item, "entity_type"), subject_id(item, "entity_id")
    if kind not in {"lead", "contact"}:
        kind, key = _ENTITIES.get(text(item, "element_type") or ""), subject_id(item, "element_id")
    if key is not None and kind in {"lead", "deal"}:
        return link("deal", key)
    person_id = key if kind == "contact" and key is not None else subject_id(item, "contact_id")
    return link("contact", person_id) if person_id is not None else {}


def inquiry(item: Any, action: str, received: Instant, secrets: dict[str, str]) -> list[Fact]:
    """`unsorted[add|update|delete]`: an inquiry, and the deals that it became."""
    uid = text(item, "uid")
    if uid is None:
        return []
    uid = uid[:64]
    created = instant(item, "created_at", "date_create")
    body: dict[str, Any] = {"category": text(item, "category") or ""}
    _put(body, "pipeline", text(item, "pipeline_id"))
    _put(body, "source", text(item.get("source_data"), "source_name", "form_name", "service"))
    _put(body, "created_at", created)
    if action != "delete":
        _put(body, "card", subject_id(item, "lead_id"))
        body |= _asker(item, body["category"], secrets)
        at = received if created is None else created
        return [Fact(Kind.LEAD, uid, at, body | {"state": "new"})]
    accepted = text(item, "action") != "decline"
    at = instant(item, "modified_at", "updated_at") or received
    deals = _result_deals(item.get("accept_result")) if accepted else []
    body |= {"state": "accepted" if accepted else "declined", "closed_at": at}
    _put(body, "author", author(text(item, "modified_user_id")))
    _put(body, "deal", deals[0] if deals else None)
    told: dict[str, Any] = {"inquiry": uid, "accepted_at": at}
    _put(told, "inquired_at", created)
    return [
        Fact(Kind.LEAD, uid, at, body),
        *(Fact(Kind.DEAL, deal_id, at, dict(told)) for deal_id in deals),
    ]


def _asker(item: Any, category: str, secrets: dict[str, str]) -> dict[str, Any]:
    data = item.get("data")
    persons: list[str] = []
    told: dict[Any, list[Any]] = {}
    for one in items(data.get("contacts")) if isinstance(data, dict) else []:
        persons += [key] if (key := subject_id(one, "id")) else []
        for field in items(one.get("custom_fields")) if isinstance(one, dict) else []:
            told.setdefault(text(field, "code"), []).extend(_values(field))
    return asker(secrets, category, item.get("source_data"), persons, told)


def _result_deals(result: Any) -> list[str]:
    """Ids in `accept_result[leads]`: bare, or as maps with an id."""
    leads = items(result.get("leads")) if isinstance(result, dict) else []
    found = [subject_id({"id": lead} if isinstance(lead, str) else lead, "id") for lead in leads]
    return [deal_id for deal_id in found if deal_id is not None]


def person(
    contact: Any, action: str, received: Instant, secrets: dict[str, str], *, company: bool
) -> Fact | None:
    """`contacts[...]`: whether a person or company can be reached; None if it has no id."""
    contact_id = subject_id(contact, "id")
    if contact_id is None:
        return None
    is_company = company or text(contact, "type") == "company"
    key = f"co{contact_id}" if is_company else contact_id
    if action == "delete":
        return Fact(Kind.CONTACT, key, received, {"deleted": True})
    told: dict[Any, list[Any]] = {}
    for field in items(contact.get("custom_fields")):
        told.setdefault(text(field, "code"), []).extend(_values(field))
    at = instant(contact, "updated_at", "last_modified")
    body = reach(secrets, told)
    if action == "restore":
        body["deleted"] = False
    return Fact(Kind.CONTACT, key, received if at is None else at, body)


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """Only what was told stands in a body."""
    if value is not None:
        body[name] = value
