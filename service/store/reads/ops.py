"""Figures about the machinery itself: inbox and lag."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from service.domain.instant import Instant
from service.store.tables import IS_OPEN, Account, Inbox, TouchedRow

_INBOX: Any = Inbox.__table__  # type: ignore[attr-defined]
_TOUCHED: Any = TouchedRow.__table__  # type: ignore[attr-defined]
_ACCOUNTS: Any = Account.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class InboxFigures:
    """Rows not yet worked on, the receipt of the oldest one, rows that nobody understood."""

    pending: int
    oldest_at: Instant | None
    parked: int


def inbox_figures(connection: Connection) -> InboxFigures:
    """Over all accounts. Index: ix_inbox_open."""
    waiting = select(func.count(), func.min(_INBOX.c.received_at)).where(
        _INBOX.c.state == "pending", text(IS_OPEN)
    )
    pending, oldest = connection.execute(waiting).one()
    parked = select(func.count()).where(_INBOX.c.state == "parked", text(IS_OPEN))
    return InboxFigures(pending, oldest, connection.scalar(parked) or 0)


def lags(connection: Connection, now: Instant) -> dict[str, int]:
    """By account: seconds since the receipt of the oldest hook not yet worked on; 0 = none."""
    waiting = waiting_since(connection)
    ids = connection.scalars(select(_ACCOUNTS.c.account_id).order_by(_ACCOUNTS.c.account_id))
    return {account: max(0, now - waiting.get(account, now)) for account in ids}


def waiting_since(connection: Connection) -> dict[str, Instant]:
    """By account: receipt of the oldest hook not yet worked on; accounts without one are absent."""
    query = (
        select(_INBOX.c.account_id, func.min(_INBOX.c.received_at))
        .where(_INBOX.c.state == "pending", text(IS_OPEN))
        .group_by(_INBOX.c.account_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def troubles(connection: Connection, account_id: str) -> tuple[int, int]:
    """Of an account: hooks that nobody understood, subjects that wait to be fetched."""
    parked = select(func.count()).where(
        _INBOX.c.account_id == account_id, _INBOX.c.state == "parked", text(IS_OPEN)
    )
    waiting = select(func.count()).where(_TOUCHED.c.account_id == account_id)
    return connection.scalar(parked) or 0, connection.scalar(waiting) or 0


def lost_hooks(connection: Connection) -> dict[str, int]:
    """By account: changes that only reconciliation brought."""
    query = select(_ACCOUNTS.c.account_id, _ACCOUNTS.c.hooks_lost)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def portals_down(connection: Connection) -> dict[str, bool]:
    """By account: whether its portal does not answer."""
    query = select(_ACCOUNTS.c.account_id, _ACCOUNTS.c.down_since.is_not(None))
    return {row[0]: bool(row[1]) for row in connection.execute(query)}
