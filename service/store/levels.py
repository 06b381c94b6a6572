"""Levels of sellers as the judge of the second layer needs them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, or_, select, text

from service.domain.instant import Instant
from service.store.engine import insert_or_update
from service.store.tables import (
    IS_LEVEL,
    Contribution,
    LevelDirty,
    RollupDay,
    RollupMonth,
    Violation,
)

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_DIRTY: Table = LevelDirty.__table__  # type: ignore[attr-defined]


def levels_before(
    connection: Connection, account_id: str, metric: str, sellers: Sequence[str], day: int
) -> dict[str, int]:
    """The running sums of sellers before a local day: whole months, then days of the month."""
    found = dict.fromkeys(sellers, 0)
    for table, where in (
        (_MONTH, _MONTH.c.month < day // 100),
        (_DAY, _DAY.c.day.between(day // 100 * 100, day - 1)),
    ):
        query = (
            select(table.c.seller, func.sum(table.c.value))
            .where(table.c.account_id == account_id, table.c.metric == metric, where)
            .where(table.c.seller.in_(sellers))
            .group_by(table.c.seller)
        )
        for seller, total in connection.execute(query):
            found[seller] += int(total)
    return found


def steps_from(
    connection: Connection, account_id: str, metric: str, sellers: Sequence[str], day: int
) -> dict[str, list[tuple[Instant, int]]]:
    """(instant, delta) of sellers from a local day on, in order. Index: ix_contribution_level."""
    columns = _CONTRIBUTION.c
    query = (
        select(columns.seller, columns.at, func.sum(columns.value))
        .where(columns.account_id == account_id, columns.metric == metric, columns.day >= day)
        .where(columns.seller.in_(sellers), text(IS_LEVEL))
        .group_by(columns.seller, columns.at)
        .order_by(columns.seller, columns.at)
    )
    found: dict[str, list[tuple[Instant, int]]] = {seller: [] for seller in sellers}
    for seller, at, delta in connection.execute(query):
        found[seller].append((int(at), int(delta)))
    return found


def sellers_with(connection: Connection, account_id: str, metric: str) -> list[str]:
    """All sellers that ever had a part in a level."""
    query = (
        select(_MONTH.c.seller)
        .where(_MONTH.c.account_id == account_id, _MONTH.c.metric == metric)
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def intervals(
    connection: Connection, account_id: str, rule: str, timeline: str, since: Instant
) -> list[dict[str, Any]]:
    """Intervals of a level rule that end (or may end) at or after `since`, in order."""
    columns = _VIOLATION.c
    query = (
        select(_VIOLATION)
        .where(columns.account_id == account_id, columns.rule == rule)
        .where(columns.timeline == timeline)
        .where(or_(columns.resolved_at.is_(None), columns.resolved_at >= since))
        .order_by(columns.breach_at)
    )
    found = []
    for row in connection.execute(query).mappings():
        plain = dict(row)
        del plain["account_id"]
        found.append(plain)
    return found


def mark(connection: Connection, account_id: str, dirty: dict[str, Instant]) -> None:
    """Remember that sellers' levels have to be judged again from an instant on."""
    known = marked(connection, account_id)
    rows = [
        {"account_id": account_id, "seller": seller, "from_at": min(at, known.get(seller, at))}
        for seller, at in sorted(dirty.items())
    ]
    insert_or_update(connection, _DIRTY, rows, update=("from_at",))


def marked(connection: Connection, account_id: str) -> dict[str, Instant]:
    """Sellers to judge again, each with the instant to begin at."""
    query = select(_DIRTY.c.seller, _DIRTY.c.from_at).where(_DIRTY.c.account_id == account_id)
    return {seller: int(at) for seller, at in connection.execute(query)}


def unmark(connection: Connection, account_id: str, sellers: Sequence[str]) -> None:
    """These have been judged."""
    connection.execute(
        delete(_DIRTY).where(_DIRTY.c.account_id == account_id, _DIRTY.c.seller.in_(sellers))
    )
