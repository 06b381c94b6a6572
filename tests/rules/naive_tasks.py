"""What is true of a task, a call, an inquiry at an instant, by looking back at their facts."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.facts import Fact, Kind
from tests.domain.test_calendar_naive import MINUTE, Work, day
from tests.rules.naive_past import Change, Past, Trace, last_before, last_of, says, settled

HOUR, DAY = 3600, 86_400


class Task:
    """A task of a timeline: its versions, and what they say at an instant."""

    def __init__(self, past: Past, task: str, versions: Sequence[Fact]) -> None:
        self.past, self.id, self.versions = past, task, versions
        self.created_at = last_of(versions, "created_at")
        self.created_by = last_of(versions, "created_by")
        first = versions[0].at
        self.start = first if self.created_at is None else min(first, self.created_at)

    @cache  # noqa: B019 - as many as there are examples
    def told(self, name: str) -> list[Change]:
        """Each telling; the first one was so from the beginning."""
        found = [
            Change(f.at, f.body[name], f.body.get("author"))
            for f in self.versions
            if name in f.body
        ]
        return [found[0]._replace(at=self.start), *found] if found else []

    def says_at(self, name: str, at: int, otherwise: Any) -> Any:
        """The last value before that is not null."""
        known = last_before([c for c in self.told(name) if c.value is not None], at)
        return otherwise if known is None else known.value

    def later(self, name: str, at: int) -> Any:
        """The same of what is not so before it is told."""
        known = [f.body[name] for f in self.versions if f.at <= at and f.body.get(name) is not None]
        return known[-1] if known else None

    def text(self, at: int) -> str:
        return str(self.says_at("text", at, ""))

    def kind(self, at: int) -> str:
        return str(self.says_at("task_kind", at, ""))

    def kind_name(self, at: int) -> str | None:
        return self.past.plain.task_kinds.get(self.kind(at))

    def responsible(self, at: int) -> str:
        known = last_before(self.told("responsible"), at)
        return (known.value or "") if known else ""

    def is_deleted(self, at: int) -> bool:
        return bool(self.later("deleted", at))

    # --- open and done ------------------------------------------------------------------------

    @cache  # noqa: B019
    def turns(self) -> list[Change]:
        """When it was done and undone; it begins undone."""
        found = [Change(self.start, True, None)]
        for f in self.versions:
            if "is_open" in f.body and f.body["is_open"] != found[-1].value:
                found.append(Change(f.at, f.body["is_open"], f.body.get("author")))
        return found

    def turn(self, at: int) -> Change:
        known = last_before(self.turns(), at)
        assert known is not None
        return known

    def is_open(self, at: int) -> bool:
        return bool(self.turn(at).value)

    def closed(self, at: int) -> Change | None:
        turn = self.turn(at)
        return None if turn.value else turn

    def waits(self, at: int) -> bool:
        """Open, and there."""
        return self.start <= at and self.is_open(at) and not self.is_deleted(at)

    @cache  # noqa: B019
    def results(self) -> list[tuple[int, str, str]]:
        """(instant, by whom, text): done with a result, or given one after that."""
        found: list[tuple[int, str, str]] = []
        before: tuple[bool, str] = (True, "")
        for at in sorted({f.at for f in self.versions}):
            turn, text = self.turn(at), self.later_result(at)
            now = (bool(turn.value), text)
            if text and not turn.value and now != before:
                found.append((at, turn.author or self.responsible(at), text))
            before = now
        return found

    def later_result(self, at: int) -> str:
        known = [f.body["result"] for f in self.versions if f.at <= at and f.body.get("result")]
        return str(known[-1]) if known else ""

    # --- the deadline -------------------------------------------------------------------------

    @cache  # noqa: B019
    def dues(self) -> list[Change]:
        """Real changes of the deadline, the first one at the beginning."""
        found: list[Change] = []
        for change in self.told("due_at"):
            if not found or found[-1].value != change.value:
                found.append(change)
        return found

    def due(self, at: int) -> Change | None:
        """The deadline and when it was set; None = none."""
        known = last_before(self.dues(), at)
        return known if known is not None and known.value is not None else None

    def moves(self) -> list[tuple[Change, Change]]:
        """(before, after) of one deadline put for another; what was at once taken back is out."""
        lasting = {change.at for change in settled(self.dues())}
        return [
            (before, move)
            for before, move in zip(self.dues(), self.dues()[1:], strict=False)
            if before.value is not None and move.value is not None and move.at in lasting
        ]

    def postponed(self, at: int) -> list[int]:
        """Moves to later by people, with less than 8 working hours left; no corrections."""
        found: list[int] = []
        for before, move in self.moves():
            if move.value <= before.value or move.at > at:
                continue
            if move.author is not None and not self.past.is_human(move.author):
                continue
            if found and move.at - found[-1] <= 600:
                continue
            work = self.past.plain.work.get(self.responsible(at)) or self.past.plain.work[""]
            if seconds_left(work, move.at, before.value) < 8 * HOUR:
                found.append(move.at)
        return found


@lru_cache(maxsize=5000)
def seconds_left(work: Work, start: int, end: int) -> int:
    """Working time between two instants; of more than 8 hours no more is looked at."""
    found, on = 0, datetime.fromtimestamp(start, ZoneInfo(work.zone)).date()
    last = datetime.fromtimestamp(max(start, end), ZoneInfo(work.zone)).date()
    while on <= last and found < 8 * HOUR:
        for minute in day(work, on):
            if minute.works:
                found += max(0, min(end, minute.at + MINUTE) - max(start, minute.at))
        on += timedelta(days=1)
    return found


@lru_cache(maxsize=500)
def tasks_of(past: Past) -> dict[str, Task]:
    """Tasks of the timeline itself."""
    found = past.known(Kind.TASK, lent=False)
    return {task: Task(past, task, versions) for task, versions in found.items()}


@lru_cache(maxsize=500)
def traces(past: Past) -> list[Trace]:
    """Long notes, results, new tasks that say something, messages to the client."""
    found = [
        Trace(at, who, says(text))
        for at, who, text in past.notes()
        if sum(map(str.isalpha, text)) >= 10
    ]
    lent: dict[str, list[Fact]] = {}
    for fact in past.lent:
        if fact.kind is Kind.TASK:
            lent.setdefault(fact.id, []).append(fact)
    borrowed = [Task(past, task, versions) for task, versions in lent.items()]
    for task in (*tasks_of(past).values(), *borrowed):
        if task.created_at is not None and says(task.text(task.start), task.kind_name(1 << 40)):
            found.append(Trace(task.created_at, task.created_by or "", says=True, task=task.id))
        found += [Trace(at, who, says(text)) for at, who, text in task.results()]
    for at, way, who in past.messages():
        if way == "out" and past.is_human(who):
            found.append(Trace(at, who, says=True))
    return sorted(found)


def trace_of(task: Task, at: int, moves: Sequence[int]) -> int | None:
    """The first sign, from an hour before its closing on, of what came of a closed task."""
    closed = task.closed(at)
    if closed is None:
        return None
    past = task.past
    signs = [
        call["started_at"]
        for call in past.calls()
        if call.get("answered")
        and int(call.get("seconds") or 0) >= 10
        and past.is_human(call["author"])
    ]
    signs += [
        trace.at
        for trace in traces(past)
        if trace.task != task.id and (trace.author == "" or past.is_human(trace.author))
    ]
    return min((s for s in (*signs, *moves) if closed.at - HOUR <= s <= at), default=None)


def has_twin(task: Task, at: int) -> bool:
    """An older open task with the same text, kind, responsible and, by a day, deadline."""

    def key(one: Task) -> tuple[str, str, str]:
        return one.text(at).strip().casefold(), one.kind(at), one.responsible(at)

    due = task.due(at)
    if due is None or not key(task)[0] or not task.waits(at):
        return False
    return any(
        (other.start, other.id) < (task.start, task.id)
        and other.waits(at)
        and key(other) == key(task)
        and (of_other := other.due(at)) is not None
        and abs(of_other.value - due.value) < DAY
        for other in tasks_of(task.past).values()
    )


def is_copied(task: Task, at: int) -> bool:
    """Written as the seller's task before it said."""

    def plain(text: str) -> str:
        return " ".join(text.split()).casefold()

    def age(one: Task) -> tuple[int, str]:
        return (one.start if one.created_at is None else one.created_at), one.id

    before = [
        other
        for other in tasks_of(task.past).values()
        if not other.is_deleted(1 << 40)
        and age(other) < age(task)
        and other.responsible(other.start) == task.responsible(task.start)
    ]
    text = plain(task.text(at))
    if not before or not text or task.is_deleted(1 << 40):
        return False
    written = at
    for instant in sorted({task.start, *(f.at for f in task.versions)}, reverse=True):
        if instant <= at:
            if plain(task.text(instant)) != text:
                break
            written = instant
    model = max(before, key=age)
    return model.start <= written and plain(model.text(written)) == text


