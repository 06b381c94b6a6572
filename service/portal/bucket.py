"""A leaky bucket in the portal's own time, so that an accelerated portal allows as much more."""

from service.clock import Clock


class Bucket:
    """Lets `rate` requests a second through, and `burst` at once after a pause."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._level = 0.0
        self._seen = clock.monotonic()

    def take(self) -> bool:
        """Count one request; False: it is over the limit."""
        now = self._clock.monotonic()
        self._level = max(0.0, self._level - (now - self._seen) * self._rate)
        self._seen = now
        if self._level + 1 > self._burst:
            return False
        self._level += 1
        return True
