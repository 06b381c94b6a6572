"""The rollups: sums of contributions and counts of violations, moved with them, proven, made anew.

Of violations those that nobody ever muted are counted: how many began and how many ended on a day.
Days and months also keep the sum of value x age: by it levels are integrated over time
(`domain.monthtime`).
"""

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
    or_,
    select,
    text,
    union_all,
)

from service.domain.steps import CLOSED, OPENED
from service.store import revisions
from service.store.engine import insert_or_update
from service.store.tables import (
    NEVER_MUTED,
    Contribution,
    RollupDay,
    RollupMonth,
    RollupTotal,
    RollupYear,
    Violation,
)

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_MONTH: Table = RollupMonth.__table__  # type: ignore[attr-defined]
_YEAR: Table = RollupYear.__table__  # type: ignore[attr-defined]
_TOTAL: Table = RollupTotal.__table__  # type: ignore[attr-defined]
_ROLLUPS: tuple[tuple[str, Table, str, tuple[str, ...]], ...] = (
    ("day", _DAY, "day", ("seller", "pipeline")),
    ("month", _MONTH, "month", ("seller", "pipeline")),
    ("year", _YEAR, "year", ("seller", "pipeline")),
    ("total", _TOTAL, "day", ()),
)
_DAYS_IN = {"month": 100, "year": 10_000}
"""By what a local day yyyymmdd is divided."""
Moved = tuple[str, tuple[Any, ...], tuple[Any, ...]]  # timeline, key, the rest of a contribution


def _names(period: str, places: tuple[str, ...]) -> list[str]:
    sums = ["value", "n", *(["moment"] if period != "year" and places else [])]
    return ["account_id", "metric", period, "currency", *places, *sums]


def _addends(account_id: str) -> Any:
    """What is added up: contributions that no slot keeps apart, and both ends of violations."""
    columns, ends = _CONTRIBUTION.c, _VIOLATION.c
    told = [columns.account_id, columns.metric, columns.day, columns.seller, columns.pipeline]
    query = select(*told, columns.currency, columns.value, columns.age).where(
        columns.account_id == account_id, columns.slot == ""
    )
    loud: list[Any] = [ends.account_id == account_id, text(NEVER_MUTED)]
    loud.append(or_(ends.resolved_day == 0, ends.resolved_at > ends.breach_at))
    counts = [
        select(ends.account_id, literal(name), day, ends.seller, ends.pipeline, literal(""),
               literal(1, BigInteger), worked).where(*loud, day > 0)
        for name, day, worked in (
            (OPENED, ends.breach_day, ends.breach_worked),
            (CLOSED, ends.resolved_day, ends.resolved_worked),
        )
    ]  # fmt: skip
    return union_all(query, *counts).subquery("addend")


def ends_of(violation: Mapping[str, Any]) -> list[Moved]:
    """A violation as the rollups count it, in the form of contributions."""
    begun, ended = violation["breach_at"], violation["resolved_at"]
    if violation["muted"] or (ended is not None and ended <= begun):
        return []
    place = (violation["seller"], violation["pipeline"], "", "", 1, "", "", "")
    ends = (
        (OPENED, begun, violation["breach_day"], violation["breach_worked"]),
        (CLOSED, ended, violation["resolved_day"], violation["resolved_worked"]),
    )
    return [
        (violation["timeline"], (name,), (at, day, *place, worked))
        for name, at, day, worked in ends
        if day
    ]


def _sums(account_id: str, period_name: str, places: tuple[str, ...]) -> Any:
    columns = _addends(account_id).c
    unit = _DAYS_IN.get(period_name, 1)
    # `//` would be a true division with a floor on SQLite; this is exact on both.
    period = columns.day if unit == 1 else cast((columns.day - columns.day % unit) / unit, Integer)
    keys = [columns.account_id, columns.metric, period, columns.currency]
    keys += [columns[place] for place in places]
    sums = [func.sum(columns.value), func.count()]
    if "moment" in _names(period_name, places):
        sums.append(func.sum(columns.value * columns.age))
    return select(*keys, *sums).group_by(*keys)


