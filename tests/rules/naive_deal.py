"""Where a deal stood, what its card held, whose it was: at an instant, by looking back."""

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.domain.test_calendar_naive import Work
from tests.rules.naive_past import Change, Past, last_before, last_of, settled
from tests.rules.naive_tasks import Task, tasks_of

FORTNIGHT, HALF_HOUR, ONE_ROW = 14 * 86_400, 1800, 600
FINAL = {"won", "lost"}

# --- places ---------------------------------------------------------------------------------------


@lru_cache(maxsize=500)
def places(past: Past) -> list[Change]:
    """Where it stood, as (pipeline, stage); whoever made it put it where it began."""
    found: list[Change] = []
    pipeline = ""
    for fact in past.deal:
        pipeline = fact.body.get("pipeline") or pipeline
        if fact.body.get("stage") is not None:
            place = (pipeline, fact.body["stage"])
            found.append(Change(fact.at, place, fact.body.get("author")))
    if found and (found[0].at > past.start or found[0].author is None):
        maker = last_of(past.deal, "created_by")
        found[0] = Change(past.start, found[0].value, maker)
    return settled(found)


def before(past: Past, at: int) -> list[Change]:
    """All places up to an instant."""
    return [change for change in places(past) if change.at <= at]


def kind_of(past: Past, place: tuple[str, str]) -> str:
    return past.plain.kinds.get(place, "open")


def kind(past: Past, at: int) -> str:
    return kind_of(past, before(past, at)[-1].value)


def pipeline(past: Past, at: int) -> str:
    return str(before(past, at)[-1].value[0])


def stage(past: Past, at: int) -> str:
    return str(before(past, at)[-1].value[1])


def number(past: Past, place: tuple[str, str]) -> int:
    known = past.plain.open_stages.get(place[0], [])
    return known.index(place[1]) + 1 if place[1] in known else 0


def previous_no(past: Past, at: int) -> int | None:
    seen = before(past, at)
    return (number(past, seen[-2].value) or None) if len(seen) > 1 else None


def last_move(past: Past, at: int) -> str:
    seen = before(past, at)
    if len(seen) < 2 or seen[-2].value[0] != seen[-1].value[0]:
        return "none"
    was, now = number(past, seen[-2].value), number(past, seen[-1].value)
    if not was or not now:
        return "none"
    return "back" if now < was else "forward"


def skipped(past: Past, at: int) -> tuple[str, ...]:
    """Mandatory stages between where it came into the pipeline and where it stands."""
    here = pipeline(past, at)
    visited: list[str] = []
    for change in reversed(before(past, at)):
        if change.value[0] != here:
            break
        visited.insert(0, change.value[1])
    entry, now = number(past, (here, visited[0])), number(past, (here, visited[-1]))
    asked = past.plain.own.get(here, {}).get("mandatory", ())
    between = [s for s in asked if entry < number(past, (here, s)) < now and s not in visited]
    return tuple(between) if len(visited) > 1 else ()


def closed_at(past: Past, at: int) -> int | None:
    return before(past, at)[-1].at if kind(past, at) in FINAL else None


def reopenings(past: Past, at: int) -> list[int]:
    seen = before(past, at)
    return [
        new.at
        for old, new in pairwise(seen)
        if kind_of(past, old.value) in FINAL and kind_of(past, new.value) not in FINAL
    ]


def born(past: Past) -> int | None:
    """Acceptance where it is known, else creation; out of the incoming stage if it began there."""
    if kind(past, past.start) == "incoming":
        return next((c.at for c in places(past) if kind_of(past, c.value) != "incoming"), None)
    accepted = last_of(past.deal, "accepted_at")
    inquired = last_of(past.deal, "inquired_at")
    made_by_accepting = (
        inquired is not None and past.created_at is not None and past.created_at > inquired
    )
    return past.created_at if accepted is None or made_by_accepting else int(accepted)


