"""Long readings of a portal in steps: all there is (backfill), and what changed (changes).

A step reads one list of the portal, in pieces. It tells with each piece where it would go on
(`position`, JSON) and how far the list has been read (`mark`: the newest instant seen in it, or
its newest id). Each list has a mark of its own, so a change that comes while other lists are being
read is never skipped over.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.facts import Fact
from service.domain.instant import Instant
from service.domain.ports import Page
from service.http import usable

Cursor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a list. `position`: where to go on after it; `mark`: 0 = nothing new."""

    facts: list[Fact]
    position: Any
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A list: `read(since, position)`; `since` 0 = from the beginning.

    `overlap`: how much is read again the next time (seconds, or ids if `by_id`).
    """

    name: str
    read: Callable[[Instant, Any], Iterator[Piece]]
    overlap: int
    by_id: bool = False


def read_all(steps: Sequence[Step], since: Instant | None, cursor: Cursor | None) -> Iterator[Page]:
    """Every list from `since` on; the pages' cursors resume within a list; the last one is None."""
    start = dict(cursor or {})
    begin = int(start.get("since", since or 0))
    first, done = int(start.get("step", 0)), int(start.get("done", 0))
    position, marks = start.get("position"), dict(start.get("marks") or {})
    for number, step in enumerate(steps):
        if number < first:
            continue
        with usable(step.name):
            for piece in step.read(begin, position if number == first else None):
                done += len(piece.facts)
                newest = max(int(marks.get(step.name, 0)), piece.mark)
                marks[step.name] = newest if step.by_id else 0
                here = {"step": number, "since": begin, "done": done, "marks": dict(marks)}
                here["position"] = piece.position
                yield Page(piece.facts, here, done, None, step.name)
        marks.setdefault(step.name, 0)
        last = number + 1 == len(steps)
        following = {"step": number + 1, "since": begin, "done": done, "marks": dict(marks)}
        yield Page([], None if last else following, done, None, step.name, dict(marks))


def read_changes(steps: Sequence[Step], cursor: Cursor | None) -> Iterator[Page]:
    """What changed since the marks in `cursor`; a list's mark moves when it has been read whole."""
    marks = dict((cursor or {}).get("marks") or {})
    done = 0
    for step in steps:
        mark = newest = int(marks.get(step.name, 0))
        start = max(mark - step.overlap, 0)
        since, position = (0, start) if step.by_id else (start, None)
        with usable(step.name):
            for piece in step.read(since, position):
                newest = max(newest, piece.mark)
                done += len(piece.facts)
                yield Page(piece.facts, {"marks": dict(marks)}, done, None, step.name)
        marks[step.name] = newest
        yield Page([], {"marks": dict(marks)}, done, None, step.name)
