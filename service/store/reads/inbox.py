"""Raw hooks for people: lists by state, one with its body. Index: ix_inbox_open."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from service.store.reads.keyset import Key, after
from service.store.tables import IS_OPEN, Inbox

_INBOX: Any = Inbox.__table__  # type: ignore[attr-defined]
STATES = ("pending", "done", "parked", "dropped")
_COLUMNS = [
    *(_INBOX.c[name] for name in ("account_id", "id", "received_at", "state", "reason", "facts")),
    func.length(_INBOX.c.body).label("size"),
]


def rows(
    connection: Connection,
    accounts: Sequence[str],
    states: Sequence[str],
    *,
    after_row: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Rows without their bodies, the latest first, each with `position`."""
    keys = [Key(_INBOX.c.id, down=True), Key(_INBOX.c.account_id)]
    query = select(*_COLUMNS).where(*_where(accounts, states))
    if after_row is not None:
        query = query.where(after(keys, after_row))
    query = query.order_by(*(key.order for key in keys)).limit(limit)
    found = connection.execute(query).mappings()
    return [{**row, "position": [row["id"], row["account_id"]]} for row in found]


def count(connection: Connection, accounts: Sequence[str], states: Sequence[str]) -> int:
    """How many there are."""
    query = select(func.count()).select_from(_INBOX).where(*_where(accounts, states))
    return int(connection.scalar(query) or 0)


def one(connection: Connection, accounts: Sequence[str], row_id: int) -> dict[str, Any] | None:
    """One row with its body."""
    query = select(*_COLUMNS, _INBOX.c.content_type, _INBOX.c.body).where(
        _INBOX.c.account_id.in_(accounts), _INBOX.c.id == row_id
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row is not None else None


def _where(accounts: Sequence[str], states: Sequence[str]) -> list[Any]:
    where: list[Any] = [_INBOX.c.account_id.in_(accounts), _INBOX.c.state.in_(states)]
    return [*where, text(IS_OPEN)] if set(states) <= {"pending", "parked"} else where
