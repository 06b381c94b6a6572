"""How much of a portal's rate limit is used up. Instants are microseconds of the portal's time."""

from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, Table, case, select, update

from service.domain.instant import Instant
from service.store.engine import insert_or_update
from service.store.records import PortalBudget

_MICRO = 1_000_000
_FURTHEST = 7200 * _MICRO
_BUDGET: Table = PortalBudget.__table__  # type: ignore[attr-defined]


class Budget(NamedTuple):
    """A row of `portal_budget`."""

    busy_until: int
    paused_until: int


def reserve(connection: Connection, portal: str, now: int, cost: int) -> Budget:
    """Add `cost` to what is reserved; what is reserved then.

    What lies further ahead than any pause was written under a wrong clock, and is forgotten.
    """
    ahead = (_BUDGET.c.busy_until > now) & (_BUDGET.c.busy_until < now + _FURTHEST)
    busy = case((ahead, _BUDGET.c.busy_until), else_=now) + cost
    query = update(_BUDGET).where(_BUDGET.c.portal == portal).values(busy_until=busy)
    if connection.execute(query).rowcount == 0:
        row = {"portal": portal, "busy_until": now, "paused_until": 0}
        insert_or_update(connection, _BUDGET, [row], update=())
        connection.execute(query)
    found = budget(connection, portal) or Budget(now + cost, 0)
    return found if found.paused_until < now + _FURTHEST else Budget(found.busy_until, 0)


def pause(connection: Connection, portal: str, until: int, full: int) -> None:
    """Nobody sends anything before `until`; then the bucket is as good as full (`full` ahead)."""
    row = {"portal": portal, "busy_until": until + full, "paused_until": until}
    insert_or_update(
        connection, _BUDGET, [row],
        update=("busy_until", "paused_until"), larger=("paused_until",),
    )  # fmt: skip


def budget(connection: Connection, portal: str) -> Budget | None:
    """What is reserved."""
    query = select(_BUDGET.c.busy_until, _BUDGET.c.paused_until).where(_BUDGET.c.portal == portal)
    row = connection.execute(query).first()
    return Budget(*row) if row else None


class Left(NamedTuple):
    """What is left of a portal's limit: a share 0..1, and until when it asked for a pause."""

    share: float
    paused_until: Instant | None


def portal_key(crm: str, base_url: str) -> str:
    """Accounts of one portal share its limit."""
    return f"{crm} {urlsplit(base_url).netloc}"[:200]


def left(known: Budget | None, now: float, rate: float, burst: float) -> Left:
    """What is left of a limit of `rate` requests a second and `burst` at once."""
    if known is None:
        return Left(1.0, None)
    ahead = known.busy_until / _MICRO - now
    share = 1.0 - min(1.0, max(0.0, ahead) / max(1.0, burst / rate))
    paused = known.paused_until // _MICRO
    return Left(round(share, 3), paused if paused > now else None)
