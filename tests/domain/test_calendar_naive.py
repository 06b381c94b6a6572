"""The work calendar against one that walks minute by minute and knows nothing of it.

Only the list of days off is read from the same library; hours, breaks, exceptions, absences,
shortened days and changes of clocks are worked out here from the settings' own words.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.calendar import WorkCalendar, make_calendar
from service.domain.span import Span

MINUTE = 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORT = {  # working days before a holiday, and working Saturdays in such a one's place
    "2024-02-22", "2024-03-07", "2024-05-08", "2024-06-11", "2024-11-02",
    "2025-03-07", "2025-04-30", "2025-06-11", "2025-11-01",
    "2026-04-30", "2026-05-08", "2026-06-11", "2026-11-03",
    "2027-02-20", "2027-04-30", "2027-06-11", "2027-11-03",
}  # fmt: skip
TRANSFERRED = {
    2024: (
        "2024-04-29 2024-04-30 2024-05-10 2024-12-30 2024-12-31",
        "2024-04-27 2024-11-02 2024-12-28",
    ),
    2025: ("2025-05-02 2025-05-08 2025-06-13 2025-11-03 2025-12-31", "2025-11-01"),
    2026: ("2026-01-09 2026-03-09 2026-05-11 2026-12-31", ""),
    2027: ("2027-02-22 2027-05-03 2027-05-10 2027-06-14 2027-11-05 2027-12-31", "2027-02-20"),
}  # fmt: skip
HORIZON = 40  # days that the reference looks ahead


class Work(NamedTuple):
    """The settings of a calendar."""

    zone: str
    week: str
    country: str
    shorten: bool
    exceptions: tuple[tuple[str, str], ...]
    absences: tuple[tuple[str, str], ...]


def calendar_of(work: Work) -> WorkCalendar:
    away = tuple((date.fromisoformat(a), date.fromisoformat(b)) for a, b in work.absences)
    return make_calendar(
        ZoneInfo(work.zone), work.week, work.country, shorten=work.shorten,
        exceptions=dict(work.exceptions), absences=away,
    )  # fmt: skip


# --- the reference: hours of a day ----------------------------------------------------------------


@lru_cache
def table(country: str, year: int) -> Any:
    return holidays.country_holidays(country, years=year)


def pieces_of(text: str) -> list[tuple[int, int]]:
    if text == "off":
        return []
    found = []
    for piece in text.split():
        first, last = piece.split("-")
        found.append((clock(first), clock(last)))
    return found


def clock(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def week_of(text: str) -> dict[str, list[tuple[int, int]]]:
    week: dict[str, list[tuple[int, int]]] = {}
    for part in text.split(", "):
        days, hours = part.split(" ", 1)
        names = days.split("-")
        begin, end = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
        week |= {name: pieces_of(hours) for name in WEEKDAYS[begin : end + 1]}
    return week


def hours(work: Work, on: date) -> tuple[list[tuple[int, int]], str]:
    """Pieces of work in minutes of the day; else why there are none."""
    text = on.isoformat()
    if any(first <= text <= last for first, last in work.absences):
        return [], "absent"
    if text in dict(work.exceptions):
        return pieces_of(dict(work.exceptions)[text]), "off"
    week = week_of(work.week)
    pieces = week.get(WEEKDAYS[on.weekday()], [])
    if work.country != "none":
        known = table(work.country, on.year)
        if on in known and (pieces or on.weekday() < 5):
            return [], "holiday"
        if not pieces and on.weekday() >= 5 and on in getattr(known, "weekend_workdays", ()):
            pieces = next(week[name] for name in WEEKDAYS if week.get(name))
    if pieces and work.shorten and work.country == "RU" and text in SHORT:
        start, end = pieces[-1]
        pieces = [*pieces[:-1], *([(start, end - 60)] if end - 60 > start else [])]
    return pieces, "weekend"


class Minute(NamedTuple):
    """A minute of real time on a local day."""

    at: int
    wall: int  # minutes from midnight that the clock shows
    works: bool


@lru_cache(maxsize=20_000)
def day(work: Work, on: date) -> tuple[Minute, ...]:
    """All minutes of a local day; work begins and ends when the clock first shows its time."""
    zone = ZoneInfo(work.zone)
    pieces, _ = hours(work, on)
    noon = int(datetime(on.year, on.month, on.day, 12, tzinfo=zone).timestamp())
    found: list[Minute] = []
    for at in range(noon - 15 * 3600, noon + 15 * 3600, MINUTE):
        local = datetime.fromtimestamp(at, zone)
        if local.date() == on:
            found.append(Minute(at, local.hour * 60 + local.minute, works=False))
    begun = 0
    for number, minute in enumerate(found):
        begun = max(begun, minute.wall)  # the furthest that the clock has shown today
        works = any(start <= begun < end for start, end in pieces)
        found[number] = minute._replace(works=works)
    return tuple(found)


def walk(work: Work, start: int, days: int = HORIZON) -> Iterator[Minute]:
    on = datetime.fromtimestamp(start, ZoneInfo(work.zone)).date()
    for number in range(days):
        for minute in day(work, on + timedelta(days=number)):
            if minute.at >= start:
                yield minute


def next_working(work: Work, start: int) -> int | None:
    return next((minute.at for minute in walk(work, start) if minute.works), None)


def add(work: Work, start: int, span: Span) -> int | None:
    """The instant at which a span is used up; None = beyond the horizon."""
    if span.unit == "m":
        return start + span.count * MINUTE
    if span.unit == "h":
        return start + span.count * 60 * MINUTE
    if span.unit == "d":
        return add_days(work, start, span.count)
    begun = next_working(work, start)
    if begun is None or span.count == 0:
        return begun
    if span.unit == "wd":
        return add_working_days(work, begun, span.count)
    left = span.count * (60 if span.unit == "wh" else 1)
    for minute in walk(work, begun):
        left -= minute.works
        if left == 0:
            return minute.at + MINUTE
    return None


def add_days(work: Work, start: int, count: int) -> int:
    """The same time on the clock some days later; if it is left out: when the clocks change."""
    local = datetime.fromtimestamp(start, ZoneInfo(work.zone))
    if count == 0:
        return start
    wanted = local.hour * 60 + local.minute
    target = local.date() + timedelta(days=count)
    return next(minute.at for minute in day(work, target) if minute.wall >= wanted)


def add_working_days(work: Work, begun: int, count: int) -> int | None:
    """The same time on the clock, inside the hours of the day; its end counts as inside."""
    local = datetime.fromtimestamp(begun, ZoneInfo(work.zone))
    wanted, on = local.hour * 60 + local.minute, local.date()
    for _ in range(HORIZON):
        on += timedelta(days=1)
        minutes = day(work, on)
        count -= any(minute.works for minute in minutes)
        if count == 0:
            break
    else:
        return None
    for number, minute in enumerate(minutes):
        ends = number > 0 and minutes[number - 1].works
        if minute.wall >= wanted and (minute.works or ends):
            return minute.at
    last = max(minute.at for minute in minutes if minute.works)
    return last + MINUTE


# --- the two side by side -------------------------------------------------------------------------

ZONES = ("Europe/Berlin", "Europe/Moscow", "America/New_York", "Asia/Almaty")
WEEKS = (
    "mon-fri 10:00-18:00",
    "mon-fri 09:00-13:00 14:00-18:00",
    "mon-sat 09:00-12:00 12:30-15:00 15:15-20:00",
    "mon-thu 08:30-17:15, fri 08:30-16:00, sat 10:00-11:00",
    "sat-sun 22:00-24:00",
    "mon-sun 00:00-24:00",
    "tue-sun 01:00-05:00",
    "mon-sun 02:30-03:30 23:15-24:00",
)
CENTRES = (  # nights of changed clocks, transferred and shortened days
    "2024-02-29", "2024-03-10", "2024-03-31", "2024-04-28", "2024-10-27", "2024-11-03",
    "2024-12-29", "2025-03-30", "2025-11-01", "2025-12-31", "2026-01-08", "2026-03-08",
    "2026-03-29", "2026-05-08", "2026-10-25", "2026-11-01", "2027-02-20", "2027-05-02",
)  # fmt: skip


@st.composite
def works(draw: Any) -> tuple[Work, date]:
    centre = date.fromisoformat(draw(st.sampled_from(CENTRES)))
    near = st.integers(-8, 8).map(lambda n: (centre + timedelta(days=n)).isoformat())
    hours_of = st.sampled_from(["off", "10:00-15:00", "02:15-02:45", "00:00-24:00"])
    away = draw(st.lists(st.tuples(near, st.integers(0, 5)), max_size=2))
    absences = tuple(
        (first, (date.fromisoformat(first) + timedelta(days=n)).isoformat()) for first, n in away
    )
    work = Work(
        draw(st.sampled_from(ZONES)),
        draw(st.sampled_from(WEEKS)),
        draw(st.sampled_from(["RU", "RU", "DE", "US", "none"])),
        draw(st.booleans()),
        tuple(sorted(draw(st.dictionaries(near, hours_of, max_size=3)).items())),
        absences,
    )
    return work, centre


def start_in(work: Work, centre: date, minutes: int) -> int:
    midnight = datetime(centre.year, centre.month, centre.day, tzinfo=ZoneInfo(work.zone))
    return int(midnight.timestamp()) + minutes * MINUTE


spans = st.one_of(
    st.builds(Span, st.integers(0, 4000), st.sampled_from(["m", "wm"])),
    st.builds(Span, st.integers(0, 60), st.sampled_from(["h", "wh"])),
    st.builds(Span, st.integers(0, 9), st.sampled_from(["d", "wd"])),
)
NEAR = st.integers(-5 * 1440, 5 * 1440) | st.integers(-120, 360)


@settings(max_examples=250)
@given(works(), NEAR, spans)
def test_span_is_used_up_when_the_minutes_are(
    drawn: tuple[Work, date], minutes: int, span: Span
) -> None:
    work, centre = drawn
    start = start_in(work, centre, minutes)
    expected = add(work, start, span)
    if expected is not None:
        assert calendar_of(work).add(start, span) == expected


@settings(max_examples=150)
@given(works(), NEAR, st.integers(0, 12 * 1440))
def test_working_time_is_the_count_of_working_minutes(
    drawn: tuple[Work, date], minutes: int, length: int
) -> None:
    work, centre = drawn
    start = start_in(work, centre, minutes)
    end = start + length * MINUTE
    counted = 0
    for minute in walk(work, start):
        if minute.at >= end:
            break
        counted += minute.works
    calendar = calendar_of(work)
    assert calendar.working_seconds(start, end) == counted * MINUTE
    assert calendar.working_seconds(end, start) == -counted * MINUTE


@settings(max_examples=150)
@given(works(), NEAR)
def test_next_working_minute(drawn: tuple[Work, date], minutes: int) -> None:
    work, centre = drawn
    start = start_in(work, centre, minutes)
    expected = next_working(work, start)
    if expected is not None:
        assert calendar_of(work).next_working(start) == expected


@settings(max_examples=100)
@given(works(), NEAR, st.integers(1, 12 * 1440))
def test_skipped_days_are_those_without_a_working_minute(
    drawn: tuple[Work, date], minutes: int, length: int
) -> None:
    work, centre = drawn
    start = start_in(work, centre, minutes)
    end = start + length * MINUTE
    expected: list[tuple[int, int, str]] = []
    on = datetime.fromtimestamp(start, ZoneInfo(work.zone)).date()
    while day(work, on)[0].at < end:
        pieces, reason = hours(work, on)
        inside = [m.at for m in day(work, on) if start <= m.at < end]
        if not pieces and inside and reason:
            expected.append((inside[0], inside[-1] + MINUTE, reason))
        on += timedelta(days=1)
    assert calendar_of(work).skipped(start, end) == expected


@pytest.mark.parametrize(
    ("zone", "night"),
    [
        ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
        ("Asia/Almaty", "2024-02-29"), ("Europe/Moscow", "2026-03-29"),
    ],
)  # fmt: skip
def test_every_quarter_of_an_hour_around_a_change_of_clocks(zone: str, night: str) -> None:
    on = date.fromisoformat(night)
    texts = ("0wm", "20wm", "100wm", "3wh", "9wh", "1d", "2d", "1wd", "2wd")
    for week in ("mon-sun 01:00-05:00", "mon-sun 02:30-03:30 23:15-24:00", "mon-sun 00:00-02:15"):
        work = Work(zone, week, "none", shorten=False, exceptions=(), absences=())
        calendar = calendar_of(work)
        for quarter in [n for n in range(-6 * 4, 30 * 4) if n % 96 in range(-8, 20)]:
            start = start_in(work, on - timedelta(days=1), quarter * 15)
            for text in texts:
                span = Span.parse(text)
                assert calendar.add(start, span) == add(work, start, span), (week, quarter, text)
            end = start + 20 * 3600
            counted = sum(m.works for m in walk(work, start, 3) if m.at < end)
            assert calendar.working_seconds(start, end) == counted * MINUTE, (week, quarter)


def test_working_day_that_ends_where_a_break_begins() -> None:
    work = Work(
        "Europe/Moscow", "mon-fri 09:00-13:00 14:00-18:00", "none", shorten=False,
        exceptions=(("2026-03-02", "10:00-15:00"), ("2026-03-04", "off")), absences=(),
    )  # fmt: skip
    for minutes in range(0, 1440, 5):
        start = start_in(work, date(2026, 3, 2), minutes)
        for span in (Span(1, "wd"), Span(2, "wd")):
            assert calendar_of(work).add(start, span) == add(work, start, span), minutes


@pytest.mark.parametrize("year", sorted(TRANSFERRED))
def test_transferred_days_off_and_working_saturdays_are_those_of_the_decree(year: int) -> None:
    work = Work("Europe/Moscow", "mon-fri 10:00-18:00", "RU", False, (), ())
    calendar = calendar_of(work)
    off, on = (text.split() for text in TRANSFERRED[year])
    for text in off:
        assert calendar.reason_off(date.fromisoformat(text)) == "holiday", text
    first = date(year, 1, 1)
    saturdays = [first + timedelta(days=n) for n in range(366)]
    found = [
        d.isoformat()
        for d in saturdays
        if d.year == year and d.weekday() >= 5 and calendar.hours(d)
    ]
    assert found == on


def test_public_holiday_on_a_saturday_is_off_also_where_saturdays_are_worked() -> None:
    calendar = make_calendar(ZoneInfo("Europe/Moscow"), "mon-sat 10:00-18:00")
    assert calendar.reason_off(date(2026, 5, 9)) == "holiday"
    assert calendar.reason_off(date(2026, 5, 16)) is None
    assert make_calendar(ZoneInfo("Europe/Moscow")).reason_off(date(2026, 5, 9)) == "weekend"
