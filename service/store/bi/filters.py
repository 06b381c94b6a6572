"""A filter tree over a BI table as SQL. Values are bound parameters, never text."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Float, String, and_, cast, false, func, literal, not_, or_, true
from sqlalchemy import null as sql_null

from service.store.bi.scene import DAY, Element, Scene

Typed = tuple[Element, str]  # with its kind: String Number Boolean Date DateTimeOffset Null
CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
NUMBERS = ("Int32", "Decimal")
_WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip


class KindError(Exception):
    """Two things that cannot be compared, or a function of the wrong thing."""


def value(kind: str, content: Any) -> Typed:
    """A literal."""
    types: dict[str, Any] = {"String": String, "Date": BigInteger, "DateTimeOffset": BigInteger}
    if kind == "Null":
        return sql_null(), kind
    if kind == "Boolean":
        return (true() if content else false()), kind
    if kind == "Number":
        return literal(content, Float if isinstance(content, float) else BigInteger), kind
    return literal(content, types[kind]), kind


def column(element: Element, kind: str) -> Typed:
    """A property."""
    return element, "Number" if kind in NUMBERS else kind


def compare(way: str, left: Typed, right: Typed) -> Typed:
    """A comparison that is never null: nothing equals null but null."""
    kinds = {left[1], right[1]} - {"Null"}
    if len(kinds) > 1:
        raise KindError(" with ".join(sorted(kinds)))
    one, other = left[0], right[0]
    if way in ("eq", "ne"):
        same = _same(left, right)
        return (same if way == "eq" else not_(same)), "Boolean"
    if "Null" in (left[1], right[1]) or "Boolean" in kinds:
        return false(), "Boolean"
    found = and_(one.is_not(None), other.is_not(None), _WAYS[way](one, other))
    return found, "Boolean"


def _same(left: Typed, right: Typed) -> Element:
    if left[1] == "Null" and right[1] == "Null":
        return true()
    if right[1] == "Null":
        return left[0].is_(None)
    if left[1] == "Null":
        return right[0].is_(None)
    if left[1] == "Boolean":
        return or_(and_(left[0], right[0]), and_(not_(left[0]), not_(right[0])))
    return left[0].is_not_distinct_from(right[0])


def joined(way: str, parts: Sequence[Typed]) -> Typed:
    """`and`, `or`, `not` of conditions."""
    if any(kind != "Boolean" for _, kind in parts):
        raise KindError(f"{way} takes conditions")
    elements = [element for element, _ in parts]
    if way == "not":
        return not_(elements[0]), "Boolean"
    return (and_(*elements) if way == "and" else or_(*elements)), "Boolean"


def call(scene: Scene, name: str, parts: Sequence[Typed]) -> Typed:
    """A function."""
    kinds = [kind for _, kind in parts]
    elements = [element for element, _ in parts]
    if name in ("contains", "startswith", "endswith", "tolower", "toupper"):
        if any(kind != "String" for kind in kinds):
            raise KindError(f"{name} takes texts")
        return _of_text(scene, name, elements)
    if kinds[0] not in ("Date", "DateTimeOffset") or (name == "date" and kinds[0] == "Date"):
        raise KindError(f"{name} takes a date")
    if name == "date":
        return elements[0] // DAY, "Date"
    at = elements[0] * DAY if kinds[0] == "Date" else elements[0]
    if scene.sqlite:
        form = {"year": "%Y", "month": "%m", "day": "%d"}[name]
        return cast(func.strftime(form, at, "unixepoch"), BigInteger), "Number"
    return func.date_part(name, func.timezone("UTC", func.to_timestamp(at))), "Number"


def _of_text(scene: Scene, name: str, elements: Sequence[Element]) -> Typed:
    if name in ("tolower", "toupper"):
        return cast(_cased(scene, name.removeprefix("to"), elements[0]), String), "String"
    whole, part = elements
    length = func.length(part)
    if name == "contains":
        found = func.instr(whole, part) if scene.sqlite else func.strpos(whole, part)
        condition: Element = found > 0
    elif name == "startswith":
        condition = func.substr(whole, 1, length) == part
    else:
        begin = func.length(whole) - length + 1
        condition = and_(func.length(whole) >= length, func.substr(whole, begin) == part)
    return func.coalesce(condition, false()), "Boolean"


def _cased(scene: Scene, way: str, text: Element) -> Element:
    """Lower or upper case; Cyrillic too where the database's locale knows Latin letters only."""
    if scene.sqlite:
        return func.dozor_lower(text) if way == "lower" else func.dozor_upper(text)
    if way == "lower":
        return func.lower(func.translate(text, CYRILLIC.upper(), CYRILLIC))
    return func.upper(func.translate(text, CYRILLIC, CYRILLIC.upper()))
