"""Filters of the API as SQL conditions. Values are bound parameters, never text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, false, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from service.domain.instant import FOREVER, Instant
from service.store.reads.filters import Filter

Element = ColumnElement[Any]
Build = Callable[[Filter], Element]


def compare(column: Element) -> Build:
    """A plain column: any of, none of, bounds, null."""
    ways: dict[str, Callable[[Any], Element]] = {
        "eq": column.in_,
        "ne": lambda value: or_(column.not_in(value), column.is_(None)),
        "null": lambda value: column.is_(None) if value else column.is_not(None),
        "gte": lambda value: column >= value,
        "gt": lambda value: column > value,
        "lte": lambda value: column <= value,
        "lt": lambda value: column < value,
    }
    return lambda condition: ways[condition.op](condition.value)


def text_or_none(column: Element) -> Build:
    """Like `compare` for a column where the empty text means none."""

    def build(condition: Filter) -> Element:
        if condition.op == "null":
            return column == "" if condition.value else column != ""
        return compare(column)(condition)

    return build


def prefixed(account: Element, *columns: Element) -> Build:
    """Ids `<account>.<column>[.<column>]`: any of, none of."""

    def build(condition: Filter) -> Element:
        if condition.op == "null":
            empty: Element = columns[-1] == ""
            return empty if condition.value else not_(empty)
        found = or_(false(), *(_one(text) for text in condition.value))
        return not_(found) if condition.op == "ne" else found

    def _one(text: str) -> Element:
        account_id, *parts = text.split(".", len(columns))
        if len(parts) != len(columns):
            return false()
        pairs = zip(columns, parts, strict=True)
        return and_(account == account_id, *(column == part for column, part in pairs))

    return build


class Stay(NamedTuple):
    """A seller is in a team in `[start, end)`."""

    account: str
    seller: str
    start: Instant
    end: Instant


def members(
    account: Element, seller: Element, teams: Mapping[str, Sequence[Stay]], at: Element
) -> Build:
    """Sellers by team at an instant of the row: `teams` holds stays by team id."""

    def build(condition: Filter) -> Element:
        together: dict[tuple[str, Instant, Instant], list[str]] = {}
        for team in condition.value:
            for stay in teams.get(team, ()):
                place = (stay.account, stay.start, stay.end)
                together.setdefault(place, []).append(stay.seller)
        found = or_(false(), *(_held(*place, ids) for place, ids in together.items()))
        return not_(found) if condition.op == "ne" else found

    def _held(account_id: str, start: Instant, end: Instant, ids: Sequence[str]) -> Element:
        bounds = [at >= start] if start else []
        bounds += [at < end] if end < FOREVER else []
        return and_(account == account_id, seller.in_(ids), *bounds)

    return build


def all_of(filters: Sequence[Filter], builders: Mapping[str, Build]) -> list[Element]:
    """The conditions of a query; each filter's field must have a builder."""
    return [builders[condition.field](condition) for condition in filters]
