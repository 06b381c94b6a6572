"""Violations as figures: opened, open, how long, how soon put right (kpis.md 6).

They are read from the violations themselves, so they cost nothing as facts come in. A violation
counts for the seller at its breach; what was muted counts nowhere.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Integer, Table, and_, false, func, literal, literal_column, or_, select, text

from service.domain.instant import FOREVER, Instant
from service.domain.violation import unmuted
from service.kpi import stays
from service.kpi.courses import Place, ends_of_violations, opened, over
from service.kpi.question import Filter
from service.kpi.reach import Piece, Reach
from service.store.bi.scene import local_day
from service.store.tables import EVER_MUTED, NEVER_MUTED, Violation

_V: Table = Violation.__table__  # type: ignore[attr-defined]
OPENED, OPEN, HOURS = "violations_opened", "violations_open", "violation_hours"
FIXED, OVERLOAD, AGE = "time_to_fix", "overload_hours", "violations_age"
PARTS = frozenset({OPENED, OPEN, HOURS, FIXED, OVERLOAD, AGE})
OVERLOAD_RULE = "seller-too-many-deals"
EPOCH = date(1970, 1, 1)
PUT_RIGHT = frozenset({"fixed", "moved"})
_FINE = frozenset({"stage", "rule", "severity", "source", "reason"})
"""What is kept by day does not know these."""
_PLACE = ("seller", "pipeline", "stage", "rule", "severity")
_NEVER_MUTED: Any = literal_column(NEVER_MUTED)
_EVER_MUTED = text(EVER_MUTED)
_COLUMNS = (
    "rule", "severity", "subject_kind", "subject_id", "deal", "seller", "pipeline", "stage",
    "breach_at", "resolved_at", "resolution", "muted", "resolved_after",
)  # fmt: skip


class Breach(NamedTuple):
    """A violation as the figures see it."""

    rule: str
    severity: str
    kind: str
    subject: str
    deal: str
    seller: str
    pipeline: str
    stage: str
    start: Instant
    end: Instant
    resolution: str | None
    muted: Sequence[Sequence[Instant]]
    worked: int  # seconds of the seller's working time until its end

    def loud(self) -> Iterator[tuple[Instant, Instant]]:
        """The stretches in which nobody had muted it."""
        return unmuted(self.start, self.end, self.muted)

    def is_loud_at(self, at: Instant) -> bool:
        """Whether it is open at an instant and not muted."""
        return any(left <= at < right for left, right in self.loud())


def sums(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """What figures add up: of those that nobody ever muted, what is kept by day where that does.

    Else (rules or stages are told apart) those opened are counted by the database.
    """
    kept = [part for part in parts if part in {OPENED, OPEN, HOURS}]
    if kept and reach.is_kept and reach.apart.isdisjoint(_FINE):
        yield from _kept(reach, kept)
        yield from _made(reach, kept, [_EVER_MUTED])
        parts = [part for part in parts if part not in kept]
    if OPENED in parts:
        yield from _counted(reach)
    others = [part for part in parts if part != OPENED]
    if others:
        yield from pieces(reach, others)


def _kept(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """The same of violations that nobody ever muted, from how many began and ended on each day."""
    if OPENED in parts:
        yield from _begun(reach)
    if parts == [OPENED]:
        return
    for (end, place), course in ends_of_violations(reach).items():
        sign, where = 1 if end == OPENED else -1, _place_of(place)
        for stood in over(reach, course, place[0]):
            start, stop = reach.edges[stood.number]
            if OPEN in parts and stood.level:
                at = reach.ends[stood.number]
                yield Piece(OPEN, stood.number, at, at, sign * stood.level, **where)
            if HOURS in parts and stood.seconds:
                yield Piece(HOURS, stood.number, start, stop, sign * stood.seconds, **where)


def _begun(reach: Reach) -> Iterator[Piece]:
    starts = [start for start, _ in reach.edges]
    for place, course in opened(reach):
        for move in course.moves:
            number = bisect_right(starts, move.at) - 1
            if number >= 0:
                yield Piece(OPENED, number, move.at, move.at, move.delta, **_place_of(place))


def _place_of(place: Place) -> dict[str, str]:
    return dict(zip(("seller", "pipeline"), place, strict=False))


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """The pieces of all these parts, violation by violation."""
    return _made(reach, parts, [_V.c.rule == OVERLOAD_RULE] if set(parts) == {OVERLOAD} else [])


def _made(reach: Reach, parts: Sequence[str], where: Sequence[Any]) -> Iterator[Piece]:
    for one in _breaches(reach, [*where, *_touching(reach, parts)]):
        if not reach.admits({name: getattr(one, name) for name in _PLACE}):
            continue
        for part in parts:
            if part != OVERLOAD or one.rule == OVERLOAD_RULE:
                yield from _MAKERS[part](reach, part, one)


def _touching(reach: Reach, parts: Sequence[str]) -> list[Any]:
    """Which violations can have pieces: what begins, what ends or all that touches the periods.

    Indexes: ix_violation_breach, ix_violation_past.
    """
    start, end = reach.edges[0][0], reach.ends[-1]
    if set(parts) == {OPENED}:
        return [_V.c.breach_at.between(start, end)]
    if set(parts) == {FIXED}:
        return [_V.c.resolved_at.between(start, end), _V.c.resolution.in_(PUT_RIGHT)]
    lasting = or_(_V.c.resolved_at.is_(None), _V.c.resolved_at >= min(start, *reach.ends))
    return [_V.c.breach_at <= end, lasting]


def _counted(reach: Reach) -> Iterator[Piece]:
    """How many began where; those that were ever muted one by one. Index: ix_violation_breach."""
    days = [(first - EPOCH).days for first, _ in reach.spans]
    apart = reach.by_day or len(days) > 1
    day: Any = literal(0, Integer)
    if apart:
        day = local_day(_V.c.breach_at, reach.config.timezone)
    places = [_V.c[name] for name in _PLACE]
    query = (
        select(day, _NEVER_MUTED, *places, func.count())
        .where(_V.c.account_id == reach.config.account_id, *_touching(reach, (OPENED,)))
        .where(or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > _V.c.breach_at))
        .where(*_admitted(reach.ever))
        .group_by(day, _NEVER_MUTED, *places)
    )
    rows = reach.connection.execute(query).all()
    if not all(row[1] for row in rows):
        yield from _made(reach, (OPENED,), [_EVER_MUTED])
    for row in rows:
        if not row[1]:
            continue
        number = bisect_right(days, int(row[0])) - 1 if apart else 0
        start, end = reach.edges[number]
        if reach.by_day:
            start = reach.day_from(number, EPOCH + timedelta(days=int(row[0])))
        place = dict(zip(_PLACE, tuple(row)[2:-1], strict=True))
        yield Piece(OPENED, number, start, end, int(row[-1]), **place)


def _admitted(filters: Sequence[Filter]) -> list[Any]:
    """The filters in SQL; what violations have no column for is empty."""
    found: list[Any] = []
    for column, op, values in filters:
        if column in {*_PLACE, stays.STAY}:
            found.append(stays.condition(_V.c, (column, op, values), _V.c.resolved_day))
        elif ("" in values) != (op == "eq"):
            found.append(false())
    return [and_(*found)] if found else []


def _breaches(reach: Reach, where: Sequence[Any]) -> Iterator[Breach]:
    """Violations as far as the cut, in order of their beginning."""
    query = (
        select(*(_V.c[name] for name in _COLUMNS))
        .where(_V.c.account_id == reach.config.account_id, *where)
        .order_by(_V.c.breach_at, _V.c.id)
    )
    for *told, end, resolution, muted, worked in reach.connection.execute(query):
        until = FOREVER if end is None else int(end)
        found = Breach._make((*told, until, resolution, muted or (), worked))
        if found.start < found.end:
            yield found


def fixes(account_id: str, filters: Sequence[Filter], start: Instant, end: Instant) -> Any:
    """What was put right in a span: place, local day, working seconds (`value`).

    Index: ix_violation_past.
    """
    told = (_V.c.resolved_after.label("value"), _V.c.resolved_day.label("day"))
    empty = (literal("").label("source"), literal("").label("reason"))
    return (
        select(*(_V.c[name] for name in _PLACE), *empty, *told)
        .where(_V.c.account_id == account_id, _V.c.resolved_at.between(start, end))
        .where(_V.c.resolution.in_(PUT_RIGHT), _V.c.resolved_at > _V.c.breach_at)
        .where(*_admitted(filters))
        .subquery("fix")
    )


def _piece(part: str, number: int, one: Breach, start: Instant, end: Instant, value: int) -> Piece:
    return Piece(
        part, number, start, end, value, one.seller, one.kind, one.subject, one.deal,
        one.pipeline, one.stage, one.rule, one.severity,
    )  # fmt: skip


def _period_of(reach: Reach, at: Instant) -> int | None:
    """The period that an instant lies in and that the cut lets be seen."""
    for number, ((start, _), end) in enumerate(zip(reach.edges, reach.ends, strict=True)):
        if start <= at <= end:
            return number
    return None


def _opened(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    number = _period_of(reach, one.start)
    if number is not None and one.is_loud_at(one.start):
        yield _piece(part, number, one, one.start, one.start, 1)


def _open(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    for number, at in enumerate(reach.ends):
        if one.is_loud_at(at):
            yield _piece(part, number, one, one.start, at, 1)


def _aged(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    """For how many working seconds it has been open at the end of each period."""
    calendar = reach.config.calendar(one.seller or None)
    for number, at in enumerate(reach.ends):
        if one.is_loud_at(at):
            age = calendar.working_seconds(one.start, at)
            yield _piece(part, number, one, one.start, at, age)


def _hours(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    for number, (begin, stop) in enumerate(reach.edges):
        if one.end <= begin or one.start >= stop:
            continue
        worked = reach.worked(one.seller, number)
        for left, right in one.loud():
            start, end = max(left, begin), min(right, stop)
            seconds = worked.between(start, end)
            if seconds:
                yield _piece(part, number, one, start, end, seconds)


def _fixed(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    """How many working seconds it took to put it right."""
    if one.resolution not in PUT_RIGHT:
        return
    number = _period_of(reach, one.end)
    if number is not None:
        yield _piece(part, number, one, one.start, one.end, one.worked)


AT_END = frozenset({OPEN, FIXED, AGE})
"""Parts that count for the team of their end: levels, and what is put right then."""
_MAKERS = {
    OPENED: _opened, OPEN: _open, HOURS: _hours, FIXED: _fixed, OVERLOAD: _hours, AGE: _aged,
}  # fmt: skip
