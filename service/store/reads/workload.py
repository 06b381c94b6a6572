"""What sellers have on their hands."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, func, select

from service.domain.instant import Instant
from service.domain.period import day_start, local_date, to_day
from service.store.tables import Contribution, Task

_TASK: Table = Task.__table__  # type: ignore[attr-defined]
_C: Table = Contribution.__table__  # type: ignore[attr-defined]
WARNING_SHARE = 0.8


def open_tasks(connection: Connection, account: str) -> dict[str, int]:
    """How many open tasks each seller has now. Index: ix_task_seller."""
    query = (
        select(_TASK.c.seller, func.count())
        .where(_TASK.c.account_id == account, _TASK.c.is_open)
        .group_by(_TASK.c.seller)
    )
    return {seller: int(count) for seller, count in connection.execute(query)}


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
    connection: Connection, account: str, seller: str, status: str, limit: int, at: Instant
) -> Instant | None:
    """The instant at which the present status began (over the steps up to `at`)."""
    query = (
        select(_C.c.at, func.sum(_C.c.value))
        .where(_C.c.account_id == account, _C.c.metric == "deals_open", _C.c.seller == seller)
        .where(_C.c.at <= at)
        .group_by(_C.c.at)
        .order_by(_C.c.at)
    )
    level, since, before = 0, None, None
    for when, delta in connection.execute(query):
        level += int(delta)
        now = _status(level, limit)
        if now != before:
            since, before = int(when), now
    return since if before == status else None


def _status(level: int, limit: int) -> str:
    if level > limit:
        return "over"
    return "warning" if level >= limit * WARNING_SHARE else "ok"
