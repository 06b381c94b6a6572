"""Bitrix24 rows -> facts.

Sources: vendor REST documentation of 2026-08-21 (crm/deals, crm-stage-history-list, tasks,
telephony, timeline). Proved by the payload files in tests/crm/bitrix24/samples.
"""

from datetime import datetime
from typing import Any

from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

MAX_TEXT = 500
NO_DEADLINE_YEAR = 9000
DONE, WAITS_FOR_APPROVAL, DEFERRED = 5, 4, 6
PLANNED = {"CRM_TODO", "CRM_MEETING", "VOXIMPLANT_CALL", "CRM_CALL_TRACKER"}
Row = dict[str, Any]


def instant(value: Any) -> Instant | None:
    """ISO 8601 with the portal's offset; None for empty texts, false and 9999 ("no deadline")."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.year >= NO_DEADLINE_YEAR or moment.tzinfo is None:
        return None
    return int(moment.timestamp())


def number(value: Any) -> int:
    """A whole number told as text or number; else 0."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def user(value: Any) -> str | None:
    """A user id; "0" is a robot."""
    return None if value in (None, "", False) else str(value)


def entity(value: Any) -> str | None:
    """A linked entity's id; None where the portal says null, 0 or nothing."""
    return None if value in (None, "", False, 0, "0") else str(value)


def deal(row: Row, contacts: list[str] | None, seen_at: Instant = 0) -> list[Fact]:
    """A row of crm.deal.list: the image at DATE_MODIFY, and the stage's own instant."""
    if row.get("IS_RECURRING") == "Y":
        return []  # a template
    at = instant(row.get("DATE_MODIFY"))
    created = instant(row.get("DATE_CREATE"))
    if at is None or created is None:
        return []
    deal_id, currency = str(row["ID"]), str(row.get("CURRENCY_ID") or "RUB")
    place = {"pipeline": str(row.get("CATEGORY_ID") or "0"), "stage": str(row["STAGE_ID"])}
    body: Row = {
        **place,
        "name": row.get("TITLE") or "",
        "amount": minor_units(str(row.get("OPPORTUNITY") or 0), currency),
        "currency": currency,
        "responsible": entity(row.get("ASSIGNED_BY_ID")),
        "created_at": created,
        "created_by": user(row.get("CREATED_BY_ID")) or "0",
        "author": user(row.get("MODIFY_BY_ID")),
        "fields": fields(row),
        "source": row.get("SOURCE_ID") or None,
        "company": f"co{company}" if (company := entity(row.get("COMPANY_ID"))) else None,
    }
    if contacts is not None:
        body["contacts"] = contacts
    inquiry = entity(row.get("LEAD_ID"))
    if inquiry is not None:
        body |= {"inquiry": inquiry, "accepted_at": created}
    facts = [Fact(Kind.DEAL, deal_id, at, body, Rank.FETCHED, seen_at)]
    moved = instant(row.get("MOVED_TIME"))
    if moved is not None:
        step = {**place, "author": user(row.get("MOVED_BY_ID"))}
        facts.append(Fact(Kind.DEAL, deal_id, moved, step, Rank.HISTORY))
    return facts


def fields(row: Row) -> dict[str, str]:
    """Filled user fields (UF_CRM_...) as texts."""
    found = {}
    for name, value in row.items():
        if not name.startswith("UF_") or value in (None, "", False, []):
            continue
        parts = value if isinstance(value, list) else [value]
        found[name] = ", ".join(str(part) for part in parts)[:MAX_TEXT]
    return found


def stage(row: Row) -> Fact | None:
    """A row of crm.stagehistory.list: entered a stage at an exact instant."""
    at = instant(row.get("CREATED_TIME"))
    if at is None:
        return None
    body = {"pipeline": str(row.get("CATEGORY_ID") or "0"), "stage": str(row["STAGE_ID"])}
    return Fact(Kind.DEAL, str(row["OWNER_ID"]), at, body, Rank.HISTORY)


