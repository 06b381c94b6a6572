"""System query options of OData: read, checked, turned into conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from service.api.odata_filter import Moment, Node, parse, refused
from service.api.problems import bad_parameter, near, problem, shown
from service.kpi.bi_rows import days_of
from service.store.bi import filters
from service.store.bi.scene import Scene
from service.store.bi.tables import Column, Table

KNOWN = ("$select", "$orderby", "$top", "$skip", "$count", "$filter", "$format", "$skiptoken")
NOT_SERVED = ("$search", "$apply", "$compute", "$batch")
MOST_ROWS = 1_000_000_000_000


@dataclass(frozen=True)
class Options:
    """What an address asks of a set. `names`: the columns that the filter looks at."""

    columns: tuple[Column, ...]
    selected: bool = False
    sort: tuple[tuple[Column, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    tree: Node | None = None
    token: str = ""
    names: set[str] = field(default_factory=set)


def raw_options(query: str) -> dict[str, str]:
    """The options that begin with `$`; others are none of ours.

    Raises:
        ApiError: an option that there is not (400) or that is not served (501), or one twice.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not name.startswith("$"):
            continue
        if name in NOT_SERVED:
            raise problem("not_implemented", f"{name} is not served.")
        if name not in KNOWN:
            detail = f"There is no option {shown(name)}."
            raise bad_parameter(name, detail, "unknown_parameter", near(name, KNOWN))
        if name in found:
            raise bad_parameter(name, f"{name} stands twice.", "duplicate_parameter")
        found[name] = value
    return found


def read(table: Table, raw: Mapping[str, str]) -> Options:
    """The options of a set.

    Raises:
        ApiError: one of them is wrong.
    """
    select = raw.get("$select", "").strip()
    chosen = table.columns
    if select and select != "*":
        names = dict.fromkeys(part.strip() for part in select.split(","))
        chosen = tuple(_column(table, name, "$select") for name in names)
    flag = raw.get("$count", "false")
    if flag not in ("true", "false"):
        raise bad_parameter("$count", "$count is true or false.")
    return Options(
        columns=chosen,
        selected=bool(select) and select != "*",
        sort=_sort(table, raw.get("$orderby", "")),
        top=_number(raw, "$top"),
        skip=_number(raw, "$skip") or 0,
        count=flag == "true",
        tree=parse(raw["$filter"]) if "$filter" in raw else None,
        token=raw.get("$skiptoken", ""),
    )


def _number(raw: Mapping[str, str], name: str) -> int | None:
    if name not in raw:
        return None
    text = raw[name].strip()
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > MOST_ROWS:
        raise bad_parameter(name, f"{name} is a whole number, 0 or more.")
    return int(text)


def _column(table: Table, name: str, option: str) -> Column:
    found = table.column(name)
    if found is None:
        hints = near(name, [column.name for column in table.columns])
        detail = f"{table.name} has no property {shown(name)}."
        raise bad_parameter(option, detail, "unknown_property", hints)
    return found


def _comparable(table: Table, name: str, option: str) -> Column:
    found = _column(table, name, option)
    if found.shown:
        raise problem("not_implemented", f"Nothing filters or sorts by {name}.")
    return found


def _sort(table: Table, text: str) -> tuple[tuple[Column, bool], ...]:
    found: dict[str, tuple[Column, bool]] = {}
    for part in text.split(",") if text.strip() else ():
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise bad_parameter("$orderby", f"Cannot read {shown(part)}.")
        column = _comparable(table, words[0], "$orderby")
        found.setdefault(column.name, (column, words[-1] == "desc" and len(words) == 2))
    return tuple(found.values())


def condition(table: Table, scene: Scene, tree: Node, names: set[str]) -> Any:
    """The filter as SQL; `names` takes the columns that it looks at.

    Raises:
        ApiError: an unknown property, or kinds that do not go together.
    """
    try:
        element, kind = _made(table, scene, tree, names)
    except filters.KindError as error:
        raise refused(f"These do not go together: {error}.") from None
    if kind != "Boolean":
        raise refused("A filter is a condition.")
    return element


def _made(table: Table, scene: Scene, node: Node, names: set[str]) -> filters.Typed:
    if node.kind == "value":
        return _value(node.value)
    if node.kind == "name":
        column = _comparable(table, node.value, "$filter")
        names.add(column.name)
        return filters.column(column.compared(scene), column.kind)
    parts = [_made(table, scene, part, names) for part in node.parts]
    if node.kind == "compare":
        return filters.compare(node.value, parts[0], parts[1])
    if node.kind == "in":
        return filters.joined("or", [filters.compare("eq", parts[0], one) for one in parts[1:]])
    if node.kind == "call":
        return filters.call(scene, node.value, parts)
    return filters.joined(node.kind, parts)


def _value(content: Any) -> filters.Typed:
    if content is None:
        return filters.value("Null", None)
    if isinstance(content, bool):
        return filters.value("Boolean", content)
    if isinstance(content, str):
        return filters.value("String", content)
    if isinstance(content, Moment):
        element = filters.value("DateTimeOffset", content.at)
        half = filters.value("Number", content.at + 0.5)
        return (half[0], "DateTimeOffset") if content.part else element
    if isinstance(content, date):
        return filters.value("Date", days_of(content))
    return filters.value("Number", content)
