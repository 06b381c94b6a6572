"""What the expressions of BI columns are made of: reference rows as SQL, local days, money.

Instants are whole seconds, dates are days since 1970, money is minor units; whoever shows a row
turns them into what the format wants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import BigInteger, Float, String, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from service.domain.instant import Instant
from service.domain.money import MOST_DIGITS, ODD, USUAL

Kind = Literal["String", "Int32", "Boolean", "Date", "DateTimeOffset", "Decimal"]
Element = ColumnElement[Any]
DAY = 86_400
FIRST_YEAR, LAST_YEAR = 1990, 2038
PLAIN = "-"  # in place of a currency: a value that is no money
PRECISION, SCALE = 18, MOST_DIGITS  # of a Decimal, so that money of every currency is exact


@dataclass
class Scene:
    """One reading of BI tables: for whom, when, with which reference rows.

    `days`: a condition on the local day (yyyymmdd), where a reading is known to need no others.
    """

    accounts: Sequence[str]
    at: Instant
    zones: Mapping[str, ZoneInfo]
    refs: Mapping[str, Sequence[Mapping[str, Any]]]
    sqlite: bool
    days: Callable[[Element], Element] | None = None
    _made: dict[str, Any] = field(default_factory=dict)

    def ref(self, name: str, fields: Mapping[str, Kind]) -> Any:
        """Reference rows as a table: one bound JSON document, whatever their number."""
        return self.once(f"ref_{name}", lambda: self._ref(name, fields))

    def _ref(self, name: str, fields: Mapping[str, Kind]) -> Any:
        document = literal(msgspec.json.encode(self.refs.get(name, ())).decode())
        if self.sqlite:
            rows: Any = func.json_each(document).table_valued("value")
        else:
            rows = func.jsonb_array_elements(cast(document, JSONB)).table_valued("value")

        def read(key: str) -> Element:
            if self.sqlite:
                return func.json_extract(rows.c.value, f"$.{key}")
            return func.jsonb_extract_path_text(cast(rows.c.value, JSONB), key)

        columns = [typed(read(key), kind).label(key) for key, kind in fields.items()]
        # read out of the JSON once, not for each row that it is joined to
        return select(*columns).select_from(rows).cte(f"ref_{name}").prefix_with("MATERIALIZED")

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made once for one reading: the same object wherever it is named."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def local_day(self, account: Element, instant: Element) -> Element:
        """The local date of an instant as days since 1970."""
        ways = [
            (account == name, shift_of(instant, zone))
            for name, zone in self.zones.items()
            if name in self.accounts
        ]
        shift = case(*ways, else_=literal(0, BigInteger)) if ways else literal(0, BigInteger)
        return case((instant.is_(None), None), else_=(instant + shift) // DAY)


def typed(value: Element, kind: Kind) -> Element:
    """A text that was read out of JSON, as its kind."""
    if kind == "String":
        return cast(value, String)
    if kind == "Boolean":
        return cast(value, String).in_(("true", "1"))
    return cast(value, BigInteger)


def local_day(instant: Element, zone: ZoneInfo) -> Element:
    """The local date of an instant as days since 1970."""
    found: Element = (instant + shift_of(instant, zone)) // DAY
    return found


def shift_of(instant: Element, zone: ZoneInfo) -> Element:
    """How many seconds a zone is ahead of UTC at an instant."""
    zone_steps = steps(zone)
    ways = [(instant >= since, shift) for since, shift in reversed(zone_steps[1:])]
    first = literal(zone_steps[0][1], BigInteger)
    return case(*ways, else_=first) if ways else first


@cache
def steps(zone: ZoneInfo) -> tuple[tuple[Instant, int], ...]:
    """(since, offset to UTC in seconds) of a zone, oldest first."""

    def offset(at: Instant) -> int:
        shift = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
        return int(shift.total_seconds()) if shift is not None else 0

    at = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    found = [(at, offset(at))]
    while at < end:
        if offset(at + DAY) != found[-1][1]:
            low, high = at, at + DAY
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == found[-1][1] else (low, middle)
            found.append((high, offset(high)))
        at += DAY
    return tuple(found)


def major(minor: Element, currency: Element) -> Element:
    """Money in major units, to compare and sort by (exact below 10^15 minor units)."""
    ways = [(currency == name, float(10**digits)) for name, digits in ODD.items()]
    return cast(minor, Float) / case(*ways, (currency == PLAIN, 1.0), else_=float(10**USUAL))
