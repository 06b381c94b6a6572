"""Plan against fact (api.md 3.7, kpis.md 8.3, 8.4)."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep
from service.api.flat_csv import FormDep
from service.api.kpis import MoneyParam
from service.api.names import Names, visible_names
from service.api.params import AsOf, LangParam, ListParam, PeriodParam
from service.api.plan_schemas import PlanFactList
from service.api.plans import check_metrics
from service.api.problems import bad_parameter
from service.api.router import Router
from service.domain.instant import Instant
from service.domain.money import exponent
from service.domain.period import Period
from service.kpi import planfact
from service.kpi.ahead import LEVELS, Pipeline
from service.kpi.commitments import commitments
from service.kpi.forecast import COMBINED, METHOD, Forecasts, Interval, rows_of
from service.kpi.metrics import METRICS, Metric
from service.kpi.planwrite import book_of
from service.kpi.question import Question
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Plans"])
READ = [Depends(require("kpi:read"))]
By = planfact.By
_MONEY = ("plan", "fact", "expected", "gap", "gap_expected", "run_rate", "needed_per_day")
_FORESEEN = ("low", "mid", "high", "pipeline", "commitments")
COLUMNS = ("account", "metric", "plan", "fact", "percent", "status")  # of a file without rows
_NO_FACTS: Mapping[str, Any] = {"values": {}, "exact": {}}
Method = Literal["run_rate", "combined"]


@router.get("/plan-fact", response_model=PlanFactList, dependencies=READ)
def plan_fact(
    call: CallDep,
    form: FormDep,
    period: PeriodParam = None,
    metrics: ListParam = None,
    by: By = "account",
    account: ListParam = None,
    forecast: Method = "run_rate",
    money: MoneyParam = "minor",
    as_of: AsOf = None,
    lang: LangParam = None,
) -> Response:
    """Plan against fact; by seller or team with a line for what is nobody's.

    The forecast is the run rate, its interval 80 % by at least 6 closed months. `forecast=combined`
    of a month, for receipts and sales, also asks the deals in work what they will bring.
    """
    if period is None:
        raise bad_parameter("period", "period is required, for example 2026-11.")
    span = Period.parse(period)
    chosen = _plannable(metrics)
    now = min(as_of if as_of is not None else call.now, call.now)
    with call.read() as connection:
        fresh(call, connection, now // 60)
        names = visible_names(call, connection)
        rows = [
            line
            for found in names.values()
            if account is None or found.id in account
            for line in _lines(
                connection, found, chosen, span, by, now, forecast, live=now >= call.now
            )
        ]
    if money == "major":
        rows = [_in_major(row) for row in rows]
    document = {"data": rows, "next_cursor": None, "next": None}
    return form.answer(document, f"plan-fact-{span.name}", COLUMNS)


def _plannable(metrics: tuple[str, ...] | None) -> list[Metric]:
    check_metrics(metrics, "metrics")
    return [
        metric
        for slug, metric in METRICS.items()
        if (slug in metrics if metrics else metric.plannable)
    ]


def _lines(
    connection: Connection,
    names: Names,
    metrics: list[Metric],
    span: Period,
    by: By,
    now: Instant,
    method: Method,
    *,
    live: bool,
) -> list[dict[str, Any]]:
    config = names.config
    dimensions = () if by == "account" else (by,)
    asked = tuple(dict.fromkeys([*metrics, *_parts(metrics)]))
    question = Question(asked, dimensions, span.first, span.last, None, (), now)
    facts = {g: row for (_, g), row in rows_of(connection, config, question, by).items()}
    book = book_of(connection, config, {m.slug for m in asked if m.plannable}, {span.name})
    past = Forecasts(connection, config, asked, by, span, now)
    pipeline = Pipeline(connection, config, by)
    promised = commitments(connection, config, span, by, now) if live else {}
    groups = {*facts, *planfact.plan_groups(book, span, by)}
    groups |= {group for metric in metrics for group in promised.get(metric.slug, {})}
    found = []
    for group in [None] if by == "account" else sorted(groups, key=lambda g: g or ""):
        seller = group.partition(".")[2] if group and by == "seller" else None
        at = planfact.progress(config, seller, span, now)
        row = facts.get(group, _NO_FACTS)
        for metric in metrics:
            plan = planfact.plan_of(book, metric, span, by, group, now)
            line = _compare(metric, plan, row, span, at)
            share = at.elapsed / at.weight if at.weight else Fraction(0)
            told = _foreseen(past, metric, group, line, share)
            own = promised.get(metric.slug)
            told["commitments"] = None if own is None else own.get(group, 0)
            if method == COMBINED:
                told |= _combined(past, pipeline, metric, group, line, share)
            found.append(_line(names, by, group, metric, plan, line, told))
    return found


def _foreseen(
    past: Forecasts, metric: Metric, group: str | None, line: planfact.PlanFact, share: Fraction
) -> dict[str, Any]:
    """The run rate with its interval, and how often such intervals were right."""
    interval = past.interval(metric, group, line.run_rate, share)
    covered = past.coverage(metric, group, share)
    return _forecast(line.run_rate, METHOD, interval, covered) | {"pipeline": None}


def _forecast(
    mid: Fraction | None,
    method: str,
    interval: Interval | None,
    covered: tuple[Fraction, int] | None,
) -> dict[str, Any]:
    return {
        "low": None if interval is None else _rounded(interval[0]),
        "mid": _rounded(mid),
        "high": None if interval is None else _rounded(interval[1]),
        "method": None if mid is None else method,
        "coverage": None if covered is None else round(float(covered[0]), 6),
        "coverage_months": 0 if covered is None else covered[1],
    }


def _combined(
    past: Forecasts,
    pipeline: Pipeline,
    metric: Metric,
    group: str | None,
    line: planfact.PlanFact,
    share: Fraction,
) -> dict[str, Any]:
    """The mean with the pipeline's forecast; nothing where the pipeline cannot say."""
    running = past.period.grain == "month" and 0 < share < 1
    if metric.slug not in LEVELS or line.run_rate is None or not running:
        return {}
    to_come = pipeline.to_come(metric.slug, group, past.period, past.now)
    if to_come is None:
        return {}
    ahead = Fraction(line.fact or 0) + to_come
    found = past.combined(metric, group, share, (line.run_rate, ahead), pipeline)
    return {**_forecast(found.mid, COMBINED, found.interval, found.coverage),
            "pipeline": _rounded(ahead)}  # fmt: skip


