"""A column has one of very many values: one bound list, so that the statement stays as it is."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import any_, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement


def among(column: Any, name: str, *, sqlite: bool) -> ColumnElement[bool]:
    """The condition; the values are bound as `name`, made by `listed`."""
    bound: ColumnElement[Any] = bindparam(name)
    if sqlite:
        rows = func.json_each(bound).table_valued("value")
        return column.in_(select(rows.c.value))  # type: ignore[no-any-return]
    values = select(func.jsonb_array_elements_text(cast(bound, JSONB))).scalar_subquery()
    return column == any_(func.array(values))  # type: ignore[no-any-return]


def listed(values: Iterable[str]) -> str:
    """Values as they are bound."""
    return msgspec.json.encode(list(values)).decode()
