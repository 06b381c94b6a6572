"""Rate limits: so many requests in a window of 60 seconds, counted in this process."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60
MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left: `remaining` requests for `reset` seconds; `ok` False = over the limit."""

    ok: bool
    quota: int
    remaining: int
    reset: int

    def headers(self, policy: str) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` (draft ratelimit-headers); `policy` is the name."""
        return {
            "ratelimit-policy": f'"{policy}";q={self.quota};w={WINDOW_SECONDS}',
            "ratelimit": f'"{policy}";r={self.remaining};t={self.reset}',
        }


class Running:
    """Counts what runs at the same time, by name."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._running: dict[str, int] = {}
        self._lock = threading.Lock()

    def enter(self, name: str) -> bool:
        """One more, if there is room for it."""
        with self._lock:
            count = self._running.get(name, 0)
            if count >= self.most:
                return False
            self._running[name] = count + 1
            return True

    def leave(self, name: str) -> None:
        """One less."""
        with self._lock:
            count = self._running.pop(name) - 1
            if count:
                self._running[name] = count


class Limiter:
    """Counts requests by name (a key id, an address). Windows begin with the first request."""

    def __init__(self, quota: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.quota = quota
        self._monotonic = monotonic
        self._windows: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> Allowance:
        """Count one request of `name`."""
        with self._lock:
            now = self._monotonic()
            begun, used = self._window(name, now)
            self._windows[name] = (begun, used + 1)
            return self._allowance(begun, used + 1, now)

    def look(self, name: str) -> Allowance:
        """How `name` stands, without counting. `ok`: one more would be allowed."""
        with self._lock:
            now = self._monotonic()
            begun, used = self._window(name, now)
            return self._allowance(begun, used + 1, now)

    def _window(self, name: str, now: float) -> tuple[float, int]:
        begun, used = self._windows.get(name, (now, 0))
        if now - begun >= WINDOW_SECONDS:
            begun, used = now, 0
        if name not in self._windows and len(self._windows) >= MOST_NAMES:
            self._windows = {
                key: window
                for key, window in self._windows.items()
                if now - window[0] < WINDOW_SECONDS
            }
        return begun, used

    def _allowance(self, begun: float, used: int, now: float) -> Allowance:
        reset = max(1, round(begun + WINDOW_SECONDS - now))
        return Allowance(used <= self.quota, self.quota, max(0, self.quota - used), reset)
