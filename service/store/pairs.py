"""Tables that are all key: which of an account belongs to which."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, delete, select

from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.tables import FactRow

_FACT: Table = FactRow.__table__  # type: ignore[attr-defined]


def partners(
    connection: Connection,
    account_id: str,
    columns: tuple[Column[Any], Column[Any]],
    of: Iterable[str],
) -> dict[str, set[str]]:
    """What stands in the second column beside each value of the first."""
    one, other = columns
    found: dict[str, set[str]] = {}
    for part in chunks(of):
        query = select(one, other).where(one.table.c.account_id == account_id, one.in_(part))
        for value, partner in connection.execute(query):
            found.setdefault(value, set()).add(partner)
    return found


def change(
    connection: Connection,
    account_id: str,
    columns: Sequence[Column[Any]],
    added: Iterable[tuple[Any, ...]],
    removed: Iterable[tuple[Any, ...]],
) -> None:
    """Add and remove rows, told in the order of `columns`."""
    table, names = columns[0].table, [column.name for column in columns]
    rows = [
        {"account_id": account_id, **dict(zip(names, row, strict=True))} for row in sorted(added)
    ]
    insert_or_update(connection, table, rows, update=())
    marks = [f"gone_{name}" for name in names]
    gone = [dict(zip(marks, row, strict=True)) for row in sorted(removed)]
    if gone:
        bound = (column == bindparam(m) for column, m in zip(columns, marks, strict=True))
        query = delete(table).where(table.c.account_id == account_id, *bound)
        connection.execute(query, gone)


def untold(connection: Connection, account_id: str, column: Column[Any], kind: str) -> list[str]:
    """Subjects in a column of whom no fact tells: there should be none. Index: ix_fact_subject."""
    told = (
        select(_FACT.c.id)
        .where(_FACT.c.account_id == account_id, _FACT.c.kind == kind, _FACT.c.id == column)
        .exists()
    )
    query = select(column).where(column.table.c.account_id == account_id, ~told).distinct()
    return sorted(connection.execute(query).scalars())


def forget(
    connection: Connection, account_id: str, column: Column[Any], subjects: Iterable[str]
) -> None:
    """Take away all rows of these subjects."""
    table = column.table
    for part in chunks(subjects):
        connection.execute(delete(table).where(table.c.account_id == account_id, column.in_(part)))