def says_what(task: Task, at: int) -> bool:
    text = task.text(at)
    return text.strip().casefold() not in task.past.plain.stop and says(text, task.kind_name(at))


def is_active(past: Past, seller: str, at: int) -> bool:
    """Whether somebody works here; one that nobody knows is taken to."""
    steps = past.plain.activity.get(seller)
    if steps is None:
        return True
    return ([works for since, works in steps if since <= at] or [steps[0][1]])[-1]


TASK: dict[str, Callable[[Task, int], Any]] = {
    "task.is_open": Task.is_open,
    "task.kind_names": lambda t, at: tuple(
        name for name in (t.kind_name(at), t.kind(at)) if name is not None
    ),
    "task.due_at": lambda t, at: (
        None if t.later("is_deferred", at) or not (due := t.due(at)) else due.value
    ),
    "task.due_set_at": lambda t, at: due.at if (due := t.due(at)) else None,
    "task.first_due_at": lambda t, at: next(
        (c.value for c in t.dues() if c.at <= at and c.value is not None), None
    ),
    "task.postponements": lambda t, at: len(t.postponed(at)),
    "task.last_postponed_at": lambda t, at: max(t.postponed(at), default=None),
    "task.is_all_day": lambda t, at: t.says_at("is_all_day", at, otherwise=False),
    "task.kind": Task.kind,
    "task.text": Task.text,
    "task.text_is_meaningful": says_what,
    "task.text_is_copied": lambda t, at: says_what(t, at) and is_copied(t, at),
    "task.created_at": lambda t, _: t.created_at,
    "task.created_by_human": lambda t, at: t.past.is_human(t.says_at("created_by", at, None)),
    "task.closed_at": lambda t, at: closed.at if (closed := t.closed(at)) else None,
    "task.closed_by_human": lambda t, at: (
        (closed := t.closed(at)) is not None and t.past.is_human(closed.author)
    ),
    "task.responsible": lambda t, at: t.responsible(at) or None,
    "task.responsible_active": lambda t, at: is_active(t.past, t.responsible(at), at),
    "task.twin_open": has_twin,
}
"""Beside these: its trace and what its deal is, in `naive_facts`."""


