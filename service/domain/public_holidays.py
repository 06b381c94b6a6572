"""Public holidays of a country by the `holidays` library, and what only Russia has.

Transferred days and shortened days before holidays: read from the library's own names (stack.md 8).
"""

import re
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import holidays as holiday_tables

if TYPE_CHECKING:
    from holidays import HolidayBase

_MOVED = re.compile(r"перенесено|\(выходной\)|day off|substituted", re.IGNORECASE)
_EXCHANGED = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})")


@lru_cache(maxsize=64)
def holiday_table(country: str, year: int) -> "HolidayBase":
    """The days off of a year, by date."""
    return holiday_tables.country_holidays(country, years=year, language=_language(country))


def _language(country: str) -> str | None:
    supported = holiday_tables.country_holidays(country).supported_languages
    return "ru" if "ru" in supported else None


@lru_cache(maxsize=64)
def known_country(country: str) -> bool:
    """Whether the `holidays` library knows this country."""
    try:
        holiday_tables.country_holidays(country.upper())
    except NotImplementedError:
        return False
    return True


def is_provisional(country: str, year: int) -> bool:
    """Whether no decree on transferred days is known for the year (Russia only)."""
    if country.upper() != "RU":
        return False
    names = holiday_table("RU", year).values()
    return not any("перенесено" in name for name in names)


def is_shortened(country: str, on: date) -> bool:
    """A Russian working day before a holiday proper, or a working Saturday in such a one's place.

    Source: Labour Code art. 95 as read from the library's own names (stack.md 8).
    """
    if country.upper() != "RU":
        return False
    table = holiday_table("RU", on.year)
    if not table.is_working_day(on):
        return False
    if _is_proper(on + timedelta(days=1)):
        return True
    if on.weekday() < 5:
        return False
    return any(_before_proper(name, on) for name in table.values() if f"{on:%d.%m.%Y}" in name)


def _before_proper(name: str, saturday: date) -> bool:
    """Whether the weekday that a working Saturday was exchanged for stands before a holiday."""
    table = holiday_table("RU", saturday.year)
    for day, text in table.items():
        if text == name and _EXCHANGED.search(text):
            return _is_proper(day + timedelta(days=1))
    return False


def _is_proper(on: date) -> bool:
    name = holiday_table("RU", on.year).get(on)
    return name is not None and not _MOVED.search(name)
