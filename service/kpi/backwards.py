"""The funnel backwards from money (kpis.md 8.2.6): each figure rounded up once, from the exact."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import ceil
from typing import Any

from service.domain.period import Period
from service.kpi.planpast import TRAILING_DAYS, Past
from service.kpi.plantree import Scope, days_of

RATES = ("average_check", "conversion", "lead_to_deal", "attempts_per_inquiry")
NEEDED = RATES[:3]
_PARTS = {
    "average_check": ("receipts", ("won_with_amount",)),
    "conversion": ("deals_won", ("deals_won", "lost_target")),
    "lead_to_deal": ("deals_created", ("inquiries",)),
    "attempts_per_inquiry": ("calls_out", ("inquiries",)),
}


@dataclass(frozen=True)
class Rate:
    """A rate: given, or of the trailing 90 days with the number of cases behind it."""

    value: Fraction | None
    n: int | None
    given: bool

    def document(self) -> dict[str, Any]:
        """On the wire."""
        shown = None if self.value is None else round(float(self.value), 6)
        return {"value": shown, "n": self.n, "from": "given" if self.given else "trailing_90_days"}


@dataclass(frozen=True)
class Funnel:
    """What a goal needs. `exact`: deals won, deals, inquiries, attempts."""

    rates: Mapping[str, Rate]
    exact: Mapping[str, Fraction | None]
    days: int
    cycle: int | None
    cycle_n: int

    def document(self) -> dict[str, Any]:
        """On the wire; `lag`: sales of a period come from inquiries one cycle earlier."""
        daily = {
            name: None if value is None or not self.days else ceil(value / self.days)
            for name, value in self.exact.items()
        }
        return {
            **{n: None if value is None else ceil(value) for n, value in self.exact.items()},
            "per_working_day": daily,
            "working_days": self.days,
            "rates": {name: rate.document() for name, rate in self.rates.items()},
            "lag": {"median_cycle_seconds": self.cycle, "n": self.cycle_n},
        }


def backwards(
    past: Past, scope: Scope, period: Period, goal: int, given: Mapping[str, Fraction | None]
) -> Funnel:
    """From a goal in minor units; rates that are not given come from the past of the scope."""
    sellers = _members(past, scope)
    rates = {name: _rate(past, name, sellers, given.get(name)) for name in RATES}
    cycle, n = past.cycle(sellers)
    calendar = past.config.calendar(scope[1] or None)
    days = sum(1 for day in days_of(period) if calendar.hours(day))
    return Funnel(rates, _exact(goal, rates), days, cycle, n)


def _members(past: Past, scope: Scope) -> list[str] | None:
    team, seller = scope
    if seller:
        return [seller]
    return list(past.config.memberships.members(team, past.now)) if team else None


def _rate(past: Past, name: str, sellers: list[str] | None, given: Fraction | None) -> Rate:
    if given is not None:
        return Rate(given, None, given=True)
    first = past.today - timedelta(days=TRAILING_DAYS)
    last = past.today - timedelta(days=1)
    above, below = _PARTS[name]
    upper = past.total(above, first, last, sellers)
    cases = sum(past.total(part, first, last, sellers) for part in below)
    value = Fraction(upper, cases) if cases > 0 and upper > 0 else None
    if value is not None and name in ("conversion", "lead_to_deal"):
        value = min(value, Fraction(1))
    return Rate(value, cases, given=False)


def _exact(goal: int, rates: Mapping[str, Rate]) -> dict[str, Fraction | None]:
    """Attempts stay unknown where nobody knows how many an inquiry takes."""
    check, won, deal, calls = (rates[name].value for name in RATES)
    if not (check and won and deal):
        return {}
    sales = Fraction(goal) / check
    deals = sales / won
    inquiries = deals / deal
    return {
        "deals_won": sales, "deals": deals, "inquiries": inquiries,
        "attempts": inquiries * calls if calls else None,
    }  # fmt: skip
