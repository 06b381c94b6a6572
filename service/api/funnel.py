"""The funnel of a pipeline: what became of the deals that entered each stage (api.md 3.7)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.kpis import FromParam, ToParam
from service.api.names import Names, full_id, split_id, stage_full_id, visible_names
from service.api.params import AsOf, FlagParam, LangParam, ListParam
from service.api.problems import bad_parameter
from service.api.router import Router
from service.api.schemas import Instant, LocalDate, Ref, StageRef, Wire
from service.domain.directory import Pipeline, Stage, StageKind
from service.domain.instant import iso
from service.kpi import query as kpi
from service.kpi.metrics import METRICS, STRICT
from service.kpi.passes import passed_on
from service.kpi.question import Filter, Question

router = Router(prefix="/v1", tags=["KPIs"])
READ = [Depends(require("kpi:read"))]
Mode = Literal["cohort", "period"]
_OF_PERIOD = ("stage_entries", "deals_lost", "deals_open", "time_in_stage")
_METRICS = ("stage_entries", "stage_passes", "stage_lost", "stage_conversion", "time_in_stage")


class FunnelStage(Wire):
    """One stage; `open_now`: entered, neither gone further nor lost (by period: at its end)."""

    stage: StageRef
    entered: int
    moved_on: int
    lost: int
    open_now: int
    conversion: float | None
    from_start: float | None
    median_seconds: int | None
    p90_seconds: int | None
    left: int


class Funnel(Wire):
    """Answer of `/v1/funnel`."""

    account: str
    pipeline: Ref
    mode: Mode
    from_: LocalDate = Field(alias="from")
    to: LocalDate
    as_of: Instant
    stages: list[FunnelStage]


@router.get("/funnel", response_model=Funnel, dependencies=READ)
def funnel(
    call: CallDep,
    pipeline: Annotated[str | None, Query(examples=["romashka.31"])] = None,
    first: FromParam = None,
    last: ToParam = None,
    mode: Mode = "cohort",
    seller: ListParam = None,
    team: ListParam = None,
    source: ListParam = None,
    strict: FlagParam = None,
    as_of: AsOf = None,
    lang: LangParam = None,
) -> Response:
    """Of the deals that entered a stage in the span: gone further, lost, still there, so far.

    With `mode=period` each by its own instant: who went further and who was lost in the span,
    whenever they had entered, and who is there at its end; `conversion` is further / (further +
    lost). `from_start` compares the entries with those of the first stage. `median_seconds` and
    `p90_seconds`: all stays in the stage, of deals that left it in the span (`left`; null under 5).
    `team`: the seller's at the entry (`open_now` by period: at its end).
    """
    if first is None or last is None or first > last:
        raise bad_parameter(
            "from" if first is None else "to", "from and to are required, in order."
        )
    at = min(as_of if as_of is not None else call.now, call.now)
    with call.read() as connection:
        fresh(call, connection, at // 60)
        names = visible_names(call, connection)
        own, found = _pipeline(names, pipeline)
        filters: list[Filter] = [("pipeline", "eq", (full_id(own.id, found.id) or "",))]
        filters += [("seller", "eq", seller)] if seller else []
        filters += [("team", "eq", team)] if team else []
        filters += [("source", "eq", source)] if source else []
        shown = _METRICS if mode == "cohort" else _OF_PERIOD
        question = Question(
            tuple(METRICS[STRICT.get(n, n) if strict else n] for n in shown),
            ("stage",), first, last, None, tuple(filters), at, at >= call.now, strict=bool(strict),
        )  # fmt: skip
        rows = kpi.answer(connection, {own.id: own.config}, question).rows
        on = passed_on(connection, own.config, question) if mode == "period" else None
    return json_answer(
        {
            "account": own.id,
            "pipeline": {"id": full_id(own.id, found.id), "name": found.name},
            "mode": mode,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "as_of": iso(at),
            "stages": _stages(own, found, question, {row["stage"]: row for row in rows}, on),
        }
    )


def _pipeline(names: dict[str, Names], pipeline: str | None) -> tuple[Names, Pipeline]:
    split = split_id(pipeline) if pipeline else None
    own = names.get(split[0]) if split else None
    found = own.config.directory.pipeline(split[1]) if own is not None and split else None
    if own is None or found is None:
        raise bad_parameter("pipeline", "pipeline is required, as an id of /v1/pipelines.")
    return own, found


def _stages(
    own: Names,
    pipeline: Pipeline,
    question: Question,
    rows: dict[str, dict[str, Any]],
    on: Mapping[str, int] | None,
) -> list[dict[str, Any]]:
    """`on`: who went on in the period; None = what became of a cohort is asked for."""
    entries = question.metrics[0].slug
    stages = [s for s in sorted(pipeline.stages, key=lambda s: s.sort) if s.kind is StageKind.OPEN]
    shown: list[dict[str, Any]] = []
    for stage in stages:
        row = rows.get(stage_full_id(own.id, pipeline.id, stage.id) or "", {})
        values, notes = row.get("values", {}), row.get("notes", {}).get("time_in_stage", {})
        entered = values.get(entries) or 0
        start = shown[0]["entered"] if shown else entered
        fate = (
            _of_cohort(question, values) if on is None else _of_period(values, on.get(stage.id, 0))
        )
        shown.append(
            {
                "stage": _stage(own, pipeline, stage),
                "entered": entered,
                **fate,
                "from_start": round(entered / start, 6) if start else None,
                "median_seconds": values.get("time_in_stage"),
                "p90_seconds": notes.get("p90"),
                "left": notes.get("count") or 0,
            }
        )
    return shown


def _of_cohort(question: Question, values: Mapping[str, Any]) -> dict[str, Any]:
    entered, moved_on, lost = (values.get(metric.slug) or 0 for metric in question.metrics[:3])
    return {
        "moved_on": moved_on,
        "lost": lost,
        "open_now": entered - moved_on - lost,
        "conversion": values.get("stage_conversion"),
    }


def _of_period(values: Mapping[str, Any], moved_on: int) -> dict[str, Any]:
    lost = values.get("deals_lost") or 0
    decided = moved_on + lost
    return {
        "moved_on": moved_on,
        "lost": lost,
        "open_now": values.get("deals_open") or 0,
        "conversion": round(moved_on / decided, 6) if decided > 0 else None,
    }


def _stage(own: Names, pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    full = stage_full_id(own.id, pipeline.id, stage.id)
    return {"id": full, "name": stage.name, "kind": stage.kind.value}
