"""Percentiles: values ranked in the groups that are asked for, by the database (kpis.md 1.8).

Groups are made in SQL, over all accounts at once, so that a team or a source of several portals is
ranked as one. Nearest rank: the value at position ceil(p x n / 100).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Table,
    case,
    func,
    literal,
    select,
    tuple_,
    union_all,
)

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import day_start, to_day
from service.domain.persons import persons
from service.kpi import civil, neglect, stays
from service.kpi.metric import Metric
from service.kpi.question import PLAIN, Cells, Filter, Question, Spread, own_filters
from service.kpi.standing import standing
from service.kpi.sums import Ask
from service.store.engine import is_sqlite
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
TINY = 1e-12  # so that p x n, where it is whole, is not rounded up past itself
Element = Any


class _Ranked(NamedTuple):
    """Ranked values of a period and group; of everything where `group` is None."""

    bucket: int
    group: tuple[str | None, ...] | None
    currency: str
    spread: Spread


def gather_spread(
    connection: Connection,
    configs: Mapping[str, Config],
    question: Question,
    metric: Metric,
    cells: Cells,
) -> None:
    """Rank a figure's values by period and group, and all together."""
    asked = [
        (config, filters)
        for config in configs.values()
        if (filters := own_filters(config, question)) is not None
    ]
    if not asked:
        return
    if metric.of_level:
        _of_level(connection, asked, question, metric, cells)
        return
    inner = [_values(config, filters, question, metric) for config, filters in asked]
    numbers = {_bucket_of(first, question): n for n, (first, _) in enumerate(question.spans())}
    for one in _ranked(connection, inner, question, metric):
        _put(cells, metric, numbers.get(one.bucket, 0), one)


def _put(cells: Cells, metric: Metric, number: int, one: _Ranked) -> None:
    if one.group is None:
        cells.wholes[metric.slug, one.currency] = one.spread
        return
    cells.spreads[metric.slug, (number, one.group, one.currency)] = one.spread
    cells.groups.setdefault((one.group, one.currency))


def _of_level(
    connection: Connection,
    asked: Sequence[tuple[Config, tuple[Filter, ...]]],
    question: Question,
    metric: Metric,
    cells: Cells,
) -> None:
    """Ages of what is counted at each period's end, or at the cut."""
    spans = question.spans()
    for number, (_, last) in enumerate(spans):
        inner = [_ages(config, filters, question, last) for config, filters in asked]
        for one in _ranked(connection, inner, question, metric):
            if one.group is not None or number == len(spans) - 1:
                _put(cells, metric, number, one)


# --- the values of one account --------------------------------------------------------------------


def _values(
    config: Config, filters: tuple[Filter, ...], question: Question, metric: Metric
) -> Element:
    """Contributions in the span with their period, group and currency."""
    if metric.parts == (neglect.FIXED,):
        return _fixes(config, filters, question)
    cut = question.cut(config)
    ask = Ask(config.account_id, metric.parts, (), filters, _within(metric, question))
    end = min(to_day(question.last), cut.day)
    value = _C.c.age if metric.ranks == "age" else _C.c.value
    keys = _keys(config, question, _C.c, _C.c.day)
    return (
        select(_bucket(_C.c.day, question).label("bucket"), *keys, value.label("v"))
        .where(_C.c.account_id == config.account_id, _C.c.metric.in_(metric.parts))
        .where(_C.c.day.between(to_day(question.first), end), *ask.conditions(cut))
    )


def _fixes(config: Config, filters: tuple[Filter, ...], question: Question) -> Element:
    """Violations that were put right in the span: how long that took, in working time."""
    start = day_start(to_day(question.first), config.timezone)
    end = level_instant(config, question, question.last)
    fixed = neglect.fixes(config.account_id, filters, start, end).c
    keys = _keys(config, question, fixed, fixed.day)
    return select(_bucket(fixed.day, question).label("bucket"), *keys, fixed.value.label("v"))


def _within(metric: Metric, question: Question) -> int:
    return question.within if metric.cohort else 0


def _ages(config: Config, filters: tuple[Filter, ...], question: Question, last: date) -> Element:
    """Ages at the end of a day with their group and currency."""
    held = held_ages(config, filters, question, last).subquery()
    keys = _keys(config, question, held.c, literal(_day_of_level(config, question, last)))
    return select(literal(0, Integer).label("bucket"), *keys, held.c.value.label("v"))


def held_ages(
    config: Config, filters: tuple[Filter, ...], question: Question, last: date
) -> Element:
    """Deals that are open at the end of a day (or at the cut), with birth (`at`) and age then."""
    at = level_instant(config, question, last)
    return standing(config.account_id, at, config.timezone, filters)


def _day_of_level(config: Config, question: Question, last: date) -> int:
    """The day on which a level at the end of a day, or at the cut, is told."""
    return min(to_day(last), question.cut(config).day)


def level_instant(config: Config, question: Question, last: date) -> Instant:
    """The last instant of a day, or the cut if that is earlier."""
    midnight = day_start(to_day(date.fromordinal(last.toordinal() + 1)), config.timezone)
    return min(question.as_of, midnight - 1)


