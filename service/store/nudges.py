"""Nudges on their way into the CRM: each written once, looked for before it is tried again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.instant import Instant
from service.store.engine import is_sqlite
from service.store.records import NudgeRow
from service.store.tables import Violation

_NUDGE: Table = NudgeRow.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]


def put(connection: Connection, rows: Sequence[Row], now: Instant) -> None:
    """Add nudges; a violation has one at most."""
    make = sqlite.insert if is_sqlite(connection) else postgresql.insert
    statement = make(_NUDGE).on_conflict_do_nothing(index_elements=["account_id", "violation_id"])
    state = {"state": "pending", "reason": "", "attempts": 0, "created_at": now, "next_try_at": now}
    for row in rows:
        connection.execute(statement, [state | row])


def accounts_due(connection: Connection, now: Instant) -> list[str]:
    """Accounts with something to write."""
    query = select(_NUDGE.c.account_id).where(_NUDGE.c.next_try_at <= now).distinct()
    return sorted(connection.execute(query).scalars())


def due(connection: Connection, account_id: str, now: Instant, limit: int) -> list[Row]:
    """What is to be written now, with `resolved_at` of its violation. Index: ix_nudge_next."""
    same = (_VIOLATION.c.account_id == _NUDGE.c.account_id) & (
        _VIOLATION.c.id == _NUDGE.c.violation_id
    )
    query = (
        select(_NUDGE, _VIOLATION.c.id.label("known"), _VIOLATION.c.resolved_at)
        .select_from(_NUDGE.outerjoin(_VIOLATION, same))
        .where(_NUDGE.c.account_id == account_id, _NUDGE.c.next_try_at <= now)
        .order_by(_NUDGE.c.next_try_at)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def claim(connection: Connection, row: Row, until: Instant) -> bool:
    """Take a nudge for one attempt (compare-and-set); it comes back at `until` if we die."""
    query = (
        update(_NUDGE)
        .where(
            _NUDGE.c.account_id == row["account_id"],
            _NUDGE.c.violation_id == row["violation_id"],
            _NUDGE.c.attempts == row["attempts"],
            _NUDGE.c.next_try_at == row["next_try_at"],
        )
        .values(attempts=row["attempts"] + 1, next_try_at=until)
    )
    return connection.execute(query).rowcount == 1


def settle(connection: Connection, row: Row, **values: Any) -> None:
    """Write down what became of a nudge."""
    query = update(_NUDGE).where(
        _NUDGE.c.account_id == row["account_id"], _NUDGE.c.violation_id == row["violation_id"]
    )
    connection.execute(query.values(**values))
