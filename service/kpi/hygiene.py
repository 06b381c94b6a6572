"""The hygiene index of sellers over a period, day by day, and what it is lost by (kpis.md 6).

Everything is read from the steps of two levels: open deals and what they cost. What was open before
the period comes from the rollups; what each rule cost then is summed from the steps themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from sqlalchemy import Connection, Table, func, select, text

from service.domain import hygiene
from service.domain.config import Config
from service.domain.hygiene import Change, Meter, Taken
from service.domain.instant import Instant
from service.domain.period import local_day, to_day
from service.kpi.sums import Ask, Cut, bases
from service.store.tables import IS_LEVEL, Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_OPEN, _COST = "deals_open", "hygiene_cost"


@dataclass(slots=True)
class Kept:
    """How well a seller (or several) kept the CRM in a period."""

    open_deals: int = 0  # at its end
    whole: Taken = field(default_factory=Taken)
    days: dict[date, Taken] = field(default_factory=dict)

    @property
    def index(self) -> float | None:
        """0-100; None with fewer open deals than it takes to tell."""
        return self.whole.index if self.open_deals >= hygiene.LEAST_DEALS else None

    def add(self, other: "Kept") -> None:
        """Put another seller's part to it."""
        self.open_deals += other.open_deals
        self.whole.add(other.whole)
        for on, taken in other.days.items():
            self.days.setdefault(on, Taken()).add(taken)


def of_sellers(
    connection: Connection, config: Config, first: date, last: date, at: Instant
) -> dict[str, Kept]:
    """By seller, for local days `[first, last]` as far as they lie before `at`."""
    cut = Cut(at, local_day(at, config.timezone))
    opened = {
        group[0]: value
        for (_, group, _), value in bases(
            connection, Ask(config.account_id, (_OPEN,), ("seller",)), first, cut
        ).items()
    }
    costing = _costing(connection, config.account_id, first, at)
    changes = _changes(connection, config.account_id, first, last, at)
    sellers = {who for who, count in opened.items() if count} | changes.keys()
    return {
        seller: _kept(
            config, seller, (first, last, at), opened.get(seller, 0), costing.get(seller, {}),
            changes.get(seller, []),
        )
        for seller in sorted(sellers - {""})
    }  # fmt: skip


def _costing(
    connection: Connection, account_id: str, first: date, at: Instant
) -> dict[str, dict[str, int]]:
    """What each rule cost each seller just before a local day."""
    query = (
        select(_C.c.seller, _C.c.source, func.sum(_C.c.value))
        .where(_C.c.account_id == account_id, _C.c.metric == _COST, _C.c.slot == "")
        .where(_C.c.day < to_day(first), _C.c.at <= at, text(IS_LEVEL))
        .group_by(_C.c.seller, _C.c.source)
    )
    found: dict[str, dict[str, int]] = {}
    for seller, rule, value in connection.execute(query):
        if value:
            found.setdefault(seller, {})[rule] = int(value)
    return found


def _changes(
    connection: Connection, account_id: str, first: date, last: date, at: Instant
) -> dict[str, list[Change]]:
    columns = [_C.c.seller, _C.c.at, _C.c.source, _C.c.value, _C.c.subject_id, _C.c.metric]
    query = (
        select(*columns)
        .where(_C.c.account_id == account_id, _C.c.metric.in_((_OPEN, _COST)), _C.c.slot == "")
        .where(_C.c.day.between(to_day(first), to_day(last)), _C.c.at <= at, text(IS_LEVEL))
        .order_by(_C.c.at, _C.c.metric, _C.c.subject_id, _C.c.key)
    )
    found: dict[str, list[Change]] = {}
    for seller, when, source, value, deal, metric in connection.execute(query):
        rule = source if metric == _COST else ""
        found.setdefault(seller, []).append(Change(int(when), rule, int(value), deal))
    return found


def _kept(
    config: Config,
    seller: str,
    span: tuple[date, date, Instant],
    opened: int,
    costing: Mapping[str, int],
    changes: Sequence[Change],
) -> Kept:
    kept = Kept()
    by_day = Meter(opened, dict(costing), changes)
    for on, pieces in _days(config, seller, *span):
        kept.days[on] = by_day.take(pieces)
    pieces = [piece for _, of_day in _days(config, seller, *span) for piece in of_day]
    if pieces:
        kept.whole = Meter(opened, dict(costing), changes).take(pieces)
    kept.open_deals = opened + sum(change.delta for change in changes if not change.rule)
    return kept


def _days(
    config: Config, seller: str, first: date, last: date, at: Instant
) -> Iterator[tuple[date, list[tuple[Instant, Instant]]]]:
    """Working days with their pieces, as far as they lie before `at`."""
    calendar = config.calendar(seller)
    for number in range((last - first).days + 1):
        on = first + timedelta(days=number)
        pieces = [(left, min(right, at)) for left, right in calendar.day_pieces(on) if left < at]
        if pieces:
            yield on, pieces
