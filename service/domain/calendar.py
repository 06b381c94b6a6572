"""The work calendar: when people work, and how a span of working time is counted.

Weekly hours, public holidays with transferred days (`holidays` library), own exceptions, absences.
Decisions.md 2 and 3: holidays RU, shortened days only by setting; a start outside working time
moves to the next working instant; a start exactly at the end of work is outside; a span used up
exactly at the end of a working day ends at that instant; `Nwd` is the same wall-clock time N
working days later (if that day is shorter, its end).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from time import gmtime
from zoneinfo import ZoneInfo

from service.domain.instant import Instant
from service.domain.period import at_clock, day_start, local_date, local_day, to_day
from service.domain.public_holidays import holiday_table, is_shortened, known_country
from service.domain.span import Span
from service.errors import ConfigError

Hours = tuple[tuple[int, int], ...]
"""Working pieces of a day as minutes from midnight, e.g. ((600, 1080),)."""

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PIECE = re.compile(r"(\d{1,2}):([0-5]\d)-(\d{1,2}):([0-5]\d)")
_HORIZON_DAYS = 3650
_MEMORY = 100_000
_DAY = 86_400


def parse_hours(text: str, where: str) -> Hours:
    """`10:00-15:00`, several pieces by blanks, or `off`.

    Raises:
        ConfigError: names `where` and what would be right.
    """
    if text.strip().lower() in {"off", "нет", "-"}:
        return ()
    pieces = []
    for part in text.split():
        match = _PIECE.fullmatch(part)
        if match is None:
            raise ConfigError(
                f"{where}: {part!r} is no working time; write for example 10:00-18:00"
            )
        start, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
        if not start < end <= 24 * 60:
            raise ConfigError(f"{where}: {part!r} does not end after it begins")
        pieces.append((start, end))
    if any(before[1] > after[0] for before, after in pairwise(pieces)):
        raise ConfigError(f"{where}: the pieces of {text!r} overlap or are not in order")
    return tuple(pieces)


def parse_week(text: str, where: str = "work.week") -> tuple[Hours, ...]:
    """`mon-fri 10:00-18:00, sat 11:00-15:00` -> hours of Monday to Sunday.

    Raises:
        ConfigError: names `where`; also if there is no working hour in the week.
    """
    week: list[Hours] = [()] * 7
    for part in text.split(","):
        days, _, hours = part.strip().partition(" ")
        first, _, last = days.lower().partition("-")
        if first not in _WEEKDAYS or (last and last not in _WEEKDAYS):
            raise ConfigError(
                f"{where}: {days!r} is no weekday; write for example mon-fri 10:00-18:00"
            )
        begin, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        if end < begin:
            raise ConfigError(f"{where}: {days!r} runs backwards")
        for number in range(begin, end + 1):
            week[number] = parse_hours(hours, where)
    if not any(week):
        raise ConfigError(f"{where}: there is no working hour in the week {text!r}")
    return tuple(week)


@dataclass(frozen=True)
class WorkCalendar:
    """Working time of one seller or account. Immutable; days are computed when asked for."""

    zone: ZoneInfo
    week: tuple[Hours, ...]
    country: str | None = "RU"
    shorten: bool = False
    exceptions: Mapping[date, Hours] = field(default_factory=dict)
    absences: tuple[tuple[date, date], ...] = ()
    _years: dict[int, "_Year"] = field(default_factory=dict, repr=False, compare=False)
    _added: dict[tuple[Instant, Span], Instant] = field(
        default_factory=dict, repr=False, compare=False
    )  # answers of `add`: neighbouring segments and later judgings ask the same again
    _monthtimes: dict[Instant, tuple[int, int]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _months: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    def hours(self, on: date) -> Hours:
        """Working pieces of a local date."""
        if self.reason_off(on) is not None:
            return ()
        if on in self.exceptions:
            return self.exceptions[on]
        base = self.week[on.weekday()]
        if self.country and not base and self._is_working_weekend(on):
            base = next(hours for hours in self.week if hours)
        if self.shorten and base and self.country and is_shortened(self.country, on):
            start, end = base[-1]
            base = (*base[:-1], (start, end - 60)) if end - 60 > start else base[:-1]
        return base

    def reason_off(self, on: date) -> str | None:
        """Why nobody works on a date: `absent`, `off`, `holiday`, `weekend`; None = working."""
        if any(first <= on <= last for first, last in self.absences):
            return "absent"
        if on in self.exceptions:
            return None if self.exceptions[on] else "off"
        works = bool(self.week[on.weekday()])
        is_holiday = bool(self.country) and on in holiday_table(self.country or "", on.year)
        if is_holiday and (works or on.weekday() < 5):
            return "holiday"
        if works:
            return None
        return None if self._is_working_weekend(on) else "weekend"

    def _is_working_weekend(self, on: date) -> bool:
        if not self.country or on.weekday() < 5 or self.week[on.weekday()]:
            return False
        return on in getattr(holiday_table(self.country, on.year), "weekend_workdays", ())

    @property
    def full_day_seconds(self) -> int:
        """Working seconds of the longest weekday, holidays and exceptions apart."""
        return max(sum(end - start for start, end in hours) * 60 for hours in self.week)

    def day_seconds(self, on: date) -> int:
        """Working seconds of a local date."""
        return sum(end - start for start, end in self.hours(on)) * 60

    def is_alike(self, other: "WorkCalendar", first: date, end: date) -> bool:
        """Whether both work alike from a date until another: same hours, nobody absent."""
        absent = (*self.absences, *other.absences)
        return self.week == other.week and not any(a < end and b >= first for a, b in absent)

    def add(self, start: Instant, span: Span) -> Instant:
        """The instant at which `span` is used up, counted from `start`.

        Raises:
            ConfigError: no working time within ten years (an absence without end).
        """
        if span.unit in ("m", "h"):
            return start + span.seconds
        if span.unit == "d":
            return self._same_time(start, local_date(start, self.zone), span.count)
        found = self._added.get((start, span))
        if found is None:
            found = self._add_working(start, span)
            if len(self._added) >= _MEMORY:
                self._added.clear()
            self._added[start, span] = found
        return found

    def _add_working(self, start: Instant, span: Span) -> Instant:
        if span.count < 0:
            raise ConfigError(f"a span of working time cannot be negative: {span}")
        if span.unit == "wd":
            return self._add_working_days(start, span.count)
        return self._add_working_seconds(start, span.seconds)

    def later(self, start: Instant, seconds: int) -> Instant:
        """The instant after so many working seconds."""
        return self._add_working_seconds(start, seconds)

    def working_seconds(self, start: Instant, end: Instant) -> int:
        """Working seconds in `[start, end)`; negative if `end` lies before `start`."""
        if end < start:
            return -self.working_seconds(end, start)
        first, last = self._year_of(start), self._year_of(end)
        spent = self._year(last).until(end) - self._year(first).until(start)
        if first == last:
            return spent
        return spent + sum(self._year(number).before[-1] for number in range(first, last))

    def monthtime(self, at: Instant) -> tuple[int, int]:
        """The local day of an instant, and the working seconds of its local month before it."""
        found = self._monthtimes.get(at)
        if found is None:
            day = local_day(at, self.zone)
            year, month = self._year(day // 10_000), day // 100
            begun = self._months.get(month)
            if begun is None:
                begun = year.until(day_start(month * 100 + 1, self.zone))
                self._months[month] = begun
            found = day, year.until(at) - begun
            if len(self._monthtimes) >= _MEMORY:
                self._monthtimes.clear()
            self._monthtimes[at] = found
        return found

    def next_working(self, at: Instant) -> Instant:
        """`at` if it is working time (the end of work is not), else the next beginning of work."""
        for year in self._years_from(at):
            index = bisect_right(year.ends, at)
            if index < len(year.starts):
                return max(at, year.starts[index])
        raise _no_work()

    def skipped(self, start: Instant, end: Instant) -> list[tuple[Instant, Instant, str]]:
        """Whole local days in `[start, end)` on which nobody works: (from, to, reason)."""
        found: list[tuple[Instant, Instant, str]] = []
        on = local_date(start, self.zone)
        while day_start(to_day(on), self.zone) < end:
            reason = self.reason_off(on)
            if reason is not None:
                left = max(start, day_start(to_day(on), self.zone))
                right = min(end, day_start(to_day(on + timedelta(days=1)), self.zone))
                found.append((left, right, reason))
            on += timedelta(days=1)
        return found

    def _add_working_seconds(self, start: Instant, seconds: int) -> Instant:
        if seconds == 0:
            return self.next_working(start)
        left, at = seconds, start
        for year in self._years_from(start):
            index = bisect_right(year.ends, at)
            if index >= len(year.starts):
                continue
            at = max(at, year.starts[index])
            target = year.before[index] + at - year.starts[index] + left
            if target <= year.before[-1]:
                piece = bisect_left(year.before, target) - 1
                return year.starts[piece] + target - year.before[piece]
            left = target - year.before[-1]
            at = year.ends[-1]
        raise _no_work()

    def _add_working_days(self, start: Instant, days: int) -> Instant:
        begun: tuple[_Year, int, Instant] | None = None  # the day that is counted from
        left = days
        for year in self._years_from(start):
            if begun is None:
                piece = bisect_right(year.ends, start)
                if piece == len(year.starts):
                    continue
                at = max(start, year.starts[piece])
                if days == 0:
                    return at
                begun = (year, bisect_right(year.pieces, piece) - 1, at)
                left += begun[1]
            if left < len(year.days):
                return self._within(*begun, year, left)
            left -= len(year.days)
        raise _no_work()

    def _within(self, begun: "_Year", day: int, at: Instant, year: "_Year", target: int) -> Instant:
        """The wall-clock time of `at` on another working day, kept inside its working hours."""
        if begun.regular[day] and year.regular[target]:
            then = year.midnights[target] + at - begun.midnights[day]
        else:  # a clock is changed on one of them
            clock = datetime.fromtimestamp(at, self.zone).time()
            then = at_clock(date.fromordinal(year.days[target]), clock, self.zone)
        first, after = year.pieces[target], year.pieces[target + 1]
        piece = bisect_left(year.ends, then, first, after)
        return year.ends[after - 1] if piece == after else max(then, year.starts[piece])

    def _same_time(self, start: Instant, on: date, days: int) -> Instant:
        clock = datetime.fromtimestamp(start, self.zone)
        return at_clock(on + timedelta(days=days), clock.time(), self.zone)

    def day_pieces(self, on: date) -> list[tuple[Instant, Instant]]:
        """Working pieces of a local date, as instants."""
        return [(self._at(on, start), self._at(on, end)) for start, end in self.hours(on)]

    def _at(self, on: date, minute: int) -> Instant:
        if minute == 24 * 60:
            return day_start(to_day(on + timedelta(days=1)), self.zone)
        return at_clock(on, time(minute // 60, minute % 60), self.zone)

    def _year_of(self, at: Instant) -> int:
        clock = gmtime(at)
        if 2 < clock.tm_yday < 364:
            return clock.tm_year  # so it is here too, but for the last and first days of a year
        return local_date(at, self.zone).year

    def _years_from(self, at: Instant) -> Iterator["_Year"]:
        first = self._year_of(at)
        yield self._year(first)
        for number in range(first + 1, first + _HORIZON_DAYS // 365 + 1):
            yield self._year(number)

    def _year(self, number: int) -> "_Year":
        year = self._years.get(number)
        if year is None:
            year = self._years[number] = _build_year(number, self.zone, self.day_pieces)
        return year


@dataclass(frozen=True, slots=True)
class _Year:
    """Working pieces of a year.

    `before`: working seconds before each piece (one more); `days`: ordinals of the working days,
    `midnights` their beginnings, `regular` whether they are of 24 hours; `pieces`: the first piece
    of each day (one more).
    """

    starts: list[Instant] = field(default_factory=list)
    ends: list[Instant] = field(default_factory=list)
    before: list[int] = field(default_factory=lambda: [0])
    days: list[int] = field(default_factory=list)
    midnights: list[Instant] = field(default_factory=list)
    regular: list[bool] = field(default_factory=list)
    pieces: list[int] = field(default_factory=lambda: [0])

    def until(self, at: Instant) -> int:
        """Working seconds of the year before an instant."""
        index = bisect_right(self.ends, at)
        if index == len(self.starts):
            return self.before[index]
        return self.before[index] + max(0, at - self.starts[index])


def _build_year(
    number: int, zone: ZoneInfo, day_pieces: Callable[[date], list[tuple[Instant, Instant]]]
) -> _Year:
    year = _Year()
    on = date(number, 1, 1)
    while on.year == number:
        for left, right in day_pieces(on):
            year.starts.append(left)
            year.ends.append(right)
            year.before.append(year.before[-1] + right - left)
        following = on + timedelta(days=1)
        if len(year.starts) > year.pieces[-1]:
            midnight = day_start(to_day(on), zone)
            year.days.append(on.toordinal())
            year.midnights.append(midnight)
            year.regular.append(day_start(to_day(following), zone) - midnight == _DAY)
            year.pieces.append(len(year.starts))
        on = following
    return year


def _no_work() -> ConfigError:
    return ConfigError("work: there is no working time in the next ten years")


def make_calendar(
    zone: ZoneInfo,
    week: str = "mon-fri 10:00-18:00",
    holidays: str = "RU",
    *,
    shorten: bool = False,
    exceptions: Mapping[str, str] | None = None,
    absences: tuple[tuple[date, date], ...] = (),
) -> WorkCalendar:
    """A calendar from the texts of the account settings.

    Raises:
        ConfigError: names the field (`work.week`, `work.holidays`, `work.exceptions...`).
    """
    country = None if holidays.lower() in {"none", "off", ""} else holidays.upper()
    if country and not known_country(country):
        raise ConfigError(f"work.holidays: no calendar of {holidays!r}; write RU or none")
    days: dict[date, Hours] = {}
    for text, hours in (exceptions or {}).items():
        try:
            on = date.fromisoformat(text)
        except ValueError:
            raise ConfigError(f"work.exceptions: {text!r} is no date; write 2026-12-31") from None
        days[on] = parse_hours(hours, f"work.exceptions.{text}")
    return WorkCalendar(zone, parse_week(week), country, shorten, days, absences)
