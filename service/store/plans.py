"""Plans: rows by (account, metric, period, team, seller), each change kept as a version."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, insert, select, update

from service.domain.instant import Instant
from service.store.records import Plan, PlanVersion

_PLAN: Table = Plan.__table__  # type: ignore[attr-defined]
_VERSION: Table = PlanVersion.__table__  # type: ignore[attr-defined]
KEY = ("account_id", "metric", "period", "team", "seller")
Row = dict[str, Any]


def plans(connection: Connection, accounts: Sequence[str], **equal: Sequence[str]) -> list[Row]:
    """Plan rows of some accounts, in the order of their keys; `equal`: column -> values."""
    query = select(_PLAN).where(_PLAN.c.account_id.in_(accounts))
    for column, values in equal.items():
        query = query.where(_PLAN.c[column].in_(values))
    query = query.order_by(*(_PLAN.c[name] for name in KEY))
    return [dict(row) for row in connection.execute(query).mappings()]


def plan(connection: Connection, key: Mapping[str, str]) -> Row | None:
    """One row by its key."""
    row = connection.execute(select(_PLAN).where(_is(_PLAN, key))).mappings().first()
    return dict(row) if row else None


def _is(table: Table, key: Mapping[str, str]) -> Any:
    return and_(*(table.c[name] == key[name] for name in KEY))


def put(connection: Connection, row: Row, author: str, reason: str, now: Instant) -> str:
    """Write a row: `created`, `updated`, `unchanged`, or `removed` (value None)."""
    key = {name: row[name] for name in KEY}
    known = plan(connection, key)
    if row["value"] is None:
        if known is None:
            return "unchanged"
        _keep(connection, known, author, reason, now)
        connection.execute(delete(_PLAN).where(_is(_PLAN, key)))
        return "removed"
    if known is None:
        values = {**row, "version": _next_version(connection, key), "at": now, "author": author}
        connection.execute(insert(_PLAN), [values])
        return "created"
    told = {name: row[name] for name in ("value", "currency", "status", "locked")}
    if all(known[name] == value for name, value in told.items()):
        return "unchanged"
    _keep(connection, known, author, reason, now)
    changed = {**told, "version": known["version"] + 1, "at": now, "author": author}
    connection.execute(update(_PLAN).where(_is(_PLAN, key)).values(**changed))
    return "updated"


def _next_version(connection: Connection, key: Mapping[str, str]) -> int:
    """A row that was removed and comes back goes on counting."""
    query = select(_VERSION.c.version).where(_is(_VERSION, key)).order_by(_VERSION.c.version)
    versions = list(connection.execute(query).scalars())
    return versions[-1] + 1 if versions else 1


def _keep(connection: Connection, row: Row, author: str, reason: str, now: Instant) -> None:
    old = {name: row[name] for name in (*KEY, "version", "value", "status")}
    old |= {"reason": reason, "at": now, "author": author}
    connection.execute(insert(_VERSION), [old])