def loss_reason(past: Past, at: int) -> str | None:
    """As told since it was lost (or left that): of an earlier loss it says nothing."""
    since, was = past.start, False
    for change in before(past, at):
        lost = kind_of(past, change.value) == "lost"
        since, was = (change.at, lost) if lost != was else (since, was)
    chosen = past.plain.fields.get("loss_reason")
    told = [f for f in past.deal if since <= f.at <= at]
    if chosen is None:
        said = [f.body["loss_reason"] for f in told if "loss_reason" in f.body]
        return (said[-1] or None) if said else None
    said = [
        f
        for f in told
        if "fields" in f.body or chosen in f.body.get("fields_changed", {}) or "stage" in f.body
    ]
    value = None
    for fact in past.deal:
        if said and fact.at <= said[-1].at:
            if "fields" in fact.body:
                value = (fact.body["fields"] or {}).get(chosen)
            value = fact.body.get("fields_changed", {}).get(chosen, value)
    return value or None


# --- the card -------------------------------------------------------------------------------------


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


def midnight(past: Past, on: date) -> int:
    return int(datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(past.plain.zone)).timestamp())


def pushes(past: Past, at: int) -> int:
    """Moves to a later month, or by more than a week."""
    seen = [c.value and date.fromisoformat(c.value) for c in close_dates(past) if c.at <= at]
    return sum(
        bool(old and new)
        and ((new.year, new.month) > (old.year, old.month) or (new - old).days > 7)
        for old, new in pairwise(seen)
    )


# --- the responsible ------------------------------------------------------------------------------


@lru_cache(maxsize=500)
def owners(past: Past) -> list[Change]:
    return settled([c._replace(value=c.value or "") for c in past.told("responsible")])


def responsible(past: Past, at: int) -> str:
    known = last_before(owners(past), at)
    return known.value if known else ""


def handovers(past: Past, at: int) -> int:
    """By people, in a fortnight; what comes within half an hour of its creation distributes it."""
    return sum(
        at - FORTNIGHT < c.at <= at
        and c.at - past.start > HALF_HOUR
        and (c.author is None or past.is_human(c.author))
        for c in owners(past)[1:]
    )


def absence(past: Past, at: int) -> tuple[int, int] | None:
    work = past.plain.work.get(responsible(past, at))
    bounds = edges(past, work) if work else []
    pieces = zip(bounds[::2], bounds[1::2], strict=True)
    return next(((start, end) for start, end in pieces if start <= at < end), None)


def edges(past: Past, work: Work) -> list[int]:
    """When somebody goes away and is back, in turns."""
    days = [(date.fromisoformat(a), date.fromisoformat(b)) for a, b in work.absences]
    return [midnight(past, on) for a, b in days for on in (a, b + timedelta(days=1))]


def due_in_absence(past: Past, at: int) -> int | None:
    away = absence(past, at)
    return min(
        (due for due, _ in dues(past, at) if away and away[0] <= due < away[1]), default=None
    )


# --- tasks on it ----------------------------------------------------------------------------------


def open_tasks(past: Past, at: int) -> list[Task]:
    return [task for task in tasks_of(past).values() if task.waits(at)]


def dues(past: Past, at: int) -> list[tuple[int, int]]:
    """(deadline, when it was set) of the open tasks."""
    found = [task.due(at) for task in open_tasks(past, at)]
    return sorted((due.value, due.at) for due in found if due is not None)


def closings(past: Past, at: int) -> list[Change]:
    return [
        t for task in tasks_of(past).values() for t in task.turns() if not t.value and t.at <= at
    ]


# --- gone -----------------------------------------------------------------------------------------


def is_deleted(past: Past, at: int) -> bool:
    """Deleted and not restored; a deletion is not before what is known by then (decisions 25)."""
    gone: list[int] = []
    for fact in past.deal:
        if fact.body.get("restored"):
            if gone and gone[0] <= at < fact.at:
                return True
            gone = []
        elif fact.body.get("deleted"):
            gone.append(fact.at)
    return bool(gone) and at >= past.deal[-1].at