def lead(row: Row, deal_id: str | None, seen_at: Instant = 0) -> Fact | None:
    """A row of crm.lead.list: an inquiry."""
    at, created = instant(row.get("DATE_MODIFY")), instant(row.get("DATE_CREATE"))
    if at is None or created is None:
        return None
    semantics = row.get("STATUS_SEMANTIC_ID")
    state = {"S": "accepted", "F": "declined"}.get(str(semantics))
    if state is None:
        state = "new" if row.get("STATUS_ID") == "NEW" else "in_work"
    body: Row = {
        "state": state,
        "category": "lead",
        "name": row.get("TITLE") or "",
        "source": row.get("SOURCE_ID") or None,
        "created_at": created,
        "responsible": entity(row.get("ASSIGNED_BY_ID")),
        "author": user(row.get("MODIFY_BY_ID")),
    }
    closed = instant(row.get("DATE_CLOSED"))
    if closed is not None:
        body["closed_at"] = closed
    if deal_id is not None:
        body["deal"] = deal_id
    return Fact(Kind.LEAD, str(row["ID"]), at, body, Rank.FETCHED, seen_at)


def task(row: Row, seen_at: Instant = 0) -> Fact | None:
    """A task of tasks.task.list (camelCase, numbers as texts)."""
    at, created = instant(row.get("changedDate")), instant(row.get("createdDate"))
    created = created if created is not None else at
    if created is None:
        return None
    status = number(row.get("status"))
    body: Row = {
        "text": str(row.get("title") or "")[:MAX_TEXT],
        "task_kind": "task",
        "responsible": entity(row.get("responsibleId")),
        "created_at": created,
        "created_by": user(row.get("createdBy")) or "0",
        "author": user(row.get("changedBy")),
        "due_at": instant(row.get("deadline")),
        "is_open": status != DONE,
        "is_deferred": status in {WAITS_FOR_APPROVAL, DEFERRED},
    }
    links = row.get("ufCrmTask")
    if links is not None:
        body["deal"] = _linked(links, "D_")
        if body["deal"] is None:
            body["contact"] = _linked(links, "C_")
    key = f"t{row['id']}"
    return Fact(Kind.TASK, key, at if at is not None else created, body, Rank.FETCHED, seen_at)


def _linked(links: Any, prefix: str) -> str | None:
    for link in links if isinstance(links, list) else []:
        if str(link).startswith(prefix) and str(link)[len(prefix) :].isdecimal():
            return str(link)[len(prefix) :]
    return None


def task_history(task_id: str, rows: list[Row]) -> list[Fact]:
    """tasks.task.history.list: exact instants of completions, deadlines, hand-overs."""
    facts = []
    beginning: Row = {}
    first_at: Instant | None = None
    for row in sorted(rows, key=lambda r: number(r.get("id"))):
        at = instant(row.get("createdDate"))
        if at is None:
            continue
        first_at = at if first_at is None else first_at
        who = user((row.get("user") or {}).get("id"))
        value = row.get("value") or {}
        name, told = _history_value(str(row.get("field") or ""), value.get("to"))
        if name is None:
            continue
        _, before = _history_value(str(row["field"]), value.get("from"))
        beginning.setdefault(name, before)
        facts.append(Fact(Kind.TASK, task_id, at, {name: told, "author": who}, Rank.HISTORY))
    if beginning and first_at is not None:
        facts.append(Fact(Kind.TASK, task_id, first_at, beginning, Rank.HISTORY))
    return facts


def _history_value(field: str, value: Any) -> tuple[str | None, Any]:
    if field == "DEADLINE":
        if value in (None, "", "0", 0):
            return "due_at", None
        return "due_at", number(value) if str(value).isdecimal() else instant(value)
    if field == "STATUS":
        return "is_open", number(value) != DONE
    if field == "RESPONSIBLE_ID":
        return "responsible", entity(value)
    return None, None


