"""Closing by itself: approved plans of a month after the 3rd working day of the next (8.1)."""

from datetime import date, timedelta

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, local_date
from service.store import plans as store

CLOSING_DAY = 3  # working day of the next month; until its end plans can still be put right
AUTHOR = "dozor"
REASON = f"closed after the {CLOSING_DAY}rd working day of the next month"


def closed_until(config: Config, now: Instant) -> date:
    """The last day of the latest month whose closing day is over, by the account's calendar."""
    today = local_date(now, config.timezone)
    this = Period.around(today, "month")
    last = this.first - timedelta(days=1)
    if _closing_day(config, this) < today:
        return last
    return Period.around(last, "month").first - timedelta(days=1)


def _closing_day(config: Config, month: Period) -> date:
    """The third working day of a month; its last day if it has not so many."""
    calendar, left, on = config.calendar(None), CLOSING_DAY, month.first
    while on < month.last:
        left -= calendar.day_seconds(on) > 0
        if not left:
            return on
        on += timedelta(days=1)
    return on


def close_over(connection: Connection, config: Config, now: Instant) -> list[str]:
    """Close what is approved and over; the periods that were closed.

    Only plans whose whole period lies behind: of a quarter or a year the last month decides.
    """
    account, until = config.account_id, closed_until(config, now)
    if not _over(connection, account, until):
        return []
    store.hold(connection, account)
    rows = _over(connection, account, until)  # as they are under the lock
    for row in rows:
        store.put(connection, {**row, "status": "closed"}, AUTHOR, REASON, now)
    return sorted({row["period"] for row in rows})


def _over(connection: Connection, account: str, until: date) -> list[store.Row]:
    rows = store.plans(connection, [account], status=["approved"])
    return [row for row in rows if Period.parse(row["period"]).last <= until]
