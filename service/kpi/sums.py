"""Sums of contributions by period and group: the only SQL of the figures.

Whole years come from `rollup_year`, whole months from `rollup_month`, whole days from `rollup_day`
(of the whole account from `rollup_total`), the day that `as_of` lies in from the contributions up
to it. What needs stage, source or reason, what is in no rollup, and what had become of a cohort at
an earlier instant, is read from the contributions throughout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    cast,
    func,
    literal,
    select,
    text,
    union_all,
)

from service.domain.instant import Instant
from service.domain.period import day_start, local_day, to_date, to_day
from service.kpi import stays
from service.kpi.parts import AGED, DEAL_LEVELS, STAGE_OPEN, UNROLLED
from service.kpi.standing import standing, unsettled
from service.store.summed import RollupDay, RollupMonth, RollupTotal, RollupYear
from service.store.tables import IS_APART, Contribution

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_TOTAL: Table = RollupTotal.__table__  # type: ignore[attr-defined]
_YEAR: Table = RollupYear.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Cut:
    """The instant that an answer knows of, and the zone that its local days are of.

    `live`: it is the present one, so nothing that is known lies behind it. `known`: of a cohort
    whose younger members are left out (`at` is earlier) the instant that it is looked at.
    """

    at: Instant
    zone: ZoneInfo
    live: bool = False
    known: Instant = 0  # what came later than this is not looked at; 0 = `at`

    @property
    def day(self) -> int:
        """The local day that it lies in."""
        return local_day(self.at, self.zone)


@dataclass(frozen=True, slots=True)
class Ask:
    """What to add up: parts, by which columns, under which conditions on columns."""

    account_id: str
    parts: tuple[str, ...]
    columns: tuple[str, ...]  # of seller, pipeline, stage, source, reason
    filters: tuple[stays.Filter, ...] = ()
    within: int = 0  # seconds: of a cohort's part only what came so soon; 0 = whenever
    by_origin: bool = False  # corrections are let through by the team of what they correct

    def by_rollup(self, cut: Cut) -> bool:
        """Whether the rollups know all that is asked."""
        used = {*self.columns, *(column for column, _, _ in self.filters)}
        if self.within or not UNROLLED.isdisjoint(self.parts):
            return False
        if self.by_origin and stays.has_stays(self.filters):
            return False  # they know the day of a correction, not that of what it corrects
        return used <= {"seller", "pipeline", stays.STAY} and (
            cut.live or AGED.isdisjoint(self.parts)
        )

    def without(self, part: str) -> "Ask":
        """The same of its other parts."""
        return replace(self, parts=tuple(one for one in self.parts if one != part))

    def conditions(self, cut: Cut) -> list[Any]:
        """What contributions have to meet, beside their part and day."""
        columns = _CONTRIBUTION.c
        told_on = stays.told_on(columns) if self.by_origin else None
        found: list[Any] = [columns.at <= cut.at]
        found += [stays.condition(columns, told, told_on) for told in self.filters]
        if (UNROLLED - DEAL_LEVELS).issuperset(self.parts):
            found.append(text(IS_APART))  # what ix_contribution_apart has
        if not AGED.isdisjoint(self.parts):
            found.append(columns.at + columns.age <= (cut.known or cut.at))
        if self.within:
            found.append(columns.age <= self.within)
        return found


class Sum(NamedTuple):
    """A sum: part, first day of its bucket, group (in the order of `columns`), currency."""

    part: str
    on: date
    group: tuple[str, ...]
    currency: str
    value: int
    n: int  # how many contributions


Bucket = Literal["day", "month", "span"]
"""What is told apart: days, whole months as far as there are any, or nothing."""
Running = dict[tuple[str, tuple[str, ...], str], int]  # by part, group, currency


def sums(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut, by: Bucket
) -> Iterator[Sum]:
    """Sums of whole days in `[first, last]` up to the cut, by day, month or of the whole."""
    end = min(to_day(last), cut.day)
    begin = to_day(first)
    if begin > end:
        return
    if not ask.by_rollup(cut):
        piece = Stretch(_CONTRIBUTION, "day", begin, day_after(end), by == "span")
        yield from _read(connection, ask, piece, cut)
        return
    before_cut = min(end, to_day(to_date(cut.day) - timedelta(days=1)))
    whole = not ask.columns and not ask.filters
    pieces = [
        piece._replace(table=_TOTAL) if whole and piece.table is _DAY else piece
        for piece in stretches(begin, day_after(before_cut), by)
    ]
    if end == cut.day:
        pieces.append(Stretch(_CONTRIBUTION, "day", cut.day, day_after(cut.day), by == "span"))
    if by == "span":
        yield from _read_as_one(connection, ask, pieces, cut)
        return
    for piece in pieces:
        yield from _read(connection, ask, piece, cut)


class Stretch(NamedTuple):
    """Periods `[begin, end)` of a table that are read in one go. `whole`: not told apart."""

    table: Table
    name: str  # of the column of the period
    begin: int
    end: int
    whole: bool

    def first_day(self, period: int) -> date:
        """The first day of one of its periods."""
        return to_date(
            {"day": period, "month": period * 100 + 1}.get(self.name, period * 10_000 + 101)
        )


def stretches(begin: int, end: int, by: Bucket, name: str = "day") -> list[Stretch]:
    """Days at the edges, whole months between them; of the whole, whole years between those."""
    if begin >= end:
        return []
    own = Stretch(_TABLES[name], name, begin, end, by == "span")
    if name == "year" or by in {"day", name}:
        return [own]
    following = _month_after(begin // 100) if name == "day" else begin // 100 + 1
    first, after = begin // 100 if begin % 100 == 1 else following, end // 100
    if first >= after:
        return [own]
    edges = (own._replace(end=first * 100 + 1), own._replace(begin=after * 100 + 1))
    inner = stretches(first, after, by, "month" if name == "day" else "year")
    return [*(edge for edge in edges if edge.begin < edge.end), *inner]


_TABLES = {"day": _DAY, "month": _MONTH, "year": _YEAR}


def day_after(day: int) -> int:
    """The next local day."""
    return to_day(to_date(day) + timedelta(days=1))


def _month_after(month: int) -> int:
    return month + 1 if month % 100 < 12 else month + 89


def _read(connection: Connection, ask: Ask, stretch: Stretch, cut: Cut) -> Iterator[Sum]:
    dates: dict[int, date] = {}
    width = 3 + len(ask.columns)
    rows = connection.execute(_query(ask, stretch, cut)).all()  # one by one costs twice as much
    for row in rows:
        bucket = stretch.begin if stretch.whole else row[-1]
        if bucket not in dates:
            dates[bucket] = stretch.first_day(bucket)
        yield Sum(row[2], dates[bucket], row[3:width], row[width], row[0], row[1])


def _read_as_one(
    connection: Connection, ask: Ask, pieces: Sequence[Stretch], cut: Cut
) -> Iterator[Sum]:
    """Stretches that are not told apart, in one statement."""
    queries = [_query(ask, piece, cut) for piece in pieces]
    query: Any = union_all(*queries) if len(queries) > 1 else queries[0]
    on, width = pieces[0].first_day(pieces[0].begin), 3 + len(ask.columns)
    for row in connection.execute(query).all():
        yield Sum(row[2], on, row[3:width], row[width], row[0], row[1])


def _query(ask: Ask, stretch: Stretch, cut: Cut) -> Any:
    table, name = stretch.table, stretch.name
    keys = [table.c.metric, *(table.c[column] for column in ask.columns), table.c.currency]
    keys += [] if stretch.whole else [table.c[name]]
    is_rolled = table is not _CONTRIBUTION
    count = summed(table.c.n) if is_rolled else func.count()
    return (
        select(summed(table.c.value), count, *keys)
        .where(table.c.account_id == ask.account_id, table.c.metric.in_(ask.parts))
        .where(table.c[name] >= stretch.begin, table.c[name] < stretch.end)
        .where(*(_conditions(table, ask) if is_rolled else ask.conditions(cut)))
        .group_by(*keys)
    )


def summed(column: Any) -> Any:
    """A sum in 64 bits: to read it as a decimal costs several times as much."""
    return cast(func.sum(column), BigInteger)


def _conditions(table: Table, ask: Ask) -> list[Any]:
    return [stays.condition(table.c, told) for told in ask.filters]


def bases(connection: Connection, ask: Ask, first: date, cut: Cut) -> Running:
    """Running sums just before `first` (for levels): by (part, group, currency).

    Levels of deals that no rollup keeps are summed over the deals that were not closed for good by
    then: the steps of all others undo each other.
    """
    found: Running = {}
    before = first - timedelta(days=1)
    if not ask.by_rollup(cut):
        return _bases_apart(connection, ask, before, cut)
    for part in sums(connection, ask, date(1970, 1, 1), before, cut, "span"):
        key = (part.part, part.group, part.currency)
        found[key] = found.get(key, 0) + part.value
    return found


def _bases_apart(connection: Connection, ask: Ask, before: date, cut: Cut) -> Running:
    columns = _CONTRIBUTION.c
    chosen = [columns[column] for column in ask.columns]
    last = min(to_day(before), cut.day)
    found: Running = {}
    if STAGE_OPEN in ask.parts:
        ask, found = ask.without(STAGE_OPEN), _stood(connection, ask, before, cut)
    query = (
        select(columns.metric, *chosen, columns.currency, func.sum(columns.value))
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day <= last, *ask.conditions(cut))
        .group_by(columns.metric, *chosen, columns.currency)
    )
    if DEAL_LEVELS.issuperset(ask.parts):
        open_deals = unsettled(ask.account_id, before, cut.at)
        query = query.where(columns.timeline.in_(select(open_deals.c.timeline)))
    rows = connection.execute(query) if ask.parts else ()
    return found | {(row[0], tuple(row[1:-2]), row[-2]): int(row[-1]) for row in rows}


def _stood(connection: Connection, ask: Ask, before: date, cut: Cut) -> Running:
    """How many deals were open at the end of a day, by their stays."""
    midnight = day_start(to_day(before + timedelta(days=1)), cut.zone)
    at = min(midnight - 1, cut.at)
    there = standing(ask.account_id, at, cut.zone, ask.filters).subquery()
    keys = [there.c[column] for column in ask.columns]
    query = select(func.count(), *keys).select_from(there).group_by(*keys)
    return {(STAGE_OPEN, tuple(row[1:]), ""): row[0] for row in connection.execute(query) if row[0]}


def corrections(
    connection: Connection, ask: Ask, sellers: Sequence[str], first: date, last: date, cut: Cut
) -> Iterator[tuple[Sum, str, int]]:
    """Corrections of what these sellers did on other days: (value, seller, day of its origin).

    Index: ix_contribution_day.
    """
    columns = _CONTRIBUTION.c
    chosen = [columns[column] for column in ask.columns]
    keys = [columns.metric, columns.day, *chosen, columns.currency, columns.value]
    query = (
        select(*keys, columns.seller.label("who"), stays.told_on(columns).label("origin"))
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(columns.seller.in_(sellers), stays.told_on(columns) != columns.day)
        .where(*ask.conditions(cut))
    )
    for part, day, *group, currency, value, seller, origin in connection.execute(query):
        one = Sum(part, to_date(day), tuple(group), currency, int(value), 1)
        yield one, seller, int(origin)


def ever(connection: Connection, account_id: str, parts: Sequence[str]) -> bool:
    """Whether an account ever had anything of some parts."""
    columns = _MONTH.c
    query = select(literal(1)).where(columns.account_id == account_id, columns.metric.in_(parts))
    return connection.execute(query.limit(1)).first() is not None


def steps(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut
) -> Iterator[tuple[Instant, tuple[str, ...], int]]:
    """(instant, group, change) of levels in a span of days."""
    columns = _CONTRIBUTION.c
    chosen = [columns[column] for column in ask.columns]
    query = (
        select(columns.at, *chosen, func.sum(columns.value))
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(*ask.conditions(cut))
        .group_by(columns.at, *chosen)
    )
    for row in connection.execute(query):
        yield int(row[0]), tuple(row[1:-1]), int(row[-1])
