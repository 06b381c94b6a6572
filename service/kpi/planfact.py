"""Plan against fact at an instant (kpis.md 8.3): pace, run rate, what is needed, status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, day_start, local_date, to_day
from service.kpi.decompose import cumulative
from service.kpi.metrics import METRICS, Metric
from service.kpi.query import Question
from service.store import plans as store

NORM_MIN = 5  # a ratio on fewer cases than this says nothing


@dataclass(frozen=True)
class Progress:
    """How far a period has come, in working time of a seller or the account."""

    days: tuple[date, ...]
    weights: tuple[int, ...]
    passed_days: int
    passed_share: Fraction  # of today
    today: int  # index of today; len(days) = over, -1 = not begun

    @property
    def left_days(self) -> Fraction:
        """Remaining working days; today counts with its remaining share."""
        working = [i for i, weight in enumerate(self.weights) if weight]
        after = sum(1 for i in working if i > self.today)
        today = 1 - self.passed_share if self.today in working else Fraction(0)
        return after + today

    @property
    def weight(self) -> int:
        """Working seconds of the whole period."""
        return sum(self.weights)

    @property
    def elapsed(self) -> Fraction:
        """Working seconds elapsed."""
        if self.today < 0:
            return Fraction(0)
        done = sum(self.weights[: self.today])
        today = self.weights[self.today] if self.today < len(self.weights) else 0
        return done + today * self.passed_share


def progress(config: Config, seller: str | None, period: Period, now: Instant) -> Progress:
    """Where `now` stands in a period."""
    calendar = config.calendar(seller)
    count = (period.last - period.first).days + 1
    days = tuple(period.first + timedelta(days=n) for n in range(count))
    weights = tuple(calendar.day_seconds(day) for day in days)
    today = local_date(now, config.timezone)
    index = (today - period.first).days
    if index < 0:
        return Progress(days, weights, 0, Fraction(0), -1)
    if index >= count:
        return Progress(days, weights, sum(1 for w in weights if w), Fraction(0), count)
    start = day_start(to_day(today), config.timezone)
    done = calendar.working_seconds(start, now)
    share = Fraction(done, weights[index]) if weights[index] else Fraction(0)
    passed = sum(1 for weight in weights[:index] if weight)
    return Progress(days, weights, passed, share, index)


@dataclass(frozen=True)
class PlanFact:
    """One line of plan-fact. Fractions are exact; None where there is nothing to say."""

    plan: int | None
    fact: float | None
    expected: Fraction | None
    run_rate: Fraction | None
    needed_per_day: Fraction | None
    status: str
    working_days: tuple[int, int, float]  # all, passed, left

    @property
    def percent(self) -> float | None:
        """Fact / plan."""
        if not self.plan or self.fact is None:
            return None
        return round(self.fact / self.plan, 6)

    @property
    def pace(self) -> float | None:
        """Fact / expected by now."""
        if not self.expected or self.fact is None:
            return None
        return float(round(Fraction(self.fact) / self.expected, 6))

    @property
    def gap(self) -> float | None:
        """Fact - plan."""
        return None if self.plan is None or self.fact is None else self.fact - self.plan


def compare(
    metric: Metric,
    plan: int | None,
    fact: float | None,
    grain: str,
    at: Progress,
    *,
    step: int = 1,
    cases: int = 0,
) -> PlanFact:
    """Plan against fact. `step`: one unit, for money the average check; `cases`: a ratio's n."""
    working = (
        sum(1 for weight in at.weights if weight),
        at.passed_days,
        float(round(at.left_days, 2)),
    )
    if metric.kind != "sum":
        status = _status_of_norm(metric, plan, fact, cases)
        return PlanFact(plan, fact, None, None, None, status, working)
    done = Fraction(fact or 0)
    expected = _expected(plan, at)
    rate = done * at.weight / at.elapsed if at.elapsed else None
    needed = None
    if plan is not None:
        left = Fraction(plan) - done
        needed = Fraction(0) if left <= 0 else left / at.left_days if at.left_days else None
    status = _status(plan, done, expected, grain, at, step)
    return PlanFact(plan, fact, expected, rate, needed, status, working)


def _expected(plan: int | None, at: Progress) -> Fraction | None:
    """Plans of the finished days plus today's share."""
    if plan is None:
        return None
    if at.today < 0:
        return Fraction(0)
    daily = cumulative(plan, at.weights)
    today = daily[at.today] * at.passed_share if at.today < len(daily) else Fraction(0)
    return sum(daily[: at.today], Fraction(0)) + today


def _status(
    plan: int | None,
    fact: Fraction,
    expected: Fraction | None,
    grain: str,
    at: Progress,
    step: int,
) -> str:
    if not plan or expected is None:
        return "no_plan"
    if fact >= plan:
        return "done"
    if at.today >= len(at.days):
        return "missed"
    if grain != "day" and (expected < Fraction(plan, 10) or at.passed_days < 2):
        return "too_early"
    if fact >= expected * Fraction(105, 100) and fact - expected >= step:
        return "ahead"
    if fact < expected * Fraction(80, 100) and expected - fact >= 2 * step:
        return "far_behind"
    if fact < expected * Fraction(95, 100) and expected - fact >= step:
        return "behind"
    return "on_pace"


def _status_of_norm(metric: Metric, plan: int | None, fact: float | None, cases: int) -> str:
    if not plan:
        return "no_plan"
    if fact is None or (metric.kind == "ratio" and cases < NORM_MIN):
        return "too_early"
    if metric.kind == "level":
        return "over" if fact > plan else "ok"
    if fact >= plan:
        return "done"
    return "far_behind" if fact < plan * 0.8 else "behind" if fact < plan * 0.95 else "on_pace"


def plans_of_months(
    connection: Connection, configs: Mapping[str, Config], question: Question
) -> Mapping[tuple[str, str, str | None], int]:
    """Plans by (metric, month, seller's full id or None for the whole account), for queries."""
    slugs = [metric.slug for metric in question.metrics]
    rows = store.plans(connection, list(configs), metric=slugs) if configs else []
    by_seller = "seller" in question.dimensions
    found: dict[tuple[str, str, str | None], int] = {}
    for row in whole_or_parts(rows, by_seller=by_seller):
        seller = f"{row['account_id']}.{row['seller']}" if by_seller else None
        key = (row["metric"], row["period"], seller)
        found[key] = found.get(key, 0) + row["value"]
    return found


def whole_or_parts(
    rows: Sequence[Mapping[str, Any]], *, by_seller: bool
) -> list[Mapping[str, Any]]:
    """Rows of sellers; or of the account, as set, else the sum of its sellers' rows."""
    if by_seller:
        return [row for row in rows if row["seller"]]
    set_whole = {
        (row["account_id"], row["metric"], row["period"])
        for row in rows
        if not row["seller"] and not row["team"]
    }
    found = []
    for row in rows:
        key = (row["account_id"], row["metric"], row["period"])
        whole = not row["seller"] and not row["team"]
        part = bool(row["seller"]) and METRICS[str(row["metric"])].kind == "sum"
        if whole or (part and key not in set_whole):
            found.append(row)
    return found
