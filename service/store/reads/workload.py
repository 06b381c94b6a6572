"""What sellers have on their hands."""

from collections.abc import Collection
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, func, select

from service.domain.instant import Instant
from service.domain.period import day_start, local_date, to_day
from service.domain.standards import load_status
from service.store.tables import Contribution, Deal, Task

_TASK: Table = Task.__table__  # type: ignore[attr-defined]
_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
_C: Table = Contribution.__table__  # type: ignore[attr-defined]


def untouched(
    connection: Connection, account: str, seller: str, excluded: Collection[str], most: int
) -> list[str]:
    """Open deals of a seller that nobody has done anything with, newest first.

    `excluded`: pipelines whose deals are no load.
    """
    query = (
        select(_DEAL.c.id)
        .where(_DEAL.c.account_id == account, _DEAL.c.seller == seller, _DEAL.c.status == "open")
        .where(~_DEAL.c.deleted, _DEAL.c.last_touch_at.is_(None))
        .where(_DEAL.c.pipeline.not_in(sorted(excluded)))
        .order_by(_DEAL.c.created_at.desc(), _DEAL.c.id)
        .limit(most)
    )
    return list(connection.execute(query).scalars())


def due_today(connection: Connection, account: str, zone: ZoneInfo, at: Instant) -> dict[str, int]:
    """How many open tasks of each seller are due on the local day of `at`."""
    today = local_date(at, zone)
    start = day_start(to_day(today), zone)
    end = day_start(to_day(today + timedelta(days=1)), zone)
    query = (
        select(_TASK.c.seller, func.count())
        .where(_TASK.c.account_id == account, _TASK.c.is_open)
        .where(_TASK.c.due_at >= start, _TASK.c.due_at < end)
        .group_by(_TASK.c.seller)
    )
    return {seller: int(count) for seller, count in connection.execute(query)}


def level_since(
    connection: Connection,
    account: str,
    seller: str,
    level: tuple[str, str],
    limit: int,
    at: Instant,
) -> Instant | None:
    """Since when a level (metric, present status) has its status, over the steps up to `at`."""
    metric, wanted = level
    query = (
        select(_C.c.at, func.sum(_C.c.value))
        .where(_C.c.account_id == account, _C.c.metric == metric, _C.c.seller == seller)
        .where(_C.c.at <= at)
        .group_by(_C.c.at)
        .order_by(_C.c.at)
    )
    count, since, before = 0, None, None
    for when, delta in connection.execute(query):
        count += int(delta)
        now = load_status(count, limit)
        if now != before:
            since, before = int(when), now
    return since if before == wanted else None