def _keys(config: Config, question: Question, columns: Any, day: Element) -> list[Element]:
    made = [
        _group(config, question, dimension, columns, day).label(f"g{n}")
        for n, dimension in enumerate(question.dimensions)
    ]
    if not question.by_currency:
        return [*made, literal("").label("currency")]
    told = columns.get("currency")
    own = literal(config.currency)
    currency = own if told is None else case((told == "", own), else_=told)
    return [*made, currency.label("currency")]


def _team(config: Config, question: Question, columns: Any, day: Element) -> Element:
    """The seller's team on the day of the value."""
    days = question.days(config)
    ways = [
        (stays.inside(columns, stays.of_teams(config, "eq", (team,), *days), day), team)
        for team in config.memberships.rota.teams
    ]
    return case(*ways, else_=literal("")) if ways else literal("")


def _group(
    config: Config, question: Question, dimension: str, columns: Any, day: Element
) -> Element:
    """A dimension's value as a full id; an empty text where there is none."""
    prefix = f"{config.account_id}."
    if dimension == "account":
        return literal(config.account_id)
    if dimension == "weekday":
        return case(
            *((civil.days(day) % 7 == n, str((n + 3) % 7 + 1)) for n in range(7)), else_=literal("")
        )
    if dimension == "team":
        return _team(config, question, columns, day)
    if dimension == "person":
        own = case((columns.seller == "", ""), else_=literal(prefix).concat(columns.seller))
        named = [(columns.seller == seller, who) for seller, who in persons(config).items()]
        return case(*named, else_=own) if named else own
    if dimension in PLAIN:
        return columns[dimension]
    if dimension == "stage":
        whole = literal(prefix).concat(columns.pipeline).concat(".").concat(columns.stage)
        return case((columns.stage == "", ""), else_=whole)
    column = columns[dimension]
    return case((column == "", ""), else_=literal(prefix).concat(column))


# --- periods in SQL -------------------------------------------------------------------------------


def _told_apart(question: Question) -> str:
    """The grain, if there is more than one period."""
    return question.grain or "" if len(question.spans()) > 1 else ""


def _bucket(day: Element, question: Question) -> Element:
    """A number that is the same exactly for the days of one period."""
    month = civil.quotient(day, 100)
    by_grain: dict[str, Element] = {
        "day": day,
        "week": civil.quotient(civil.days(day) + 3, 7),
        "month": month,
        "quarter": civil.quotient(month, 100) * 10 + civil.quotient(month % 100 + 2, 3),
        "year": civil.quotient(month, 100),
    }
    return by_grain.get(_told_apart(question), literal(0, Integer))


def _bucket_of(first: date, question: Question) -> int:
    """The same number in Python."""
    by_grain = {
        "day": to_day(first),
        "week": (first.toordinal() - date(1970, 1, 1).toordinal() + 3) // 7,
        "month": to_day(first) // 100,
        "quarter": first.year * 10 + (first.month + 2) // 3,
        "year": first.year,
    }
    return by_grain.get(_told_apart(question), 0)


# --- ranking --------------------------------------------------------------------------------------


def _ranked(
    connection: Connection, inner: Sequence[Element], question: Question, metric: Metric
) -> list[_Ranked]:
    """By period, group and currency, and everything in one currency: the values are read once."""
    values = union_all(*inner).subquery("value")
    names = ["bucket", *(f"g{n}" for n in range(len(question.dimensions)))]
    keys, currency = [values.c[name] for name in names], values.c.currency
    if is_sqlite(connection):
        grouped = connection.execute(_by_windows(keys, currency, values, metric))
        whole = connection.execute(_by_windows([], currency, values, metric))
        rows = [*map(tuple, grouped), *((*(None for _ in names), *row) for row in whole)]
    else:
        ranks = [func.percentile_disc(p / 100 - TINY).within_group(values.c.v)
                 for p in metric.percents]  # fmt: skip
        bucket, *groups = keys  # what tells most apart is sorted by first
        sets = func.grouping_sets(tuple_(*groups, bucket, currency), tuple_(currency))
        query = select(*keys, currency, func.count(), func.sum(values.c.v), *ranks).group_by(sets)
        rows = [tuple(row) for row in connection.execute(query)]
    return [_read(row, len(names), metric) for row in rows]


def _read(row: Sequence[Any], width: int, metric: Metric) -> _Ranked:
    """A row: bucket and groups (all null of the whole), currency, count, sum, values."""
    bucket, *group = row[:width]
    currency, n, total, *at = row[width:]
    places = dict(zip(metric.percents, map(int, at), strict=True))
    told = None if bucket is None else tuple(value or None for value in group)
    return _Ranked(int(bucket or 0), told, currency, Spread(int(n), int(total), places))


def _by_windows(
    names: Sequence[Element], currency: Element, values: Element, metric: Metric
) -> Element:
    """Ranking where the database has no percentiles."""
    keys, value = [*names, currency], values.c.v
    place = func.row_number().over(partition_by=keys, order_by=value)
    count = func.count().over(partition_by=keys)
    placed = select(*keys, value, place.label("place"), count.label("n")).subquery("placed")
    out = [placed.c[key.name] for key in keys]
    at = [_value_at(placed.c, percent) for percent in metric.percents]
    return select(*out, func.count(), func.sum(placed.c.v), *at).group_by(*out)


def _value_at(columns: Any, percent: int) -> Element:
    """The value at position ceil(percent x n / 100)."""
    is_there: Element = columns.place == civil.quotient(columns.n * percent + 99, 100)
    return func.max(case((is_there, columns.v)))
