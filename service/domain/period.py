"""Days, weeks, months, quarters and years, cut in an account's time zone. Nothing else cuts them.

A `day` is a local date as the number yyyymmdd. Weeks are ISO weeks (Monday). Periods are written
`2026`, `2026-Q4`, `2026-11`, `2026-W48`, `2026-11-23` (api.md 1).
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from service.domain.instant import Instant

Grain = Literal["day", "week", "month", "quarter", "year"]
GRAINS: tuple[str, ...] = get_args(Grain)
_FORMS = (
    ("day", re.compile(r"(\d{4})-(\d{2})-(\d{2})")),
    ("week", re.compile(r"(\d{4})-W(\d{2})")),
    ("quarter", re.compile(r"(\d{4})-Q([1-4])")),
    ("month", re.compile(r"(\d{4})-(\d{2})")),
    ("year", re.compile(r"(\d{4})")),
)


def to_day(on: date) -> int:
    """20261123 for 2026-11-23."""
    return on.year * 10000 + on.month * 100 + on.day


def to_date(day: int) -> date:
    """2026-11-23 for 20261123."""
    return date(day // 10000, day // 100 % 100, day % 100)


@lru_cache(maxsize=4096)
def day_start(day: int, zone: ZoneInfo) -> Instant:
    """The instant at which a local day begins (its first existing second)."""
    start = datetime.combine(to_date(day), time(), zone)
    return int(start.astimezone(UTC).timestamp())


def at_clock(on: date, clock: time, zone: ZoneInfo) -> Instant:
    """When the clock first shows this time on a day; `fold=1`: the second time, if there are two.

    A time that a change of clocks leaves out comes when the clocks are changed.
    """
    first, second = (
        int(datetime.combine(on, clock.replace(fold=fold), zone).timestamp()) for fold in (0, 1)
    )
    if first <= second:
        return second if clock.fold else first
    new = datetime.fromtimestamp(first, zone).utcoffset()
    left, right = second, first  # before the change, and after it
    while right - left > 1:
        middle = (left + right) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == new:
            right = middle
        else:
            left = middle
    return right


def local_day(instant: Instant, zone: ZoneInfo) -> int:
    """The local date of an instant, as yyyymmdd."""
    starts, days = _days(zone, instant // 31_536_000)
    return days[bisect_right(starts, instant) - 1]


def local_date(instant: Instant, zone: ZoneInfo) -> date:
    """The local date of an instant."""
    return to_date(local_day(instant, zone))


@lru_cache(maxsize=256)
def _days(zone: ZoneInfo, block: int) -> tuple[list[int], list[int]]:
    """Starts of all local days that touch a block of 365 days since 1970."""
    first = datetime.fromtimestamp(block * 31_536_000, UTC).date() - timedelta(days=2)
    days = [to_day(first + timedelta(days=n)) for n in range(370)]
    return [day_start(day, zone) for day in days], days


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar period; `first` and `last` are local dates, both inclusive."""

    first: date
    last: date
    grain: Grain

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read `2026`, `2026-Q4`, `2026-11`, `2026-W48` or `2026-11-23`.

        Raises:
            ValueError: the text is none of these.
        """
        for grain, form in _FORMS:
            match = form.fullmatch(text)
            if match:
                try:
                    return _build(grain, [int(part) for part in match.groups()])
                except ValueError:
                    break
        msg = f"{text!r} is no period; write 2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23"
        raise ValueError(msg)

    @classmethod
    def around(cls, on: date, grain: Grain) -> "Period":
        """The period of this grain that contains a date."""
        if grain == "day":
            return cls(on, on, grain)
        if grain == "week":
            first = on - timedelta(days=on.weekday())
            return cls(first, first + timedelta(days=6), grain)
        months = {"month": 1, "quarter": 3, "year": 12}[grain]
        first = on.replace(month=(on.month - 1) // months * months + 1, day=1)
        return cls(first, _add_months(first, months) - timedelta(days=1), grain)

    @property
    def name(self) -> str:
        """How the period is written."""
        if self.grain == "day":
            return self.first.isoformat()
        if self.grain == "week":
            iso = self.first.isocalendar()
            return f"{iso.year}-W{iso.week:02d}"
        if self.grain == "month":
            return f"{self.first:%Y-%m}"
        if self.grain == "quarter":
            return f"{self.first.year}-Q{(self.first.month + 2) // 3}"
        return f"{self.first.year}"

    def next(self) -> "Period":
        """The period after this one."""
        return Period.around(self.last + timedelta(days=1), self.grain)

    def previous(self) -> "Period":
        """The period before this one."""
        return Period.around(self.first - timedelta(days=1), self.grain)

    def start(self, zone: ZoneInfo) -> Instant:
        """First instant."""
        return day_start(to_day(self.first), zone)

    def end(self, zone: ZoneInfo) -> Instant:
        """First instant after the period."""
        return day_start(to_day(self.last + timedelta(days=1)), zone)


def periods(first: date, last: date, grain: Grain) -> list[Period]:
    """All periods that touch `[first, last]`, in order (whole ones, not cut)."""
    found = [Period.around(first, grain)]
    while found[-1].last < last:
        found.append(found[-1].next())
    return found


def _build(grain: str, parts: list[int]) -> Period:
    if grain == "day":
        return Period.around(date(*parts), "day")
    if grain == "week":
        return Period.around(date.fromisocalendar(parts[0], parts[1], 1), "week")
    if grain == "quarter":
        return Period.around(date(parts[0], parts[1] * 3, 1), "quarter")
    if grain == "month":
        return Period.around(date(parts[0], parts[1], 1), "month")
    return Period.around(date(parts[0], 1, 1), "year")


def _add_months(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)
