"""A value of a BI table as CSV, Russian CSV or JSON shows it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from service.api.names import Names
from service.domain.instant import iso
from service.domain.money import USUAL, major_units
from service.kpi.bi_rows import date_of
from service.store.bi.scene import PLAIN
from service.store.bi.tables import Column

CENTS = Decimal("0.01")  # what has fewer digits is shown with two
RISKY = ("=", "+", "-", "@", "\t", "\r")


def typed(row: Mapping[str, Any], column: Column, names: Mapping[str, Names]) -> Any:
    """The value: instants as whole seconds, dates as `date`, money as exact Decimal."""
    value = row[column.name]
    if value is None:
        return None
    if column.shown:
        return names[row["account"]].url(column.shown, value)
    if column.kind == "DateTimeOffset":
        return int(value)
    if column.kind == "Date":
        return date_of(int(value))
    if column.kind == "Boolean":
        return bool(value)
    if column.kind == "Decimal":
        return _money(int(value), row[f"{column.name}:scale"])
    return value


def plain(row: Mapping[str, Any], column: Column, names: Mapping[str, Names]) -> Any:
    """The same, instants as RFC 3339 text."""
    value = typed(row, column, names)
    return iso(value) if column.kind == "DateTimeOffset" and value is not None else value


def _money(minor: int, currency: str | None) -> Decimal:
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


def csv_line(cells: Sequence[str], mark: str) -> str:
    """One line; cells with a mark, a quote or a line break stand in quotes."""
    risky = (mark, '"', "\r", "\n")
    quoted = (
        '"' + cell.replace('"', '""') + '"' if any(c in cell for c in risky) else cell
        for cell in cells
    )
    return mark.join(quoted) + "\r\n"
