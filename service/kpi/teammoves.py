"""What follows when it is told that sellers change teams: of plans (kpis.md 8.2), of the feed.

A seller takes the plan of his days along, from the day of the move on; what he had before stays
with the team that he was in. So what is set for a team grows and shrinks with the plans of its
sellers, and what it holds beyond them stays as it is on every day: finished days keep their plan,
and all levels agree as before. The change feed tells his days anew from the first one on that has
another team.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period
from service.domain.teams import Rota
from service.kpi.metrics import METRICS
from service.kpi.plantree import PlanBook, scope_of
from service.store import plans as store
from service.store import revisions
from service.store.accounts import load_config, load_configs

AUTHOR = "dozor"  # where the CRM tells of the move
MOVED = "a seller has moved between teams"
_SUMS = sorted(slug for slug, metric in METRICS.items() if metric.kind == "sum")


def begin(connection: Connection, account_id: str, lang: str) -> Config:
    """The account as it is before settings or a directory are saved: nobody else may meanwhile."""
    store.hold(connection, account_id)
    return load_config(connection, account_id, lang)


def follow(connection: Connection, before: Config, author: str, now: Instant) -> None:
    """Settings or directory have been saved; `before`: what `begin` said."""
    after = load_configs(connection, before.account_id, before.lang)[-1][1]
    moved = dict(_moved(before.memberships.rota, after.memberships.rota))
    if not moved:
        return
    _shift(connection, before, after, author, now)
    revisions.tell_days(connection, before.account_id, moved)


def _moved(then: Rota, now: Rota) -> Iterator[tuple[str, int]]:
    """(seller, the first local day on which his team is another one)."""
    for seller in sorted({*then.sellers, *now.sellers}):
        days = sorted({0, *then.moves(seller), *now.moves(seller)})
        found = (day for day in days if then.team_on(seller, day) != now.team_on(seller, day))
        first = next(found, None)
        if first is not None:
            yield seller, first


def _shift(
    connection: Connection, before: Config, after: Config, author: str, now: Instant
) -> None:
    """What is set for teams follows the plans of their sellers."""
    rows = store.plans(connection, [before.account_id], metric=_SUMS)
    old, new = PlanBook.of(before, rows), PlanBook.of(after, rows)
    for row in rows:
        more = _gained(old, new, row) if row["team"] and not row["seller"] else 0
        if more:
            told = {**row, "value": max(0, row["value"] + more)}
            store.put(connection, told, author, MOVED, now)


def _gained(old: PlanBook, new: PlanBook, row: Mapping[str, Any]) -> int:
    """By how much the plans of a team's sellers are more than before, in a month or on a day."""
    period = Period.parse(row["period"])
    month = Period.around(period.first, "month")
    days = slice(period.first.day - 1, period.last.day)
    then, now = (book.of_members(row["metric"], month, scope_of(row)) for book in (old, new))
    return sum(now[days]) - sum(then[days])
