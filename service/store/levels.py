"""Levels of sellers as the judge of the second layer needs them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from service.domain.instant import Instant
from service.store.engine import insert_or_update
from service.store.tables import Contribution, LevelDirty, RollupDay, RollupMonth, Violation

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_DIRTY: Table = LevelDirty.__table__  # type: ignore[attr-defined]


def level_before(
    connection: Connection, account_id: str, metric: str, seller: str, at: Instant, day: int
) -> int:
    """The running sum of a seller just before `at`, which lies on local day `day`.

    Whole months, then whole days of the month, then the day itself. Indexes: primary keys of the
    rollups, ix_contribution_day.
    """
    total = 0
    for table, where in (
        (_MONTH, _MONTH.c.month < day // 100),
        (_DAY, _DAY.c.day.between(day // 100 * 100, day - 1)),
        (_CONTRIBUTION, (_CONTRIBUTION.c.day == day) & (_CONTRIBUTION.c.at < at)),
    ):
        query = select(func.coalesce(func.sum(table.c.value), 0)).where(
            table.c.account_id == account_id,
            table.c.metric == metric,
            table.c.seller == seller,
            where,
        )
        total += int(connection.execute(query).scalar_one())
    return total


def steps_from(
    connection: Connection, account_id: str, metric: str, seller: str, at: Instant, day: int
) -> list[tuple[Instant, int]]:
    """(instant, delta) of a seller from `at` on, in order. Index: ix_contribution_day."""
    columns = _CONTRIBUTION.c
    query = (
        select(columns.at, func.sum(columns.value))
        .where(columns.account_id == account_id, columns.metric == metric, columns.day >= day)
        .where(columns.seller == seller, columns.at >= at)
        .group_by(columns.at)
        .order_by(columns.at)
    )
    return [(int(when), int(delta)) for when, delta in connection.execute(query)]


def sellers_with(connection: Connection, account_id: str, metric: str) -> list[str]:
    """All sellers that ever had a part in a level."""
    query = (
        select(_MONTH.c.seller)
        .where(_MONTH.c.account_id == account_id, _MONTH.c.metric == metric)
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def last_before(
    connection: Connection, account_id: str, rule: str, seller: str, at: Instant
) -> dict[str, Any] | None:
    """The seller's newest interval of a level rule that began before `at`."""
    query = (
        select(_VIOLATION)
        .where(
            _VIOLATION.c.account_id == account_id,
            _VIOLATION.c.timeline == f"seller:{seller}",
            _VIOLATION.c.rule == rule,
            _VIOLATION.c.breach_at < at,
        )
        .order_by(_VIOLATION.c.breach_at.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def from_on(
    connection: Connection, account_id: str, rule: str, seller: str, at: Instant
) -> list[dict[str, Any]]:
    """The seller's intervals of a level rule that began at or after `at`."""
    query = select(_VIOLATION).where(
        _VIOLATION.c.account_id == account_id,
        _VIOLATION.c.timeline == f"seller:{seller}",
        _VIOLATION.c.rule == rule,
        _VIOLATION.c.breach_at >= at,
    )
    return [dict(row) for row in connection.execute(query).mappings()]


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
