"""Bitrix24's second limit: the seconds that a method has worked for us in the last ten minutes.

The vendor's example allows 480 (bitrix24.md 2.2); over it the method answers 429 until
`operating_reset_at`. From 60 % on a method is called with pauses four times as long as its work,
which holds it at a fifth of the time; near the end it waits for its reset.
"""

from collections.abc import Mapping
from typing import Any

LIMIT_SECONDS = 480.0
SLOW_FROM = 0.6
STOP_FROM = 0.95
REST_FACTOR = 4.0
LONGEST_PAUSE = 60.0


class Operating:
    """What each method has used up, by its last answer."""

    def __init__(self) -> None:
        self._pauses: dict[str, float] = {}

    def note(self, method: str, time: Any) -> None:
        """Take in `time` of an answer; on premises `operating` is missing: no limit."""
        if not isinstance(time, Mapping):
            return
        used, work = _number(time.get("operating")), _number(time.get("processing"))
        if used >= LIMIT_SECONDS * STOP_FROM:
            until = _number(time.get("operating_reset_at")) - _number(time.get("finish"))
            self._pauses[method] = min(max(until, 1.0), LONGEST_PAUSE)
        elif used >= LIMIT_SECONDS * SLOW_FROM:
            self._pauses[method] = min(max(work, 0.1) * REST_FACTOR, LONGEST_PAUSE)
        else:
            self._pauses.pop(method, None)

    def pause(self, *methods: str) -> float:
        """Seconds to wait before these methods are called."""
        return max((self._pauses.get(method, 0.0) for method in methods), default=0.0)


def _number(value: Any) -> float:
    """A number that may be missing or text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
