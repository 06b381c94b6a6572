"""Sums of contributions by period and group: the only SQL of the figures.

Whole months come from `rollup_month`, whole days from `rollup_day` (of the whole account from
`rollup_total`), the day that `as_of` lies in from the contributions up to it. What needs stage or
source reads contributions throughout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, func, or_, select, tuple_

from service.domain.instant import Instant
from service.domain.period import to_date, to_day
from service.store.tables import Contribution, RollupDay, RollupMonth, RollupTotal

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_TOTAL: Table = RollupTotal.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Cut:
    """The instant that an answer knows of, and the local day that it lies in."""

    at: Instant
    day: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What to add up: parts, by which columns, under which conditions on columns."""

    account_id: str
    parts: tuple[str, ...]
    columns: tuple[str, ...]  # of seller, pipeline, stage, source
    filters: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # (column, eq|ne, values)

    @property
    def by_rollup(self) -> bool:
        """Whether the rollups know all that is asked."""
        used = {*self.columns, *(column for column, _, _ in self.filters)}
        return used <= {"seller", "pipeline"}


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum: part, first day of its bucket, group (in the order of `columns`), currency."""

    part: str
    on: date
    group: tuple[str, ...]
    currency: str
    value: int


def sums(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut, *, months: bool
) -> Iterator[Sum]:
    """Sums of whole days in `[first, last]` up to the cut. `months`: buckets may be months."""
    end = min(to_day(last), cut.day)
    begin = to_day(first)
    if begin > end:
        return
    if not ask.by_rollup:
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
        .where(table.c[name].between(begin, end), *_conditions(table, ask))
        .group_by(*keys)
    )
    if cut is not None:
        query = query.where(table.c.at <= cut.at)
    for row in connection.execute(query):
        bucket = int(row[1])
        on = to_date(bucket * 100 + 1 if name == "month" else bucket)
        yield Sum(row[0], on, tuple(row[2:-2]), row[-2], int(row[-1]))


def _conditions(table: Table, ask: Ask) -> list[Any]:
    found = []
    for column, op, values in ask.filters:
        inside = table.c[column].in_(values)
        found.append(inside if op == "eq" else ~inside)
    return found


def bases(
    connection: Connection, ask: Ask, first: date, cut: Cut
) -> dict[tuple[str, tuple[str, ...]], int]:
    """Running sums just before `first` (for levels): by (part, group)."""
    found: dict[tuple[str, tuple[str, ...]], int] = {}
    before = first - timedelta(days=1)
    for part in sums(connection, ask, date(1970, 1, 1), before, cut, months=True):
        key = (part.part, part.group)
        found[key] = found.get(key, 0) + part.value
    return found


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
        .where(columns.at <= cut.at, *_conditions(_CONTRIBUTION, ask))
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


def total(connection: Connection, ask: Ask, first: date, last: date, cut: Cut) -> dict[str, int]:
    """The sum of all contributions of a figure, by currency."""
    found: dict[str, int] = {}
    for part in sums(connection, ask, first, last, cut, months=True):
        found[part.currency] = found.get(part.currency, 0) + part.value
    return found
