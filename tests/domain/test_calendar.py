"""The Russian work calendar, and working time against a slow minute-by-minute reference."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.calendar import make_calendar, parse_hours, parse_week
from service.domain.public_holidays import is_provisional, is_shortened
from service.domain.span import Span
from service.errors import ConfigError

MOSCOW = ZoneInfo("Europe/Moscow")
CALENDAR = make_calendar(MOSCOW)


def at(text: str, zone: ZoneInfo = MOSCOW) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).timestamp())


def days(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [d for n in range(366) if (d := first + timedelta(days=n)).year == year]


@pytest.mark.parametrize(
    ("start", "span", "end"),
    [
        ("2026-03-02 12:00", "5wd", "2026-03-10 12:00"),
        ("2026-03-06 16:00", "1wd", "2026-03-10 16:00"),
        ("2026-03-02 17:30", "1wh", "2026-03-03 10:30"),
        ("2026-03-02 17:45", "30wm", "2026-03-03 10:15"),
        ("2026-03-02 17:00", "1wh", "2026-03-02 18:00"),
        ("2026-03-02 18:00", "1wh", "2026-03-03 11:00"),
        ("2026-03-02 20:00", "1wd", "2026-03-04 10:00"),
        ("2026-03-07 12:00", "1wh", "2026-03-10 11:00"),
        ("2026-03-02 12:00", "24h", "2026-03-03 12:00"),
        ("2026-03-02 12:00", "15m", "2026-03-02 12:15"),
        ("2026-03-02 12:00", "7d", "2026-03-09 12:00"),
    ],
)
def test_span_from_a_start(start: str, span: str, end: str) -> None:
    assert CALENDAR.add(at(start), Span.parse(span)) == at(end)


@pytest.mark.parametrize(("year", "count"), [(2024, 248), (2025, 247), (2026, 247), (2027, 247)])
def test_working_days_of_a_year(year: int, count: int) -> None:
    assert sum(1 for day in days(year) if CALENDAR.hours(day)) == count


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (2024, "02-22 03-07 05-08 06-11 11-02"),
        (2025, "03-07 04-30 06-11 11-01"),
        (2026, "04-30 05-08 06-11 11-03"),
        (2027, "02-20 04-30 06-11 11-03"),
    ],
)
def test_shortened_days(year: int, expected: str) -> None:
    found = [f"{day:%m-%d}" for day in days(year) if is_shortened("RU", day)]
    assert " ".join(found) == expected


def test_shortened_days_are_full_unless_asked_for() -> None:
    day = date(2026, 4, 30)
    assert CALENDAR.day_seconds(day) == 8 * 3600
    assert make_calendar(MOSCOW, shorten=True).day_seconds(day) == 7 * 3600


def test_transferred_days_off_and_working_saturday() -> None:
    for text in ("2024-04-29", "2025-05-02", "2026-01-09", "2026-03-09", "2026-12-31"):
        assert not CALENDAR.hours(date.fromisoformat(text)), text
    assert CALENDAR.hours(date(2025, 11, 1))


def test_year_without_a_decree_is_provisional() -> None:
    assert not is_provisional("RU", 2026)
    assert is_provisional("RU", 2035)


def test_absence_is_skipped_and_named() -> None:
    away = make_calendar(MOSCOW, absences=((date(2026, 3, 3), date(2026, 3, 5)),))
    assert away.add(at("2026-03-02 12:00"), Span.parse("1wd")) == at("2026-03-06 12:00")
    reasons = [
        reason for _, _, reason in away.skipped(at("2026-03-02 12:00"), at("2026-03-10 12:00"))
    ]
    assert reasons == ["absent"] * 3 + ["weekend"] * 2 + ["holiday"]


def test_same_wall_clock_time_over_a_dst_night() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = make_calendar(berlin, holidays="none")
    start = at("2026-03-27 12:00", berlin)
    assert calendar.add(start, Span.parse("1wd")) == at("2026-03-30 12:00", berlin)
    assert calendar.add(start, Span.parse("8wh")) == at("2026-03-30 12:00", berlin)
    assert calendar.add(start, Span.parse("3d")) - start == 71 * 3600


WEEKS = ("mon-fri 10:00-18:00", "mon-sat 09:00-13:00 14:00-18:00", "sat-sun 22:00-24:00")


@given(
    week=st.sampled_from(WEEKS),
    start=st.integers(at("2026-02-20 00:00"), at("2026-04-10 00:00")),
    minutes=st.integers(1, 2000),
    zone=st.sampled_from(["Europe/Moscow", "Europe/Berlin", "Asia/Vladivostok"]),
)
def test_working_minutes_agree_with_counting_them(
    week: str, start: int, minutes: int, zone: str
) -> None:
    calendar = make_calendar(ZoneInfo(zone), week)
    start -= start % 60
    end = calendar.add(start, Span(minutes, "wm"))
    counted = 0
    moment = start
    while counted < minutes:
        local = datetime.fromtimestamp(moment, ZoneInfo(zone))
        minute = local.hour * 60 + local.minute
        counted += any(a <= minute < b for a, b in calendar.hours(local.date()))
        moment += 60
    assert end == moment
    assert calendar.working_seconds(start, end) == minutes * 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10-18", "work.week"),
        ("mon-fri 18:00-10:00", "does not end after it begins"),
        ("fri-mon 10:00-18:00", "runs backwards"),
        ("mon-fri off", "no working hour"),
    ],
)
def test_wrong_week_names_the_field(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_week(text)


def test_overlapping_hours_are_refused() -> None:
    with pytest.raises(ConfigError, match="overlap"):
        parse_hours("10:00-13:00 12:00-18:00", "work.exceptions")


def test_calendar_without_working_time_is_an_error_not_a_loop() -> None:
    away = make_calendar(MOSCOW, absences=((date(2020, 1, 1), date(2060, 1, 1)),))
    with pytest.raises(ConfigError, match="no working time"):
        away.add(at("2026-03-02 12:00"), Span.parse("1wh"))
