"""Keyset conditions: go on after a row, whatever was inserted or deleted meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, false, or_
from sqlalchemy.sql.elements import ColumnElement

Element = ColumnElement[Any]


@dataclass(frozen=True)
class Key:
    """One sort key. Nulls come last, whichever way it sorts."""

    column: Element
    down: bool = False
    nullable: bool = False

    @property
    def order(self) -> Element:
        """For ORDER BY."""
        directed = self.column.desc() if self.down else self.column.asc()
        return directed.nulls_last() if self.nullable else directed


def after(keys: Sequence[Key], position: Sequence[Any]) -> Element:
    """Rows that come after `position` in the order of `keys` (same length)."""
    ways = []
    for index, key in enumerate(keys):
        same = [_equals(k, v) for k, v in zip(keys[:index], position[:index], strict=True)]
        ways.append(and_(*same, _beyond(key, position[index])))
    return or_(*ways)


def _equals(key: Key, value: Any) -> Element:
    return key.column.is_(None) if value is None else key.column == value


def _beyond(key: Key, value: Any) -> Element:
    if value is None:
        return false()
    further: Element = key.column < value if key.down else key.column > value
    return or_(further, key.column.is_(None)) if key.nullable else further
