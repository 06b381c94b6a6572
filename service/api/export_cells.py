"""Rows of a block as lines of a text file, made a column at a time.

A file of a million rows has tens of millions of cells. What a column asks (its kind, the currency,
whether any text needs quotes) is asked once a block; what repeats (hours, days, small numbers) is
looked up. The lines are those that `csv_text` and a JSON encoder make of `plain_rows`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from service.api.bi_values import RISKY, money, plain, typed
from service.api.names import Names
from service.domain.instant import Instant, IsoTexts, Texts
from service.domain.money import ODD
from service.kpi.bi_rows import date_of
from service.store.bi.reader import Block
from service.store.bi.scene import PLAIN
from service.store.bi.tables import Column

_GAP = "\0"  # between the texts of a block, when all of them are looked at as one
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_FLAGS: Mapping[Any, str] = {None: "", True: "true", False: "false"}
_NUMBERS = Texts(str)
_ENDS = tuple(f"{n // 60:02}:{n % 60:02}" for n in range(3600))
_CENTS = tuple(f".{n:02}" for n in range(100))
_WINDOW = 6 * 3600  # seconds: no zone changes its clock twice in them
_MOST_WINDOWS = 10_000


class Csv:
    """RFC 4180 with a point in numbers."""

    mark = ","
    iso = IsoTexts("")
    days = Texts(lambda day: date_of(day).isoformat())

    def lines(self, columns: Sequence[Column], block: Block, names: Mapping[str, Names]) -> bytes:
        """A block of the file."""
        cells = [self.cells(column, block, names) for column in columns]
        if len(cells) == 1:  # an empty line would be none
            cells = [[cell or '""' for cell in cells[0]]]
        rows = map(self.mark.join, zip(*cells, strict=True))
        return "".join([f"{row}\r\n" for row in rows]).encode()

    def cells(self, column: Column, block: Block, names: Mapping[str, Names]) -> Sequence[str]:
        """A column of a block."""
        values = block.values[column.name]
        if column.kind == "DateTimeOffset":
            return self.instants(values, block.accounts)
        if column.kind == "Decimal":
            return self.money(values, block.values[f"{column.name}:scale"])
        if column.kind == "Boolean":
            return [_FLAGS[value] for value in values]
        if column.kind == "String":
            return self.texts(typed(column, block, names))
        known = self.days if column.kind == "Date" else _NUMBERS
        return ["" if value is None else known[value] for value in values]

    def texts(self, values: Sequence[str | None]) -> Sequence[str]:
        """Texts; with an apostrophe before what a spreadsheet would take for a formula."""
        texts = ["" if value is None else value for value in values]
        whole = f"{_GAP}{_GAP.join(texts)}"
        if any(f"{_GAP}{sign}" in whole for sign in RISKY):
            texts = [f"'{text}" if text.startswith(RISKY) else text for text in texts]
        return _quoted(texts, [sign for sign in (self.mark, '"', "\r", "\n") if sign in whole])

    def instants(self, values: Sequence[Instant | None], accounts: Sequence[str]) -> Sequence[str]:
        """Instants in UTC."""
        return cast("list[str]", self.iso.of(values))

    def money(self, values: Sequence[int | None], currencies: Sequence[str | None]) -> list[str]:
        """Minor units as major ones, exact."""
        if _has_cents(currencies):
            return ["" if value is None else _cents(int(value)) for value in values]
        scaled = zip(values, currencies, strict=True)
        return ["" if value is None else str(money(int(value), one)) for value, one in scaled]


class RussianCsv(Csv):
    """What Russian Excel reads: semicolons, decimal comma, dd.mm.yyyy, times of the account."""

    mark = ";"
    days = Texts(lambda day: f"{date_of(day):%d.%m.%Y}")

    def __init__(self, zones: Mapping[str, ZoneInfo]) -> None:
        clocks = {zone: _Clock(zone) for zone in zones.values()}
        self._clocks = {account: clocks[zone] for account, zone in zones.items()}

    def instants(self, values: Sequence[Instant | None], accounts: Sequence[str]) -> Sequence[str]:
        """Instants as the clock of each account shows them."""
        return [
            "" if at is None else self._clocks[account].text(at)
            for at, account in zip(values, accounts, strict=True)
        ]

    def money(self, values: Sequence[int | None], currencies: Sequence[str | None]) -> list[str]:
        """The same with a comma."""
        return [text.replace(".", ",") for text in super().money(values, currencies)]


class Json:
    """A JSON object on each line. A struct is made and written in half the time of a dict."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._row = msgspec.defstruct("Row", [column.name for column in columns])

    def lines(self, columns: Sequence[Column], block: Block, names: Mapping[str, Names]) -> bytes:
        """A block of the file."""
        cells = [plain(column, block, names) for column in columns]
        return _ENCODER.encode_lines(list(map(self._row, *cells)))


class _Clock:
    """Local times of a zone, whose shift is looked up once for some hours."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._shifts: dict[int, int | None] = {}
        self._hours = Texts(lambda hour: f"{date_of(hour // 24):%d.%m.%Y} {hour % 24:02}:")

    def text(self, at: Instant) -> str:
        """dd.mm.yyyy hh:mm:ss."""
        window = at // _WINDOW
        if window not in self._shifts:
            self._learn(window)
        shift = self._shifts[window]
        local = at + (self._shift(at) if shift is None else shift)
        return self._hours[local // 3600] + _ENDS[local % 3600]

    def _learn(self, window: int) -> None:
        """The shift that holds in all of it; None = it changes there."""
        if len(self._shifts) > _MOST_WINDOWS:
            self._shifts.clear()
        first = self._shift(window * _WINDOW)
        last = self._shift((window + 1) * _WINDOW - 1)
        self._shifts[window] = first if first == last else None

    def _shift(self, at: Instant) -> int:
        shift = datetime.fromtimestamp(at, UTC).astimezone(self._zone).utcoffset()
        return (shift or timedelta()) // timedelta(seconds=1)


def _quoted(texts: Sequence[str], special: Sequence[str]) -> Sequence[str]:
    """What has one of these signs stands in quotes."""
    if '"' in special:
        texts = [text.replace('"', '""') for text in texts]
    if len(special) == 1:  # nearly always
        sign = special[0]
        return [f'"{text}"' if sign in text else text for text in texts]
    if special:
        return [f'"{text}"' if any(sign in text for sign in special) else text for text in texts]
    return texts


def _has_cents(currencies: Sequence[str | None]) -> bool:
    known = set(currencies)
    return PLAIN not in known and known.isdisjoint(ODD)


def _cents(minor: int) -> str:
    return f"{minor // 100}{_CENTS[minor % 100]}" if minor >= 0 else str(Decimal(minor).scaleb(-2))
