"""Instants inside the core are whole seconds since 1970 (UTC), as both CRMs tell them.

An `Instant` never stands for a wall-clock time without a zone. Aware datetimes appear at the edges
(API, texts, adapters that parse ISO dates); days are cut by `domain/period.py` only.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TypeAlias

Instant: TypeAlias = int
FOREVER: Instant = 1 << 62
_EPOCH = date(1970, 1, 1).toordinal()
_MINUTES = tuple(f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(1440))
_SECONDS = tuple(f"{second:02}Z" for second in range(60))


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
    """`iso` of many: put together from known pieces, several times as fast."""
    return [
        None if at is None else _day(at // 86_400) + _MINUTES[at % 86_400 // 60] + _SECONDS[at % 60]
        for at in instants
    ]


@lru_cache(maxsize=20_000)
def _day(number: int) -> str:
    return date.fromordinal(_EPOCH + number).isoformat()
