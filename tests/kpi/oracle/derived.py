"""Figures made of other figures (kpis.md 3), counted from the facts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from service.domain.facts import Fact
from tests.kpi.oracle import deals
from tests.kpi.oracle.facts import (
    LOST,
    MOVED,
    OPEN,
    WON,
    Department,
    Key,
    Row,
    day_of,
    first_of,
    group_of,
    grouped,
    midnight,
    nearest,
    read,
    share,
    working,
)

ENOUGH, TRAILING = 20, 180


class Span(NamedTuple):
    """Days of a period, and the instant that is known of."""

    first: date
    last: date
    seen: int

    @property
    def start(self) -> int:
        return midnight(self.first)

    @property
    def end(self) -> int:
        """Where it ends, as far as is known."""
        return min(midnight(self.last + timedelta(days=1)), self.seen + 1)


def _key(row: Row, dims: tuple[str, ...], on: date | None = None) -> Key:
    return (*(group_of(row, d, on) for d in dims), row.currency or "RUB")


# --- reasons of losses ----------------------------------------------------------------------------


def loss_reasons(told: Department, dims: tuple[str, ...], span: Span) -> dict[Key, Any]:
    """Of the losses of a row whatever their reason: those with this one."""
    rest = tuple(d for d in dims if d != "reason")
    above = grouped(deals.lost(told), None, dims, span.first, span.last)
    below = grouped(deals.lost(told), None, rest, span.first, span.last)
    found = {}
    for key, values in above.items():
        group = dict(zip(dims, key[1:-1], strict=True))
        under = below[None, *(group[d] for d in rest), key[-1]]
        found[key[1:]] = share(values, under)
    return found


# --- averages -------------------------------------------------------------------------------------


def open_average(told: Department, dims: tuple[str, ...], span: Span) -> dict[Key, Fraction]:
    """Open deals over the working time of a span."""
    whole = working(span.start, span.end)
    found: dict[Key, Fraction] = defaultdict(Fraction)
    for deal in told.deals:
        for p, end in deal.ends():
            left, right = max(p.at, span.start), min(end or span.end, span.end)
            if p.is_open and not p.gone and left < right:
                row = Row(p.at, 1, p.seller, p.stage, p.source, "", p.pipeline)
                moved = min(max(left, midnight(MOVED)), right)  # seller 9 takes his deals along
                for start, end_of in ((left, moved), (moved, right)):
                    key = _key(row, dims, day_of(start))
                    found[key] += Fraction(working(start, end_of), whole)
    return found


def velocity(told: Department, dims: tuple[str, ...], span: Span) -> dict[Key, float]:
    """Open deals x conversion x check / cycle in days, of the 90 days up to the end."""
    ninety = span._replace(first=span.last - timedelta(days=89))
    since, until = ninety.first, ninety.last

    def ratio(slug: str) -> Mapping[Key, Fraction | None]:
        up, down = (grouped(rows(told), None, dims, since, until) for rows in deals.RATIOS[slug])
        return {k: share(up.get(k, []), v) for k, v in down.items()}

    rates, checks = ratio("conversion"), ratio("average_check")
    cycles = grouped(deals.cycles(told), None, dims, since, until)
    found = {}
    for key, average in open_average(told, dims, ninety).items():
        whole = (None, *key)
        rate, check = rates.get(whole), checks.get(whole)
        cycle = nearest(cycles.get(whole, []), 50)
        if rate is not None and check is not None and cycle:
            found[key] = float(average * rate * check / Fraction(cycle, 86_400))
    return found


# --- what the pipeline is worth -------------------------------------------------------------------


def odds(facts: Iterable[Fact], first: date) -> dict[tuple[str, str], tuple[int, int]]:
    """Won and closed of the deals that entered a stage in the 180 days before a month."""
    then = read(facts, midnight(first) - 1)
    since = midnight(first - timedelta(days=TRAILING))
    found = {(p, stage): (0, 0) for p, stages in OPEN.items() for stage in stages}
    for deal in then.deals:
        is_won = deal.last.stage == WON
        is_lost = deal.last.stage == LOST and deal.last.reason != "2"
        for place, (row, _, _) in deals.entries(deal, strict=False).items():
            if row.at >= since and (is_won or is_lost):
                won, closed = found[place]
                found[place] = (won + is_won, closed + 1)
    return found


def chance(counted: Mapping[tuple[str, str], tuple[int, int]], place: tuple[str, str]) -> Fraction:
    """Of the stage, or with too few closed deals of its pipeline."""
    won, closed = counted[place]
    if closed < ENOUGH:
        pairs = [pair for other, pair in counted.items() if other[0] == place[0]]
        won, closed = sum(w for w, _ in pairs), sum(c for _, c in pairs)
    return Fraction(won, closed) if closed else Fraction(0)


def weighted(facts: list[Fact], dims: tuple[str, ...], span: Span) -> dict[Key, int]:
    """Amounts in work at the end of a span x the chance of their stage."""
    told = read(facts, span.end - 1)
    today = min(span.last, day_of(span.seen))
    month = first_of(today, "month")
    assert month is not None
    counted = odds(facts, month)
    found: dict[Key, Fraction] = defaultdict(Fraction)
    for row in deals.value_now(told):
        found[_key(row, dims, today)] += row.value * chance(counted, (row.pipeline, row.stage))
    return {key: int(value + Fraction(1, 2)) for key, value in found.items()}


def coverage(
    facts: list[Fact], dims: tuple[str, ...], span: Span, plans: Mapping[Any, int]
) -> dict[Key, Fraction]:
    """The weighted pipeline / what receipts of the month still lack of the plan in roubles.

    `plans`: by the group, or None for all.
    """
    month = first_of(span.last, "month")
    assert month is not None
    done = grouped(deals.SUMS["receipts"](read(facts, span.seen)), None, dims, month, span.last)
    found = {}
    for key, value in weighted(facts, dims, span).items():
        plan = plans.get(key[0] if dims else None)
        left = None if plan is None else plan - sum(done.get((None, *key), []))
        if left is not None and left > 0 and key[-1] == "RUB":
            found[key] = Fraction(value, left)
    return found