def _cells(
    connection: Connection, query: Any, width: int
) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """Sums by what tells them apart. `width`: how many columns that is, with the account."""
    return {
        (row[1], int(row[2]), *row[3:width]): tuple(map(int, row[width:]))
        for row in map(tuple, connection.execute(query))
    }


def differences(connection: Connection, account_id: str) -> Iterator[tuple[str, str]]:
    """(cell, what is wrong) of all rollups."""
    for name, table, period, places in _ROLLUPS:
        width = 4 + len(places)
        should = _cells(connection, _sums(account_id, period, places), width)
        columns = [table.c[column] for column in _names(period, places)]
        mine = select(*columns).where(table.c.account_id == account_id)
        stored = _cells(connection, mine, width)
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
    """Keep the rollups equal to what came and went; days tell the revision."""
    days: dict[tuple[Any, ...], list[int]] = {}
    for sign, rows in ((1, added), (-1, removed)):
        for _, key, rest in rows:
            _, day, seller, pipeline, _, _, value, currency, slot, _, age = rest
            if slot:
                continue
            cell = days.setdefault((key[0], day, seller, pipeline, currency), [0, 0, 0])
            cell[0] += sign * value
            cell[1] += sign
            cell[2] += sign * value * age
    months = _added_up(days, lambda metric, day, *rest: (metric, day // 100, *rest), 3)
    years = _added_up(months, lambda metric, month, *rest: (metric, month // 100, *rest), 2)
    totals = _added_up(days, lambda metric, day, _seller, _pipeline, cur: (metric, day, cur), 2)
    places = ("seller", "pipeline", "currency")
    for table, columns, cells in (
        (_DAY, ("metric", "day", *places), days),
        (_MONTH, ("metric", "month", *places), months),
        (_YEAR, ("metric", "year", *places), years),
        (_TOTAL, ("metric", "day", "currency"), totals),
    ):
        moved = {key: cell for key, cell in cells.items() if any(cell)}
        told = revision if table is _DAY else None
        _add_to_rollup(connection, account_id, table, columns, moved, told)
    gone = [key[:3] for key, (_, n, _) in days.items() if n < 0]
    revisions.bury(connection, account_id, revisions.DAY, map(revisions.day_id, gone), revision)


_Cells = Mapping[tuple[Any, ...], Sequence[int]]


def _added_up(
    cells: _Cells, key_of: Callable[..., tuple[Any, ...]], width: int
) -> dict[tuple[Any, ...], list[int]]:
    """Sums of cells that become one; the first `width` of their sums."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for key, sums in cells.items():
        cell = found.setdefault(key_of(*key), [0] * width)
        for place in range(width):
            cell[place] += sums[place]
    return found


def _add_to_rollup(
    connection: Connection,
    account_id: str,
    table: Table,
    columns: tuple[str, ...],
    cells: _Cells,
    revision: int | None,
) -> None:
    """Add to cells of a rollup; a cell that nothing contributes to any more goes."""
    if not cells:
        return
    sums = ("value", "n", "moment")[: len(next(iter(cells.values())))]
    rows = [
        {"account_id": account_id, **dict(zip(columns, key, strict=True)),
         **dict(zip(sums, cell, strict=True))}
        for key, cell in sorted(cells.items())
    ]  # fmt: skip
    told: tuple[str, ...] = ()
    if revision is not None:
        rows, told = [{**row, "revision": revision} for row in rows], ("revision",)
    insert_or_update(connection, table, rows, update=told, add=sums)
    if any(cell[1] < 0 for cell in cells.values()):
        keys = [
            {f"k_{c}": part for c, part in zip(columns, key, strict=True)}
            for key, cell in cells.items()
            if cell[1] < 0
        ]
        query = delete(table).where(
            table.c.account_id == account_id,
            table.c.n == 0,
            *(table.c[c] == bindparam(f"k_{c}") for c in columns),
        )
        connection.execute(query, keys)
