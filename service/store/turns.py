"""Turns: threads of a process do one thing at a time, in the order they came.

Writers of one SQLite file take turns, and those who work on one account.
SQLite's own waiting is a lottery of growing pauses: of several threads that write all the time, one
may wait for seconds. Processes still wait for each other SQLite's way.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is handed to whoever waits longest; `urgent` goes before all who wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._is_taken = False

    @contextmanager
    def turn(self, *, urgent: bool = False) -> Iterator[None]:
        """Wait for the turn and keep it. Not reentrant."""
        self._enter(urgent)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, urgent: bool) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            if urgent:
                self._line.appendleft(mine)
            else:
                self._line.append(mine)
        mine.acquire()

    def _leave(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().release()
            else:
                self._is_taken = False


_TURNS: dict[str, Turns] = {}


def turns_of(path: str) -> Turns:
    """The turns of a database file."""
    return _TURNS.setdefault(path, Turns())
