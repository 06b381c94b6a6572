"""The rollups: sums of contributions, moved with them, proven against them, made anew."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
)

from service.store import revisions
from service.store.engine import insert_or_update
from service.store.tables import Contribution, RollupDay, RollupMonth, RollupTotal

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_TOTAL: Table = RollupTotal.__table__  # type: ignore[attr-defined]
_ROLLUPS: tuple[tuple[str, Table, str, tuple[str, ...]], ...] = (
    ("day", _DAY, "day", ("seller", "pipeline")),
    ("month", _MONTH, "month", ("seller", "pipeline")),
    ("total", _TOTAL, "day", ()),
)
Moved = tuple[str, tuple[Any, ...], tuple[Any, ...]]  # timeline, key, the rest of a contribution


def _names(period: str, places: tuple[str, ...]) -> list[str]:
    return ["account_id", "metric", period, "currency", *places, "value", "n"]


def _sums(account_id: str, period_name: str, places: tuple[str, ...]) -> Any:
    columns = _CONTRIBUTION.c
    # `//` would be a true division with a floor on SQLite; day - day % 100 is exact on both.
    month = cast((columns.day - columns.day % 100) / 100, Integer)
    period = month if period_name == "month" else columns.day
    keys = [columns.account_id, columns.metric, period, columns.currency]
    keys += [columns[place] for place in places]
    return (
        select(*keys, func.sum(columns.value), func.count())
        .where(columns.account_id == account_id, columns.slot == "")
        .group_by(*keys)
    )


def _cells(connection: Connection, query: Any) -> dict[tuple[Any, ...], tuple[int, int]]:
    return {
        (row[1], int(row[2]), *row[3:-2]): (int(row[-2]), int(row[-1]))
        for row in connection.execute(query)
    }


def differences(connection: Connection, account_id: str) -> Iterator[tuple[str, str]]:
    """(cell, what is wrong) of all rollups."""
    for name, table, period, places in _ROLLUPS:
        should = _cells(connection, _sums(account_id, period, places))
        columns = [table.c[column] for column in _names(period, places)]
        stored = _cells(connection, select(*columns).where(table.c.account_id == account_id))
        for cell in sorted(set(should) | set(stored)):
            if should.get(cell) != stored.get(cell):
                text = "/".join(str(part) for part in cell)
                yield f"{name}:{text}", f"stored {stored.get(cell)}, sums to {should.get(cell)}"


def rebuild(connection: Connection, account_id: str) -> None:
    """Make the rollups anew from the contributions; the change feed tells all days again."""
    revision = revisions.take(connection, account_id)
    query = select(_DAY.c.metric, _DAY.c.day, _DAY.c.seller).distinct()
    old = connection.execute(query.where(_DAY.c.account_id == account_id)).all()
    revisions.bury(connection, account_id, revisions.DAY, map(revisions.day_id, old), revision)
    for _, table, period, places in _ROLLUPS:
        connection.execute(delete(table).where(table.c.account_id == account_id))
        names, sums = _names(period, places), _sums(account_id, period, places)
        if table is _DAY:
            names, sums = [*names, "revision"], sums.add_columns(literal(revision, BigInteger))
        connection.execute(insert(table).from_select(names, sums))


def move(
    connection: Connection,
    account_id: str,
    added: Sequence[Moved],
    removed: Sequence[Moved],
    revision: int,
) -> None:
    """Keep the rollups equal to the contributions that came and went; days tell the revision."""
    days: dict[tuple[Any, ...], list[int]] = {}
    for sign, rows in ((1, added), (-1, removed)):
        for _, key, rest in rows:
            _, day, seller, pipeline, _, _, value, currency, slot = rest[:9]
            if slot:
                continue
            cell = days.setdefault((key[0], day, seller, pipeline, currency), [0, 0])
            cell[0] += sign * value
            cell[1] += sign
    months = _added_up(days, lambda metric, day, *rest: (metric, day // 100, *rest))
    totals = _added_up(days, lambda metric, day, _seller, _pipeline, cur: (metric, day, cur))
    places = ("seller", "pipeline", "currency")
    for table, columns, cells in (
        (_DAY, ("metric", "day", *places), days),
        (_MONTH, ("metric", "month", *places), months),
        (_TOTAL, ("metric", "day", "currency"), totals),
    ):
        moved = {key: cell for key, cell in cells.items() if cell != [0, 0]}
        told = revision if table is _DAY else None
        _add_to_rollup(connection, account_id, table, columns, moved, told)
    gone = [key[:3] for key, (_, n) in days.items() if n < 0]
    revisions.bury(connection, account_id, revisions.DAY, map(revisions.day_id, gone), revision)


_Cells = Mapping[tuple[Any, ...], Sequence[int]]


def _added_up(
    cells: _Cells, key_of: Callable[..., tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[int]]:
    found: dict[tuple[Any, ...], list[int]] = {}
    for key, (value, n) in cells.items():
        cell = found.setdefault(key_of(*key), [0, 0])
        cell[0] += value
        cell[1] += n
    return found


def _add_to_rollup(
    connection: Connection,
    account_id: str,
    table: Table,
    columns: tuple[str, ...],
    cells: _Cells,
    revision: int | None,
) -> None:
    """Add (value, n) to cells of a rollup; a cell that nothing contributes to any more goes."""
    if not cells:
        return
    rows = [
        {"account_id": account_id, **dict(zip(columns, key, strict=True)), "value": v, "n": n}
        for key, (v, n) in sorted(cells.items())
    ]
    told: tuple[str, ...] = ()
    if revision is not None:
        rows, told = [{**row, "revision": revision} for row in rows], ("revision",)
    insert_or_update(connection, table, rows, update=told, add=("value", "n"))
    if any(n < 0 for _, n in cells.values()):
        keys = [
            {f"k_{c}": part for c, part in zip(columns, key, strict=True)}
            for key, (_, n) in cells.items()
            if n < 0
        ]
        query = delete(table).where(
            table.c.account_id == account_id,
            table.c.n == 0,
            *(table.c[c] == bindparam(f"k_{c}") for c in columns),
        )
        connection.execute(query, keys)
