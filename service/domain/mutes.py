"""Mutes: what people want to hear nothing of for a while. Pure.

A mute holds in `[start, end)` for all violations that are equal to its scope: one subject of one
rule, or any combination of rule, deal, seller (at the breach), pipeline and stage.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.instant import FOREVER, Instant
from service.domain.violation import Found

SCOPE = ("rule", "deal", "seller", "pipeline", "stage")
OF_SUBJECT = ("rule", "subject_kind", "subject_id")
_NARROWEST = ("subject_id", "deal", "seller", "stage", "rule", "pipeline")
Piece = tuple[Instant, Instant]


@dataclass(frozen=True, slots=True)
class Mute:
    """`scope`: what must be equal, by the names of a violation's columns; never empty."""

    start: Instant
    end: Instant
    scope: Mapping[str, str]

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Whether a violation row lies in its scope."""
        return all(row[name] == value for name, value in self.scope.items())


class Mutes:
    """All mutes that may concern some timelines."""

    def __init__(self, mutes: Iterable[Mute] = ()) -> None:
        self._by_value: dict[tuple[str, str], list[Mute]] = {}
        for mute in mutes:
            name = next(name for name in _NARROWEST if name in mute.scope)
            self._by_value.setdefault((name, mute.scope[name]), []).append(mute)

    def pieces(self, found: Found) -> tuple[Piece, ...]:
        """In which pieces of its interval a violation is muted: apart and in order."""
        if not self._by_value:
            return ()
        over = FOREVER if found.resolved_at is None else found.resolved_at
        cut = [
            (max(mute.start, found.breach_at), min(mute.end, over)) for mute in self._over(found)
        ]
        joined: list[Piece] = []
        for start, end in sorted(piece for piece in cut if piece[0] < piece[1]):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return tuple(joined)

    def _over(self, found: Found) -> Iterator[Mute]:
        for name in _NARROWEST:
            for mute in self._by_value.get((name, getattr(found, name)), ()):
                if all(getattr(found, key) == value for key, value in mute.scope.items()):
                    yield mute


def seconds_until(pieces: Iterable[Iterable[Instant]], at: Instant) -> int:
    """How many seconds of the pieces lie before `at`."""
    return sum(max(0, min(end, at) - start) for start, end in pieces)
