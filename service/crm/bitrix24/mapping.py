"""Bitrix24 rows -> facts.

Sources: vendor REST documentation of 2026-08-21 (crm/deals, crm-stage-history-list, tasks,
telephony, timeline). Proved by the payload files in tests/crm/bitrix24/samples.
"""

from datetime import UTC, datetime
from typing import Any

from service.domain.clientkeys import client_keys, phone_key
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units

MAX_TEXT = 500
LARGEST = 10**12
NO_DEADLINE_YEAR = 9000
DONE, WAITS_FOR_APPROVAL, DEFERRED = 5, 4, 6
CALL, INCOMING = "2", "1"
MEETING = "CRM_MEETING"
MESSAGES = {"CRM_EMAIL", "IMOPENLINES_SESSION"}
PLANNED = {"CRM_TODO", MEETING, "VOXIMPLANT_CALL", "CRM_CALL_TRACKER"}
Row = dict[str, Any]


def instant(value: Any) -> Instant | None:
    """ISO 8601 with the portal's offset; None for empty texts, false and 9999 ("no deadline")."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 1970 <= moment.year < NO_DEADLINE_YEAR or moment.tzinfo is None:
        return None
    seconds = int(moment.timestamp())
    return seconds if seconds > 0 else None


def changed_since(name: str, since: Instant) -> Row:
    """A filter by change; ISO with an offset, as the vendor's pages show it."""
    if not since:
        return {}
    return {f">={name}": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")}


def number(value: Any) -> int:
    """A whole number told as text or number; 0 for anything else, and for absurd ones."""
    try:
        found = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
    return found if abs(found) <= LARGEST else 0


def user(value: Any) -> str | None:
    """A user id; "0" is a robot."""
    return None if value in (None, "", False) else str(value)


def entity(value: Any) -> str | None:
    """A linked entity's id; None where the portal says null, 0 or nothing."""
    return None if value in (None, "", False, 0, "0") else str(value)


def deal(row: Row, contacts: list[str] | None, default_currency: str) -> list[Fact]:
    """A row of crm.deal.list: the image at DATE_MODIFY, and the stage's own instant."""
    if row.get("IS_RECURRING") == "Y":
        return []  # a template
    at = instant(row.get("DATE_MODIFY"))
    created = instant(row.get("DATE_CREATE"))
    if at is None or created is None:
        return []
    deal_id, currency = str(row["ID"]), str(row.get("CURRENCY_ID") or default_currency)
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
    facts = [Fact(Kind.DEAL, deal_id, at, body, Rank.FETCHED, at)]
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


def lead(row: Row, deal_id: str | None, secrets: dict[str, str]) -> list[Fact]:
    """A row of crm.lead.list: an inquiry, and when it was closed."""
    at, created = instant(row.get("DATE_MODIFY")), instant(row.get("DATE_CREATE"))
    if at is None or created is None:
        return []
    key, semantics = str(row["ID"]), str(row.get("STATUS_SEMANTIC_ID"))
    state = {"S": "accepted", "F": "declined"}.get(semantics)
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
    if deal_id is not None:
        body["deal"] = deal_id
    persons = [person_id] if (person_id := entity(row.get("CONTACT_ID"))) else []
    keys = client_keys(secrets, _values(row, "PHONE"), _values(row, "EMAIL"), persons)
    if keys is not None:
        body["keys"] = keys
    facts = []
    closed = instant(row.get("DATE_CLOSED"))
    if closed is not None and semantics in {"S", "F"}:
        body["closed_at"] = closed
        if closed < at:
            step = {"state": state, "closed_at": closed}
            facts = [Fact(Kind.LEAD, key, closed, step, Rank.HISTORY)]
    return [Fact(Kind.LEAD, key, at, body, Rank.FETCHED, at), *facts]


def task(row: Row) -> list[Fact]:
    """A task of tasks.task.list (camelCase, numbers as texts): its image, and when it was done."""
    at, created = instant(row.get("changedDate")), instant(row.get("createdDate"))
    created = created if created is not None else at
    if created is None:
        return []
    status, key = number(row.get("status")), f"t{row['id']}"
    body: Row = {
        "text": str(row.get("title") or "")[:MAX_TEXT],
        "task_kind": "task",
        "responsible": entity(row.get("responsibleId")),
        "created_at": created,
        "created_by": user(row.get("createdBy")) or "0",
        "author": user(row.get("changedBy")),
        "due_at": instant(row.get("deadline")),
        **_state(status),
    }
    links = row.get("ufCrmTask")
    if "ufCrmTask" in row:
        body["deal"] = _linked(links, "D_")
        contact, company = _linked(links, "C_"), _linked(links, "CO_")
        body["contact"] = contact or (f"co{company}" if company else None)
    at = at if at is not None else created
    facts = [Fact(Kind.TASK, key, at, body, Rank.FETCHED, at)]
    closed = instant(row.get("closedDate"))
    if status == DONE and closed is not None and closed < at:
        done = {**_state(status), "author": entity(row.get("closedBy"))}
        facts.append(Fact(Kind.TASK, key, closed, done, Rank.HISTORY))
    return facts


def _state(status: int) -> Row:
    """5 is done; 4 (waits for approval) and 6 (deferred) are open, but never overdue."""
    deferred = status in {WAITS_FOR_APPROVAL, DEFERRED}
    return {"is_open": status != DONE, "is_deferred": deferred}


def _linked(links: Any, prefix: str) -> str | None:
    for link in links if isinstance(links, list) else []:
        if str(link).startswith(prefix) and str(link)[len(prefix) :].isdecimal():
            return str(link)[len(prefix) :]
    return None


def task_history(task_id: str, rows: list[Row], created: Instant) -> list[Fact]:
    """tasks.task.history.list: exact instants of completions, deadlines, hand-overs.

    What was before the first change of an attribute is placed at the task's creation.
    """
    facts = []
    beginning: Row = {}
    for row in sorted(rows, key=lambda r: number(r.get("id"))):
        at = instant(row.get("createdDate"))
        value = row.get("value") or {}
        if at is None or not isinstance(value, dict):
            continue
        told = _history_value(str(row.get("field") or ""), value.get("to"))
        if not told:
            continue
        before = _history_value(str(row["field"]), value.get("from"))
        if at > created:
            beginning = {**before, **beginning}
        who = user((row.get("user") or {}).get("id"))
        facts.append(Fact(Kind.TASK, task_id, at, {**told, "author": who}, Rank.HISTORY))
    if beginning:
        facts.append(Fact(Kind.TASK, task_id, created, beginning, Rank.HISTORY))
    return facts


def _history_value(field: str, value: Any) -> Row:
    """What a change of this field says; nothing for fields that no rule needs."""
    if field == "DEADLINE":
        if value in (None, "", "0", 0, False):
            return {"due_at": None}
        return {"due_at": number(value) if str(value).isdecimal() else instant(value)}
    if field == "STATUS":
        return _state(number(value))
    if field == "RESPONSIBLE_ID":
        return {"responsible": entity(value)}
    return {}


def is_planned(row: Row) -> bool:
    """Whether an activity is (or was) a planned step: not a mail, a chat, a mirror of a task.

    A call counts if it was planned: one that telephony wrote down starts before its record.
    """
    if str(row.get("PROVIDER_ID") or "") not in PLANNED or str(row.get("DIRECTION")) == INCOMING:
        return False
    if str(row.get("TYPE_ID")) != CALL or row.get("COMPLETED") != "Y":
        return True
    start, created = instant(row.get("START_TIME")), instant(row.get("CREATED"))
    return start is not None and created is not None and start > created


def activity(row: Row, deal_id: str | None) -> Fact | None:
    """A planned step (to-do, call, meeting) as a task; None for anything else."""
    at, created = instant(row.get("LAST_UPDATED")), instant(row.get("CREATED"))
    if at is None or created is None or not is_planned(row):
        return None
    texts = [str(row.get(name) or "") for name in ("SUBJECT", "DESCRIPTION")]
    body: Row = {
        "text": " ".join(text for text in texts if text)[:MAX_TEXT],
        "task_kind": str(row["PROVIDER_ID"]),
        "deal": deal_id,
        "responsible": entity(row.get("RESPONSIBLE_ID")),
        "created_at": created,
        "created_by": user(row.get("AUTHOR_ID")) or "0",
        "author": user(row.get("EDITOR_ID")),
        "due_at": instant(row.get("DEADLINE")),
        "is_open": row.get("COMPLETED") != "Y",
    }
    if row["PROVIDER_ID"] == MEETING:
        body |= {
            "starts_at": instant(row.get("START_TIME")),
            "ends_at": instant(row.get("END_TIME")),
        }
    owner = {"3": "", "4": "co"}.get(str(row.get("OWNER_TYPE_ID")))
    if deal_id is None and owner is not None and (person_id := entity(row.get("OWNER_ID"))):
        body["contact"] = f"{owner}{person_id}"
    return Fact(Kind.TASK, f"a{row['ID']}", at, body, Rank.FETCHED, at)


def is_message(row: Row) -> bool:
    """Whether an activity is a mail or a chat of an open line."""
    return str(row.get("PROVIDER_ID") or "") in MESSAGES


def message(row: Row, deal_id: str | None) -> list[Fact]:
    """A mail or a chat: what came or was sent, and that an incoming one has been dealt with.

    Of a chat only its beginning and its end are known, not the words in it.
    """
    at, created = instant(row.get("LAST_UPDATED")), instant(row.get("CREATED"))
    if at is None or created is None:
        return []
    incoming = str(row.get("DIRECTION")) == INCOMING
    home: Row = {"deal": deal_id}
    owner = {"3": "", "4": "co"}.get(str(row.get("OWNER_TYPE_ID")))
    if deal_id is None and owner is not None and (person_id := entity(row.get("OWNER_ID"))):
        home["contact"] = f"{owner}{person_id}"
    key = f"a{row['ID']}"
    body = home | {"direction": "in" if incoming else "out", "created_at": created}
    if not incoming:
        body["author"] = user(row.get("AUTHOR_ID"))
    facts = [Fact(Kind.MESSAGE, key, created, body, Rank.FETCHED, at)]
    if incoming and row.get("COMPLETED") == "Y" and at > created:
        over = home | {"direction": "closed", "created_at": at}
        facts.append(Fact(Kind.MESSAGE, f"{key}e", at, over, Rank.FETCHED, at))
    return facts


def call(
    row: Row, deal_id: str | None = None, secrets: dict[str, str] | None = None
) -> Fact | None:
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
        "uniq": str(row["CALL_ID"])[:200] if row.get("CALL_ID") else None,
    }
    owner, owner_id = row.get("CRM_ENTITY_TYPE"), entity(row.get("CRM_ENTITY_ID"))
    if deal_id is None and owner == "DEAL":
        deal_id = owner_id
    if deal_id is not None:
        body["deal"] = deal_id
    elif owner in {"CONTACT", "COMPANY"} and owner_id is not None:
        body |= {"deal": None, "contact": owner_id if owner == "CONTACT" else f"co{owner_id}"}
    elif client := phone_key(secrets or {}, row.get("PHONE_NUMBER")):
        body["client"] = client
    rank = Rank.FETCHED if "ID" in row else Rank.HOOK
    return Fact(Kind.CALL, f"c{key[:60]}", started + seconds, body, rank)


