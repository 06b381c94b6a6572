"""Working time as the department counts it: a loop over days of its own."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

ZONE = ZoneInfo("Europe/Moscow")
BEGIN, END = time(10), time(18)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4)
def _off(year: int) -> object:
    return holidays.country_holidays("RU", years=year)


def is_working(on: date) -> bool:
    """Whether people work on a local date."""
    table = _off(on.year)
    if on in getattr(table, "weekend_workdays", ()):
        return True
    return on.weekday() < 5 and on not in table  # type: ignore[operator]


def _local(on: date, at: time) -> datetime:
    return datetime.combine(on, at, ZONE).astimezone(UTC)


def work_pieces(start: datetime) -> Iterable[tuple[datetime, datetime]]:
    """Working stretches from `start` on, day by day."""
    on = start.astimezone(ZONE).date()
    while True:
        if is_working(on):
            left, right = _local(on, BEGIN), _local(on, END)
            if right > start:
                yield max(left, start), right
        on += timedelta(days=1)


def after_work(start: datetime, seconds: int) -> datetime:
    """The instant at which so much working time is used up."""
    left = seconds
    for begin, end in work_pieces(start):
        length = int((end - begin).total_seconds())
        if left <= length:
            return begin + timedelta(seconds=left)
        left -= length
    raise AssertionError


def after_days(start: datetime, days: int) -> datetime:
    """The same wall-clock time so many working days later."""
    first = next(iter(work_pieces(start)))[0].astimezone(ZONE)
    on, left = first.date(), days
    while left:
        on += timedelta(days=1)
        left -= is_working(on)
    return _local(on, first.timetz().replace(tzinfo=None))
