"""What hooks and REST of amoCRM share: ids, links, calls, custom fields."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.clientkeys import client_keys
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant, to_datetime

CALL_TYPES = {"10": "in", "11": "out", "call_in": "in", "call_out": "out"}
MESSAGE_TYPES = {"102": "in", "103": "out", "sms_in": "in", "sms_out": "out"}
MAIL_TYPES = {"15", "amomail_message"}  # the direction stands in the particulars
MAX_TEXT = 500
Reach = Mapping[Any, Sequence[Any]]  # values of fields by their codes
_TALK_TOOK_PLACE = 4
_LAST_MINUTE = time(23, 59)
_REACH_CODES = {"PHONE", "EMAIL"}


def author(value: Any) -> str | None:
    """A user id as text; "0" is a robot; None is unknown."""
    return None if value is None or value == "" else str(value)


def linked_id(value: Any) -> str | None:
    """The id of a linked entity; None where the CRM says null or 0."""
    return None if value in (None, 0, "0", "") else str(value)


def link(entity: str | None, entity_id: str | None) -> dict[str, Any]:
    """Where a call or note hangs. `entity`: deal, contact, company; None = not told."""
    if entity == "deal":
        return {"deal": entity_id}
    if entity == "contact":
        return {"deal": None, "contact": entity_id}
    if entity == "company":
        return {"deal": None, "contact": f"co{entity_id}" if entity_id else None}
    return {}


def call_body(params: dict[str, Any], direction: str) -> dict[str, Any]:
    """Duration, answered and PBX id; without a status a duration says answered (decisions 18)."""
    seconds = number(params.get("duration")) or 0
    status = number(params.get("call_status"))
    answered = status == _TALK_TOOK_PLACE if status is not None else seconds > 0
    uniq = params.get("uniq")
    return {
        "direction": direction,
        "seconds": seconds,
        "answered": answered,
        "uniq": None if uniq in (None, "") else str(uniq)[:200],
    }


def message(
    home: dict[str, Any],
    key: str,
    direction: str,
    at: Instant,
    who: str | None,
    rank: Rank = Rank.HOOK,
) -> Fact:
    """A message that hangs where `home` says; of the client's own no author is told."""
    body = home | {"direction": direction, "created_at": at}
    if direction == "out" and who is not None:
        body["author"] = who
    return Fact(Kind.MESSAGE, key[:64], at, body, rank)


def direction_of(kind: str | None, params: Mapping[str, Any]) -> str | None:
    """In or out, of a note that is an SMS or a mail; None: it is neither, or does not say."""
    if kind in MAIL_TYPES:
        income = str(params.get("income")).casefold()
        return {"true": "in", "1": "in", "false": "out", "0": "out"}.get(income)
    return MESSAGE_TYPES.get(kind or "")


def number(value: Any) -> int | None:
    """A whole number told as number or text, within bounds; None if it is none."""
    try:
        return min(max(int(float(value)), 0), 10**7)
    except (TypeError, ValueError, OverflowError):
        return None


def reach(secrets: dict[str, str], told: Reach) -> dict[str, Any]:
    """How a person can be reached, by the values of the fields PHONE and EMAIL."""
    body: dict[str, Any] = {"has_phone": "PHONE" in told, "has_email": "EMAIL" in told}
    keys = client_keys(secrets, told.get("PHONE", ()), told.get("EMAIL", ()))
    return body if keys is None else body | {"keys": keys}


def asker(
    secrets: dict[str, str], category: str, source: Any, persons: Sequence[str], told: Reach
) -> dict[str, Any]:
    """Who asked, by what an inquiry says of its origin and of its contacts: keys only.

    `from` is a caller's number, a mail address, or a map with one; `phone` of a call is our own.
    """
    given = source if isinstance(source, dict) else {}
    sender = given.get("from")
    inner = list(sender.values()) if isinstance(sender, dict) else [sender]
    inner += [] if category == "sip" else [given.get("phone"), given.get("email")]
    phones = [*inner, *told.get("PHONE", ())]
    keys = client_keys(secrets, phones, [*inner, *told.get("EMAIL", ())], persons)
    return {} if keys is None else {"keys": keys}


def field_text(values: Iterable[Any], code: str | None) -> str:
    """The values of a custom field as one text; "" = empty. Of phones and e-mails only "1"."""
    parts = [text for value in values if (text := _value_text(value)) != ""]
    if parts and code in _REACH_CODES:
        return "1"
    return ", ".join(parts)[:MAX_TEXT]


def _value_text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, dict):
        return str(value.get("name") or value.get("file_name") or "1")
    return str(value)


def is_all_day(due: Instant | None, timezone: str) -> bool:
    """Whether a deadline is that of a whole day: 23:59:00 in the account's zone."""
    return due is not None and to_datetime(due).astimezone(_zone(timezone)).time() == _LAST_MINUTE


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return ZoneInfo("UTC")
