"""Alerts as the API lists them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select

from service.store.records import Alert

_ALERT: Table = Alert.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]
STATES = ("pending", "sent", "acked", "resolved", "suppressed", "failed")


def alerts(
    connection: Connection,
    accounts: Sequence[str],
    after: Sequence[Any] | None,
    limit: int,
    **equal: Sequence[str],
) -> list[Row]:
    """Newest first, from after (created_at, id) on. Index: ix_alert_created."""
    query = select(_ALERT).where(_ALERT.c.account_id.in_(accounts))
    for column, values in equal.items():
        query = query.where(_ALERT.c[column].in_(values))
    if after is not None:
        at, alert_id = after
        query = query.where(
            or_(
                _ALERT.c.created_at < at,
                and_(_ALERT.c.created_at == at, _ALERT.c.id < alert_id),
            )
        )
    query = query.order_by(_ALERT.c.created_at.desc(), _ALERT.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def alert(connection: Connection, accounts: Sequence[str], alert_id: str) -> Row | None:
    """One alert of these accounts, or None."""
    query = select(_ALERT).where(_ALERT.c.account_id.in_(accounts), _ALERT.c.id == alert_id)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def of_receiver(connection: Connection, receiver: str, limit: int) -> list[Row]:
    """The newest messages to one receiver (a subscription)."""
    query = (
        select(_ALERT)
        .where(_ALERT.c.receiver == receiver, _ALERT.c.channel == "webhook")
        .order_by(_ALERT.c.created_at.desc(), _ALERT.c.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
