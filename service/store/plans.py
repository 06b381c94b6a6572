"""Plans: rows by (account, metric, period, team, seller), each state kept as a version."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, insert, select, update

from service.domain.instant import Instant
from service.store import levels, revisions
from service.store.records import Plan, PlanVersion
from service.store.served import Gone
from service.store.tables import Account

_ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
_GONE: Table = Gone.__table__  # type: ignore[attr-defined]
_PLAN: Table = Plan.__table__  # type: ignore[attr-defined]
_VERSION: Table = PlanVersion.__table__  # type: ignore[attr-defined]
KEY = ("account_id", "metric", "period", "team", "seller")
Row = dict[str, Any]


def hold(connection: Connection, account_id: str) -> None:
    """One writer of an account's plans at a time, until the end of the transaction.

    Plans must agree with each other, so whoever writes reads the others first. (SQLite has one
    writer anyway.)
    """
    revisions.take(connection, account_id)


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
        gone = {**known, "value": None, "version": known["version"] + 1}
        _keep(connection, gone, author, reason, now)
        connection.execute(delete(_PLAN).where(_is(_PLAN, key)))
        name = ".".join(key[column] for column in KEY[1:])
        revision = int(connection.scalar(select(_reached(row))) or 0)
        revisions.bury(connection, row["account_id"], "plan", [name], revision)
        return "removed"
    told = {name: row[name] for name in ("value", "currency", "status", "locked")}
    if known is None:
        made = {**key, **told, "version": _next_version(connection, key)}
        told_by = {"at": now, "author": author, "revision": _reached(row)}
        connection.execute(insert(_PLAN).values({**made, **told_by}))
        _keep(connection, made, author, reason, now)
        return "created"
    if all(known[name] == value for name, value in told.items()):
        return "unchanged"
    changed = {**told, "version": known["version"] + 1}
    where = update(_PLAN).where(_is(_PLAN, key))
    connection.execute(where.values(**changed, at=now, author=author, revision=_reached(row)))
    _keep(connection, {**key, **changed}, author, reason, now)
    return "updated"


def revisions_of(connection: Connection, accounts: Sequence[str]) -> dict[str, int]:
    """The data version of the last change of each account's plans, removals too."""
    found = dict.fromkeys(accounts, 0)
    gone = select(_GONE.c.account_id, func.max(_GONE.c.revision)).where(_GONE.c.type == "plan")
    for table, query in (
        (_PLAN, select(_PLAN.c.account_id, func.max(_PLAN.c.revision))),
        (_GONE, gone),
    ):
        mine = query.where(table.c.account_id.in_(accounts)).group_by(table.c.account_id)
        for account, revision in connection.execute(mine):
            found[account] = max(found[account], int(revision))
    return found


def _reached(row: Row) -> Any:
    """The data version that `hold` has taken for this transaction."""
    mine = _ACCOUNT.c.account_id == row["account_id"]
    return select(_ACCOUNT.c.data_version).where(mine).scalar_subquery()


def _next_version(connection: Connection, key: Mapping[str, str]) -> int:
    """A row that was removed and comes back goes on counting."""
    query = select(func.max(_VERSION.c.version)).where(_is(_VERSION, key))
    return int(connection.execute(query).scalar() or 0) + 1


def _keep(connection: Connection, row: Row, author: str, reason: str, now: Instant) -> None:
    """Every version is kept with who made it, when and why; a removal is one without a value."""
    made = {name: row[name] for name in (*KEY, "version", "value", "status")}
    made |= {"reason": reason, "at": now, "author": author}
    connection.execute(insert(_VERSION), [made])
    if row["seller"]:  # rules on the pace of a plan are judged again
        levels.mark(connection, row["account_id"], {row["seller"]: now})


def history(
    connection: Connection, account_id: str, limit: int, **equal: Sequence[str]
) -> list[Row]:
    """Versions of an account's rows, by key, the oldest first."""
    query = select(_VERSION).where(_VERSION.c.account_id == account_id)
    for column, values in equal.items():
        query = query.where(_VERSION.c[column].in_(values))
    query = query.order_by(*(_VERSION.c[name] for name in KEY), _VERSION.c.version).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]
