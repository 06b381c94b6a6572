"""Instants inside the core are whole seconds since 1970 (UTC), as both CRMs tell them.

An `Instant` never stands for a wall-clock time without a zone. Aware datetimes appear at the edges
(API, texts, adapters that parse ISO dates); days are cut by `domain/period.py` only.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import TypeAlias

Instant: TypeAlias = int
FOREVER: Instant = 1 << 62
_EPOCH = date(1970, 1, 1).toordinal()
_ENDS = tuple(f"{second // 60:02}:{second % 60:02}Z" for second in range(3600))
_MOST_KEPT = 10_000


class Texts(dict[int, str]):
    """A text for each number, made once; all are forgotten when they have become many."""

    def __init__(self, make: Callable[[int], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> str:
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[number] = made = self._make(number)
        return made


class IsoTexts:
    """`iso` of many instants, put together from known hours; `nothing` stands for None."""

    def __init__(self, nothing: str | None) -> None:
        self._nothing = nothing
        self._hours = Texts(lambda hour: f"{_day(hour // 24)}T{hour % 24:02}:")

    def of(self, instants: Iterable[Instant | None]) -> list[str | None]:
        """The texts."""
        nothing, hours, ends = self._nothing, self._hours, _ENDS
        return [nothing if at is None else hours[at // 3600] + ends[at % 3600] for at in instants]


def from_datetime(moment: datetime) -> Instant:
    """Whole seconds of an aware datetime (fractions are cut).

    Raises:
        ValueError: the datetime has no zone.
    """
    if moment.tzinfo is None:
        msg = f"naive datetime {moment!r}"
        raise ValueError(msg)
    return int(moment.timestamp() // 1)


def to_datetime(instant: Instant) -> datetime:
    """The aware UTC datetime of an instant."""
    return datetime.fromtimestamp(instant, UTC)


def iso(instant: Instant | None) -> str | None:
    """RFC 3339 in UTC with whole seconds: `2026-11-23T07:00:00Z`; None stays None."""
    if instant is None:
        return None
    return to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_all(instants: Iterable[Instant | None]) -> list[str | None]:
    """`iso` of many; None stays None."""
    return _PLAIN.of(instants)


def _day(number: int) -> str:
    return date.fromordinal(_EPOCH + number).isoformat()


_PLAIN = IsoTexts(None)
