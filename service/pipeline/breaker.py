"""A portal that does not answer is left alone for a while, so that it holds nobody up."""

import threading
from collections.abc import Callable

from service.clock import Clock

AGAIN_SECONDS = 60.0
PAUSES = (5.0, 15.0, 60.0, 120.0)  # seconds of the portal's time


class Breaker:
    """Which accounts' portals are down, as far as this process has seen.

    `told(account, pause, why)` is called with seconds and a sentence when a portal did not answer,
    with 0 when it answers: at once, and every minute (another process may have found it down).
    """

    def __init__(self, clock: Clock, told: Callable[[str, int, str], None] | None = None) -> None:
        self._clock = clock
        self._told = told or (lambda _account_id, _pause, _why: None)
        self._well: dict[str, float] = {}  # when it was last told
        self._down: dict[str, tuple[int, float]] = {}  # failures, until when
        self._lock = threading.Lock()

    def is_open(self, account_id: str) -> bool:
        """Whether the portal is not to be asked now."""
        known = self._down.get(account_id)
        return known is not None and self._clock.monotonic() < known[1]

    def failed(self, account_id: str, why: object = "") -> None:
        """The portal did not answer."""
        with self._lock:
            failures = self._down.get(account_id, (0, 0.0))[0]
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            self._down[account_id] = (failures + 1, self._clock.monotonic() + pause)
            self._well.pop(account_id, None)
        self._told(account_id, int(pause), str(why))

    def answered(self, account_id: str) -> None:
        """The portal answers."""
        with self._lock:
            self._down.pop(account_id, None)
            now = self._clock.monotonic()
            if now - self._well.get(account_id, float("-inf")) < AGAIN_SECONDS:
                return
        self._told(account_id, 0, "")
        with self._lock:
            self._well[account_id] = now
