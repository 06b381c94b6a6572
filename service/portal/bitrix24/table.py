"""Bitrix24's lists: filter operators as prefixes of field names, order, select, pages of 50."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

from service.portal.bitrix24.params import PAGE, RestError, Result, entries

T = TypeVar("T")
Kind = Literal["int", "text", "money", "instant", "date", "raw", "list"]
Test = Callable[[Any], bool]
_OPERATORS = (">=", "<=", "!@", "!=", "=%", "%=", "!%", ">", "<", "@", "!", "%", "=")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Column(Generic[T]):
    """A field: how to read it from an entity, and how it is compared and written.

    int, text, money, instant are written as text; raw as it is; list is compared by its elements.
    `plain` fields belong to `*`; the others have to be named (`UF_*` names the user fields).
    """

    kind: Kind
    get: Callable[[T], Any]
    plain: bool = True


@dataclass(frozen=True)
class Wanted:
    """What a list method was asked: filter, order, select, start (-1 = no counting)."""

    filter: Mapping[str, Any]
    order: Mapping[str, Any]
    select: Sequence[str]
    start: int


class Table(Generic[T]):
    """The fields of one kind of entity in one portal."""

    def __init__(
        self, columns: Mapping[str, Column[T]], zone: ZoneInfo, *, numbers: bool = False
    ) -> None:
        self.columns = dict(columns)
        self._zone = zone
        self._numbers = numbers

    def listing(self, rows: Iterable[T], wanted: Wanted) -> Result:
        """One page of the rows that match. Unknown filter fields are ignored, as in the portal."""
        tests = [test for key, value in wanted.filter.items() if (test := self._test(key, value))]
        found = [row for row in rows if all(test(row) for test in tests)]
        self._sort(found, wanted.order)
        names = self.selected(wanted.select)
        first = max(wanted.start, 0)
        page = [self.render(row, names) for row in found[first : first + PAGE]]
        if wanted.start < 0:
            return Result(page)
        more = first + PAGE if first + PAGE < len(found) else None
        return Result(page, total=len(found), next=more)

    def selected(self, select: Sequence[str]) -> list[str]:
        """Names of the fields to be answered; none given = all plain ones."""
        if not select:
            select = ["*"]
        names: dict[str, None] = {"ID": None} if "ID" in self.columns else {}
        for name in select:
            if name == "*":
                names |= {key: None for key, column in self.columns.items() if column.plain}
            elif name == "UF_*":
                names |= {key: None for key in self.columns if key.startswith("UF_")}
            elif name in self.columns:
                names[name] = None
        return list(names)

    def render(self, row: T, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The row as the portal writes it; without `names` with every field."""
        wanted = self.columns if names is None else names
        return {name: self._write(self.columns[name], row) for name in wanted}

    def _write(self, column: Column[T], row: T) -> Any:
        value = column.get(row)
        if value is None or column.kind in {"raw", "list"}:
            return value
        match column.kind:
            case "money":
                return f"{value:.2f}"
            case "instant":
                return "" if value == "" else value.astimezone(self._zone).isoformat("T", "seconds")
            case "date":
                return self._day(value)
            case "int" if self._numbers:
                return value
        return str(value)

    def _day(self, value: datetime) -> str:
        """A date is printed as the UTC midnight of that day in the portal's offset."""
        midnight = datetime.fromisoformat(f"{value.astimezone(self._zone).date()}T00:00:00+00:00")
        return midnight.astimezone(self._zone).isoformat("T", "seconds")

    def _sort(self, rows: list[T], order: Mapping[str, Any]) -> None:
        if not order and "ID" in self.columns:
            order = {"ID": "ASC"}
        for name, direction in reversed(list(order.items())):
            column = self.columns.get(name)
            if column is None:
                continue
            get = column.get
            rows.sort(
                key=lambda row, get=get: _sortable(get(row)),  # type: ignore[misc]
                reverse=str(direction).upper() == "DESC",
            )

    def _test(self, key: str, value: Any) -> Callable[[T], bool] | None:
        prefix = next((sign for sign in _OPERATORS if key.startswith(sign)), "")
        column = self.columns.get(key[len(prefix) :])
        if column is None:
            return None
        check = self._check(column.kind, prefix, value)
        get = column.get
        if column.kind == "list":
            return lambda row: any(check(item) for item in get(row) or [])
        return lambda row: check(get(row))

    def _check(self, kind: Kind, prefix: str, value: Any) -> Test:
        if prefix in _COMPARE:
            compare, limit = _COMPARE[prefix], self._read(kind, value)
            if limit is None:  # an empty bound is none
                return lambda _found: True
            return lambda found: found not in (None, "") and compare(_typed(kind, found), limit)
        if "%" in prefix:
            part, inverse = str(value).strip("%").lower(), prefix.startswith("!")
            return lambda found: (part in str(found or "").lower()) != inverse
        wanted = {self._read(kind, item) for item in entries(value)} or {None}
        inverse = prefix.startswith("!")
        return lambda found: (_typed(kind, _empty(found)) in wanted) != inverse

    def _read(self, kind: Kind, value: Any) -> Any:
        """The value of a filter in the type of its field; None for an empty one.

        Raises:
            RestError: it cannot be read.
        """
        if value is None or value == "":
            return None
        try:
            if kind in {"instant", "date"}:
                found = datetime.fromisoformat(str(value))
                return found if found.tzinfo else found.replace(tzinfo=self._zone)
            return _typed(kind, value)
        except (ValueError, InvalidOperation):
            raise RestError(400, "INVALID_ARG_VALUE", f"Invalid filter value {value!r}") from None


def _empty(found: Any) -> Any:
    return None if found == "" else found


def _typed(kind: Kind, value: Any) -> Any:
    if value is None or isinstance(value, datetime | date):
        return value
    if kind == "int":
        return int(value)
    if kind == "money":
        return Decimal(str(value))
    return "YN"[not value] if isinstance(value, bool) else str(value)


def _sortable(value: Any) -> tuple[bool, Any]:
    return (False, 0) if value is None or value == "" else (True, value)
