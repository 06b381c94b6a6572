"""Local days (yyyymmdd) in SQL: civil calendar arithmetic, so no database has to know dates."""

from typing import Any

from sqlalchemy import Integer, case, cast

Element = Any


def quotient(above: Element, below: int) -> Element:
    """Whole division that means the same on both databases."""
    return cast((above - above % below) / below, Integer)


def days(day: Element) -> Element:
    """Yyyymmdd -> days since 1970."""
    month = quotient(day, 100) % 100
    year = quotient(day, 10000) - case((month <= 2, 1), else_=0)
    shifted = month + case((month <= 2, 9), else_=-3)
    in_year = quotient(153 * shifted + 2, 5) + day % 100 - 1
    leaps = quotient(year, 4) - quotient(year, 100) + quotient(year, 400)
    return year * 365 + leaps + in_year - 719468
