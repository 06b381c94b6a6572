"""Plan against fact (api.md 3.7, kpis.md 8.3). The forecast is the run rate for now."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.names import Names, full_id, visible_names
from service.api.params import AsOf, LangParam, ListParam
from service.api.problems import bad_parameter, unknown_name
from service.api.router import Router
from service.domain.instant import Instant
from service.domain.period import Period
from service.kpi import planfact
from service.kpi import query as kpi
from service.kpi.metrics import METRICS, Metric
from service.kpi.query import Question
from service.store import plans as store
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Plans"])
READ = [Depends(require("kpi:read"))]
By = Literal["account", "team", "seller"]


@router.get("/plan-fact", dependencies=READ)
def plan_fact(
    call: CallDep,
    period: Annotated[str | None, Query(examples=["2026-11"])] = None,
    metrics: ListParam = None,
    by: By = "account",
    account: ListParam = None,
    as_of: AsOf = None,
    lang: LangParam = None,
) -> Response:
    """Plan against fact. The forecast is the run rate; its interval comes with a later version."""
    if period is None:
        raise bad_parameter("period", "period is required, for example 2026-11.")
    try:
        span = Period.parse(period)
    except ValueError as error:
        raise bad_parameter("period", f"{error}.") from None
    chosen = _plannable(metrics)
    now = min(as_of if as_of is not None else call.now, call.now)
    with call.read() as connection:
        fresh(call, connection, now // 60)
        names = visible_names(call, connection)
        rows = [
            line
            for found in names.values()
            if account is None or found.id in account
            for line in _lines(connection, found, chosen, span, by, now)
        ]
    return json_answer({"data": rows, "next_cursor": None, "next": None})


def _plannable(metrics: tuple[str, ...] | None) -> list[Metric]:
    for name in metrics or ():
        if name not in METRICS:
            raise unknown_name(name, METRICS, "metric", parameter="metrics")
    return [
        metric
        for slug, metric in METRICS.items()
        if (slug in metrics if metrics else metric.plannable)
    ]


def _lines(
    connection: Connection, names: Names, metrics: list[Metric], span: Period, by: By, now: Instant
) -> list[dict[str, Any]]:
    config = names.config
    dimensions = () if by == "account" else (by,)
    parts = [METRICS[m.numerator] for m in metrics if m.kind == "ratio"]
    parts += [METRICS[name] for m in metrics if m.kind == "ratio" for name in m.denominator]
    asked = tuple(dict.fromkeys([*metrics, *parts]))
    question = Question(asked, dimensions, span.first, span.last, None, (), now)
    configs = {names.id: config}
    table = kpi.tabulate(question, kpi.gather(connection, configs, question), configs)
    facts = {row[by] if dimensions else None: row["values"] for row in table.rows}
    rows = store.plans(connection, [names.id], period=[span.name])
    plans = _plans_by(rows, names, by)
    groups = sorted({*facts, *(group for group, _ in plans)}, key=lambda g: g or "")
    if by == "account":
        groups = [None]
    found = []
    for group in groups:
        seller = group.partition(".")[2] if group and by == "seller" else None
        at = planfact.progress(config, seller, span, now)
        values = facts.get(group, {})
        for metric in metrics:
            plan = plans.get((group, metric.slug))
            line = _compare(metric, plan["value"] if plan else None, values, span, at)
            found.append(_line(names, by, group, metric, plan, line))
    return found


def _plans_by(
    rows: list[dict[str, Any]], names: Names, by: By
) -> dict[tuple[str | None, str], dict[str, Any]]:
    found: dict[tuple[str | None, str], dict[str, Any]] = {}
    if by == "team":
        for row in rows:
            team = row["team"] or (t.id if (t := names.config.team_of(row["seller"])) else "")
            if team:
                _add(found, team, row)
        return found
    for part in planfact.whole_or_parts(rows, by_seller=by == "seller"):
        _add(found, full_id(names.id, part["seller"]) if by == "seller" else None, dict(part))
    return found


def _add(
    found: dict[tuple[str | None, str], dict[str, Any]], group: str | None, row: dict[str, Any]
) -> None:
    key = (group, row["metric"])
    known = found.get(key)
    found[key] = row if known is None else {**known, "value": known["value"] + row["value"]}


def _compare(
    metric: Metric,
    plan: int | None,
    values: Mapping[str, Any],
    span: Period,
    at: planfact.Progress,
) -> planfact.PlanFact:
    fact = values.get(metric.slug, None if metric.kind == "ratio" or metric.telephony else 0)
    cases = sum(int(values.get(name) or 0) for name in metric.denominator)
    step = 1
    if metric.unit == "money":
        step = int(values.get("average_check") or 1)
    return planfact.compare(metric, plan, fact, span.grain, at, step=step, cases=cases)


def _line(
    names: Names,
    by: By,
    group: str | None,
    metric: Metric,
    plan: Mapping[str, Any] | None,
    line: planfact.PlanFact,
) -> dict[str, Any]:
    rate = None if line.run_rate is None else round(float(line.run_rate), 2)
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
        "plan_version": plan["version"] if plan else None,
        "fact": line.fact,
        "percent": line.percent,
        "expected": None if line.expected is None else round(float(line.expected), 2),
        "pace": line.pace,
        "gap": line.gap,
        "run_rate": rate,
        "forecast": {"low": None, "mid": rate, "high": None},
        "needed_per_day": None
        if line.needed_per_day is None
        else round(float(line.needed_per_day), 2),
        "working_days": {"all": everyone, "passed": passed, "left": left},
        "status": line.status,
    }
