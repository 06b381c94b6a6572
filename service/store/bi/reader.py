"""Rows of a BI table: chosen columns, conditions, order, walked by key; streamed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, and_, false, func, or_, select

from service.store.bi.scene import Element, Scene
from service.store.bi.tables import Column, Table
from service.store.reads.keyset import Key, after
from service.store.tables import Deal

_DEAL: Any = Deal.__table__  # type: ignore[attr-defined]
BLOCK = 1000
Row = dict[str, Any]


@dataclass(frozen=True)
class Cut:
    """Which rows. `used`: names of the columns that `conditions` look at."""

    conditions: Sequence[Element] = ()
    used: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Piece:
    """Order (column, downwards) before the key, position to go on after, how many."""

    sort: Sequence[tuple[Column, bool]] = ()
    after: Sequence[Any] | None = None
    limit: int | None = None
    skip: int = 0


@dataclass(frozen=True)
class Block:
    """Rows, column by column. `accounts`: whose each is; money is minor units.

    The currency of money stands under `<name>:scale`.
    """

    accounts: Sequence[str]
    values: Mapping[str, Sequence[Any]]


def block_of(rows: Sequence[Row], columns: Sequence[Column]) -> Block:
    """Rows of `Reading.rows` as a block."""
    names = [name for column in columns for name in _labels(column)]
    return Block([r["account"] for r in rows], {name: [r[name] for r in rows] for name in names})


def _labels(column: Column) -> list[str]:
    return [column.name] if column.scale is None else [column.name, f"{column.name}:scale"]


@dataclass(frozen=True)
class Reading:
    """A table under a scene, cut."""

    table: Table
    scene: Scene
    cut: Cut = field(default_factory=Cut)

    def rows(
        self, connection: Connection, columns: Sequence[Column], piece: Piece | None = None
    ) -> Iterator[Row]:
        """Rows one by one, a block in memory: `position` = where it stands, `account` = whose.

        Money comes as minor units, its currency under `<name>:scale`.
        """
        piece = piece or Piece()
        labels = [name for column in columns for name in _labels(column)]
        query = self._query(columns, piece)
        for row in connection.execution_options(yield_per=BLOCK).execute(query):
            values = tuple(row)
            position = list(values[len(labels) :])
            named = dict(zip(labels, values, strict=False))
            yield {**named, "account": position[len(piece.sort)], "position": position}

    def blocks(self, connection: Connection, columns: Sequence[Column]) -> Iterator[Block]:
        """All rows in the order of the key, a block in memory.

        Names are looked up here, and what is counted is counted for a block at a time: the database
        would do it row by row.
        """
        finder = Finder(self, [column for column in columns if column.found is not None])
        counted = [(column.name, column.counted) for column in columns if column.counted]
        read = [column for column in columns if column.found is None and not column.counted]
        query, places = _narrow(self._query([*read, *finder.keys], Piece()))
        labels = [name for column in [*read, *finder.keys] for name in _labels(column)]
        query = query.execution_options(yield_per=BLOCK)
        for rows in connection.execute(query).partitions():
            told = list(zip(*rows, strict=True))
            keys = [told[place] for place in places[len(labels) :]]
            named = zip(labels, places, strict=False)
            values: dict[str, Sequence[Any]] = {name: told[place] for name, place in named}
            values |= finder.found(values)
            values |= {name: count(connection, self.scene, keys) for name, count in counted}
            yield Block(keys[0], values)

    def _query(self, columns: Sequence[Column], piece: Piece) -> Select[Any]:
        """Chosen columns, then the position."""
        keys = self._keys(piece)
        chosen: list[Element] = []
        for column in columns:
            chosen.append(column.make(self.scene).label(column.name))
            if column.scale is not None:
                chosen.append(column.scale(self.scene).label(f"{column.name}:scale"))
        places = [key.column.label(f"key_{number}") for number, key in enumerate(keys)]
        query = self._select([*chosen, *places], [*columns, *(column for column, _ in piece.sort)])
        if piece.after is not None:
            query = query.where(after(keys, piece.after))
        query = query.order_by(*(key.order for key in keys))
        if piece.limit is not None:
            query = query.limit(piece.limit)
        return query.offset(piece.skip) if piece.skip else query

    def count(self, connection: Connection) -> int:
        """How many rows there are."""
        query = self._select([func.count()], [])
        return int(connection.scalar(query) or 0)

    def _keys(self, piece: Piece) -> list[Key]:
        sorts = [
            Key(column.compared(self.scene), down, nullable=True) for column, down in piece.sort
        ]
        return [*sorts, *(Key(element) for element in self.table.key(self.scene))]

    def _select(self, elements: Sequence[Element], columns: Sequence[Column]) -> Select[Any]:
        used = {join for column in columns for join in column.joins}
        for name in self.cut.used:
            column = self.table.column(name)
            used |= set(column.joins) if column is not None else set()
        source = self.table.base(self.scene)
        for name, join in self.table.joins:
            if name in used:
                other = join.table(self.scene)
                source = source.outerjoin(other, join.on(self.scene, other))
        where = [*self.table.where(self.scene), *self.cut.conditions]
        return select(*elements).select_from(source).where(*where)


def _narrow(query: Select[Any]) -> tuple[Select[Any], Sequence[int]]:
    """The query without what it says twice; where each of its columns stands now."""
    kept: dict[int, Any] = {}
    names = [id(getattr(column, "element", column)) for column in query.selected_columns]
    for name, column in zip(names, query.selected_columns, strict=True):
        kept.setdefault(name, column)
    order = list(kept)
    return query.with_only_columns(*kept.values()), [order.index(name) for name in names]


class Finder:
    """Columns that are names in reference rows: by what they are looked up, and how."""

    def __init__(self, reading: Reading, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._rows: dict[str, Mapping[tuple[Any, ...], Mapping[str, Any]]] = {}
        self._names: dict[str, list[str]] = {}
        self.keys: list[Column] = []
        joins = dict(reading.table.joins)
        for ref in dict.fromkeys(column.found[0] for column in columns if column.found):
            pairs = joins[ref].keys(reading.scene)
            self._names[ref] = [f"{ref}:{name}" for name, _ in pairs]
            self.keys += [
                Column(f"{ref}:{name}", "String", name, partial(_as_it_is, value))
                for name, value in pairs
            ]
            known = reading.scene.refs.get(ref, ())
            self._rows[ref] = {tuple(row[name] for name, _ in pairs): row for row in known}

    def found(self, values: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The looked up columns of a block that has the keys."""
        told: dict[str, Sequence[Any]] = {}
        none = dict[str, Any]()
        keys = {
            ref: list(zip(*(values[name] for name in names), strict=True))
            for ref, names in self._names.items()
        }
        met = {
            ref: [self._rows[ref].get(key, none) for key in found] for ref, found in keys.items()
        }
        for column in self._columns:
            ref, field_name = column.found or ("", "")
            names = [row.get(field_name) for row in met[ref]]
            if column.raw:
                pairs = zip(names, keys[ref], strict=True)
                names = [(key[1] if name is None else name) or None for name, key in pairs]
            told[column.name] = names
        return told


