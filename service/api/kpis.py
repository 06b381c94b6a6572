"""KPIs: what there is, the query, and the subjects behind a figure (api.md 3.6)."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from service.api.auth import require
from service.api.bodies import safe
from service.api.deps import Call, CallDep, json_answer
from service.api.flat_csv import Form, FormDep
from service.api.kpi_query import FILTERED, MOST_ROWS, Asked, answer, check
from service.api.kpi_schemas import AddendList, Kpi, KpiList, KpiTable
from service.api.kpi_subjects import answer_subjects
from service.api.paging import PageDep
from service.api.params import (
    AsOf,
    Filters,
    FilterSet,
    FlagParam,
    LangParam,
    ListParam,
    ids,
    read_date,
    read_instant,
)
from service.api.problems import bad_parameter, unknown_name
from service.api.router import Router
from service.domain.money import is_currency
from service.domain.period import Grain
from service.kpi.drill import choices, open_figure
from service.kpi.metric import KINDS
from service.kpi.metrics import ALL_GRAINS, METRICS, Metric, formula_of
from service.kpi.question import Question

router = Router(prefix="/v1", tags=["KPIs"])
READ = [Depends(require("kpi:read"))]
FILTERS = FilterSet(*(ids(name) for name in FILTERED))
Day = Annotated[date | None, BeforeValidator(read_date)]
FromParam = Annotated[Day, Query(alias="from", description="first local day")]
ToParam = Annotated[Day, Query(alias="to", description="last local day, inclusive")]
Compare = Literal["previous_period", "previous_year"]
MoneyParam = Annotated[Literal["minor", "major"], Query(description="units of money")]
Reopen = Literal["net", "restate"]
ReopenParam = Annotated[
    Reopen, Query(description="restate: undone wins and losses count where they stood")
]


def read_age(value: Any) -> int:
    """`30d` as seconds (0 = none).

    Raises:
        ValueError: the text is no number of days from 1 to 730.
    """
    text = str(value or "")
    if not text or value == 0:
        return 0
    if not text.endswith("d") or not text[:-1].isdecimal() or not 1 <= int(text[:-1]) <= 730:
        msg = f"{text[:20]!r} is no age; write for example 30d (1d to 730d)"
        raise ValueError(msg)
    return int(text[:-1]) * 86_400


WithinParam = Annotated[
    int,
    BeforeValidator(read_age),
    Query(
        description="members of a cohort are looked at at this age; the younger ones are left out",
        json_schema_extra={"type": "string", "examples": ["30d"]},
    ),
]


def read_currency(value: Any) -> str:
    """`RUB` ("" = none).

    Raises:
        ValueError: it has not the form of a currency's code.
    """
    text = str(value or "")
    if text and not is_currency(text):
        msg = f"{text[:20]!r} is no currency; write for example RUB"
        raise ValueError(msg)
    return text


ConvertParam = Annotated[
    str,
    BeforeValidator(read_currency),
    Query(
        description="money in this currency, each day's by the rate in the account's settings "
        "(`rates`); what has no rate stays apart in its own. `converted` marks the rows",
        examples=["RUB"],
    ),
]
PartParam = Annotated[
    str | None, Query(description="of a ratio num or den; of a derived figure one of its factors")
]
RowsParam = Annotated[int, Query(ge=1, le=MOST_ROWS)]


class KpiQuery(BaseModel):
    """A query; the same names as the parameters of the GET form."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    metrics: list[str] = Field(examples=[["deals_won", "receipts"]])
    dimensions: list[str] = Field([], examples=[["seller"]])
    grain: Grain | None = Field(None, examples=["month"])
    from_: date = Field(alias="from", examples=["2026-11-01"])
    to: date = Field(examples=["2026-11-30"])
    filters: dict[str, list[str] | dict[Literal["ne"], list[str]]] = {}
    compare: Compare | None = None
    include: list[Literal["parts", "plan"]] = []
    as_of: Annotated[int | None, BeforeValidator(read_instant)] = Field(
        None, json_schema_extra={"type": "string", "format": "date-time"}
    )
    totals: bool = False
    sort: list[str] = []
    money: Literal["minor", "major"] = "minor"
    limit: int = Field(MOST_ROWS, ge=1, le=MOST_ROWS)
    reopen: Reopen = "net"
    within: Annotated[int, BeforeValidator(read_age)] = Field(
        0, json_schema_extra={"type": "string", "examples": ["30d"]}
    )
    strict: bool = False
    convert: Annotated[str, BeforeValidator(read_currency)] = Field("", examples=["RUB"])


