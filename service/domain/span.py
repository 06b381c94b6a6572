"""Spans of time as rules write them: `15m` `24h` `1d` `30wm` `8wh` `1wd`, also negative.

`m h` are elapsed time, `d` calendar days in the account's zone (same wall-clock time), `wm wh`
working minutes and hours, `wd` working days (same wall-clock time N working days later). Working
time runs forward only. Source: rules.md 1.1, decisions.md 3.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

Unit = Literal["m", "h", "d", "wm", "wh", "wd"]
_FORM = re.compile(r"(-?\d{1,6})(wm|wh|wd|m|h|d)")
_DAY, _CLOCK_CHANGE, _FAR = 86_400, 2 * 3600, -(10**12)
_SECONDS: dict[str, int] = {"m": 60, "h": 3600, "wm": 60, "wh": 3600}


@dataclass(frozen=True, slots=True)
class Span:
    """`count` of `unit`."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Read a span.

        Raises:
            ValueError: the text is none; says what would be right.
        """
        match = _FORM.fullmatch(str(text).strip())
        if match is None:
            msg = f"{text!r} is no span of time; write for example 15m, 24h, 1d, 30wm, 8wh or 5wd"
            raise ValueError(msg)
        found = cls(int(match[1]), cast("Unit", match[2]))
        if found.count < 0 and found.is_working:
            msg = f"{text!r}: a span of working time cannot be negative; write for example -2h"
            raise ValueError(msg)
        return found

    @property
    def is_working(self) -> bool:
        """Whether only working time counts."""
        return self.unit.startswith("w")

    @property
    def seconds(self) -> int:
        """Length in seconds of all but days (ValueError for `d` and `wd`)."""
        if self.unit not in _SECONDS:
            msg = f"{self} has no fixed length"
            raise ValueError(msg)
        return self.count * _SECONDS[self.unit]

    @property
    def at_least(self) -> int:
        """Seconds that surely pass before it is used up, whatever the calendar (0 if negative)."""
        if self.count <= 0:
            return 0 if self.count == 0 else _FAR
        if self.unit == "d":
            return self.count * _DAY - _CLOCK_CHANGE
        if self.unit == "wd":  # kept inside working hours: up to a day earlier
            return max(0, (self.count - 1) * _DAY - _CLOCK_CHANGE)
        return self.seconds

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"