def _rounded(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 2)


def _parts(metrics: list[Metric]) -> list[Metric]:
    """What ratios are made of, and what a sale brings (the step of money)."""
    names = [n for m in metrics if m.kind == "ratio" for n in (m.numerator, *m.denominator)]
    names += ["deals_won"] if names else []
    if any(m.unit == "money" for m in metrics):
        names += ["average_check", "receipts", "won_with_amount"]
    return [METRICS[name] for name in names]


def _compare(
    metric: Metric,
    plan: planfact.Plan,
    row: Mapping[str, Any],
    span: Period,
    at: planfact.Progress,
) -> planfact.PlanFact:
    values, exact = row["values"], row["exact"].get(metric.slug)
    fact = values.get(metric.slug, None if metric.missing == "null" else 0)
    cases = sum(int(values.get(name) or 0) for name in metric.denominator)
    step = 1
    if metric.unit == "money":
        step = int(values.get("average_check") or 1)
    found = planfact.Fact(fact, exact, cases)
    return planfact.compare(metric, plan, found, span.grain, at, step=step)


def _line(
    names: Names,
    by: By,
    group: str | None,
    metric: Metric,
    plan: planfact.Plan,
    line: planfact.PlanFact,
    foreseen: dict[str, Any],
) -> dict[str, Any]:
    seller = names.seller(group.partition(".")[2]) if group and by == "seller" else None
    team = names.config.teams.get(group) if group and by == "team" else None
    everyone, passed, left = line.working_days
    return {
        "account": names.id,
        "metric": metric.slug,
        "seller": seller,
        "team": {"id": team.id, "name": team.name} if team else None,
        "currency": names.config.currency if metric.unit == "money" else None,
        "plan": line.plan,
        "plan_version": plan.version,
        "plan_by_month": [{"period": name, "plan": value} for name, value in plan.months] or None,
        "fact": line.fact,
        "percent": line.percent,
        "expected": None if line.expected is None else round(float(line.expected), 2),
        "pace": line.pace,
        "gap": line.gap,
        "gap_expected": line.behind,
        "run_rate": _rounded(line.run_rate),
        "forecast": foreseen,
        "needed_per_day": None
        if line.needed_per_day is None
        else round(float(line.needed_per_day), 2),
        "working_days": {"all": everyone, "passed": passed, "left": left},
        "status": line.status,
    }


def _in_major(line: dict[str, Any]) -> dict[str, Any]:
    """A line with its money in major units."""
    if line["currency"] is None:
        return line
    digits = exponent(line["currency"])

    def major(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        told = ((name, row[name]) for name in names)
        return {n: None if v is None else round(v / 10**digits, digits + 2) for n, v in told}

    forecast = line["forecast"] | major(line["forecast"], _FORESEEN)
    return line | major(line, _MONEY) | {"forecast": forecast}
