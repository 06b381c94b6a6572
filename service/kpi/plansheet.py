"""Tables of plans as files: CSV and XLSX to cells, and back. Nothing here knows what a plan is."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from service.errors import ConfigError

Cell = str | Decimal | date | None
Line = tuple[int, list[Cell]]
"""Number of the line in the file (the heading is 1), cells."""

MOST_LINES, MOST_COLUMNS = 5000, 50
_MOST_UNPACKED = 50 * 1024 * 1024
_SEPARATORS = (";", "\t", ",")
_NO_SIGNS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
"""What a number format shows as it stands: quoted texts, single signs, colours."""
_RISKY = ("=", "+", "-", "@", "\t", "\r")


def read(data: bytes) -> list[Line]:
    """The lines of a CSV or XLSX file; XLSX is told by its first bytes.

    Raises:
        ConfigError: what is wrong with the file.
    """
    lines = _read_xlsx(data) if data.startswith(b"PK") else _read_csv(data)
    kept = [(number, cells) for number, cells in lines if any(c not in (None, "") for c in cells)]
    if len(kept) < 2:
        raise ConfigError("file: it has no rows below a heading")
    if len(kept) > MOST_LINES + 1:
        raise ConfigError(f"file: at most {MOST_LINES} rows in one file")
    return kept


def _read_csv(data: bytes) -> list[Line]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("cp1251")
        except UnicodeDecodeError:
            raise ConfigError("file: it is neither UTF-8 nor Windows-1251 text") from None
    if "\x00" in text:
        raise ConfigError("file: it is no CSV and no XLSX file")
    heading = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
    separator = max(_SEPARATORS, key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [(reader.line_num, [_bare(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        raise ConfigError(f"file: line {reader.line_num} is no CSV: {error}") from None


def _bare(text: str) -> str:
    """A cell without the quote that keeps spreadsheets from calculating it."""
    found = text.strip()
    return found[1:] if found.startswith("'") and found[1:2] in _RISKY else found


def _read_xlsx(data: bytes) -> list[Line]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size <= _MOST_UNPACKED:
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            sheet = book.worksheets[0]
            rows = sheet.iter_rows(max_row=MOST_LINES + 100, max_col=MOST_COLUMNS)
            return [
                (number, [_formatted(cell) for cell in row]) for number, row in enumerate(rows, 1)
            ]
    except Exception as error:  # noqa: BLE001 - whatever a broken file does to the reader
        kind = type(error).__name__
        raise ConfigError(f"file: it cannot be read as XLSX ({kind})") from None
    raise ConfigError("file: unpacked it is too large")


def _formatted(cell: Any) -> Cell:
    """A cell as people see it where that is another number: 0.25 that is shown as 25 %."""
    value = _cell(cell.value)
    if isinstance(value, Decimal) and "%" in _NO_SIGNS.sub("", cell.number_format or ""):
        return f"{value * 100:f}%"
    return value


def _cell(value: Any) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, int | float):
        return Decimal(repr(value))
    return value if value is None or isinstance(value, date) else _bare(str(value))


def write_csv(rows: Sequence[Sequence[Any]], *, excel_ru: bool = False) -> bytes:
    """RFC 4180; `excel_ru`: BOM, `;`, decimal comma. Texts that calculate get a quote in front."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";" if excel_ru else ",", lineterminator="\r\n")
    for row in rows:
        writer.writerow([_text(value, excel_ru=excel_ru) for value in row])
    return out.getvalue().encode("utf-8-sig" if excel_ru else "utf-8")


def _text(value: Any, *, excel_ru: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value).replace(".", ",") if excel_ru else str(value)
    text = str(value)
    return "'" + text if text.startswith(_RISKY) else text


def write_xlsx(rows: Sequence[Sequence[Any]]) -> bytes:
    """One sheet with real numbers; texts are never formulas."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("plans")
    for row in rows:
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value=value)
            if isinstance(value, str):
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
