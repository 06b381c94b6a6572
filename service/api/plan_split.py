"""Decomposition of plans, and the funnel backwards from money (api.md 3.7, kpis.md 8.2)."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import safe
from service.api.deps import CallDep, json_answer
from service.api.names import Names, full_id, visible_names
from service.api.plan_schemas import BackwardsShown, Decomposed
from service.api.plans import (
    MOST_ROWS,
    MOST_VALUE,
    book_around,
    note,
    read_period_of,
    refusal,
)
from service.api.problems import bad_body, problem, unknown_name
from service.api.router import Router
from service.domain.period import Period
from service.kpi import backwards as funnel
from service.kpi.metrics import METRICS
from service.kpi.planning import Level, Piece, Splitter, Unsplittable, Weights, default_step
from service.kpi.planpast import Past
from service.kpi.plansave import save
from service.kpi.plantree import Scope
from service.kpi.planwrite import Refused, Writer
from service.store.handles import Connection
from service.store.plans import hold

router = Router(prefix="/v1", tags=["Plans"])
WRITE, READ = [Depends(require("plans:write"))], [Depends(require("kpi:read"))]


class Decompose(BaseModel):
    """A plan to split: over teams and sellers, over time, or both; `step`: whole steps of it."""

    model_config = ConfigDict(extra="forbid")
    account: str
    metric: str
    period: str = Field(examples=["2026-12"])
    team: str | None = None
    seller: str | None = None
    value: int = Field(ge=0, le=MOST_VALUE)
    by: list[Level] = Field(min_length=1, max_length=6)
    weights: Weights = "hours"
    manual: dict[str, Decimal] | None = Field(None, examples=[{"romashka.7": 60}])
    seasonality: Literal["default", "last_year"] = "default"
    step: int | None = Field(None, ge=1, le=10**12)
    save: bool = False
    reason: str = Field("", max_length=1000)


class Backwards(BaseModel):
    """A goal in money; what is not given comes from the trailing 90 days."""

    model_config = ConfigDict(extra="forbid")
    account: str
    period: str = Field(examples=["2026-12"])
    goal: int = Field(ge=1, le=MOST_VALUE, description="minor units")
    currency: str | None = None
    team: str | None = None
    seller: str | None = None
    average_check: int | None = Field(None, ge=1, le=MOST_VALUE)
    conversion: Decimal | None = Field(None, gt=0, le=1)
    lead_to_deal: Decimal | None = Field(None, gt=0, le=1)
    attempts_per_inquiry: Decimal | None = Field(None, gt=0, le=10_000)


@router.post("/plans/decompose", response_model=Decomposed, dependencies=WRITE)
def decompose(call: CallDep, body: Decompose) -> Response:
    """Split a value so that the rows sum to it exactly; norms are copied to all children."""
    with call.write() as connection:
        names, scope = found_scope(call, connection, body.account, body.team, body.seller)
        period = read_period_of(body.period, "#/period")
        if body.save:
            hold(connection, names.id)
        splitter = _splitter(call, connection, names, scope, body, period)
        try:
            pieces = _pieces(splitter, period, body.value)
            if len(pieces) > MOST_ROWS:
                raise problem("too_many_rows", f"More than {MOST_ROWS} rows; split less at once.")
            shown = splitter.shown(period, pieces)
            rows = [_shown(names, splitter, piece, period) for piece in shown]
            if body.save:
                key = call.caller.key_id
                reason = body.reason
                save(Writer(connection, names.config, key, reason, call.now), splitter, pieces)
                after = {"metric": body.metric, "period": body.period, "value": body.value}
                note(call, connection, [names.id], "plans.decomposed", after)
        except Unsplittable as error:
            if not error.member:
                raise problem("conflict", error.detail) from None
            raise bad_body(f"#/{error.member}", error.detail) from None
        except Refused as error:
            raise _refused(error) from None
    return json_answer({"data": rows, "total": sum(row["value"] for row in rows)})


def _refused(error: Refused) -> Any:
    return refusal(error, error.index) if error.member == "reason" else problem(
        error.code, error.detail
    )  # fmt: skip


def found_scope(
    call: Any, connection: Connection, account: str, team: str | None, seller: str | None
) -> tuple[Names, Scope]:
    """The account and scope that a body names."""
    names = visible_names(call, connection).get(account)
    if names is None:
        raise bad_body("#/account", f"There is no account {account!r}.")
    if team and seller:
        raise bad_body("#/team", "A plan is of a team or of a seller, not of both.")
    if team and team not in names.config.teams:
        raise bad_body("#/team", f"There is no team {team!r}.")
    owner, _, own = (seller or "").partition(".")
    if seller and (owner != account or names.config.seller_name(own) is None):
        raise bad_body("#/seller", f"There is no seller {seller!r}.")
    return names, (team or "", own)


def _splitter(
    call: Any, connection: Connection, names: Names, scope: Scope, body: Decompose, period: Period
) -> Splitter:
    metric = METRICS.get(body.metric)
    if metric is None:
        raise unknown_name(body.metric, METRICS, "metric", pointer="#/metric")
    if not metric.plannable:
        raise bad_body("#/metric", f"{body.metric} cannot be planned.")
    manual = {name: Fraction(share) for name, share in (body.manual or {}).items()}
    if body.weights == "manual" and not manual:
        raise bad_body("#/manual", "weights manual needs the per cent of each.")
    if body.weights == "manual" and not {"team", "seller"} & set(body.by):
        raise bad_body("#/manual", "Per cent are given for teams or sellers; add one to by.")
    if any(share < 0 for share in manual.values()):
        raise bad_body("#/manual", "Per cent must not be negative.")
    return Splitter(
        names.config,
        book_around(connection, names, metric.slug, period),
        Past(connection, names.config, call.now),
        call.now,
        metric,
        scope,
        tuple(body.by),
        body.weights,
        manual,
        body.seasonality == "last_year",
        body.step or default_step(metric, names.config.currency),
    )


def _pieces(splitter: Splitter, period: Period, value: int) -> list[Piece]:
    if splitter.metric.kind != "sum":
        return splitter.copies(period, value)
    return splitter.split(period, value)


def _shown(names: Names, splitter: Splitter, piece: Piece, whole: Period) -> dict[str, Any]:
    """A part on the wire; a week at an end of what is split is cut there."""
    team, seller = piece.scope
    return {
        "account": names.id,
        "metric": splitter.metric.slug,
        "period": piece.period.name,
        "from": max(piece.period.first, whole.first).isoformat(),
        "to": min(piece.period.last, whole.last).isoformat(),
        "team": team or None,
        "seller": full_id(names.id, seller),
        "value": piece.value,
        "currency": names.config.currency if splitter.metric.unit == "money" else None,
    }


@router.post("/plans/backwards", response_model=BackwardsShown, dependencies=READ)
@safe
def backwards(call: CallDep, body: Backwards) -> Response:
    """From a goal in money to deals, inquiries and attempts; each rounded up once."""
    with call.read() as connection:
        names, scope = found_scope(call, connection, body.account, body.team, body.seller)
        currency = names.config.currency
        if body.currency not in (None, currency):
            raise bad_body("#/currency", f"Figures of {names.id} are in {currency}.")
        period = read_period_of(body.period, "#/period")
        given = {
            name: None if (value := getattr(body, name)) is None else Fraction(value)
            for name in funnel.RATES
        }
        past = Past(connection, names.config, call.now)
        found = funnel.backwards(past, scope, period, body.goal, given)
    missing = [name for name in funnel.NEEDED if not found.rates[name].value]
    if missing:
        name = missing[0]
        detail = f"{name} is not known of the last 90 days; give it."
        raise bad_body(f"#/{name}", detail)
    return json_answer({
        "account": names.id, "period": period.name, "goal": body.goal, "currency": currency,
        "team": scope[0] or None, "seller": full_id(names.id, scope[1]),
        **found.document(),
    })  # fmt: skip
