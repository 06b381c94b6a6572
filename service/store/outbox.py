"""The outbox: messages that have to leave, at least once, each under one key."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.instant import Instant
from service.store.engine import is_sqlite
from service.store.ids import new_id
from service.store.records import Alert, Delivery

_ALERT: Table = Alert.__table__  # type: ignore[attr-defined]
_DELIVERY: Table = Delivery.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]


def put(connection: Connection, rows: Sequence[Row], now: Instant) -> None:
    """Add messages; one whose key is there already is not added again."""
    make = sqlite.insert if is_sqlite(connection) else postgresql.insert
    statement = make(_ALERT).on_conflict_do_nothing(index_elements=["account_id", "key"])
    for row in rows:
        full = {
            "id": new_id("alr", now), "state": "pending", "reason": "", "body": b"",
            "created_at": now, "next_try_at": now, "attempts": 0, **row,
        }  # fmt: skip
        connection.execute(statement, [full])


def due(connection: Connection, now: Instant, limit: int) -> list[Row]:
    """Messages whose next try has come. Index: ix_alert_next."""
    query = (
        select(_ALERT)
        .where(_ALERT.c.next_try_at <= now, _ALERT.c.state == "pending")
        .order_by(_ALERT.c.next_try_at)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def claim(connection: Connection, row: Row, until: Instant) -> bool:
    """Take a message for one attempt (compare-and-set); it comes back at `until` if we die."""
    query = (
        update(_ALERT)
        .where(
            _ALERT.c.account_id == row["account_id"],
            _ALERT.c.id == row["id"],
            _ALERT.c.state == "pending",
            _ALERT.c.attempts == row["attempts"],
            _ALERT.c.next_try_at == row["next_try_at"],
        )
        .values(next_try_at=until, attempts=row["attempts"] + 1)
    )
    return connection.execute(query).rowcount == 1


def settle(connection: Connection, row: Row, **values: Any) -> None:
    """Write down what became of a message."""
    query = (
        update(_ALERT)
        .where(_ALERT.c.account_id == row["account_id"], _ALERT.c.id == row["id"])
        .values(**values)
    )
    connection.execute(query)


def log_delivery(connection: Connection, row: Row, delivery: Row) -> None:
    """Write down one attempt."""
    full = {"account_id": row["account_id"], "alert_id": row["id"], **delivery}
    connection.execute(insert(_DELIVERY), [full])


def deliveries(connection: Connection, account_id: str, alert_id: str) -> list[Row]:
    """All attempts of a message, in order."""
    query = (
        select(_DELIVERY)
        .where(_DELIVERY.c.account_id == account_id, _DELIVERY.c.alert_id == alert_id)
        .order_by(_DELIVERY.c.attempt)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
