"""Where a deal stood, what its card held, whose it was: at an instant, by looking back."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
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


def midnight(past: Past, on: date) -> int:
    return int(datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(past.plain.zone)).timestamp())


# --- the responsible ------------------------------------------------------------------------------


@lru_cache(maxsize=500)
def owners(past: Past) -> list[Change]:
    return settled([c._replace(value=c.value or "") for c in past.told("responsible")])


def responsible(past: Past, at: int) -> str:
    known = last_before(owners(past), at)
    return known.value if known else ""


def handed(past: Past, at: int) -> list[int]:
    """By people, in a fortnight; what comes within half an hour of its creation distributes it."""
    return [
        c.at
        for c in owners(past)[1:]
        if at - FORTNIGHT < c.at <= at
        and c.at - past.start > HALF_HOUR
        and (c.author is None or past.is_human(c.author))
    ]


def handover_stages(past: Past, at: int) -> tuple[str, ...]:
    """Where each of them was made."""
    places_then = [(pipeline(past, when), stage(past, when)) for when in handed(past, at)]
    return tuple(past.plain.stage_names.get(place, place[1]) for place in places_then)


def says_other(past: Past, at: int) -> bool:
    reason = loss_reason(past, at) or ""
    return past.plain.reasons.get(reason, reason).strip().casefold() in {"другое", "прочее"}


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
