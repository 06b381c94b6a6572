"""Plans of teams when sellers change between them (kpis.md 8.2).

A seller takes the plan of his days along, from the day of the move on; what he had before stays
with the team that he was in. So what is set for a team grows and shrinks with the plans of its
sellers, and what it holds beyond them stays as it is on every day: finished days keep their plan,
and all levels agree as before.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period
from service.kpi.metrics import METRICS
from service.kpi.plantree import PlanBook, scope_of
from service.store import plans as store
from service.store.accounts import load_configs

AUTHOR = "dozor"  # where the CRM tells of the move
MOVED = "a seller has moved between teams"
_SUMS = sorted(slug for slug, metric in METRICS.items() if metric.kind == "sum")


def follow(connection: Connection, before: Config, author: str, now: Instant) -> int:
    """Settings or directory have been saved: put the plans of teams right; how many rows.

    `before`: as the account was until now.
    """
    after = load_configs(connection, before.account_id, before.lang)[-1][1]
    if after.memberships.rota.told == before.memberships.rota.told:
        return 0
    store.hold(connection, before.account_id)
    rows = store.plans(connection, [before.account_id], metric=_SUMS)
    old, new = PlanBook.of(before, rows), PlanBook.of(after, rows)
    changed = 0
    for row in rows:
        value = row["value"] + (_moved(old, new, row) if row["team"] and not row["seller"] else 0)
        if value != row["value"]:
            store.put(connection, {**row, "value": max(0, value)}, author, MOVED, now)
            changed += 1
    return changed


def _moved(old: PlanBook, new: PlanBook, row: Mapping[str, Any]) -> int:
    """By how much the plans of a team's sellers are more than before, in a month or on a day."""
    period = Period.parse(row["period"])
    month = Period.around(period.first, "month")
    days = slice(period.first.day - 1, period.last.day)
    then, now = (book.of_members(row["metric"], month, scope_of(row)) for book in (old, new))
    return sum(now[days]) - sum(then[days])
