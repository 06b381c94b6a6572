"""How a seller keeps up with the plan of the month, at the end of a working day (kpis.md 8.3).

`behind` as plan-fact says it: under the asked share of what should be there by now, and by one sale
or more; a ratio has no pace, it is under the asked share of its target. The first working days of a
month, a month without a plan and a plan that is met say nothing. A plan is that of its time: what
was changed later is judged from the change on.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from service.domain.calendar import WorkCalendar
from service.domain.instant import Instant
from service.rules.paced import FEW

EARLY_DAYS = 3  # working days of a month that are not judged


class Planned(NamedTuple):
    """A month's plan as it was written at an instant; None = taken back."""

    at: Instant
    month: str  # 2026-03
    value: int | None


class Pace(NamedTuple):
    """Where somebody stands: per cent of what should be there by now; None = it says nothing."""

    percent: int | None
    is_behind: bool | None


NOTHING = Pace(None, None)


def plan_at(plans: Sequence[Planned], month: str, at: Instant) -> int | None:
    """The plan of a month as it stood at an instant."""
    told = [plan.value for plan in plans if plan.month == month and plan.at <= at]
    return told[-1] if told else None


def pace(
    plan: int | None, fact: int, sales: int, on: date, calendar: WorkCalendar, share: int
) -> Pace:
    """The pace at the end of a working day. `sales`: 0 where the plan counts single things."""
    if not plan or _is_early(on, calendar):
        return NOTHING
    weights = [calendar.day_seconds(day) for day in _month_of(on)]
    passed, whole = sum(weights[: on.day]), sum(weights)
    expected = (2 * plan * passed + whole) // (2 * whole)  # as plans are cut into days
    if fact >= plan:
        return Pace(100 if not expected else fact * 100 // expected, False)
    if expected * 10 < plan:
        return NOTHING
    step = max(1, fact // sales) if sales else 1
    behind = fact * 100 < expected * share and expected - fact >= step
    return Pace(fact * 100 // expected, behind)


def target(
    plan: int | None, above: int, below: int, on: date, calendar: WorkCalendar, share: int
) -> Pace:
    """How a ratio of the month so far (`above / below`) stands to its target."""
    if not plan or below < FEW or _is_early(on, calendar):
        return NOTHING
    return Pace(above * 100 // (below * plan), above * 100 < share * below * plan)


def _is_early(on: date, calendar: WorkCalendar) -> bool:
    passed = (calendar.day_seconds(day) for day in _month_of(on)[: on.day])
    return sum(1 for weight in passed if weight) <= EARLY_DAYS


def _month_of(on: date) -> list[date]:
    first = on.replace(day=1)
    days = [first + timedelta(days=n) for n in range(31)]
    return [day for day in days if day.month == on.month]
