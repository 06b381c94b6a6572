"""The deals that are open at an instant, found by their stays (`parts.STAYS`)."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Table, and_, literal, select, text, union_all

from service.domain.instant import Instant
from service.domain.period import local_date, to_day
from service.kpi import stays
from service.kpi.parts import STANDING, STAYS
from service.store.tables import IS_APART, IS_LONG, LONG_SECONDS, Contribution, Deal

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]


def standing(
    account_id: str,
    at: Instant,
    zone: ZoneInfo,
    filters: Sequence[stays.Filter],
    *,
    still: bool = False,
) -> Any:
    """Deals where they stand at an instant, since when, with birth (`at`) and age then (`value`).

    The teams of `filters` are those of its day. `still`: only those who stand there still, which
    are all if it is the present instant. Index: ix_contribution_apart.
    """
    day = local_date(at, zone)
    on, own = to_day(day), stays.on_day(filters, to_day(day))
    found = [_stays(account_id, own, STANDING, at, _C.c.at).where(_C.c.day <= on, _C.c.at <= at)]
    for part, longest in STAYS.items() if not still else ():
        there = _stays(account_id, own, part, at, _C.c.at - _C.c.age)
        there = there.where(_C.c.day >= on, _C.c.at > at, _C.c.at - _C.c.age <= at)
        if longest:
            there = there.where(_C.c.day <= to_day(day + timedelta(seconds=longest, days=1)))
        found.append(there)
    return union_all(*found) if len(found) > 1 else found[0]


def _stays(
    account_id: str, filters: Sequence[stays.Filter], part: str, at: Instant, since: Any
) -> Any:
    """Stays of a part, as at an instant. `since`: where they begin."""
    names = ("day", "subject_id", "seller", "pipeline", "stage", "source", "reason")
    born, age = _C.c.at - _C.c.value, _C.c.value + (literal(at, BigInteger) - _C.c.at)
    told = (since.label("since"), born.label("at"), age.label("value"))
    return (
        select(*(_C.c[name] for name in names), *told)
        .where(_C.c.account_id == account_id, _C.c.metric == part, text(IS_APART))
        .where(*(stays.condition(_C.c, told) for told in filters))
    )


def unsettled(account_id: str, on: date, at: Instant) -> Any:
    """Deals that had begun and were not closed for good before the end of a day: timeline, birth.

    A day of slack, so that no time zone has to be known. Indexes: ix_deal_closed, ix_deal_long.
    """
    midnight = int(datetime.combine(on, time(), UTC).timestamp())
    since, until = min(midnight - 86_400, at), min(midnight + 2 * 86_400, at)
    columns = _DEAL.c
    begun = select(literal("deal:").concat(columns.id).label("timeline"), columns.born_at).where(
        columns.account_id == account_id, columns.born_at <= until
    )
    soon = columns.closed_at.between(since, until + LONG_SECONDS)  # all but those of a long life
    lived = columns.closed_at - columns.born_at
    ways = (
        columns.closed_at.is_(None),
        and_(soon, lived <= LONG_SECONDS),
        and_(columns.closed_at >= since, text(IS_LONG)),
    )
    return union_all(*(begun.where(way) for way in ways)).subquery("unsettled")
