"""What is counted beside a row: by the database for one, or for many rows at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, func, literal, select

from service.store.bi.scene import Element, Scene
from service.store.reads import deals
from service.store.tables import Deal, Violation

_D: Any = Deal.__table__  # type: ignore[attr-defined]
_V: Any = Violation.__table__  # type: ignore[attr-defined]
Count = Callable[[Connection, Scene, Sequence[Sequence[Any]]], Sequence[int]]


def open_violations(scene: Scene) -> Element:
    """How many violations are open of the deal of the outer query."""
    counted = (
        select(func.count())
        .select_from(_V)
        .where(
            _V.c.account_id == _D.c.account_id,
            _V.c.timeline == literal("deal:").concat(_D.c.id),
            deals.open_at(scene.at),
        )
    )
    return counted.correlate(_D).scalar_subquery()


def count_violations(
    connection: Connection, scene: Scene, keys: Sequence[Sequence[Any]]
) -> Sequence[int]:
    """The same of many deals, by the columns of the key."""
    ids = list(zip(*keys, strict=True))
    counts = deals.open_violations(connection, ids, scene.at)
    return [counts.get(deal, 0) for deal in ids]
