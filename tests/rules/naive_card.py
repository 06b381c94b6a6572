"""What the card of a deal held at an instant, by looking back."""

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.rules.naive_deal import FINAL, before, kind, midnight, number, pipeline, places, stage
from tests.rules.naive_past import Change, Past, last_before, last_of, settled


def last_told(past: Past, name: str, at: int) -> Any:
    known = last_before(past.told(name), at)
    return known.value if known else None


def money(text: Any, currency: str) -> int:
    digits = {"JPY": 0}.get(currency, 2)
    try:
        value = Decimal(str(text or "0").split("|")[0].strip().replace(" ", "").replace(",", "."))
    except ArithmeticError:
        return 0
    return int((value * 10**digits).quantize(Decimal(1), rounding=ROUND_HALF_UP))


@lru_cache(maxsize=500)
def amounts(past: Past) -> list[Change]:
    chosen = past.plain.fields.get("budget")
    if chosen is None:
        return settled([c._replace(value=int(c.value or 0)) for c in past.told("amount")])
    currency = last_of(past.deal, "currency") or past.plain.currency
    return settled([c._replace(value=money(c.value, currency)) for c in past.field(chosen)])


def amount(past: Past, at: int) -> int:
    known = last_before(amounts(past), at)
    return known.value if known else 0


def is_late(past: Past, place: tuple[str, str]) -> bool:
    stages = past.plain.open_stages.get(place[0], [])
    if place[1] not in stages:
        return False
    chosen = past.plain.own.get(place[0], {}).get("late_from")
    if chosen in stages:
        return stages.index(place[1]) >= stages.index(chosen)
    return number(past, place) * 2 > len(stages)


def peak(past: Past, at: int) -> int:
    """The highest amount that it had while it stood in late stages."""
    instants = {c.at for c in (*places(past), *amounts(past)) if c.at <= at}
    late = [amount(past, i) for i in instants if is_late(past, before(past, i)[-1].value)]
    return max(late, default=0)


def tags(past: Past, at: int) -> tuple[str, ...]:
    return tuple(last_told(past, "tags", at) or ())


def is_hot(past: Past, place: tuple[str, str], value: int, labels: tuple[str, ...]) -> bool:
    if any(tag.casefold() in past.plain.hot_tags for tag in labels):
        return True
    large = past.plain.own.get(place[0], {}).get("hot_amount")
    if large is not None:
        return value >= money(large, past.plain.currency)
    return value > 0 and is_late(past, place)


def was_hot(past: Past, at: int) -> bool:
    seen = before(past, at)
    if kind(past, at) not in FINAL or len(seen) < 2:
        return False
    return is_hot(past, seen[-2].value, max(amount(past, at), peak(past, at)), tags(past, at))


def contacts(past: Past, at: int) -> tuple[str, ...] | None:
    """The linked persons; None = the CRM has not told."""
    told = last_told(past, "contacts", at)
    return None if told is None else tuple(told)


def reach(past: Past, name: str, at: int) -> bool:
    """Whether some linked person has a phone (an e-mail)."""
    last: dict[str, bool] = {}
    for fact in past.lent:
        if fact.kind.value == "contact" and name in fact.body and fact.at <= at:
            last[fact.id] = bool(fact.body[name])
    return any(last.values())


def source(past: Past, at: int) -> str | None:
    chosen = past.plain.fields.get("source")
    told = past.told("source") if chosen is None else past.field(chosen)
    known = last_before(told, at)
    return (known.value or None) if known else None


def required(past: Past, at: int) -> list[str]:
    """What this stage and those before it ask for."""
    here, now = pipeline(past, at), stage(past, at)
    stages = past.plain.all_stages.get(here, [])
    by_stage = past.plain.own.get(here, {}).get("required", {})
    asked = [by_stage.get(s, []) for s in stages[: stages.index(now) + 1]] if now in stages else []
    return list(dict.fromkeys(token for tokens in asked for token in tokens))


def is_filled(past: Past, token: str, at: int) -> bool:
    persons = contacts(past, at)
    if token in {"contact", "phone"}:
        reached = bool(persons) if token == "contact" else reach(past, "has_phone", at)
        return persons is None or reached
    if token in {"company", "budget", "source"}:
        plain = {"company": last_told(past, "company", at), "budget": amount(past, at) > 0}
        return bool(plain.get(token, source(past, at)))
    return not any("fields" in f.body for f in past.deal) or bool(
        str(field(past, token, at)).strip()
    )


def field(past: Past, token: str, at: int) -> str:
    known = last_before(past.field(token), at)
    return (known.value or "") if known else ""


def is_junk(past: Past, token: str, at: int) -> bool:
    """Dots, one repeated character, a listed word, the field's own name; a toy amount."""
    if token == "budget":
        return 0 < amount(past, at) <= 100
    value = field(past, token, at).strip().casefold()
    signs = {c for c in value if c.isalnum()}
    named = past.plain.field_names.get(token, token).casefold()
    only = len(signs) == 0 or (len(signs) == 1 and len(value) > 1)
    return bool(value) and (only or value in past.plain.junk or value == named)


def name_is_default(past: Past, at: int) -> bool:
    """Empty, "Новая сделка", "Сделка #123", a bare phone."""
    name = (last_told(past, "name", at) or "").strip().casefold()
    if not any(c.isalpha() for c in name):
        return True
    words = "новая сделка|новая заявка|заявка с сайта|сделка|заявка|лид|deal|new deal|lead"
    left = [name.removeprefix(word).strip() for word in words.split("|") if name.startswith(word)]
    return any(re.fullmatch(r"|[#№]\s*\d+|\d{4,}", rest) for rest in left)


def to_date(value: Any, zone: str) -> str | None:
    text = str(value or "").strip()
    if text.isdecimal() and len(text) in {9, 10}:
        return datetime.fromtimestamp(int(text), ZoneInfo(zone)).date().isoformat()
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text[:10], form).date().isoformat()  # noqa: DTZ007
        except ValueError:
            continue
    return None


@lru_cache(maxsize=500)
def close_dates(past: Past) -> list[Change]:
    chosen = past.plain.fields.get("close_date")
    told = past.told("expected_close_on") if chosen is None else past.field(chosen)
    return settled([c._replace(value=to_date(c.value, past.plain.zone)) for c in told])


def close_day_ends(past: Past, at: int) -> int | None:
    known = last_before(close_dates(past), at)
    if known is None or known.value is None:
        return None
    return midnight(past, date.fromisoformat(known.value) + timedelta(days=1))


def pushes(past: Past, at: int) -> int:
    """Moves to a later month, or by more than a week."""
    seen = [c.value and date.fromisoformat(c.value) for c in close_dates(past) if c.at <= at]
    return sum(
        bool(old and new)
        and ((new.year, new.month) > (old.year, old.month) or (new - old).days > 7)
        for old, new in pairwise(seen)
    )
