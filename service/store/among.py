"""A column has one of very many values: one bound list, so that the statement stays as it is."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, any_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from service.store.engine import is_sqlite


def among(connection: Connection, column: Any, values: Iterable[str]) -> ColumnElement[bool]:
    """The condition, in the words of the database."""
    document = literal(msgspec.json.encode(list(values)).decode())
    if is_sqlite(connection):
        rows = func.json_each(document).table_valued("value")
        return column.in_(select(rows.c.value))  # type: ignore[no-any-return]
    listed = select(func.jsonb_array_elements_text(cast(document, JSONB))).scalar_subquery()
    return column == any_(func.array(listed))  # type: ignore[no-any-return]
