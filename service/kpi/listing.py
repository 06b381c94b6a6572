"""The contributions behind a figure, page by page, and what they add up to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, and_, func, or_, select, tuple_

from service.domain.period import to_day
from service.kpi.sums import Ask, Cut, sums
from service.store.tables import Contribution

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]


def subjects(
    connection: Connection,
    ask: Ask,
    first: date,
    last: date,
    cut: Cut,
    after: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Contributions of a figure, newest first (by local day, then instant), page by page.

    A day is read at a time, whatever the length of the span. Index: ix_contribution_day.
    """
    found = []
    for part in ask.parts:  # each in the order of its index; a page of all is in the first of each
        found += _page(connection, replace(ask, parts=(part,)), first, last, cut, after, limit)
    found.sort(key=lambda row: (-row["day"], -row["at"], row["metric"]))
    return found[:limit]


def _page(
    connection: Connection,
    ask: Ask,
    first: date,
    last: date,
    cut: Cut,
    after: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    columns, (part,) = _CONTRIBUTION.c, ask.parts
    end = min(to_day(last), cut.day)
    query = (
        select(_CONTRIBUTION)
        .where(columns.account_id == ask.account_id, columns.metric == part, *ask.conditions(cut))
        .order_by(columns.day.desc(), columns.at.desc(), columns.subject_id, columns.key)
        .limit(limit)
    )
    if after is not None:
        at, metric, subject_id, key, day = after
        end = min(end, day)
        beyond = columns.at < at
        if part == metric:
            rest = tuple_(columns.subject_id, columns.key) > (subject_id, key)
            beyond = or_(beyond, and_(columns.at == at, rest))
        elif part > metric:
            beyond = columns.at <= at
        query = query.where(or_(columns.day < day, beyond))
    query = query.where(columns.day.between(to_day(first), end))
    return [dict(row) for row in connection.execute(query).mappings()]


def totals(
    connection: Connection, ask: Ask, first: date, last: date, cut: Cut, *, by_age: bool = False
) -> dict[str, tuple[int, int]]:
    """(sum, number) of the contributions of a figure, by currency."""
    if ask.by_rollup(cut) and not by_age:
        found: dict[str, tuple[int, int]] = {}
        for one in sums(connection, ask, first, last, cut, "span"):
            value, n = found.get(one.currency, (0, 0))
            found[one.currency] = (value + one.value, n + one.n)
        return {currency: told for currency, told in found.items() if told[1]}
    columns = _CONTRIBUTION.c
    added = columns.age if by_age else columns.value
    query = (
        select(columns.currency, func.sum(added), func.count())
        .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
        .where(columns.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(*ask.conditions(cut))
        .group_by(columns.currency)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}
