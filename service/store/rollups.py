"""The rollups against the contributions that they are sums of."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Integer, Table, cast, delete, func, insert, select

from service.store.tables import Contribution, RollupDay, RollupMonth

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_COLUMNS = ("account_id", "metric", "{}", "currency", "seller", "pipeline", "value", "n")


def _sums(account_id: str, *, by_month: bool) -> Any:
    columns = _CONTRIBUTION.c
    # `//` would be a true division with a floor on SQLite; day - day % 100 is exact on both.
    month = cast((columns.day - columns.day % 100) / 100, Integer)
    period = month if by_month else columns.day
    keys = [columns.account_id, columns.metric, period, columns.currency, columns.seller,
            columns.pipeline]  # fmt: skip
    return (
        select(*keys, func.sum(columns.value), func.count())
        .where(columns.account_id == account_id)
        .group_by(*keys)
    )


def _cells(connection: Connection, query: Any) -> dict[tuple[Any, ...], tuple[int, int]]:
    return {
        (row[1], int(row[2]), *row[3:6]): (int(row[6]), int(row[7]))
        for row in connection.execute(query)
    }


def differences(connection: Connection, account_id: str) -> Iterator[tuple[str, str]]:
    """(cell, what is wrong) of both rollups."""
    for table, name in ((_DAY, "day"), (_MONTH, "month")):
        should = _cells(connection, _sums(account_id, by_month=name == "month"))
        columns = [table.c[c.format(name)] for c in _COLUMNS]
        stored = _cells(connection, select(*columns).where(table.c.account_id == account_id))
        for cell in sorted(set(should) | set(stored)):
            if should.get(cell) != stored.get(cell):
                text = "/".join(str(part) for part in cell)
                yield f"{name}:{text}", f"stored {stored.get(cell)}, sums to {should.get(cell)}"


def rebuild(connection: Connection, account_id: str) -> None:
    """Make both rollups anew from the contributions."""
    for table, name in ((_DAY, "day"), (_MONTH, "month")):
        connection.execute(delete(table).where(table.c.account_id == account_id))
        columns = [column.format(name) for column in _COLUMNS]
        sums = _sums(account_id, by_month=name == "month")
        connection.execute(insert(table).from_select(columns, sums))
