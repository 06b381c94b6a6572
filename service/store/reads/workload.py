"""What sellers have on their hands."""

from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, func, select

from service.domain.instant import Instant
from service.domain.period import local_day
from service.domain.standards import load_status
from service.store.tables import Contribution, Deal

_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
_C: Table = Contribution.__table__  # type: ignore[attr-defined]


def untouched(
    connection: Connection, account: str, seller: str, at: Instant, most: int
) -> list[str]:
    """Open deals that a seller had at an instant, of those that nobody had touched, newest first.

    Deals that are no load (of excluded pipelines) are in no level.
    """
    held = (
        select(_C.c.subject_id)
        .where(_C.c.account_id == account, _C.c.metric == "deals_open", _C.c.seller == seller)
        .where(_C.c.at <= at)
        .group_by(_C.c.subject_id)
        .having(func.sum(_C.c.value) > 0)
    )
    query = (
        select(_DEAL.c.id)
        .where(_DEAL.c.account_id == account, _DEAL.c.id.in_(held))
        .where(_DEAL.c.first_touch_at.is_(None) | (_DEAL.c.first_touch_at > at))
        .order_by(_DEAL.c.created_at.desc(), _DEAL.c.id)
        .limit(most)
    )
    return list(connection.execute(query).scalars())


def due_today(connection: Connection, account: str, zone: ZoneInfo, at: Instant) -> dict[str, int]:
    """How many tasks that each seller had open at an instant are due on its local day."""
    query = (
        select(_C.c.seller, func.sum(_C.c.value))
        .where(_C.c.account_id == account, _C.c.metric == "tasks_on_day", _C.c.at <= at)
        .where(_C.c.slot == str(local_day(at, zone)))
        .group_by(_C.c.seller)
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
