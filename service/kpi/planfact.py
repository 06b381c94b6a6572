"""Plan against fact at an instant (kpis.md 8.3): pace, run rate, what is needed, status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, day_start, local_date, periods, to_day
from service.kpi.metrics import METRICS, Metric
from service.kpi.plantree import WHOLE, PlanBook, Scope, scope_of, teams_of
from service.kpi.plantree import expected as expected_by

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
    scale: int = 1  # a share is planned in whole per cent
    measured: Fraction | None = None  # the fact in the unit of the plan, before it was rounded

    @property
    def percent(self) -> float | None:
        """Fact / plan."""
        return percent(self.measured, self.plan)

    @property
    def pace(self) -> float | None:
        """Fact / expected by now."""
        if not self.expected or self.fact is None:
            return None
        return float(round(Fraction(self.fact) / self.expected, 6))

    @property
    def gap(self) -> float | None:
        """Fact - plan; of a share in points."""
        if self.plan is None or self.fact is None or self.measured is None:
            return None
        if self.scale == 1:
            return self.fact - self.plan
        return float(round(self.measured - self.plan, 4))

    @property
    def behind(self) -> float | None:
        """Fact - expected by now."""
        if self.expected is None or self.measured is None:
            return None
        return float(round(self.measured - self.expected, 2))


@dataclass(frozen=True)
class Plan:
    """What is planned for a line: the value, what should be there by now, the version.

    `months`: of a week across two months what lies in each.
    """

    value: int | None = None
    expected: Fraction | None = None
    version: int | None = None
    months: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Fact:
    """What there is: as it is shown; of a ratio what it is exactly, and of how many cases."""

    shown: float | None
    exact: Fraction | None = None
    cases: int = 0


def compare(
    metric: Metric,
    plan: Plan,
    found: Fact,
    grain: str,
    at: Progress,
    *,
    step: int = 1,
) -> PlanFact:
    """Plan against fact. `step`: one unit, for money the average check."""
    fact = found.shown
    working = (
        sum(1 for weight in at.weights if weight),
        at.passed_days,
        float(round(at.left_days, 2)),
    )
    value = plan.value
    if metric.kind != "sum":
        measured = measured_of(metric, fact, found.exact)
        status = _status_of_norm(metric, value, measured, found.cases)
        return PlanFact(value, fact, None, None, None, status, working, metric.plan_scale, measured)
    done = Fraction(fact or 0)
    rate = done * at.weight / at.elapsed if at.elapsed else None
    needed = None
    if value is not None:
        left = Fraction(value) - done
        needed = Fraction(0) if left <= 0 else left / at.left_days if at.left_days else None
    judge = _status_of_limit if metric.direction == "down" else _status
    status = judge(value, done, plan.expected, grain, at, step)
    measured = None if fact is None else done
    return PlanFact(value, fact, plan.expected, rate, needed, status, working, measured=measured)


def measured_of(metric: Metric, fact: float | None, exact: Fraction | None) -> Fraction | None:
    """A fact in the unit of its plan: of a ratio from its parts, else as it is shown."""
    if fact is None:
        return None
    return (Fraction(str(fact)) if exact is None else exact) * metric.plan_scale


def percent(measured: Fraction | None, plan: int | None) -> float | None:
    """Fact / plan, of the fact as `measured_of` tells it."""
    return None if not plan or measured is None else float(round(measured / plan, 6))


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


def _status_of_limit(
    plan: int | None,
    fact: Fraction,
    expected: Fraction | None,
    grain: str,
    at: Progress,
    step: int,
) -> str:
    """Less is better: the plan is what may not be exceeded (signs turned, 8.3).

    It is missed as soon as it is exceeded, and done when the period is over without that; 0 is
    no plan, as everywhere (8.3).
    """
    if not plan or expected is None:
        return "no_plan"
    if fact > plan:
        return "missed"
    if at.today >= len(at.days):
        return "done"
    if grain != "day" and (expected < Fraction(plan, 10) or at.passed_days < 2):
        return "too_early"
    if fact <= expected * Fraction(95, 100) and expected - fact >= step:
        return "ahead"
    if fact > expected * Fraction(120, 100) and fact - expected >= 2 * step:
        return "far_behind"
    if fact > expected * Fraction(105, 100) and fact - expected >= step:
        return "behind"
    return "on_pace"


def _status_of_norm(metric: Metric, plan: int | None, fact: Fraction | None, cases: int) -> str:
    """Ratios: at least 95 % and 80 % of the target, turned where less is better; levels: limits."""
    if plan is None or (not plan and metric.kind != "level"):
        return "no_plan"
    is_limit = metric.limit or metric.kind == "level"
    if fact is None or (metric.kind == "ratio" and cases < NORM_MIN and not is_limit):
        return "too_early"
    if is_limit:
        return "over" if fact > plan else "ok"
    good, norm = (plan, fact) if metric.direction == "down" else (fact, plan)
    if good >= norm:
        return "done"
    far, near = Fraction(80, 100), Fraction(95, 100)
    return "far_behind" if good < norm * far else "behind" if good < norm * near else "on_pace"


# --- plans of lines -------------------------------------------------------------------------------

By = Literal["account", "team", "seller"]


def groups_of(config: Config, leaf: Scope, by: By, first: date, last: date) -> list[str | None]:
    """The lines that a leaf counts in on some day of a span: full seller ids or teams.

    None = nobody's, or the whole.
    """
    if by == "account":
        return [None]
    if by == "seller":
        return [f"{config.account_id}.{leaf[1]}" if leaf[1] else None]
    return [team or None for team in teams_of(config, leaf, first, last)]


def _scope(group: str | None, by: By) -> Scope | None:
    """Whose norm holds for a line; None = nobody's."""
    if by == "account":
        return WHOLE
    if group is None:
        return None
    return (group, "") if by == "team" else ("", group.partition(".")[2])


