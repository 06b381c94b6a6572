"""Integrals of levels over pieces of time, exact: how much stood for how long.

A level is a running sum of steps. Its integral over pieces of time is its value at their beginning
times their length, plus each later step times what of the pieces lies after it: a sum, so levels
of many subjects are integrated together and no order of steps matters.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from service.domain.instant import Instant

K = TypeVar("K", bound=Hashable)
K_co = TypeVar("K_co", bound=Hashable, covariant=True)
Pieces = Sequence[tuple[Instant, Instant]]


class Worked:
    """Pieces of time, apart and in order, with how much of them lies after any instant."""

    def __init__(self, pieces: Pieces) -> None:
        self._starts = [start for start, _ in pieces]
        self._ends = [end for _, end in pieces]
        self._after = [0] * (len(pieces) + 1)
        for number in range(len(pieces) - 1, -1, -1):
            start, end = pieces[number]
            self._after[number] = self._after[number + 1] + end - start

    @property
    def seconds(self) -> int:
        """The length of all pieces."""
        return self._after[0]

    def after(self, at: Instant) -> int:
        """Seconds of the pieces that lie after an instant."""
        number = bisect_right(self._ends, at)
        if number == len(self._ends):
            return 0
        return self._after[number] - max(0, at - self._starts[number])

    def between(self, start: Instant, end: Instant) -> int:
        """Seconds of the pieces inside `[start, end)`."""
        return self.after(start) - self.after(end) if start < end else 0


class Moved(Protocol[K_co]):
    """A step of one level of several: `key` says of which."""

    @property
    def at(self) -> Instant:
        """When it moves."""

    @property
    def key(self) -> K_co:
        """Which level moves."""

    @property
    def delta(self) -> int:
        """By how much."""


class Integrator(Generic[K]):
    """Levels by key, integrated over one stretch of pieces after the other.

    Args:
        before: the levels just before the first step.
        moves: all steps, in order of their instants.
    """

    def __init__(self, before: Mapping[K, int], moves: Sequence[Moved[K]]) -> None:
        self.levels = dict(before)
        self._moves = moves
        self._next = 0
        self.inside = slice(0)  # which steps fell into the last pieces taken

    def take(self, pieces: Pieces) -> dict[K, int]:
        """Level x seconds by key; the levels are then those at the end of the pieces.

        A step at their very beginning is no step inside; one at their very end is.
        """
        self.go_to(pieces[0][0])
        worked = Worked(pieces)
        found = {key: level * worked.seconds for key, level in self.levels.items() if level}
        begun = self._next
        self.go_to(pieces[-1][1])
        self.inside = slice(begun, self._next)
        for move in self._moves[self.inside]:
            found[move.key] = found.get(move.key, 0) + move.delta * worked.after(move.at)
        return found

    def go_to(self, at: Instant) -> None:
        """Take in all steps up to an instant, and with it."""
        while self._next < len(self._moves) and self._moves[self._next].at <= at:
            move = self._moves[self._next]
            self.levels[move.key] = self.levels.get(move.key, 0) + move.delta
            self._next += 1


def sum_up(into: dict[K, int], more: Mapping[K, int] | Iterable[tuple[K, int]]) -> None:
    """Add amounts by key to others."""
    for key, value in more.items() if isinstance(more, Mapping) else more:
        into[key] = into.get(key, 0) + value
