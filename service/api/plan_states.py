"""Approving, reopening and closing plans; their history (api.md 3.7)."""

from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.alerts.plan_events import tell_approved
from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.names import full_id, visible_names
from service.api.params import ListParam
from service.api.plan_schemas import PlanHistory, PlansMoved
from service.api.plans import check_metrics, note, read_period_of
from service.api.problems import bad_body, problem, unknown_name
from service.api.router import Router
from service.domain.instant import iso
from service.kpi.metrics import METRICS
from service.kpi.planstates import Move, State, WrongState, move, rows_within
from service.store import plans as store

router = Router(prefix="/v1", tags=["Plans"])
READ, WRITE = [Depends(require("kpi:read"))], [Depends(require("plans:write"))]
MOST_VERSIONS = 1000


class Plans(BaseModel):
    """The plans of a period; `metrics` null = all."""

    model_config = ConfigDict(extra="forbid")
    account: str
    period: str = Field(examples=["2026-12"])
    metrics: list[str] | None = Field(None, min_length=1, max_length=100)


class ReasonedPlans(Plans):
    """The same, with why."""

    reason: str = Field(min_length=1, max_length=1000)


class NotedPlans(Plans):
    """The same, with why if there is something to say."""

    reason: str = Field("", max_length=1000)


@router.post("/plans/approve", response_model=PlansMoved, dependencies=WRITE)
def approve_plans(call: CallDep, body: NotedPlans) -> Response:
    """Drafts become approved: from then on a change needs a reason."""
    return _moved(call, body, "approved", body.reason)


@router.post("/plans/reopen", response_model=PlansMoved, dependencies=WRITE)
def reopen_plans(call: CallDep, body: ReasonedPlans) -> Response:
    """Approved and closed plans become drafts again."""
    if not body.reason.strip():
        raise bad_body("#/reason", "A plan is reopened only with a reason.")
    return _moved(call, body, "draft", body.reason)


@router.post("/plans/close", response_model=PlansMoved, dependencies=WRITE)
def close_plans(call: CallDep, body: NotedPlans) -> Response:
    """Approved plans become closed: nothing of them changes until they are reopened."""
    return _moved(call, body, "closed", body.reason)


def _moved(call: CallDep, body: Plans, state: State, reason: str) -> Response:
    period = read_period_of(body.period, "#/period")
    for index, name in enumerate(body.metrics or ()):
        if name not in METRICS:
            raise unknown_name(name, METRICS, "metric", pointer=f"#/metrics/{index}")
    with call.write() as connection:
        if body.account not in visible_names(call, connection):
            raise bad_body("#/account", f"There is no account {body.account!r}.")
        wanted = Move(body.account, period, body.metrics, state)
        try:
            changed = move(connection, wanted, call.caller.key_id, reason, call.now)
        except WrongState as error:
            raise problem(error.code, error.detail) from None
        if changed:
            after = {"period": period.name, "metrics": body.metrics, "reason": reason}
            note(call, connection, [body.account], f"plans.{state}", after)
            if state == "approved":
                rows = rows_within(connection, body.account, period, body.metrics)
                metrics = sorted({row["metric"] for row in rows})
                told = store.revisions_of(connection, [body.account])[body.account]
                tell_approved(
                    connection, body.account, period.name, metrics, told, call.caller.key_id,
                    call.now,
                )  # fmt: skip
    return json_answer({"status": state, "changed": changed, "account": body.account,
                        "period": period.name})  # fmt: skip


@router.get("/plans/history", response_model=PlanHistory, dependencies=READ)
def plan_history(
    call: CallDep,
    account: ListParam = None,
    metric: ListParam = None,
    period: ListParam = None,
    team: ListParam = None,
    seller: ListParam = None,
    limit: Annotated[int, Query(ge=1, le=MOST_VERSIONS)] = 100,
) -> Response:
    """Every version of plan rows: value, state, who, when, why; a removal has no value."""
    check_metrics(metric, "metric")
    equal = {"metric": metric, "period": period, "team": team}
    chosen: dict[str, Any] = {name: v for name, v in equal.items() if v is not None}
    if seller is not None:
        chosen["seller"] = [name.partition(".")[2] for name in seller]
    with call.read() as connection:
        fresh(call, connection)
        rows: list[dict[str, Any]] = []
        for found in visible_names(call, connection):
            if account is None or found in account:
                rows += store.history(connection, found, limit, **chosen)
    data = [_shown(row) for row in rows]
    if seller is not None:
        data = [row for row in data if row["seller"] in seller]
    return json_answer({"data": data[:limit], "next_cursor": None, "next": None})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    account = row["account_id"]
    return {
        "account": account,
        "metric": row["metric"],
        "period": row["period"],
        "team": row["team"] or None,
        "seller": full_id(account, row["seller"]),
        "version": row["version"],
        "value": row["value"],
        "status": row["status"],
        "who": row["author"],
        "at": iso(row["at"]),
        "reason": row["reason"] or None,
    }
