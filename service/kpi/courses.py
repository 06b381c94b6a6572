"""How levels stood and moved, as integrals over time need it, without reading every step.

What came before the day of the cut comes from `rollup_month` and `rollup_day`: all steps of a month
or day in one, with the sum of what of the month was worked before each (`domain.monthtime`). The
steps of the day of the cut are read one by one.
While a change of settings is worked on, what is kept says nothing of the new working hours: then
all steps are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Table, and_, func, literal, or_, select, text

from service.domain.instant import Instant
from service.domain.monthtime import into
from service.domain.period import day_start, local_day, to_date, to_day
from service.domain.steps import CLOSED, OPENED
from service.kpi import stays
from service.kpi.reach import Reach
from service.kpi.sums import Ask, Bucket, Stretch, bases, day_after, stretches, summed, sums
from service.store.tables import NEVER_MUTED, Contribution, Violation

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_V: Table = Violation.__table__  # type: ignore[attr-defined]
Place = tuple[str, ...]  # seller, and the pipeline where it is told apart
LOUD: Any = and_(
    text(NEVER_MUTED), or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > _V.c.breach_at)
)
"""Violations that rollups count."""


class Move(NamedTuple):
    """A step, or all of a month or day: then `moment` is what was worked of it before them."""

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


def towards_account(reach: Reach, parts: Sequence[str]) -> Courses:
    """The same for the account's working time, where the sums that are kept may be asked.

    Of sellers who work otherwise in a month its steps are read.
    """
    ask = Ask(reach.config.account_id, tuple(parts), reach.places, stays.ever(reach.filters))
    own = _own_months(reach)
    moves = [one for one in _days(reach, ask) if (one[1][0], _month(reach, one[2].at)) not in own]
    by_month: dict[int, list[str]] = {}
    for seller, month in own:
        by_month.setdefault(month, []).append(seller)
    end = min(day_after(to_day(reach.last)), reach.cut.day)
    ways = [
        and_(_C.c.seller.in_(sellers), _C.c.day > max(month * 100, to_day(reach.first) - 1),
             _C.c.day < min(month * 100 + 99, end))
        for month, sellers in by_month.items()
    ]  # fmt: skip
    lone = _read(reach, ask, or_(*ways)) if ways else ()
    ordered = sorted(chain(moves, lone), key=lambda one: one[2].at)
    return _gathered(reach, ask, chain(ordered, _late(reach, ask)))


def _month(reach: Reach, at: Instant) -> int:
    return local_day(at, reach.config.timezone) // 100


def _own_months(reach: Reach) -> set[tuple[str, int]]:
    """Sellers and months in which they work otherwise than the account."""
    config, usual = reach.config, reach.config.calendar(None)
    month, found = reach.first.replace(day=1), set()
    while month <= reach.last:
        following = (month + timedelta(days=31)).replace(day=1)
        for seller in config.sellers:
            mine = config.calendar(seller)
            if mine is not usual and not mine.is_alike(usual, month, following):
                found.add((seller, to_day(month) // 100))
        month = following
    return found


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
    """Whole months and days before the cut, in order."""
    end = min(day_after(to_day(reach.last)), reach.cut.day)
    found: list[tuple[date, _Row]] = []
    for stretch in stretches(to_day(reach.first), end, _bucket(reach)):
        found += ((stretch.first_day(row[1]), row) for row in _sums(reach, ask, stretch))
    for on, (part, _, value, moment, *place) in sorted(found, key=itemgetter(0)):
        at = day_start(to_day(on), reach.config.timezone)
        done = into(reach.config, part, place[0], at) if on.day > 1 else 0
        yield part, tuple(place), Move(at, value, moment - value * done)


_Row = Sequence[Any]  # part, period, change, moment, place


def _bucket(reach: Reach) -> Bucket:
    """Months are read whole if no period begins within one, or is told by its days."""
    apart = reach.by_day or any(first.day > 1 for first, _ in reach.spans[1:])
    return "day" if apart else "month"


def _sums(reach: Reach, ask: Ask, stretch: Stretch) -> Sequence[_Row]:
    """In no order: the database would sort by all keys."""
    columns = stretch.table.c
    period, keys = columns[stretch.name], [columns[name] for name in ask.columns]
    query = (
        select(columns.metric, period, summed(columns.value), summed(columns.moment), *keys)
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(period >= stretch.begin, period < stretch.end)
        .where(*(stays.condition(columns, told) for told in ask.filters))
        .group_by(columns.metric, period, *keys)
    )
    return reach.connection.execute(query).all()


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