def plan_groups(book: PlanBook, period: Period, by: By) -> set[str | None]:
    """The lines that have a plan."""
    if by == "account":
        return {None}
    metrics = {key[0] for key in book.rows if METRICS[key[0]].kind == "sum"}
    found = {
        leaf
        for metric in metrics
        for leaf, days in book.leaves(metric, period).items()
        if leaf[1] or any(days.values())
    }
    scopes = found | {key[2:] for key in book.rows if key[2:] != WHOLE}
    span = (period.first, period.last)
    return {group for scope in scopes for group in groups_of(book.config, scope, by, *span)}


def plan_of(
    book: PlanBook, metric: Metric, period: Period, by: By, group: str | None, now: Instant
) -> Plan:
    """The plan of one line; sums are sums of leaves, norms are copied."""
    if metric.kind != "sum":
        return _norm_of(book, metric, period, _scope(group, by))
    leaves = {}
    for leaf, days in book.leaves(metric.slug, period).items():
        own = _days_in(book.config, leaf, by, group, days)
        if own is not None:
            leaves[leaf] = own
    if not leaves:
        return Plan()
    value = sum(sum(days.values()) for days in leaves.values())
    versions = [
        row["version"]
        for month in periods(period.first, period.last, "month")
        for row in book.rows_of_month(metric.slug, month.name)
        if by == "account"
        or group in groups_of(book.config, scope_of(row), by, month.first, month.last)
    ]
    expected = expected_by(book.config, leaves, now)
    months = _by_month(leaves.values()) if period.grain == "week" else ()
    return Plan(value, expected, max(versions, default=None), months)


def _by_month(leaves: Iterable[Mapping[date, int]]) -> tuple[tuple[str, int], ...]:
    """Both parts of a week across two months; nothing of another."""
    sums: dict[str, int] = {}
    for days in leaves:
        for on, value in days.items():
            name = f"{on:%Y-%m}"
            sums[name] = sums.get(name, 0) + value
    return tuple(sorted(sums.items())) if len(sums) > 1 else ()


def _days_in(
    config: Config, leaf: Scope, by: By, group: str | None, days: Mapping[date, int]
) -> Mapping[date, int] | None:
    """The days of a leaf that count in a line; None = it never does."""
    groups = groups_of(config, leaf, by, min(days), max(days))
    if group not in groups:
        return None
    if len(groups) == 1:
        return days
    return {
        on: value for on, value in days.items() if groups_of(config, leaf, by, on, on) == [group]
    }


def _norm_of(book: PlanBook, metric: Metric, period: Period, scope: Scope | None) -> Plan:
    if scope is None:
        return Plan()
    if metric.kind == "level":
        return _limit_of(book, metric, period, scope)
    parts = book.norm_of_parts(metric, period, scope) if metric.kind == "ratio" else None
    if parts is not None:
        return Plan(int(parts * metric.plan_scale + Fraction(1, 2)))
    row = book.norm(metric, period, scope)
    return Plan(row["value"], None, row["version"]) if row else Plan()


def _limit_of(book: PlanBook, metric: Metric, period: Period, scope: Scope) -> Plan:
    """A limit is copied to each seller; of a team or the account it is their sum (kpis.md 8.1)."""
    config, (team, seller) = book.config, scope
    at = day_start(to_day(period.last), config.timezone)
    held = [s.id for s in config.directory.sellers if s.is_at_work(at)]
    if team:
        held = [who for who in held if (own := config.team_of(who, at)) and own.id == team]
    found = [book.norm(metric, period, ("", who)) for who in ([seller] if seller else held)]
    rows = [row for row in found if row is not None]
    if not rows:
        return Plan()
    return Plan(sum(row["value"] for row in rows), None, max(row["version"] for row in rows))
