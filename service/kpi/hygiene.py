"""The hygiene index of sellers over periods, and what it is lost by (kpis.md 6).

Everything is read from the steps of two levels: open deals and what they cost. What was open before
the period comes from the rollups; what each rule cost then is summed from the steps themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from sqlalchemy import Connection, Table, func, select, text

from service.domain import hygiene
from service.domain.config import Config
from service.domain.hygiene import Change, Key, Meter, Taken
from service.domain.instant import Instant
from service.domain.integrals import sum_up
from service.domain.period import day_start, to_day
from service.kpi.sums import Ask, Cut, bases
from service.store.tables import IS_LEVEL, Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_OPEN, _COST, _MUTED = "deals_open", "hygiene_cost", hygiene.MUTED
Span = tuple[date, date]
"""First and last local day."""
_RULES = {_OPEN: "", _MUTED: _MUTED}  # what stands in a rule's stead


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


@dataclass(slots=True)
class Ledger:
    """One seller's levels before a period and their steps in it, by pipeline."""

    config: Config
    seller: str
    before: dict[Key, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def over(
        self, periods: Sequence[Sequence[Span]], at: Instant
    ) -> Iterator[tuple[list[Taken], dict[str, int]]]:
        """(integrals over its spans, open deals by pipeline at the end) of each period in order.

        As far as `at`. What was open for under an hour of a period counts in none of its spans.
        """
        meter = Meter(self.before, self.changes)
        for spans in periods:
            parts = [
                [piece for _, day in self.days(first, last, at) for piece in day]
                for first, last in spans
            ]
            taken = iter(meter.take_apart([pieces for pieces in parts if pieces]))
            told = [next(taken) if pieces else Taken() for pieces in parts]
            yield told, meter.stand_at(_end(self.config, spans[-1][1], at))

    def days(
        self, first: date, last: date, at: Instant
    ) -> Iterator[tuple[date, list[tuple[Instant, Instant]]]]:
        """Working days with their pieces, as far as they lie before `at`."""
        calendar = self.config.calendar(self.seller)
        for number in range((last - first).days + 1):
            on = first + timedelta(days=number)
            day = calendar.day_pieces(on)
            pieces = [(left, min(right, at)) for left, right in day if left < at]
            if pieces:
                yield on, pieces


def _end(config: Config, last: date, at: Instant) -> Instant:
    """The last instant of a local day, or `at`, whichever is first."""
    following = day_start(to_day(last + timedelta(days=1)), config.timezone)
    return min(following - 1, at)


def of_sellers(
    connection: Connection, config: Config, first: date, last: date, at: Instant
) -> dict[str, Kept]:
    """By seller, for local days `[first, last]` as far as they lie before `at`."""
    found = of_spans(connection, config, [(first, last)], at)
    return {seller: kept for seller, (kept,) in found.items()}


def of_spans(
    connection: Connection, config: Config, spans: Sequence[Span], at: Instant
) -> dict[str, list[Kept]]:
    """The same for each of the spans of one period; open deals are those of the period's end."""
    found = {}
    first, last = spans[0][0], spans[-1][1]
    for seller, ledger in ledgers(connection, config, first, last, at).items():
        kept = [Kept() for _ in spans]
        by_day = Meter(ledger.before, ledger.changes)
        for on, pieces in ledger.days(first, last, at):
            number = next(n for n, (_, end) in enumerate(spans) if on <= end)
            kept[number].days[on] = by_day.take(pieces)
        for told, opened in ledger.over([spans], at):
            for one, taken in zip(kept, told, strict=True):
                one.whole = taken
            kept[-1].open_deals = sum(opened.values())
        found[seller] = kept
    return found


def ledgers(
    connection: Connection, config: Config, first: date, last: date, at: Instant
) -> Mapping[str, Ledger]:
    """By seller: all that the index of local days `[first, last]` is made of, as known at `at`."""
    found: dict[str, Ledger] = {}

    def of(seller: str) -> Ledger:
        return found.setdefault(seller, Ledger(config, seller))

    cut = Cut(at, config.timezone)
    ask = Ask(config.account_id, (_OPEN, _MUTED), ("seller", "pipeline"))
    for (part, (seller, pipeline), _), value in bases(connection, ask, first, cut).items():
        if value:
            sum_up(of(seller).before, [((_RULES[part], pipeline), value)])
    for seller, key, value in _costing(connection, config.account_id, first, at):
        if value:
            sum_up(of(seller).before, [(key, value)])
    for seller, change in _changes(connection, config.account_id, first, last, at):
        of(seller).changes.append(change)
    found.pop("", None)
    return dict(sorted(found.items()))


def _costing(
    connection: Connection, account_id: str, first: date, at: Instant
) -> Iterator[tuple[str, Key, int]]:
    """What each rule cost each seller in each pipeline just before a local day."""
    keys = (_C.c.seller, _C.c.source, _C.c.pipeline)
    query = (
        select(*keys, func.sum(_C.c.value))
        .where(_C.c.account_id == account_id, _C.c.metric == _COST, _C.c.slot == "")
        .where(_C.c.day < to_day(first), _C.c.at <= at, text(IS_LEVEL))
        .group_by(*keys)
    )
    for row in connection.execute(query):
        yield row[0], (row[1], row[2]), int(row[3])


def _changes(
    connection: Connection, account_id: str, first: date, last: date, at: Instant
) -> Iterator[tuple[str, Change]]:
    columns = [_C.c.seller, _C.c.at, _C.c.source, _C.c.value, _C.c.subject_id, _C.c.pipeline]
    query = (
        select(*columns, _C.c.metric)
        .where(_C.c.account_id == account_id, _C.c.slot == "")
        .where(_C.c.metric.in_((_OPEN, _COST, _MUTED)))
        .where(_C.c.day.between(to_day(first), to_day(last)), _C.c.at <= at, text(IS_LEVEL))
        .order_by(_C.c.at, _C.c.metric, _C.c.subject_id, _C.c.key)
    )
    for row in connection.execute(query):
        seller, when, source, value, deal, pipeline, metric = tuple(row)
        rule = _RULES.get(metric, source)
        yield seller, Change(int(when), rule, int(value), deal, pipeline)
