"""The inbox: raw hooks, durable before they are acknowledged, worked on in order of receipt.

Ids are made here: microseconds of the clock, shifted, plus a number of this process, so that
several receivers never collide and ids grow with time.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, text, update

from service.domain.instant import Instant
from service.store.chunks import chunks
from service.store.tables import IS_OPEN, Inbox

_INBOX = Inbox.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A hook to be worked on."""

    id: int
    received_at: Instant
    content_type: str
    body: bytes


class Ids:
    """Numbers that grow with time and are unique over processes (10 random bits each).

    For one thread: the event loop of the door.
    """

    def __init__(self) -> None:
        self._mine = int.from_bytes(os.urandom(2), "big") & 0x3FF
        self._last = 0

    def next(self, seconds: float) -> int:
        """A new id for a row received at `seconds` since 1970."""
        self._last = max(int(seconds * 1_000_000), self._last + 1)
        return self._last << 10 | self._mine


def put(
    connection: Connection,
    account_id: str,
    row_id: int,
    at: Instant,
    content_type: str,
    body: bytes,
) -> None:
    """Append one row (the door has its own faster way to the same table)."""
    row = {"account_id": account_id, "id": row_id, "received_at": at, "state": "pending"}
    row |= {"content_type": content_type, "body": body, "facts": 0}
    connection.execute(insert(_INBOX), [row])


def pending(connection: Connection, account_id: str, limit: int) -> list[InboxRow]:
    """The oldest rows not worked on. Index: ix_inbox_open."""
    query = (
        select(_INBOX.c.id, _INBOX.c.received_at, _INBOX.c.content_type, _INBOX.c.body)
        .where(_INBOX.c.account_id == account_id, _INBOX.c.state == "pending", text(IS_OPEN))
        .order_by(_INBOX.c.id)
        .limit(limit)
    )
    return [InboxRow(*row) for row in connection.execute(query)]


def settle(
    connection: Connection, account_id: str, rows: Sequence[tuple[int, str, str | None, int]]
) -> None:
    """Mark rows as worked on: (id, state, reason, number of facts)."""
    by_outcome: dict[tuple[str, str | None, int], list[int]] = {}
    for row_id, state, reason, facts in rows:
        by_outcome.setdefault((state, reason, facts), []).append(row_id)
    for (state, reason, facts), ids in by_outcome.items():
        for part in chunks(ids):
            query = (
                update(_INBOX)
                .where(_INBOX.c.account_id == account_id, _INBOX.c.id.in_(part))
                .values(state=state, reason=reason, facts=facts)
            )
            connection.execute(query)


def replay(connection: Connection, account_id: str, ids: Sequence[int]) -> int:
    """Put rows back to work; how many there were."""
    query = (
        update(_INBOX)
        .where(_INBOX.c.account_id == account_id, _INBOX.c.id.in_(ids))
        .values(state="pending", reason=None)
    )
    return connection.execute(query).rowcount


def drop(connection: Connection, account_id: str, ids: Sequence[int]) -> int:
    """Give rows up (kept until the raw bodies are dropped); how many there were."""
    query = (
        update(_INBOX)
        .where(_INBOX.c.account_id == account_id, _INBOX.c.id.in_(ids))
        .values(state="dropped")
    )
    return connection.execute(query).rowcount


def replay_reason(connection: Connection, account_id: str, reason: str) -> int:
    """Put all rows parked for a reason back to work (what they waited for has come)."""
    query = (
        update(_INBOX)
        .where(
            _INBOX.c.account_id == account_id,
            _INBOX.c.state == "parked",
            text(IS_OPEN),
            _INBOX.c.reason == reason,
        )
        .values(state="pending", reason=None)
    )
    return connection.execute(query).rowcount


def forget(connection: Connection, account_id: str, before: Instant) -> int:
    """Delete done and dropped rows received before an instant; parked ones stay."""
    query = delete(_INBOX).where(
        _INBOX.c.account_id == account_id,
        _INBOX.c.state.in_(("done", "dropped")),
        _INBOX.c.id < before * 1_000_000 << 10,  # ids are instants: a range of the primary key
    )
    return connection.execute(query).rowcount


def depth(connection: Connection) -> tuple[int, Instant | None]:
    """How many rows wait, and since when the oldest one does."""
    query = select(func.count(), func.min(_INBOX.c.received_at)).where(
        _INBOX.c.state == "pending", text(IS_OPEN)
    )
    count, oldest = connection.execute(query).one()
    return int(count), oldest
