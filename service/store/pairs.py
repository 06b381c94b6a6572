"""Tables that hold pairs of an account: which belongs to which."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, select

from service.store.chunks import chunks
from service.store.engine import insert_or_update


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
    columns: tuple[Column[Any], Column[Any]],
    added: Iterable[tuple[str, str]],
    removed: Iterable[tuple[str, str]],
) -> None:
    """Add and remove pairs."""
    one, other = columns
    rows = [
        {"account_id": account_id, one.name: value, other.name: partner}
        for value, partner in sorted(added)
    ]
    insert_or_update(connection, one.table, rows, update=())
    gone = [{"one": value, "other": partner} for value, partner in sorted(removed)]
    if gone:
        query = delete(one.table).where(
            one.table.c.account_id == account_id,
            one == bindparam("one"),
            other == bindparam("other"),
        )
        connection.execute(query, gone)
