"""Values of a BI table as CSV, Russian CSV, JSON, a sheet or Parquet show them, column by column.

A file of a million rows has tens of millions of cells: what is asked once for a column is not asked
again for each of them.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from service.api.names import Names
from service.domain.instant import iso_all
from service.domain.money import USUAL, exponent, major_units
from service.kpi.bi_rows import date_of
from service.store.bi.reader import Block
from service.store.bi.scene import PLAIN
from service.store.bi.tables import Column

CENTS = Decimal("0.01")  # what has fewer digits is shown with two
_ID = "\0"  # in place of an id
RISKY = ("=", "+", "-", "@", "\t", "\r")


def typed(column: Column, block: Block, names: Mapping[str, Names]) -> Sequence[Any]:
    """The values: instants as whole seconds, dates as `date`, money as exact Decimal."""
    values = block.values[column.name]
    if column.shown:
        return _addresses(column.shown, values, block.accounts, names)
    if column.kind == "Date":
        return [None if v is None else date_of(v) for v in values]
    if column.kind == "Boolean":
        return [None if v is None else bool(v) for v in values]
    if column.kind == "Decimal":
        scaled = zip(values, block.values[f"{column.name}:scale"], strict=True)
        return [None if v is None else money(int(v), currency) for v, currency in scaled]
    return values


def _addresses(
    kind: str, values: Sequence[str | None], accounts: Sequence[str], names: Mapping[str, Names]
) -> list[str | None]:
    """Pages in the CRM: what stands before and after the id is asked once an account."""
    ways = {account: names[account].url(kind, _ID) for account in set(accounts)}
    around = {account: way and way.split(_ID) for account, way in ways.items()}
    pairs = zip(values, map(around.__getitem__, accounts), strict=True)
    return [value.join(parts) if value and parts else None for value, parts in pairs]


def plain(column: Column, block: Block, names: Mapping[str, Names]) -> Sequence[Any]:
    """The same, instants as RFC 3339 text."""
    values = typed(column, block, names)
    return iso_all(values) if column.kind == "DateTimeOffset" else values


def plain_rows(
    columns: Sequence[Column], block: Block, names: Mapping[str, Names]
) -> list[dict[str, Any]]:
    """Rows as JSON shows them."""
    heads = [column.name for column in columns]
    rows = zip(*(plain(column, block, names) for column in columns), strict=True)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def money(minor: int, currency: str | None) -> Decimal:
    """Minor units as they are shown: two digits at least, as many as the currency has."""
    if currency != PLAIN and exponent(currency or "") == 2:
        return Decimal(minor).scaleb(-2)
    whole = Decimal(minor) if currency == PLAIN else major_units(minor, currency or "")
    return whole if int(whole.as_tuple().exponent) < -USUAL else whole.quantize(CENTS)


def csv_cell(value: Any) -> str:
    """A cell by RFC 4180 with a point in numbers."""
    return "" if value is None else _guarded(value)


def ru_cell(value: Any, kind: str, zone: ZoneInfo) -> str:
    """A cell as Russian Excel reads it: decimal comma, dd.mm.yyyy, local time."""
    if value is None:
        return ""
    if kind == "DateTimeOffset":
        moment = datetime.fromisoformat(value).astimezone(zone)
        return f"{moment:%d.%m.%Y %H:%M:%S}"
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}"
    if isinstance(value, Decimal):
        return str(value).replace(".", ",")
    return _guarded(value)


def _guarded(value: Any) -> str:
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(RISKY) else value
    return value.isoformat() if isinstance(value, date) else str(value)


def csv_text(rows: Iterable[Sequence[Any]], mark: str) -> str:
    """Lines; cells with a mark, a quote or a line break stand in quotes, None is empty."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=mark, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
