"""How levels stood and moved, as integrals over time need it, without reading every step.

Days before the cut come from `rollup_day`: all steps of a day in one, with the sum of what was
worked of it before each (`domain.daytime`). The steps of the day of the cut are read one by one.
While a change of settings is worked on, what is kept says nothing of the new working hours: then
all steps are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Table, and_, func, literal, or_, select, text

from service.domain.instant import Instant
from service.domain.period import day_start, to_date, to_day
from service.kpi import stays
from service.kpi.reach import Reach
from service.kpi.sums import Ask, bases, summed, sums
from service.store.rollups import CLOSED, OPENED
from service.store.tables import NEVER_MUTED, Contribution, RollupDay, Violation

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_V: Table = Violation.__table__  # type: ignore[attr-defined]
Place = tuple[str, ...]  # seller, and the pipeline where it is told apart
LOUD: Any = and_(
    text(NEVER_MUTED), or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > _V.c.breach_at)
)
"""Violations that rollups count."""


class Move(NamedTuple):
    """A step, or all those of a day: then `moment` is what was worked of it before them."""

    at: Instant
    delta: int
    moment: int = 0


@dataclass(slots=True)
class Course:
    """A level just before the periods, and how it moves in them, in order."""

    before: int = 0
    moves: list[Move] = field(default_factory=list)


Courses = dict[tuple[str, Place], Course]
"""By part and place."""


def courses(reach: Reach, parts: Sequence[str]) -> Courses:
    """The levels of parts, as far as the cut."""
    ask = Ask(reach.config.account_id, tuple(parts), reach.places, stays.ever(reach.filters))
    if not reach.is_kept:
        return _gathered(reach, ask, _steps(reach, ask))
    return _gathered(reach, ask, chain(_days(reach, ask), _late(reach, ask)))


def opened(reach: Reach) -> Iterator[tuple[Place, Course]]:
    """How many violations that nobody ever muted began in the periods, and when."""
    ask = Ask(reach.config.account_id, (OPENED,), reach.places, stays.ever(reach.filters))
    if len(reach.spans) == 1 and not reach.by_day:
        at, cut = reach.edges[0][0], reach.cut
        for one in sums(reach.connection, ask, reach.first, reach.last, cut, "span"):
            yield one.group, Course(moves=[Move(at, one.value)])
    else:
        for _, place, move in _days(reach, ask):
            yield place, Course(moves=[move])
    for _, place, move in _late_ends(reach, ask):
        yield place, Course(moves=[move])


def ends_of_violations(reach: Reach) -> Courses:
    """How many violations that nobody ever muted had begun (`OPENED`) and ended (`CLOSED`)."""
    ask = Ask(reach.config.account_id, (OPENED, CLOSED), reach.places, stays.ever(reach.filters))
    return _gathered(reach, ask, chain(_days(reach, ask), _late_ends(reach, ask)))


_Told = Iterator[tuple[str, Place, Move]]


def _gathered(reach: Reach, ask: Ask, moves: Iterable[tuple[str, Place, Move]]) -> Courses:
    found: Courses = {}
    first = min(reach.first, to_date(reach.cut.day))
    for (part, place, _), value in bases(reach.connection, ask, first, reach.cut).items():
        found.setdefault((part, place), Course()).before += value
    for part, place, move in moves:
        found.setdefault((part, place), Course()).moves.append(move)
    return found


def _days(reach: Reach, ask: Ask) -> _Told:
    """Whole days before the cut."""
    zone, columns = reach.config.timezone, _DAY.c
    keys = [columns[name] for name in ask.columns]
    query = (
        select(columns.metric, columns.day, summed(columns.value), summed(columns.moment), *keys)
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day >= to_day(reach.first), columns.day <= to_day(reach.last))
        .where(columns.day < reach.cut.day)
        .where(*(stays.condition(columns, told) for told in ask.filters))
        .group_by(columns.metric, columns.day, *keys)
        .order_by(columns.day)
    )
    for row in reach.connection.execute(query).all():
        part, day, value, moment = row[:4]
        yield part, row[4:], Move(day_start(day, zone), value, moment)


def _late(reach: Reach, ask: Ask) -> _Told:
    """The steps of the cut's own day."""
    if to_day(reach.last) < reach.cut.day:
        return iter(())
    return _read(reach, ask, _C.c.day == reach.cut.day)


def _steps(reach: Reach, ask: Ask) -> _Told:
    first = min(to_day(reach.first), reach.cut.day)
    return _read(reach, ask, _C.c.day.between(first, to_day(reach.last)))


def _read(reach: Reach, ask: Ask, days: Any) -> _Told:
    """Steps one by one. Index: ix_contribution_day."""
    keys = [_C.c[name] for name in ask.columns]
    query = (
        select(_C.c.metric, _C.c.at, summed(_C.c.value), *keys)
        .where(_C.c.account_id == ask.account_id, _C.c.metric.in_(ask.parts), _C.c.slot == "")
        .where(days, _C.c.at <= reach.cut.at)
        .where(*(stays.condition(_C.c, told) for told in ask.filters))
        .group_by(_C.c.metric, _C.c.at, *keys)
        .order_by(_C.c.at)
    )
    for part, at, value, *place in reach.connection.execute(query).all():
        yield part, tuple(place), Move(at, value)


def _late_ends(reach: Reach, ask: Ask) -> _Told:
    """Violations that begin or end on the cut's own day. Indexes: ix_violation_breach, _past."""
    if to_day(reach.last) < reach.cut.day:
        return
    begun = day_start(reach.cut.day, reach.config.timezone)
    keys = [_V.c[name] for name in ask.columns]
    ends = ((OPENED, _V.c.breach_at), (CLOSED, _V.c.resolved_at))
    for name, at in (end for end in ends if end[0] in ask.parts):
        query = (
            select(literal(name), at, func.count(), *keys)
            .where(_V.c.account_id == ask.account_id, at.between(begun, reach.cut.at), LOUD)
            .where(*(stays.condition(_V.c, told) for told in ask.filters))
            .group_by(at, *keys)
            .order_by(at)
        )
        for part, when, value, *place in reach.connection.execute(query).all():
            yield part, tuple(place), Move(when, value)


# --- over periods ---------------------------------------------------------------------------------


class Stood(NamedTuple):
    """A level over one of the periods: level x seconds, and the level at its end."""

    number: int
    seconds: int
    level: int


def over(reach: Reach, course: Course, seller: str, *, lasting: bool = False) -> Iterator[Stood]:
    """A level integrated over each of the periods. `lasting`: over all time, not the worked."""
    level, at, moves = course.before, 0, course.moves
    for number in range(len(reach.edges)):
        worked = reach.elapsed(number) if lasting else reach.worked(seller, number)
        seconds, after = level * worked.seconds, _after(reach, number)
        while at < len(moves) and moves[at].at < after:
            move = moves[at]
            seconds += move.delta * worked.after(move.at) - move.moment
            level += move.delta
            at += 1
        yield Stood(number, seconds, level)


def _after(reach: Reach, number: int) -> Instant:
    """Steps from here on belong to the next period."""
    following = number + 1
    return reach.edges[following][0] if following < len(reach.edges) else reach.cut.at + 1
