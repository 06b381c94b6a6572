"""Plans from and to files: headings in Russian or English, names or ids, amounts in major units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any

from service.domain.config import Config
from service.domain.money import major_units
from service.domain.named import find
from service.domain.period import Period
from service.errors import ConfigError
from service.kpi.metrics import METRICS, Metric
from service.kpi.planamount import read_amount
from service.kpi.plansheet import Cell, Line
from service.kpi.plantree import teams_of

COLUMNS = ("account", "metric", "period", "team", "seller", "value", "currency", "status", "locked")
NEEDED = ("metric", "period", "value")
_HEADINGS: dict[str, tuple[str, ...]] = {
    "account": ("account", "аккаунт", "портал"),
    "metric": ("metric", "kpi", "показатель", "метрика"),
    "period": ("period", "период", "date", "дата", "day", "день"),
    "month": ("month", "месяц"),
    "team": ("team", "отдел", "команда"),
    "seller": ("seller", "продавец", "менеджер", "сотрудник"),
    "value": ("value", "plan", "план", "значение", "сумма"),
    "currency": ("currency", "валюта"),
    "status": ("status", "статус"),
    "locked": ("locked", "закреплён", "закреплен"),
}
_MONTHS = ("январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь",
           "октябрь", "ноябрь", "декабрь")  # fmt: skip
_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SHORT = {name[:3]: number for number, name in enumerate(_MONTHS, 1)}
_SHORT |= {name: number for number, name in enumerate(_ENGLISH, 1)}
_CELL_MONTH = re.compile(r"([a-zа-я]{3})\.?[\s-]?(\d{2})")  # what Excel makes of 2026-12
_PLAIN_MONTH = re.compile(r"(0?[1-9]|1[0-2])[./](\d{4})")  # a cell formatted as `ММ.ГГГГ`
_QUARTER = re.compile(r"([1-4]|i{1,3}|iv)[\s-]?кв(?:\.|артал)?\s*(\d{4})")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_YES, _NO = ("true", "1", "да", "yes"), ("false", "0", "нет", "no", "")
_STATUSES = {"draft": "draft", "approved": "approved", "closed": "closed", "": None}
_STATUSES |= {"черновик": "draft", "утверждён": "approved", "утвержден": "approved"}


@dataclass(frozen=True)
class FileFault:
    """A cell that cannot be used."""

    row: int
    column: str
    code: str
    value: str
    detail: str

    def document(self) -> dict[str, Any]:
        """On the wire."""
        return {"row": self.row, "column": self.column, "code": self.code, "value": self.value,
                "detail": self.detail}  # fmt: skip


@dataclass
class Sheet:
    """What a file holds: rows to write with their line numbers, and faults."""

    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    faults: list[FileFault] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        """How many lines have a fault."""
        return len({fault.row for fault in self.faults})


def read_plans(lines: Sequence[Line], configs: Mapping[str, Config], account: str | None) -> Sheet:
    """Rows of a file. `account`: of lines that name none; without it the only one that there is.

    Raises:
        ConfigError: the heading lacks a column, or there is a strange one.
    """
    places = _headings(lines[0][1])
    if account is None and len(configs) == 1:
        account = next(iter(configs))
    names = {column: str(lines[0][1][index]) for column, index in places.items()}
    months = _are_months(lines[1:], places)
    found = Sheet()
    seen: dict[tuple[Any, ...], int] = {}
    for number, cells in lines[1:]:
        told = {c: cells[i] if i < len(cells) else None for c, i in places.items()}
        reader = _Reader(number, told, names, months)
        row = reader.row(configs, account)
        key = tuple(row.get(n) for n in ("account_id", "metric", "period", "team", "seller"))
        if not reader.faults and key in seen:
            detail = f"The same plan stands in line {seen[key]} already."
            reader.fault("period", "invalid_body", detail)
        seen.setdefault(key, number)
        found.faults += reader.faults
        if not reader.faults:
            found.rows.append((number, row))
    return found


def _headings(cells: Sequence[Cell]) -> dict[str, int]:
    places: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if cell in (None, ""):
            continue
        name = str(cell).strip().casefold()
        column = next((c for c, words in _HEADINGS.items() if name in words), None)
        if column is None:
            known = ", ".join(COLUMNS)
            raise ConfigError(f"file: there is no column {str(cell)[:40]!r}; there are {known}")
        if column in places:
            raise ConfigError(f"file: the column {str(cell)[:40]!r} stands twice")
        places[column] = index
    for column in NEEDED:
        if column not in places and not (column == "period" and "month" in places):
            words = " or ".join(_HEADINGS[column][:1] + _HEADINGS[column][-1:])
            raise ConfigError(f"file: the column {column} is missing (write {words})")
    return places


def _are_months(lines: Sequence[Line], places: Mapping[str, int]) -> bool:
    """Whether written-out dates mean months: all of them are first days."""
    if "month" in places:
        return True
    index = places["period"]
    cells = [cells[index] for _, cells in lines if index < len(cells)]
    days = [day for cell in cells if (day := _date_of(cell)) is not None]
    return bool(days) and all(day.day == 1 for day in days)


def _date_of(cell: Cell) -> date | None:
    if isinstance(cell, date):
        return cell
    match = _DATE.fullmatch(str(cell or "").strip())
    if match is None:
        return None
    try:
        return date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        return None


def _in_words(text: str) -> str | None:
    """`декабрь 2026 г.`, `дек.26`, `Dec-26`, `12.2026` as 2026-12; `4 кв. 2026` as 2026-Q4."""
    told = text.casefold().removesuffix("г.").strip()
    word, _, year = told.partition(" ")
    if word in _MONTHS and year.isdigit():
        return f"{year}-{_MONTHS.index(word) + 1:02d}"
    short = _CELL_MONTH.fullmatch(told)
    if short is not None and short[1] in _SHORT:
        return f"20{short[2]}-{_SHORT[short[1]]:02d}"
    plain = _PLAIN_MONTH.fullmatch(told)
    if plain is not None:
        return f"{plain[2]}-{int(plain[1]):02d}"
    quarter = _QUARTER.fullmatch(told)
    return f"{quarter[2]}-Q{_ROMAN.get(quarter[1], quarter[1])}" if quarter is not None else None


@dataclass
class _Reader:
    """One line."""

    number: int
    cells: Mapping[str, Cell]
    names: Mapping[str, str]
    months: bool
    faults: list[FileFault] = field(default_factory=list)

    def text(self, column: str) -> str:
        cell = self.cells.get(column)
        return "" if cell is None else str(cell).strip()

    def fault(self, column: str, code: str, detail: str) -> None:
        name = self.names.get(column, self.names.get("month", column))
        self.faults.append(FileFault(self.number, name, code, self.text(column)[:60], detail))

    def row(self, configs: Mapping[str, Config], account: str | None) -> dict[str, Any]:
        chosen = self.text("account") or account or ""
        config = configs.get(chosen)
        if config is None:
            detail = (
                f"There is no account {chosen!r}."
                if chosen
                else "No account is named: give one for the file, or a column account."
            )
            self.fault("account", "unknown_name", detail)
            return {}
        metric = self._metric()
        money = metric is not None and metric.unit == "money"
        told = self.text("currency").upper()
        if money and told not in ("", config.currency):
            detail = f"Plans of {chosen} are in {config.currency}."
            self.fault("currency", "invalid_body", detail)
        currency = config.currency if money else ""
        seller, team = self._named(config, "seller"), self._named(config, "team")
        period = self._period()
        if seller and team and not _is_member(config, seller, team, period):
            self.fault("team", "invalid_body", "The seller is not in this team.")
        return {
            "account_id": chosen, "metric": metric.slug if metric else "",
            "period": period, "team": "" if seller else team, "seller": seller,
            "value": self._value(metric, currency), "currency": currency,
            "status": self._status(), "locked": self._locked(),
        }  # fmt: skip

    def _metric(self) -> Metric | None:
        name = self.text("metric")
        found = METRICS.get(name) or next(
            (m for m in METRICS.values() if name.casefold() in (m.ru.casefold(), m.en.casefold())),
            None,
        )
        if found is None:
            known = [word for m in METRICS.values() for word in (m.slug, m.ru, m.en)]
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f" Near ones: {', '.join(near)}." if near else ""
            self.fault("metric", "unknown_name", f"There is no metric {name[:40]!r}.{hint}")
        elif not found.plannable:
            self.fault("metric", "invalid_body", f"{found.slug} cannot be planned.")
            return None
        return found

    def _named(self, config: Config, column: str) -> str:
        name = self.text(column).removeprefix(f"{config.account_id}.")
        if not name:
            return ""
        pairs = [(s.id, s.name) for s in config.directory.sellers]
        if column == "team":
            pairs = [(team.id, team.name) for team in config.teams.values()]
        try:
            return find(name, pairs, column, column)
        except ConfigError as error:
            self.fault(column, "unknown_name", f"{error}.")
            return ""

    def _period(self) -> str:
        column = "period" if "period" in self.cells else "month"
        cell, text = self.cells.get(column), self.text(column)
        day = _date_of(cell)
        if day is not None:
            return Period.around(day, "month" if self.months else "day").name
        text = _in_words(text) or text
        try:
            found = Period.parse(text)
        except ValueError as error:
            self.fault(column, "invalid_body", f"{error}.")
            return ""
        if not 1970 <= found.first.year < 2200:
            self.fault(column, "invalid_body", f"{text!r} is out of range.")
        return found.name

    def _value(self, metric: Metric | None, currency: str) -> int | None:
        by_title = metric is not None and self.text("metric") != metric.slug
        try:
            return read_amount(self.text("value"), metric, currency, by_title=by_title)
        except ValueError as error:
            self.fault("value", "invalid_body", str(error))
            return None

    def _status(self) -> str | None:
        name = self.text("status").casefold()
        if name not in _STATUSES:
            self.fault("status", "unknown_name", "A status is draft or approved.")
            return None
        return _STATUSES[name]

    def _locked(self) -> bool | None:
        if "locked" not in self.cells:
            return None
        name = self.text("locked").casefold()
        if name not in (*_YES, *_NO):
            self.fault("locked", "invalid_body", "Write true or false.")
        return name in _YES


def _is_member(config: Config, seller: str, team: str, period: str) -> bool:
    """Whether a seller is in a team on some day of a period."""
    if not period:
        return True  # it is faulty itself
    span = Period.parse(period)
    return team in teams_of(config, ("", seller), span.first, span.last)


def table_of(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Stored rows as a table with its heading; money in major units."""
    found: list[list[Any]] = [list(COLUMNS)]
    for row in rows:
        value = row["value"]
        amount = major_units(value, row["currency"]) if row["currency"] else value
        seller = f"{row['account_id']}.{row['seller']}" if row["seller"] else None
        found.append([
            row["account_id"], row["metric"], row["period"], row["team"] or None, seller, amount,
            row["currency"] or None, row["status"], bool(row["locked"]),
        ])  # fmt: skip
    return found