def shown_metric(metric: Metric, lang: str) -> dict[str, Any]:
    """A metric's definition on the wire."""
    return {
        "slug": metric.slug,
        "title": metric.title(lang),
        "description": f"{metric.title(lang)}: {formula_of(metric, lang)}",
        "formula": formula_of(metric, lang),
        "unit": metric.unit,
        "kind": KINDS.get(metric.kind, metric.kind),
        "direction": metric.direction,
        "missing": metric.missing,
        "dimensions": list(metric.dimensions),
        "grains": list(ALL_GRAINS),
        "attributed_to": metric.attributed_to,
        "subject_kind": metric.subject_kind,
        "plannable": metric.plannable,
        "numerator": metric.numerator or None,
        "denominator": list(metric.denominator) or None,
        "factors": list(metric.factors) or None,
        "beside": dict(metric.beside) or None,
        "percentiles": list(metric.percents) if metric.kind == "percentile" else None,
        "cohort": metric.cohort,
        "horizon_seconds": metric.horizon or None,
        "version": metric.version,
    }


@router.get("/kpis", response_model=KpiList, dependencies=READ)
def list_kpis(call: CallDep, lang: LangParam = None) -> Response:
    """All figures with their definitions."""
    rows = [shown_metric(metric, call.lang) for metric in METRICS.values()]
    return json_answer({"data": rows, "next_cursor": None, "next": None})


@router.get("/kpis/query", response_model=KpiTable, dependencies=READ)
def query_by_address(
    call: CallDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    form: FormDep,
    metrics: ListParam = None,
    dimensions: ListParam = None,
    grain: Grain | None = None,
    first: FromParam = None,
    last: ToParam = None,
    compare: Compare | None = None,
    include: ListParam = None,
    as_of: AsOf = None,
    totals: FlagParam = None,
    sort: ListParam = None,
    money: MoneyParam = "minor",
    limit: RowsParam = MOST_ROWS,
    reopen: ReopenParam = "net",
    within: WithinParam = 0,
    strict: FlagParam = None,
    convert: ConvertParam = "",
    lang: LangParam = None,
) -> Response:
    """Figures by period and group."""
    if metrics is None:
        raise bad_parameter("metrics", "metrics is required.")
    if first is None or last is None:
        raise bad_parameter("from" if first is None else "to", "from and to are required.")
    asked = Asked(
        metrics, dimensions or (), grain, first, last,
        tuple(sorted((f.field, f.op, f.value) for f in filters)), compare, include or (), as_of,
        bool(totals), sort or (), money, limit, reopen, within, bool(strict),
        convert,
    )  # fmt: skip
    return _response(call, asked, form)


@router.post("/kpis/query", response_model=KpiTable, dependencies=READ)
@safe
def query_by_body(call: CallDep, body: KpiQuery, form: FormDep, lang: LangParam = None) -> Response:
    """Figures by period and group (the same as by GET, for long queries)."""
    filters = []
    for name, wanted in body.filters.items():
        if isinstance(wanted, dict):
            filters += [(name, "ne", tuple(wanted["ne"]))] if "ne" in wanted else []
        else:
            filters.append((name, "eq", tuple(wanted)))
    asked = Asked(
        tuple(body.metrics), tuple(body.dimensions), body.grain, body.from_, body.to,
        tuple(sorted(filters)), body.compare, tuple(body.include), body.as_of, body.totals,
        tuple(body.sort), body.money, body.limit, body.reopen, body.within, body.strict,
        body.convert, by_body=True,
    )  # fmt: skip
    return _response(call, asked, form)


def _response(call: Call, asked: Asked, form: Form) -> Response:
    found: Response = answer(call, asked, form)
    return found


@router.get("/kpis/{slug}", response_model=Kpi, dependencies=READ)
def get_kpi(slug: str, call: CallDep, lang: LangParam = None) -> Response:
    """One figure's definition."""
    if slug not in METRICS:
        raise unknown_name(slug, METRICS, "metric", parameter="slug")
    return json_answer(shown_metric(METRICS[slug], call.lang))


@router.get("/kpis/{slug}/subjects", response_model=AddendList, dependencies=READ)
def list_subjects(
    slug: str,
    call: CallDep,
    page: PageDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    first: FromParam = None,
    last: ToParam = None,
    part: PartParam = None,
    as_of: AsOf = None,
    reopen: ReopenParam = "net",
    within: WithinParam = 0,
    strict: FlagParam = None,
    lang: LangParam = None,
) -> Response:
    """What a figure is made of; `meta.sum` equals it. Time opens into pieces with `until`."""
    if slug not in METRICS:
        raise unknown_name(slug, METRICS, "metric", parameter="slug")
    if first is None or last is None:
        raise bad_parameter("from" if first is None else "to", "from and to are required.")
    metric = METRICS[slug]
    walk = page.walk(call, as_of)
    chosen = tuple(sorted((f.field, f.op, f.value) for f in filters))
    asked = Asked((slug,), (), None, first, last, chosen, None, (), None, False, (), "minor", 1)
    check(asked)
    question = Question(
        (metric,), (), first, last, None, chosen, min(walk.as_of, call.now),
        walk.as_of >= call.now, restate=reopen == "restate", within=within, strict=bool(strict),
    )  # fmt: skip
    opened = open_figure(question, part)
    if opened is None:
        known = ", ".join(choices(metric))
        raise bad_parameter("part", f"{slug} is made of several: say part= one of {known}.")
    return answer_subjects(call, walk, opened)
