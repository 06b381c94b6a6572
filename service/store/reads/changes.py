"""What has changed in an account since a place in its history, oldest first."""

from collections.abc import Sequence
from heapq import merge
from typing import Any, NamedTuple

from sqlalchemy import Connection, String, and_, cast, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from service.store.engine import is_sqlite
from service.store.records import Plan
from service.store.served import Gone
from service.store.summed import RollupDay
from service.store.tables import Deal, Task, Violation

_GONE: Any = Gone.__table__  # type: ignore[attr-defined]
_PLAN: Any = Plan.__table__  # type: ignore[attr-defined]
_DAY: Any = RollupDay.__table__  # type: ignore[attr-defined]
_BY_ID: dict[str, Any] = {
    "deal": Deal.__table__,  # type: ignore[attr-defined]
    "task": Task.__table__,  # type: ignore[attr-defined]
    "violation": Violation.__table__,  # type: ignore[attr-defined]
}


class Place(NamedTuple):
    """A place in an account's history: after this change. Ids are texts without the account."""

    revision: int
    type: str
    id: str


BEGINNING = Place(-1, "", "")


def changes(
    connection: Connection,
    account_id: str,
    types: Sequence[str],
    after: Place,
    limit: int,
    days: Sequence[str] = (),
) -> list[Place]:
    """At most `limit` changes after a place.

    Args:
        connection: the snapshot.
        account_id: whose.
        types: of deal, task, violation, plan, kpi_day.
        after: where the reader is.
        limit: most rows.
        days: the metrics that `kpi_day` tells of.
    """
    found: list[list[Place]] = []
    for kind in sorted(types):
        for source in _sources(kind, account_id, days):
            revision, name = source.revision, source.name
            if not is_sqlite(connection):  # as Python compares, whatever the database's language
                name = name.collate("C")
            query = select(revision, *source.near, name).distinct()
            query = query.where(*source.conditions, _later(kind, source, name, after))
            query = query.order_by(revision, *source.near, name).limit(limit)
            rows = connection.execute(query)
            found.append([Place(int(row[0]), kind, str(row[-1])) for row in rows])
    whole = list(dict.fromkeys(merge(*found)))
    return whole[:limit]


class _Source(NamedTuple):
    """Where changes of a kind stand. `near`: what ids begin with, as an index has it."""

    revision: Any
    name: Any
    conditions: list[Any]
    near: tuple[Any, ...] = ()


def _sources(kind: str, account_id: str, days: Sequence[str]) -> list[_Source]:
    """What is there, and what is gone."""
    mine = [_GONE.c.account_id == account_id, _GONE.c.type == kind]
    gone = _Source(_GONE.c.revision, _GONE.c.id, mine)
    if kind in _BY_ID:
        table = _BY_ID[kind]
        return [_Source(table.c.revision, table.c.id, [table.c.account_id == account_id]), gone]
    if kind == "plan":
        name: Any = _PLAN.c.metric
        for column in ("period", "team", "seller"):
            name = name.concat(".").concat(_PLAN.c[column])
        return [_Source(_PLAN.c.revision, name, [_PLAN.c.account_id == account_id]), gone]
    name = cast(_DAY.c.day, String).concat(".").concat(_DAY.c.metric).concat(".")
    name = name.concat(_DAY.c.seller)
    mine = [_DAY.c.account_id == account_id, _DAY.c.metric.in_(days)]
    return [_Source(_DAY.c.revision, name, mine, (_DAY.c.day,)), gone]


def _later(kind: str, source: _Source, name: Any, after: Place) -> ColumnElement[bool]:
    """Strictly after a place, in the order (revision, type, id); a range of the index first."""
    revision = source.revision
    if kind != after.type:
        found: ColumnElement[bool] = (
            revision >= after.revision if kind > after.type else revision > after.revision
        )
        return found
    begin = revision >= after.revision
    if source.near:
        day = int(after.id.partition(".")[0])
        begin = tuple_(revision, *source.near) >= tuple_(after.revision, day)
    return and_(begin, or_(revision > after.revision, name > after.id))
