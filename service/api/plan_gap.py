"""What explains the gap of receipts (kpis.md 7): facts about three factors, no advice."""

from typing import Any, Literal

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.names import Names, visible_names
from service.api.params import AsOf, LangParam, ListParam, PeriodParam
from service.api.plan_schemas import GapList
from service.api.problems import bad_parameter
from service.api.router import Router
from service.domain.instant import Instant
from service.domain.period import Period
from service.kpi import compare, gap, planfact
from service.kpi.forecast import figures
from service.kpi.metrics import METRICS
from service.kpi.plantree import PlanBook
from service.kpi.planwrite import book_of
from service.kpi.question import Question
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Plans"])
READ = [Depends(require("kpi:read"))]
Against = Literal["plan", "previous_period"]
_PARTS = ("receipts", "inquiries", "won_with_amount")
_PLANNED = ("receipts", "inquiries", "deals_won", "average_check")
_BY: dict[str, planfact.By] = {"none": "account", "team": "team", "seller": "seller"}


@router.get("/plan-fact/gap", response_model=GapList, dependencies=READ)
def plan_fact_gap(
    call: CallDep,
    period: PeriodParam = None,
    by: Literal["none", "team", "seller"] = "none",
    against: Against = "plan",
    account: ListParam = None,
    as_of: AsOf = None,
    lang: LangParam = None,
) -> Response:
    """The difference of receipts as effects of inquiries, sales per inquiry, average check.

    Effects sum to the difference exactly; differences of sellers sum to the team's. Effects of
    sellers do not: each line is explained by its own factors.
    """
    if period is None:
        raise bad_parameter("period", "period is required, for example 2026-11.")
    now = min(as_of if as_of is not None else call.now, call.now)
    with call.read() as connection:
        fresh(call, connection, now // 60)
        rows = [
            line
            for names in visible_names(call, connection).values()
            if account is None or names.id in account
            for line in _lines(connection, names, Period.parse(period), _BY[by], against, now)
        ]
    return json_answer({"data": rows, "next_cursor": None, "next": None})


def _lines(
    connection: Connection,
    names: Names,
    span: Period,
    by: planfact.By,
    against: Against,
    now: Instant,
) -> list[dict[str, Any]]:
    config = names.config
    dimensions = () if by == "account" else (by,)
    metrics = tuple(METRICS[slug] for slug in _PARTS)
    question = Question(metrics, dimensions, span.first, span.last, None, (), now)
    after = _states(connection, names, question, by)
    compared = None
    if against == "plan":
        book = book_of(connection, config, set(_PLANNED), {span.name})
        groups = planfact.plan_groups(book, span, by)
        before = {group: _planned(book, span, by, group, now) for group in groups}
    else:
        moved = compare.shifted(question, against, config, now).question
        compared = {"from": moved.first.isoformat(), "to": moved.last.isoformat()}
        before = _states(connection, names, moved, by)
    chosen = {None} if by == "account" else {*before, *after}
    return [
        _line(names, by, group, before.get(group), after.get(group), compared)
        for group in sorted(chosen, key=lambda g: g or "")
    ]


def _states(
    connection: Connection, names: Names, question: Question, by: planfact.By
) -> dict[str | None, gap.State]:
    found = figures(connection, names.config, question, by)
    return {
        group: gap.of_facts(*(int(values.get(slug) or 0) for slug in _PARTS))
        for (_, group), values in found.items()
    }


def _planned(
    book: PlanBook, span: Period, by: planfact.By, group: str | None, now: Instant
) -> gap.State:
    return gap.of_plan(
        *(planfact.plan_of(book, METRICS[slug], span, by, group, now).value for slug in _PLANNED)
    )


def _line(
    names: Names,
    by: planfact.By,
    group: str | None,
    before: gap.State | None,
    after: gap.State | None,
    compared: dict[str, str] | None,
) -> dict[str, Any]:
    old = before or gap.State(0, None, None, None)
    new = after or gap.of_facts(0, 0, 0)
    team = names.config.teams.get(group) if group and by == "team" else None
    seller = names.seller(group.partition(".")[2]) if group and by == "seller" else None
    effects = gap.explain(old, new)
    return {
        "account": names.id,
        "seller": seller,
        "team": {"id": team.id, "name": team.name} if team else None,
        "currency": names.config.currency,
        "compared": compared,
        "before": gap.shown(old),
        "after": gap.shown(new),
        "difference": new.receipts - old.receipts,
        "effects": [{"factor": name, "amount": value} for name, value in effects.items()],
        "separable": gap.REST not in effects,
    }