# --- calls ----------------------------------------------------------------------------------------


def _first(past: Past, call: dict[str, Any], at: int, *, meant: bool) -> int | None:
    return min(
        (
            trace.at
            for trace in traces(past)
            if call["started_at"] <= trace.at <= at
            and trace.author == call["author"]
            and (trace.says or not meant)
        ),
        default=None,
    )


CALL: dict[str, Callable[[Past, dict[str, Any], int], Any]] = {
    "call.answered": lambda _p, call, _at: bool(call.get("answered")),
    "call.seconds": lambda _p, call, _at: int(call.get("seconds") or 0),
    "call.at": lambda _p, call, _at: call["started_at"],
    "call.ended_at": lambda _p, call, _at: call["started_at"] + int(call.get("seconds") or 0),
    "call.trace_at": lambda p, call, at: _first(p, call, at, meant=False),
    "call.trace_is_meaningful": lambda p, call, at: _first(p, call, at, meant=True) is not None,
    "call.direction": lambda _p, call, _at: "out" if call.get("direction") == "out" else "in",
    "call.seller": lambda _p, call, _at: call["author"] or None,
    "call.missed_without_deal": lambda _p, _call, _at: False,  # the timeline is a deal's
    "call.by_stranger": lambda _p, _call, _at: False,
    "call.returned_at": lambda _p, _call, _at: None,
}

# --- inquiries ------------------------------------------------------------------------------------


def _lead(past: Past, at: int) -> list[Fact]:
    """Its versions up to an instant; that it waits no longer says nothing once its end is known."""
    found: list[Fact] = []
    for fact in past.own:
        if fact.kind is not Kind.LEAD or fact.at > at:
            continue
        if fact.body.get("state") == "processed" and last_of(found, "state") in END:
            continue
        found.append(fact)
    return found


def _tried(past: Past, at: int) -> list[int]:
    found = [c["started_at"] for c in past.calls(lent=False)
             if c.get("direction") == "out" and past.is_human(c["author"])]  # fmt: skip
    found += [m[0] for m in past.messages(lent=False) if m[1] == "out" and past.is_human(m[2])]
    return [one for one in found if one <= at]


END = ("accepted", "declined")
LEAD: dict[str, Callable[[Past, int], Any]] = {
    "lead.state": lambda p, at: last_of(_lead(p, at), "state") or "new",
    "lead.category": lambda p, at: last_of(_lead(p, at), "category") or "",
    "lead.created_at": lambda p, _: last_of(
        [f for f in p.own if f.kind is Kind.LEAD], "created_at"
    ),
    "lead.taken_at": lambda p, at: next(
        (f.at for f in _lead(p, at) if f.body.get("state") == "in_work"), None
    ),
    "lead.closed_at": lambda p, at: last_of(_lead(p, at), "closed_at"),
    "lead.responsible": lambda p, at: next(
        (f.body["responsible"] for f in _lead(p, at)[::-1] if f.body.get("responsible")), None
    ),
    "lead.source": lambda p, at: last_of(_lead(p, at), "source") or None,
    "lead.first_attempt_at": lambda p, at: min(_tried(p, at), default=None),
    "lead.attempts": lambda p, at: len(_tried(p, at)),
    "lead.decline_reason": lambda p, at: last_of(_lead(p, at), "decline_reason"),
    "lead.decline_is_spam": lambda p, at: last_of(_lead(p, at), "decline_reason") in p.plain.spam,
    "lead.same_client_waits": lambda _p, _at: False,  # it stands alone
    "lead.closed_by_robot": lambda p, at: (
        bool(_lead(p, at)) and _lead(p, at)[-1].body.get("author") == "0"
    ),
}
