"""Timelines to derive again because of what people said (a mute), worked off in the background.

A mark has a generation, so that what was said while its timeline was being derived is not lost.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Table, bindparam, delete, select

from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.records import TimelineDirty

_DIRTY: Table = TimelineDirty.__table__  # type: ignore[attr-defined]
Marks = dict[str, int]
"""Timeline -> generation."""


def mark(connection: Connection, account_id: str, timelines: Iterable[str]) -> None:
    """These are to be derived again."""
    for part in chunks(timelines):
        rows = [{"account_id": account_id, "timeline": key, "generation": 1} for key in part]
        insert_or_update(connection, _DIRTY, rows, update=(), grow=("generation",))


def marked(connection: Connection, account_id: str, limit: int | None = None) -> Marks:
    """The marks, in the order of the timelines; at most `limit`."""
    query = (
        select(_DIRTY.c.timeline, _DIRTY.c.generation)
        .where(_DIRTY.c.account_id == account_id)
        .order_by(_DIRTY.c.timeline)
        .limit(limit)
    )
    return {timeline: int(generation) for timeline, generation in connection.execute(query)}


def unmark(connection: Connection, account_id: str, seen: Marks) -> None:
    """These have been derived; one that was marked again meanwhile stays."""
    if not seen:
        return
    query = delete(_DIRTY).where(
        _DIRTY.c.account_id == account_id,
        _DIRTY.c.timeline == bindparam("t"),
        _DIRTY.c.generation == bindparam("g"),
    )
    connection.execute(query, [{"t": key, "g": generation} for key, generation in seen.items()])


def among(connection: Connection, account_id: str, timelines: Sequence[str]) -> set[str]:
    """Which of these are marked."""
    found: set[str] = set()
    for part in chunks(timelines):
        query = select(_DIRTY.c.timeline).where(
            _DIRTY.c.account_id == account_id, _DIRTY.c.timeline.in_(part)
        )
        found.update(connection.execute(query).scalars())
    return found
