"""Steps and events of sellers as the judge of the second layer needs them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, or_, select, text

from service.domain.instant import Instant
from service.domain.violation import SECOND_KINDS
from service.store.engine import insert_or_update
from service.store.records import LevelDirty, PlanVersion
from service.store.summed import RollupDay, RollupMonth, RollupYear
from service.store.tables import IS_LEVEL, STEPPED, Account, Contribution, Violation

_ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_YEAR: Table = RollupYear.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_PLANNED: Table = PlanVersion.__table__  # type: ignore[attr-defined]
_MONTH_LENGTH = len("2026-03")
_DIRTY: Table = LevelDirty.__table__  # type: ignore[attr-defined]


def is_settled(connection: Connection, account_id: str) -> bool:
    """Whether all that is derived of an account is so by the settings in force."""
    columns = _ACCOUNT.c
    waiting = select(_DIRTY.c.seller).where(_DIRTY.c.account_id == account_id).exists()
    query = select(and_(columns.judged_version >= columns.config_version, ~waiting))
    return bool(connection.execute(query.where(columns.account_id == account_id)).scalar())


def levels_before(
    connection: Connection, account_id: str, metric: str, sellers: Sequence[str], day: int
) -> dict[str, int]:
    """The running sums of sellers before a local day: whole years, months of the year, days.

    No sellers: the whole account's, under "".
    """
    found = dict.fromkeys(sellers or [""], 0)
    for table, where in (
        (_YEAR, _YEAR.c.year < day // 10_000),
        (_MONTH, _MONTH.c.month.between(day // 10_000 * 100, day // 100 - 1)),
        (_DAY, _DAY.c.day.between(day // 100 * 100, day - 1)),
    ):
        query = select(func.sum(table.c.value)).where(
            table.c.account_id == account_id, table.c.metric == metric, where
        )
        if sellers:
            query = query.add_columns(table.c.seller).where(table.c.seller.in_(sellers))
            query = query.group_by(table.c.seller)
        for row in connection.execute(query):
            found[row[1] if sellers else ""] += int(row[0] or 0)
    return found


def steps_from(
    connection: Connection,
    account_id: str,
    metric: str,
    sellers: Sequence[str],
    day: int,
    slot: str = "",
) -> list[tuple[Instant, str, int]]:
    """(instant, seller, delta) from a local day on, in order; no sellers: the account's, as "".

    Index: ix_contribution_level, for what is no level ix_contribution_day.
    """
    columns = _CONTRIBUTION.c
    who = [columns.seller] if sellers else []
    query = (
        select(columns.at, func.sum(columns.value), *who)
        .where(columns.account_id == account_id, columns.metric == metric, columns.day >= day)
        .group_by(columns.at, *who)
        .order_by(columns.at, *who)
    )
    if sellers:
        query = query.where(columns.seller.in_(sellers))
    if metric in STEPPED:
        query = query.where(text(IS_LEVEL), columns.slot == slot)
    elif slot:
        query = query.where(columns.source == slot)
    found = connection.execute(query)
    return [(int(row[0]), row[2] if sellers else "", int(row[1])) for row in found]


def steps_of_deals(
    connection: Connection, account_id: str, metrics: Sequence[str], seller: str, day: int
) -> list[tuple[Instant, str, str, int]]:
    """(instant, metric, deal, delta) of a seller's steps from a local day on, in order."""
    columns = _CONTRIBUTION.c
    query = (
        select(columns.at, columns.metric, columns.subject_id, columns.value)
        .where(columns.account_id == account_id, columns.metric.in_(metrics))
        .where(columns.slot == "", columns.seller == seller, columns.day >= day, text(IS_LEVEL))
        .order_by(columns.at, columns.metric, columns.subject_id, columns.key)
    )
    return [(int(at), part, deal, int(v)) for at, part, deal, v in connection.execute(query)]


def last_before(
    connection: Connection, account_id: str, metric: str, seller: str, slot: str, at: Instant
) -> Instant | None:
    """The last event of a stream before an instant; of an account where `seller` is ""."""
    columns = _CONTRIBUTION.c
    query = select(func.max(columns.at)).where(
        columns.account_id == account_id, columns.metric == metric, columns.at < at
    )
    if seller:
        query = query.where(columns.seller == seller)
    if metric in STEPPED:
        query = query.where(text(IS_LEVEL), columns.slot == slot)
    elif slot:
        query = query.where(columns.source == slot)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def plans_of(
    connection: Connection, account_id: str, metric: str, seller: str
) -> list[tuple[Instant, str, int]]:
    """(instant, month, value; -1 = taken back) of a seller's plans of months, as written."""
    columns = _PLANNED.c
    query = (
        select(columns.at, columns.period, columns.value)
        .where(columns.account_id == account_id, columns.metric == metric)
        .where(columns.seller == seller, func.length(columns.period) == _MONTH_LENGTH)
        .order_by(columns.at, columns.version)
    )
    return [
        (int(at), month, -1 if value is None else int(value))
        for at, month, value in connection.execute(query)
    ]


def planned(connection: Connection, account_id: str, metric: str) -> list[str]:
    """Sellers who ever had a plan."""
    columns = _PLANNED.c
    query = (
        select(columns.seller)
        .where(columns.account_id == account_id, columns.metric == metric, columns.seller != "")
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def first_day(connection: Connection, account_id: str, metric: str, seller: str) -> int | None:
    """The first local day on which a seller has anything of a part."""
    query = select(func.min(_DAY.c.day)).where(
        _DAY.c.account_id == account_id, _DAY.c.metric == metric, _DAY.c.seller == seller
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def counted_for(
    connection: Connection, account_id: str, metric: str, column: str | None
) -> list[tuple[str, str]]:
    """All (seller, slot) pairs that a part was ever counted for. `column`: where the slot stands.

    Without a slot the sellers come from the rollup of months.
    """
    if column is None:
        query = select(_MONTH.c.seller).where(
            _MONTH.c.account_id == account_id, _MONTH.c.metric == metric
        )
        return sorted((seller, "") for seller in connection.execute(query.distinct()).scalars())
    columns = _CONTRIBUTION.c
    query = (
        select(columns.seller, columns[column])
        .where(columns.account_id == account_id, columns.metric == metric)
        .distinct()
    )
    return sorted((seller, slot) for seller, slot in connection.execute(query))


def intervals(
    connection: Connection, account_id: str, rule: str, timeline: str, since: Instant
) -> list[dict[str, Any]]:
    """Intervals of a rule that end (or may end) at or after `since`, in order."""
    columns = _VIOLATION.c
    query = (
        select(_VIOLATION)
        .where(columns.account_id == account_id, columns.rule == rule)
        .where(columns.timeline == timeline)
        .where(or_(columns.resolved_at.is_(None), columns.resolved_at >= since))
        .order_by(columns.breach_at)
    )
    return _rows(connection, query)


def all_intervals(
    connection: Connection, account_id: str
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """All intervals of the second layer by (rule, timeline), each in order."""
    columns = _VIOLATION.c
    query = (
        select(_VIOLATION)
        .where(columns.account_id == account_id, columns.subject_kind.in_(SECOND_KINDS))
        .order_by(columns.breach_at)
    )
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _rows(connection, query):
        found.setdefault((row["rule"], row["timeline"]), []).append(row)
    return found


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    found = []
    for row in connection.execute(query).mappings():
        plain = dict(row)
        del plain["account_id"], plain["revision"]
        found.append(plain)
    return found


def mark(connection: Connection, account_id: str, dirty: dict[str, Instant]) -> None:
    """Remember that sellers have to be judged again from an instant on ("": the account)."""
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
