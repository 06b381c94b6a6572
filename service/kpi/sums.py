"""Sums of contributions by period and group: the only SQL of the figures.

Whole months come from `rollup_month`, whole days from `rollup_day` (of the whole account from
`rollup_total`), the day that `as_of` lies in from the contributions up to it. What needs stage,
source or reason, what is in no rollup, and what had become of a cohort at an earlier instant, is
read from the contributions throughout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, func, literal, or_, select, tuple_

from service.domain.instant import Instant
from service.domain.period import to_date, to_day
from service.kpi import stays
from service.kpi.parts import AGED, DEAL_LEVELS, UNROLLED
from service.store.tables import Contribution, Deal, RollupDay, RollupMonth, RollupTotal

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_TOTAL: Table = RollupTotal.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Cut:
    """The instant that an answer knows of, and the local day that it lies in.

    `live`: it is the present one, so nothing that is known lies behind it. `known`: of a cohort
    whose younger members are left out (`at` is earlier) the instant that it is looked at.
    """

    at: Instant
    day: int
    live: bool = False
    known: Instant = 0  # what came later than this is not looked at; 0 = `at`


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
        return used <= {"seller", "pipeline", stays.STAY} and (
            cut.live or AGED.isdisjoint(self.parts)
        )

    def conditions(self, cut: Cut) -> list[Any]:
        """What contributions have to meet, beside their part and day."""
        columns = _CONTRIBUTION.c
        told_on = stays.told_on(columns) if self.by_origin else None
        found = [columns.at <= cut.at]
        found += [stays.condition(columns, told, told_on) for told in self.filters]
        if not AGED.isdisjoint(self.parts):
            found.append(columns.at + columns.age <= (cut.known or cut.at))
        if self.within:
            found.append(columns.age <= self.within)
        return found


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum: part, first day of its bucket, group (in the order of `columns`), currency."""

    part: str
    on: date
    group: tuple[str, ...]
    currency: str
    value: int


Running = dict[tuple[str, tuple[str, ...], str], int]  # by part, group, currency


def sums(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut, *, months: bool
) -> Iterator[Sum]:
    """Sums of whole days in `[first, last]` up to the cut. `months`: buckets may be months."""
    end = min(to_day(last), cut.day)
    begin = to_day(first)
    if begin > end:
        return
    if not ask.by_rollup(cut):
        yield from _read(connection, ask, _CONTRIBUTION, "day", begin, end, cut)
        return
    before_cut = min(end, to_day(to_date(cut.day) - timedelta(days=1)))
    whole = not ask.columns and not ask.filters
    for rollup, name, start, stop in _pieces(begin, before_cut, months=months):
        table = _TOTAL if whole and rollup is _DAY else rollup
        yield from _read(connection, ask, table, name, start, stop, None)
    if end == cut.day:
        yield from _read(connection, ask, _CONTRIBUTION, "day", cut.day, cut.day, cut)


def _pieces(begin: int, end: int, *, months: bool) -> list[tuple[Table, str, int, int]]:
    """Days at the edges, whole months between them."""
    if begin > end:
        return []
    first_month = begin // 100 if begin % 100 == 1 else _next_month(begin // 100)
    after = to_day(to_date(end) + timedelta(days=1))
    last_month = _previous_month(after // 100)
    if not months or first_month > last_month:
        return [(_DAY, "day", begin, end)]
    found: list[tuple[Table, str, int, int]] = [(_MONTH, "month", first_month, last_month)]
    if begin < first_month * 100 + 1:
        found.append((_DAY, "day", begin, first_month * 100))
    if end > last_month * 100 + 31:
        found.append((_DAY, "day", last_month * 100 + 32, end))
    return found


def _next_month(month: int) -> int:
    return month + 1 if month % 100 < 12 else month + 89


def _previous_month(month: int) -> int:
    return month - 1 if month % 100 > 1 else month - 89


def _read(
    connection: Connection,
    ask: Ask,
    table: Table,
    name: str,
    begin: int,
    end: int,
    cut: Cut | None,
) -> Iterator[Sum]:
    columns = [table.c[column] for column in ask.columns]
    keys = [table.c.metric, table.c[name], *columns, table.c.currency]
    query = (
        select(*keys, func.sum(table.c.value))
        .where(table.c.account_id == ask.account_id, table.c.metric.in_(ask.parts))
        .where(table.c[name].between(begin, end))
        .where(*(_conditions(table, ask) if cut is None else ask.conditions(cut)))
        .group_by(*keys)
    )
    for row in connection.execute(query):
        bucket = int(row[1])
        on = to_date(bucket * 100 + 1 if name == "month" else bucket)
        yield Sum(row[0], on, tuple(row[2:-2]), row[-2], int(row[-1]))


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
    for part in sums(connection, ask, date(1970, 1, 1), before, cut, months=True):
        key = (part.part, part.group, part.currency)
        found[key] = found.get(key, 0) + part.value
    return found


def _bases_apart(connection: Connection, ask: Ask, before: date, cut: Cut) -> Running:
    columns = _CONTRIBUTION.c
    chosen = [columns[column] for column in ask.columns]
    last = min(to_day(before), cut.day)
    query = (
        select(columns.metric, *chosen, columns.currency, func.sum(columns.value))
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day <= last, *ask.conditions(cut))
        .group_by(columns.metric, *chosen, columns.currency)
    )
    if DEAL_LEVELS.issuperset(ask.parts):
        query = query.where(columns.timeline.in_(unsettled(ask.account_id, before, cut)))
    rows = connection.execute(query)
    return {(row[0], tuple(row[1:-2]), row[-2]): int(row[-1]) for row in rows}


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
        yield Sum(part, to_date(day), tuple(group), currency, int(value)), seller, int(origin)


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


def unsettled(account_id: str, on: date, cut: Cut) -> Any:
    """Timelines of the deals that were not closed for good before the end of a day (or the cut).

    A day of slack, so that no time zone has to be known. Index: ix_deal_closed.
    """
    midnight = datetime.combine(on, time(), UTC) - timedelta(days=1)
    since = min(int(midnight.timestamp()), cut.at)
    columns = _DEAL.c
    return select(literal("deal:").concat(columns.id)).where(
        columns.account_id == account_id,
        or_(columns.closed_at.is_(None), columns.closed_at >= since),
    )


def subjects(
    connection: Connection,
    ask: Ask,
    first: date,
    last: date,
    cut: Cut,
    after: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Contributions of a figure, newest first, page by page. Index: ix_contribution_day."""
    columns = _CONTRIBUTION.c
    query = (
        select(_CONTRIBUTION)
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(*ask.conditions(cut))
        .order_by(columns.at.desc(), columns.metric, columns.subject_id, columns.key)
        .limit(limit)
    )
    if after is not None:
        at, metric, subject_id, key = after
        tail = (columns.metric, columns.subject_id, columns.key)
        query = query.where(
            or_(columns.at < at, and_(columns.at == at, tuple_(*tail) > (metric, subject_id, key)))
        )
    return [dict(row) for row in connection.execute(query).mappings()]


def totals(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut, *, by_age: bool = False
) -> dict[str, tuple[int, int]]:
    """(sum, number) of the contributions of a figure, by currency."""
    columns = _CONTRIBUTION.c
    value = columns.age if by_age else columns.value
    query = (
        select(columns.currency, func.sum(value), func.count())
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(*ask.conditions(cut))
        .group_by(columns.currency)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}
