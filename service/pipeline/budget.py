"""One rate limit a portal, shared by all processes: requests are reserved in the database.

A reservation moves `busy_until` on by what the request takes of the limit, and waits as long as the
bucket would run over; a pause that the portal asked for holds everybody. At real speed each request
is reserved; an accelerated clock (demo) reserves a fifth of a second at once.
"""

import threading

from service.clock import Clock
from service.store import budgets
from service.store.engine import transaction
from service.store.handles import Engine

_MICRO = 1_000_000
_BLOCK_SECONDS = 0.2  # real


class SharedLimiter:
    """Implements `http.Limiter` over the database."""

    def __init__(
        self, engine: Engine, clock: Clock, portal: str, rate: float, burst: float
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._portal = portal
        self._rate = rate
        self._burst = burst
        self._block = max(1, int(rate * clock.speed * _BLOCK_SECONDS))
        self._left = 0
        self._paused_until = 0.0  # of this process: a block reserved before the pause is not used
        self._lock = threading.Lock()

    def take(self) -> float:
        """Reserve one request; the real seconds to wait before it."""
        with self._lock:
            now = self._clock.timestamp()
            if self._left > 0:
                self._left -= 1
                return self.real(max(0.0, self._paused_until - now))
            cost = int(self._block / self._rate * _MICRO)
            with transaction(self._engine) as connection:
                busy, paused = budgets.reserve(connection, self._portal, int(now * _MICRO), cost)
            self._left = self._block - 1
            self._paused_until = paused / _MICRO
            over = busy / _MICRO - now - max(self._burst, self._block) / self._rate
            return self.real(max(0.0, round(over, 5), self._paused_until - now))

    def pause(self, seconds: float) -> None:
        """Nobody sends anything before the end of the pause."""
        until = self._clock.timestamp() + seconds
        with self._lock:
            self._left = 0
            self._paused_until = max(self._paused_until, until)
        with transaction(self._engine) as connection:
            full = int(self._burst / self._rate * _MICRO)
            budgets.pause(connection, self._portal, int(until * _MICRO), full)

    def paused(self) -> float:
        """How much is left of the last pause that this process knows of, in the clock's seconds."""
        return max(0.0, self._paused_until - self._clock.timestamp())

    def real(self, seconds: float) -> float:
        """How many real seconds a span of the portal's time takes."""
        return seconds / self._clock.speed
