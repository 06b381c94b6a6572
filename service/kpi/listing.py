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
_C = _CONTRIBUTION.c


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
    end = min(to_day(last), cut.day)
    if after is not None:
        end = min(end, after[-1])
    found: list[dict[str, Any]] = []
    for part in ask.parts:  # each in the order of its index; a page of all is in the first of each
        own = replace(ask, parts=(part,))
        query = (
            select(_CONTRIBUTION)
            .where(_C.account_id == ask.account_id, _C.metric == part, *own.conditions(cut))
            .where(_C.day.between(to_day(first), end), *_beyond(part, after))
            .order_by(_C.day.desc(), _C.at.desc(), _C.subject_id, _C.key)
            .limit(limit)
        )
        found += map(dict, connection.execute(query).mappings())
    found.sort(key=lambda row: (-row["day"], -row["at"], row["metric"]))
    return found[:limit]


def _beyond(part: str, after: Sequence[Any] | None) -> list[Any]:
    """What of a part comes after a position: instant, part, subject, key, local day."""
    if after is None:
        return []
    at, metric, subject_id, key, day = after
    beyond = _C.at < at
    if part == metric:
        rest = tuple_(_C.subject_id, _C.key) > (subject_id, key)
        beyond = or_(beyond, and_(_C.at == at, rest))
    elif part > metric:
        beyond = _C.at <= at
    return [or_(_C.day < day, beyond)]


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
    added = _C.age if by_age else _C.value
    query = (
        select(_C.currency, func.sum(added), func.count())
        .where(_C.account_id == ask.account_id, _C.metric.in_(ask.parts))
        .where(_C.day.between(to_day(first), min(to_day(last), cut.day)))
        .where(*ask.conditions(cut))
        .group_by(_C.currency)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}
