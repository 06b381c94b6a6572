"""Statements that SQLite and PostgreSQL write differently."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from service.store.engine import is_sqlite


def insert_new(connection: Connection, table: Any, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key exists.

    Returns:
        Whether it was inserted.
    """
    statement: Any
    if is_sqlite(connection):
        statement = sqlite.insert(table).values(row).on_conflict_do_nothing()
    else:
        statement = postgresql.insert(table).values(row).on_conflict_do_nothing()
    first_key = next(iter(table.primary_key.columns))
    return connection.execute(statement.returning(first_key)).first() is not None
