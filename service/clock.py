"""The only reader of the wall clock.

`DOZOR_CLOCK=<instant>x<speed>[@<unix seconds>]` makes an accelerated clock: at the anchor (the
real instant after `@`, else the start of the process) it shows `<instant>` and runs `speed` times
as fast. The anchor lets several processes share one accelerated time.
"""

import time
from datetime import UTC, datetime, timedelta

MOST_SPEED = 100_000


class Clock:
    """Tells the instant (aware UTC) and how fast its time runs."""

    def __init__(
        self, start: datetime | None = None, speed: float = 1.0, anchor: float | None = None
    ) -> None:
        self.speed = speed
        self._start = start
        self._anchor = time.time() if anchor is None else anchor

    @classmethod
    def parse(cls, text: str | None) -> "Clock":
        """Read `<instant>x<speed>[@<unix seconds>]`; None or empty is real time.

        Raises:
            ValueError: the text is not of this form, or the instant has no zone.
        """
        if not text:
            return cls()
        moment, _, rest = text.rpartition("x")
        speed, _, anchor = rest.partition("@")
        try:
            start = datetime.fromisoformat(moment)
            factor, began = float(speed), float(anchor) if anchor else None
        except ValueError:
            msg = f"{text!r} must be <instant>x<speed>, for example 2026-03-02T07:00:00Zx600"
            raise ValueError(msg) from None
        if start.tzinfo is None:
            msg = f"{moment!r} has no time zone; write for example 2026-03-02T07:00:00Z"
            raise ValueError(msg)
        if not 0 < factor <= MOST_SPEED:
            msg = f"the speed must be above 0 and at most {MOST_SPEED}, not {speed}"
            raise ValueError(msg)
        if not 1970 <= start.year < 2200 or (began is not None and not 0 <= began < 1 << 33):
            msg = f"{text!r} is out of range"
            raise ValueError(msg)
        return cls(start.astimezone(UTC), factor, began)

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        if self._start is None:
            return datetime.now(UTC)
        return self._start + timedelta(seconds=(time.time() - self._anchor) * self.speed)

    def timestamp(self) -> float:
        """The present instant in seconds since 1970."""
        if self._start is None:
            return time.time()
        return self._start.timestamp() + (time.time() - self._anchor) * self.speed

    def real_seconds(self, span: timedelta) -> float:
        """How many real seconds `span` of this clock's time takes."""
        return span.total_seconds() / self.speed

    def monotonic(self) -> float:
        """Seconds that only grow, running at this clock's speed: for limits and pauses."""
        return time.monotonic() * self.speed
