"""Plans and plan-fact (api.md 3.7). Writing is all or nothing; every change is a version."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, full_id, visible_names
from service.api.params import ListParam, read_period
from service.api.problems import bad_body, fault, problem, unknown_name
from service.api.router import Router
from service.domain.period import Period
from service.kpi import planfact
from service.kpi.decompose import cumulative, largest_remainder
from service.kpi.metrics import METRICS, Metric
from service.store import plans as store
from service.store.accounts import bump
from service.store.audit import record
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Plans"])
READ, WRITE = [Depends(require("kpi:read"))], [Depends(require("plans:write"))]
MOST_ROWS = 5000
PeriodText = Annotated[Period, BeforeValidator(read_period)]
By = Literal["account", "team", "seller"]


class PlanRow(BaseModel):
    """One planned figure; `value` null removes it."""

    model_config = ConfigDict(extra="forbid")
    account: str
    metric: str
    period: str = Field(examples=["2026-12"])
    team: str | None = None
    seller: str | None = None
    value: int | None = Field(ge=0, le=10**15)
    currency: str | None = None
    locked: bool = False


class PlanRows(BaseModel):
    """Rows to write, all or nothing."""

    model_config = ConfigDict(extra="forbid")
    status: Literal["draft", "approved"] = "draft"
    reason: str = ""
    rows: list[PlanRow] = Field(min_length=1, max_length=MOST_ROWS)


class Decompose(BaseModel):
    """A plan to split: over sellers, over days, or both."""

    model_config = ConfigDict(extra="forbid")
    account: str
    metric: str
    period: str
    value: int = Field(ge=0, le=10**15)
    by: list[Literal["seller", "day"]] = Field(min_length=1, max_length=2)
    weights: Literal["equal", "hours"] = "hours"
    step: int = Field(1, ge=1, le=10**9)
    save: bool = False


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "account": row["account_id"],
        "metric": row["metric"],
        "period": row["period"],
        "team": row["team"] or None,
        "seller": full_id(row["account_id"], row["seller"]),
        "value": row["value"],
        "currency": row["currency"] or None,
        "status": row["status"],
        "locked": bool(row["locked"]),
        "version": row["version"],
    }


@router.get("/plans", dependencies=READ)
def list_plans(
    call: CallDep,
    account: ListParam = None,
    metric: ListParam = None,
    period: ListParam = None,
    team: ListParam = None,
    seller: ListParam = None,
    status: ListParam = None,
) -> Response:
    """Plans as they stand."""
    with call.read() as connection:
        fresh(call, connection)
        visible = [a for a in visible_names(call, connection) if account is None or a in account]
        equal: dict[str, Any] = {"metric": metric, "period": period, "team": team, "status": status}
        if seller is not None:
            equal["seller"] = [s.partition(".")[2] for s in seller]
        chosen = {name: values for name, values in equal.items() if values is not None}
        rows = store.plans(connection, visible, **chosen) if visible else []
        if seller is not None:
            rows = [r for r in rows if full_id(r["account_id"], r["seller"]) in seller]
    return json_answer({"data": [_shown(r) for r in rows], "next_cursor": None, "next": None})


@router.put("/plans", dependencies=WRITE)
def put_plans(call: CallDep, body: PlanRows) -> Response:
    """Write rows; the same again changes nothing and makes no version."""
    with call.write() as connection:
        names = visible_names(call, connection)
        rows = _checked(connection, names, body)
        counts = {"created": 0, "updated": 0, "unchanged": 0, "removed": 0}
        who = call.caller.key_id
        for row in rows:
            counts[store.put(connection, row, who, body.reason, call.now)] += 1
        if counts["unchanged"] < len(rows):
            _note(call, connection, rows, counts)
    return json_answer({**counts, "data": [_shown({"version": None, **row}) for row in rows]})


def _note(call: Call, connection: Connection, rows: list[Any], counts: dict[str, int]) -> None:
    for account in sorted({row["account_id"] for row in rows}):
        bump(connection, account)
        record(
            connection, call.caller.key_id, "plans.written", call.now, account_id=account,
            after=counts, request_id=call.request_id,
        )  # fmt: skip


def _checked(
    connection: Connection, names: Mapping[str, Names], body: PlanRows
) -> list[dict[str, Any]]:
    """Rows as the table wants them; all faults at once."""
    faults: list[dict[str, Any]] = []
    rows = [_row(f"#/rows/{i}", row, names, body, faults) for i, row in enumerate(body.rows)]
    if faults:
        code = faults[0]["code"]
        raise problem(code, faults[0]["detail"], errors=faults)
    seen = set()
    for index, row in enumerate(rows):
        key = tuple(row[name] for name in store.KEY)
        if key in seen:
            raise bad_body(f"#/rows/{index}", "The same plan stands twice in the rows.")
        seen.add(key)
        known = store.plan(connection, {name: row[name] for name in store.KEY})
        if known and known["status"] == "closed":
            raise problem("plan_closed", f"The plan of {row['period']} is closed.")
        changed = known and known["status"] == "approved" and known["value"] != row["value"]
        if changed and not body.reason:
            raise bad_body("#/reason", "An approved plan is changed only with a reason.")
    return rows


def _row(
    place: str,
    row: PlanRow,
    names: Mapping[str, Names],
    body: PlanRows,
    faults: list[dict[str, Any]],
) -> dict[str, Any]:
    found = names.get(row.account)
    if found is None:
        faults.append(_fault(f"{place}/account", f"There is no account {row.account!r}."))
        return {}
    metric = METRICS.get(row.metric)
    if metric is None:
        faults.append(_fault(f"{place}/metric", f"There is no metric {row.metric!r}.",
                             "unknown_name"))  # fmt: skip
    elif not metric.plannable:
        faults.append(_fault(f"{place}/metric", f"{row.metric} cannot be planned."))
    try:
        Period.parse(row.period)
    except ValueError as error:
        faults.append(_fault(f"{place}/period", f"{error}."))
    account, _, seller = (row.seller or "").partition(".")
    if row.seller and (account != row.account or found.config.seller_name(seller) is None):
        faults.append(_fault(f"{place}/seller", f"There is no seller {row.seller!r}."))
    if row.team and row.team not in found.config.teams:
        faults.append(_fault(f"{place}/team", f"There is no team {row.team!r}."))
    if row.team and row.seller:
        faults.append(_fault(f"{place}/team", "A plan is of a team or of a seller, not of both."))
    money = metric is not None and metric.unit == "money"
    return {
        "account_id": row.account, "metric": row.metric, "period": row.period,
        "team": row.team or "", "seller": seller, "value": row.value,
        "currency": (row.currency or found.config.currency) if money else "",
        "status": body.status, "locked": row.locked,
    }  # fmt: skip


def _fault(pointer: str, detail: str, code: str = "invalid_body") -> dict[str, Any]:
    return fault(code, detail, pointer=pointer)


@router.post("/plans/decompose", dependencies=WRITE)
def decompose(call: CallDep, body: Decompose) -> Response:
    """Split a value over sellers and days so that the rows sum to it exactly."""
    with call.write() as connection:
        names = visible_names(call, connection)
        if body.account not in names:
            raise bad_body("#/account", f"There is no account {body.account!r}.")
        metric = METRICS.get(body.metric)
        if metric is None:
            raise unknown_name(body.metric, METRICS, "metric", pointer="#/metric")
        if not metric.plannable or metric.kind != "sum":
            raise bad_body("#/metric", f"{body.metric} cannot be split.")
        period = read_period_of(body.period, "#/period")
        rows = _split(names[body.account], metric, period, body)
        if body.save:
            wanted = PlanRows(rows=[PlanRow(**row) for row in rows])
            for row in _checked(connection, names, wanted):
                store.put(connection, row, call.caller.key_id, "decomposed", call.now)
            bump(connection, body.account)
    return json_answer({"data": rows, "total": sum(row["value"] for row in rows)})


def read_period_of(text: str, pointer: str) -> Period:
    """A period in a body."""
    try:
        return Period.parse(text)
    except ValueError as error:
        raise bad_body(pointer, f"{error}.") from None


def _split(names: Names, metric: Metric, period: Period, body: Decompose) -> list[dict[str, Any]]:
    config = names.config
    sellers: list[str | None] = [None]
    parts = [body.value]
    if "seller" in body.by:
        active = [s.id for s in config.directory.sellers if s.active and s.listed]
        if not active:
            raise bad_body("#/by", "The account has no sellers to split over.")
        weights = [1] * len(active)
        if body.weights == "hours":
            weights = [sum(planfact.progress(config, s, period, 0).weights) for s in active]
        parts = largest_remainder(body.value, weights, active, body.step)
        sellers = list(active)
    currency = config.currency if metric.unit == "money" else None
    rows = []
    for seller, part in zip(sellers, parts, strict=True):
        base = {
            "account": names.id, "metric": metric.slug, "period": period.name, "team": None,
            "seller": full_id(names.id, seller), "value": part, "currency": currency,
        }  # fmt: skip
        if "day" not in body.by:
            rows.append(base)
            continue
        at = planfact.progress(config, seller, period, 0)
        equal = tuple(1 if weight else 0 for weight in at.weights)
        shares = at.weights if body.weights == "hours" else equal
        for day, value in zip(at.days, cumulative(part, shares), strict=True):
            rows.append({**base, "period": day.isoformat(), "value": value})
    return rows
