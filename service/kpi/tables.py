"""All BI tables by name: those of the store, and the figures by day."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, String, and_, case, cast, func, literal, select

from service.kpi import civil
from service.kpi.metrics import METRICS
from service.kpi.parts import NOT_DAILY
from service.store.bi.scene import PLAIN, Element, Scene
from service.store.bi.tables import (
    DEALS,
    REFS,
    TASKS,
    VIOLATIONS,
    Column,
    Join,
    Table,
    full_id,
    plain,
)
from service.store.tables import Contribution

_C: Any = Contribution.__table__  # type: ignore[attr-defined]
_SUMS = {part for m in METRICS.values() if m.kind == "sum" for part in m.parts}
PARTS = tuple(sorted(_SUMS - NOT_DAILY))
MONEY_PARTS = tuple(
    sorted(
        {
            part
            for metric in METRICS.values()
            if metric.kind == "sum" and metric.unit == "money"
            for part in metric.parts
        }
    )
)
_KEY = ("account_id", "day", "metric", "seller", "pipeline", "source", "currency")


def _sums(scene: Scene) -> Any:
    """Contributions by day and all that tells them apart."""

    def make() -> Any:
        columns = [_C.c[name] for name in _KEY]
        total = cast(func.sum(_C.c.value), BigInteger).label("value")
        query = select(*columns, total, func.max(_C.c.at).label("at"))
        mine = and_(
            _C.c.account_id.in_(scene.accounts), _C.c.metric.in_(PARTS),
            _C.c.at + _C.c.age <= scene.at,
        )  # fmt: skip
        if scene.days is not None:
            mine = and_(mine, scene.days(_C.c.day))
        return query.where(mine).group_by(*columns).subquery("kpi")

    return scene.once("kpi_daily", make)


def _get(name: str) -> Any:
    return lambda scene: _sums(scene).c[name]


def _scale(scene: Scene) -> Element:
    sums = _sums(scene)
    return case((sums.c.metric.in_(MONEY_PARTS), sums.c.currency), else_=literal(PLAIN))


def _row_id(scene: Scene) -> Element:
    sums = _sums(scene)
    whole: Element = sums.c.account_id
    for name in _KEY[1:]:
        whole = whole.concat(literal(".")).concat(cast(sums.c[name], String))
    return whole


def _ref_id(name: str) -> Any:
    return lambda scene: full_id(_sums(scene).c.account_id, _sums(scene).c[name])


def _team(scene: Scene) -> Element:
    found: Element = scene.ref("stays", REFS["stays"]).c.team_id
    return found


def _day(scene: Scene) -> Element:
    found: Element = civil.days(_sums(scene).c.day)
    return found


def _of_seller(scene: Scene) -> Sequence[tuple[str, Element]]:
    sums = _sums(scene)
    return (("account_id", sums.c.account_id), ("crm_id", sums.c.seller))


KPI_DAILY = Table(
    "kpi_daily", "figures by day: additive parts; ratios are divided in the tool", "kpi:read",
    (
        Column("id", "String", "id", _row_id),
        Column("account_id", "String", "account", _get("account_id")),
        Column("date", "Date", "local day", lambda s: civil.days(_sums(s).c.day)),
        Column("metric", "String", "part; `metrics` names the parts of a ratio", _get("metric")),
        Column("seller_id", "String", "seller", _ref_id("seller")),
        Column("team_id", "String", "team of the seller on that day", _team, ("stays",)),
        Column("pipeline_id", "String", "pipeline", _ref_id("pipeline")),
        Column("source", "String", "source", lambda s: func.nullif(_sums(s).c.source, "")),
        Column("currency", "String", "ISO 4217", lambda s: func.nullif(_sums(s).c.currency, "")),
        Column("value", "Decimal", "sum of the day", _get("value"), scale=_scale),
        Column("updated_at", "DateTimeOffset", "the latest fact in it", _get("at")),
    ),
    base=_sums,
    key=lambda scene: [_sums(scene).c[name] for name in _KEY],
    where=lambda _: [],
    when="date",
    joins=(("stays", Join(lambda s: s.ref("stays", REFS["stays"]), _of_seller, _day)),),
)  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        plain("accounts", "connected portals", "crm:read"),
        plain("sellers", "users of the CRM", "crm:read"),
        plain("pipelines", "pipelines", "crm:read"),
        plain("stages", "stages of pipelines", "crm:read"),
        plain("metrics", "figures and the parts they are made of", "kpi:read"),
        plain("calendar", "local days and working time", "crm:read", when="date"),
        DEALS,
        TASKS,
        VIOLATIONS,
        KPI_DAILY,
        plain("plans", "planned figures", "kpi:read", when="period_start"),
    )
}