def _as_it_is(value: Element, _: Scene) -> Element:
    return value


def any_of(table: Table, scene: Scene, name: str, values: Sequence[Any]) -> Element:
    """A column has one of these values."""
    return _known(table, name).compared(scene).in_(values)


def any_id(table: Table, scene: Scene, ids: Sequence[str]) -> Element:
    """The rows with these ids, found by the table's key where it has them."""
    if table.keyed == "by_value":
        return any_of(table, scene, "id", ids)
    account, name = table.key(scene)[0], table.key(scene)[-1]
    if table.keyed == "whole":
        return name.in_(ids)
    by_account: dict[str, list[str]] = {}
    for one in ids:
        owner, _, rest = one.partition(".")
        by_account.setdefault(owner, []).append(rest)
    return or_(
        false(), *(and_(account == owner, name.in_(rest)) for owner, rest in by_account.items())
    )


def at_least(table: Table, scene: Scene, name: str, value: Any) -> Element:
    """A column is not below a value."""
    found: Element = _known(table, name).compared(scene) >= value
    return found


def at_most(table: Table, scene: Scene, name: str, value: Any) -> Element:
    """A column is not above a value."""
    found: Element = _known(table, name).compared(scene) <= value
    return found


def first_instant(connection: Connection, account: str) -> int | None:
    """When the oldest deal was created."""
    query = select(func.min(_DEAL.c.created_at)).where(_DEAL.c.account_id == account)
    found = connection.scalar(query)
    return None if found is None else int(found)


def _known(table: Table, name: str) -> Column:
    found = table.column(name)
    if found is None:
        raise KeyError(name)
    return found