def activity(row: Row, deal_id: str | None, seen_at: Instant = 0) -> Fact | None:
    """A planned step (to-do, call, meeting) as a task; None for mails, chats, mirrors of tasks."""
    provider = str(row.get("PROVIDER_ID") or "")
    at, created = instant(row.get("LAST_UPDATED")), instant(row.get("CREATED"))
    incoming = str(row.get("DIRECTION") or "") == "1"
    if provider not in PLANNED or at is None or created is None or incoming:
        return None
    if str(row.get("TYPE_ID")) == "2" and row.get("COMPLETED") == "Y":
        return None  # a call that took place: told by the call statistics
    texts = [str(row.get(name) or "") for name in ("SUBJECT", "DESCRIPTION")]
    body: Row = {
        "text": " ".join(text for text in texts if text)[:MAX_TEXT],
        "task_kind": provider,
        "deal": deal_id,
        "responsible": entity(row.get("RESPONSIBLE_ID")),
        "created_at": created,
        "created_by": user(row.get("AUTHOR_ID")) or "0",
        "author": user(row.get("EDITOR_ID")),
        "due_at": instant(row.get("DEADLINE")),
        "is_open": row.get("COMPLETED") != "Y",
    }
    return Fact(Kind.TASK, f"a{row['ID']}", at, body, Rank.FETCHED, seen_at)


def call(row: Row, deal_id: str | None = None) -> Fact | None:
    """A row of voximplant.statistic.get or the data of ONVOXIMPLANTCALLEND."""
    started = instant(row.get("CALL_START_DATE"))
    activity_id = entity(row.get("CRM_ACTIVITY_ID"))
    key = activity_id or entity(row.get("CALL_ID"))
    if started is None or key is None:
        return None
    seconds = max(number(row.get("CALL_DURATION")), 0)
    kind = str(row.get("CALL_TYPE"))
    code = str(row.get("CALL_FAILED_CODE") or "200")
    body: Row = {
        "direction": "out" if kind in {"1", "4"} else "in",
        "answered": code == "200" and seconds > 0,
        "seconds": seconds,
        "started_at": started,
        "author": entity(row.get("PORTAL_USER_ID")),
        "uniq": str(row["CALL_ID"]) if row.get("CALL_ID") else None,
    }
    owner, owner_id = row.get("CRM_ENTITY_TYPE"), entity(row.get("CRM_ENTITY_ID"))
    if deal_id is None and owner == "DEAL":
        deal_id = owner_id
    if deal_id is not None:
        body["deal"] = deal_id
    elif owner in {"CONTACT", "COMPANY"} and owner_id is not None:
        body |= {"deal": None, "contact": owner_id if owner == "CONTACT" else f"co{owner_id}"}
    rank = Rank.FETCHED if "ID" in row else Rank.HOOK
    return Fact(Kind.CALL, f"c{key[:60]}", started + seconds, body, rank)


def comment(row: Row, deal_id: str | None, seen_at: Instant = 0) -> Fact | None:
    """A timeline comment as a note."""
    created = instant(row.get("CREATED"))
    if created is None:
        return None
    body = {
        "deal": deal_id,
        "text": str(row.get("COMMENT") or "")[:MAX_TEXT],
        "author": user(row.get("AUTHOR_ID")),
        "created_at": created,
    }
    return Fact(Kind.NOTE, str(row["ID"]), created, body, Rank.FETCHED, seen_at)


def person(row: Row, *, company: bool = False, seen_at: Instant = 0) -> Fact | None:
    """A contact or company: whether it can be reached."""
    at = instant(row.get("DATE_MODIFY"))
    if at is None:
        return None
    body = {"has_phone": bool(row.get("PHONE")), "has_email": bool(row.get("EMAIL"))}
    key = f"co{row['ID']}" if company else str(row["ID"])
    return Fact(Kind.CONTACT, key, at, body, Rank.FETCHED, seen_at)
