"""Outgoing webhooks: who wants to hear of what."""

from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from service.domain.instant import Instant
from service.store.ids import new_id
from service.store.records import Subscription

_S: Table = Subscription.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]


def add(connection: Connection, row: Row, now: Instant) -> str:
    """Keep a subscription; its id. `secret` is sealed."""
    chosen = new_id("sub", now)
    full = {"id": chosen, "status": "active", "created_at": now, "old_secret": "", **row}
    connection.execute(insert(_S), [full])
    return chosen


def subscriptions(connection: Connection, *, active: bool = False) -> list[Row]:
    """All subscriptions, oldest first."""
    query = select(_S).order_by(_S.c.created_at, _S.c.id)
    if active:
        query = query.where(_S.c.status == "active")
    return [dict(row) for row in connection.execute(query).mappings()]


def subscription(connection: Connection, subscription_id: str) -> Row | None:
    """One subscription, or None."""
    query = select(_S).where(_S.c.id == subscription_id)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def change(connection: Connection, subscription_id: str, **values: Any) -> None:
    """Set columns of a subscription."""
    connection.execute(update(_S).where(_S.c.id == subscription_id).values(**values))


def remove(connection: Connection, subscription_id: str) -> None:
    """Forget a subscription; what waits for it fails."""
    connection.execute(delete(_S).where(_S.c.id == subscription_id))
