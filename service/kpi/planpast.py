"""What the past says for plans: shares of sellers, seasonality, rates, cycles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from sqlalchemy import Connection, Table, func, select

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, local_date, to_day
from service.kpi.metrics import Metric
from service.kpi.sums import Ask, Cut, sums
from service.store.tables import Contribution, Deal

_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
ENOUGH = 20  # contributions below which a past share says nothing
CLOSED_MONTHS = 3
TRAILING_DAYS = 90
FEW = 5


@dataclass(frozen=True)
class Past:
    """Figures of one account up to an instant, in its own currency."""

    connection: Connection
    config: Config
    now: Instant

    @property
    def today(self) -> date:
        """The account's date."""
        return local_date(self.now, self.config.timezone)

    def by_seller(self, parts: Sequence[str], first: date, last: date) -> dict[str, int]:
        """Sums by seller."""
        found: dict[str, int] = {}
        ask = Ask(self.config.account_id, tuple(parts), ("seller",))
        cut = Cut(self.now, self.config.timezone)
        for one in sums(self.connection, ask, first, last, cut, "span"):
            if one.currency in ("", self.config.currency):
                found[one.group[0]] = found.get(one.group[0], 0) + one.value
        return found

    def total(
        self, part: str, first: date, last: date, sellers: Sequence[str] | None = None
    ) -> int:
        """The sum of a part, of some sellers or of all."""
        found = self.by_seller((part,), first, last)
        return sum(value for who, value in found.items() if sellers is None or who in sellers)

    def closed_months(self, before: date, count: int = CLOSED_MONTHS) -> list[Period]:
        """The last months that were over before a date's month, oldest first."""
        found = [Period.around(min(before, self.today), "month").previous()]
        while len(found) < count:
            found.insert(0, found[0].previous())
        return found

    def shares(self, metric: Metric, sellers: Sequence[str], before: date) -> list[int] | None:
        """What each seller brought in the last 3 closed months; None = too little to say."""
        months = self.closed_months(before)
        first, last = months[0].first, months[-1].last
        where = (
            _CONTRIBUTION.c.account_id == self.config.account_id,
            _CONTRIBUTION.c.metric.in_(metric.parts),
            _CONTRIBUTION.c.day.between(to_day(first), to_day(last)),
            _CONTRIBUTION.c.seller.in_(sellers),
        )
        query = select(func.count()).select_from(_CONTRIBUTION).where(*where)
        if int(self.connection.execute(query).scalar() or 0) < ENOUGH:
            return None
        found = self.by_seller(metric.parts, first, last)
        shares = [max(0, found.get(seller, 0)) for seller in sellers]
        return shares if any(shares) else None

    def seasons(
        self, metric: Metric, months: Sequence[Period], sellers: Sequence[str] | None
    ) -> list[Fraction] | None:
        """Last year's figure of each month per working second; None = there was none."""
        calendar = self.config.calendar(sellers[0] if sellers and len(sellers) == 1 else None)
        found = []
        for month in months:
            then = Period.parse(f"{month.first.year - 1}-{month.first.month:02d}")
            value = sum(self.total(p, then.first, then.last, sellers) for p in metric.parts)
            count = (then.last - then.first).days + 1
            seconds = sum(calendar.day_seconds(then.first + timedelta(n)) for n in range(count))
            found.append(Fraction(max(0, value), seconds) if seconds else Fraction(0))
        return found if any(found) else None

    def cycle(self, sellers: Sequence[str] | None = None) -> tuple[int | None, int]:
        """Median seconds from birth to win of deals won in 90 days (nearest rank), and how many."""
        since = self.now - TRAILING_DAYS * 86400
        query = select(_DEAL.c.closed_at, _DEAL.c.born_at, _DEAL.c.seller).where(
            _DEAL.c.account_id == self.config.account_id,
            _DEAL.c.status == "won",
            _DEAL.c.deleted.is_(False),
            _DEAL.c.closed_at > since,
            _DEAL.c.closed_at <= self.now,
            _DEAL.c.born_at.is_not(None),
            _DEAL.c.pipeline.not_in(sorted(self.config.excluded)),
        )
        spans = sorted(
            int(closed) - int(born)
            for closed, born, seller in self.connection.execute(query)
            if closed >= born and (sellers is None or seller in sellers)
        )
        if len(spans) < FEW:
            return None, len(spans)
        return spans[(len(spans) + 1) // 2 - 1], len(spans)
