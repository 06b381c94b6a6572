"""The first answer to each POST with an `Idempotency-Key`, kept for 24 hours per key and path."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select, update

from service.domain.instant import Instant
from service.store.records import Idempotency
from service.store.statements import insert_new

KEEP_SECONDS = 24 * 3600
STALE_SECONDS = 60  # a first request that died without an answer does not block for ever
_ROWS: Any = Idempotency.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an earlier request. `status` None = it is still running."""

    body_hash: str
    status: int | None
    content_type: str
    answer: bytes
    location: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one request: API key, path, idempotency key."""

    key_id: str
    path: str
    key: str


def begin(connection: Connection, slot: Slot, body_hash: str, now: Instant) -> Kept | None:
    """Claim the slot.

    Returns:
        None: it is ours, do the work and call `finish` or `forget`. Else what the first one was.
    """
    here = _here(slot)
    dead = (_ROWS.c.at <= now - KEEP_SECONDS) | (
        _ROWS.c.status.is_(None) & (_ROWS.c.at <= now - STALE_SECONDS)
    )
    connection.execute(delete(_ROWS).where(here, dead))
    row = {
        "key_id": slot.key_id,
        "path": slot.path,
        "key": slot.key,
        "body_hash": body_hash,
        "at": now,
        "status": None,
        "content_type": "",
        "answer": b"",
        "location": "",
    }
    if insert_new(connection, _ROWS, row):
        return None
    found = connection.execute(select(_ROWS).where(here)).one()
    return Kept(
        found.body_hash, found.status, found.content_type, bytes(found.answer), found.location
    )


def finish(connection: Connection, slot: Slot, kept: Kept) -> None:
    """Keep the answer of the first request."""
    connection.execute(
        update(_ROWS)
        .where(_here(slot))
        .values(
            status=kept.status,
            content_type=kept.content_type,
            answer=kept.answer,
            location=kept.location,
        )
    )


def forget(connection: Connection, slot: Slot) -> None:
    """Free the slot: the first request failed in a way that may be tried again."""
    connection.execute(delete(_ROWS).where(_here(slot)))


def prune(connection: Connection, now: Instant) -> int:
    """Drop what is older than 24 hours; how many rows."""
    gone = connection.execute(delete(_ROWS).where(_ROWS.c.at <= now - KEEP_SECONDS))
    return int(gone.rowcount)


def _here(slot: Slot) -> Any:
    return (_ROWS.c.key_id == slot.key_id) & (_ROWS.c.path == slot.path) & (_ROWS.c.key == slot.key)
