"""What sellers have promised to close in a period: a column of its own, in no forecast (8.4)."""

from collections.abc import Mapping

from sqlalchemy import Connection, Table, func, select

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period
from service.kpi.planfact import By
from service.store.tables import Deal

_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
MONEY = ("receipts", "deal_value_won")
COUNTS = ("deals_won",)


def commitments(
    connection: Connection, config: Config, period: Period, by: By, now: Instant
) -> Mapping[str, Mapping[str | None, int]]:
    """By figure and line: open deals, as they stand, that are expected to close in the period."""
    query = (
        select(_DEAL.c.seller, _DEAL.c.currency, func.sum(_DEAL.c.amount), func.count())
        .where(_DEAL.c.account_id == config.account_id)
        .where(_DEAL.c.expected_close_on >= period.first.isoformat())
        .where(_DEAL.c.expected_close_on <= period.last.isoformat())
        .group_by(_DEAL.c.seller, _DEAL.c.currency)
    )
    amounts: dict[str | None, int] = {}
    counts: dict[str | None, int] = {}
    for seller, currency, amount, count in connection.execute(query):
        line = _line(config, seller, by, now)
        counts[line] = counts.get(line, 0) + int(count)
        if currency == config.currency:
            amounts[line] = amounts.get(line, 0) + int(amount)
    return {**dict.fromkeys(MONEY, amounts), **dict.fromkeys(COUNTS, counts)}


def _line(config: Config, seller: str, by: By, now: Instant) -> str | None:
    if by == "account" or not seller:
        return None
    if by == "seller":
        return f"{config.account_id}.{seller}"
    team = config.team_of(seller, now)
    return team.id if team else None