def comment(row: Row, deal_id: str | None) -> Fact | None:
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
    return Fact(Kind.NOTE, str(row["ID"]), created, body, Rank.FETCHED, created)


def person(row: Row, secrets: dict[str, str], *, company: bool = False) -> Fact | None:
    """A contact or company: whether it can be reached, and by which keys it is known again."""
    at = instant(row.get("DATE_MODIFY"))
    if at is None:
        return None
    body: Row = {"has_phone": _has(row, "PHONE"), "has_email": _has(row, "EMAIL")}
    keys = client_keys(secrets, _values(row, "PHONE"), _values(row, "EMAIL"))
    if keys is not None and row.keys() & {"PHONE", "EMAIL"}:
        body["keys"] = keys
    key = f"co{row['ID']}" if company else str(row["ID"])
    return Fact(Kind.CONTACT, key, at, body, Rank.FETCHED, at)


def _values(row: Row, name: str) -> list[Any]:
    listed = row.get(name)
    values = listed if isinstance(listed, list) else [listed]
    return [value.get("VALUE") if isinstance(value, dict) else value for value in values]


def _has(row: Row, name: str) -> bool:
    """By the values where they were selected, else by the portal's own flag."""
    return bool(row[name]) if row.get(name) is not None else row.get(f"HAS_{name}") == "Y"
