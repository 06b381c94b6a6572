"""All BI tables by name: those of the store, the figures by day, and who was in which team."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, String, and_, case, cast, func, literal, select

from service.kpi import civil, stays
from service.kpi.metrics import METRICS
from service.kpi.parts import CORRECTING, NOT_DAILY
from service.store.bi.scene import PLAIN, Element, Kind, Scene
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
_CORRECTED = sorted(CORRECTING & set(PARTS))


def _sums(scene: Scene) -> Any:
    """Contributions by day and all that tells them apart: also whose team a correction is of."""

    def make() -> Any:
        columns = [_C.c[name] for name in _KEY]
        told_on = case((_C.c.metric.in_(_CORRECTED), stays.told_on(_C.c)), else_=_C.c.day)
        total = cast(func.sum(_C.c.value), BigInteger).label("value")
        latest = func.max(_C.c.at).label("at")
        query = select(*columns, told_on.label("team_day"), total, latest)
        mine = and_(
            _C.c.account_id.in_(scene.accounts), _C.c.metric.in_(PARTS),
            _C.c.at + _C.c.age <= scene.at,
        )  # fmt: skip
        if scene.days is not None:
            mine = and_(mine, scene.days(_C.c.day))
        return query.where(mine).group_by(*columns, "team_day").subquery("kpi")

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
    origin = literal(".").concat(cast(sums.c.team_day, String))
    return whole.concat(case((sums.c.team_day != sums.c.day, origin), else_=literal("")))


def _ref_id(name: str) -> Any:
    return lambda scene: full_id(_sums(scene).c.account_id, _sums(scene).c[name])


def _stays(scene: Scene) -> Any:
    return scene.ref("stays", REFS["stays"])


def _team(scene: Scene) -> Element:
    found: Element = _stays(scene).c.team_id
    return found


def _team_day(scene: Scene) -> Element:
    found: Element = civil.days(_sums(scene).c.team_day)
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
        Column("team_id", "String", "team of the seller on team_date", _team, ("stays",)),
        Column("team_date", "Date", "local day; of a correction that of what it undoes", _team_day),
        Column("pipeline_id", "String", "pipeline", _ref_id("pipeline")),
        Column("source", "String", "source", lambda s: func.nullif(_sums(s).c.source, "")),
        Column("currency", "String", "ISO 4217", lambda s: func.nullif(_sums(s).c.currency, "")),
        Column("value", "Decimal", "sum of the day", _get("value"), scale=_scale),
        Column("updated_at", "DateTimeOffset", "the latest fact in it", _get("at")),
    ),
    base=_sums,
    key=lambda scene: [_sums(scene).c[name] for name in (*_KEY, "team_day")],
    where=lambda _: [],
    when="date",
    joins=(("stays", Join(_stays, _of_seller, _team_day)),),
)  # fmt: skip


def _stay(name: str, title: str, kind: Kind = "String", field: str = "") -> Column:
    return Column(name, kind, title, lambda scene: _stays(scene).c[field or name])


SELLER_TEAM = Table(
    "seller_team", "who was in which team when", "crm:read",
    (
        _stay("id", "id"),
        _stay("account_id", "account"),
        _stay("seller_id", "seller"),
        _stay("seller_name", "name of the seller"),
        _stay("team_id", "team"),
        _stay("team_name", "name of the team"),
        _stay("first_date", "first local day; 1970-01-01 = since ever", "Date", "first"),
        _stay("last_date", "last local day; 9999-12-31 = still", "Date", "last"),
        _stay("valid_from", "its first instant; null = since ever", "DateTimeOffset"),
        _stay("valid_to", "the first instant after it; null = still", "DateTimeOffset"),
    ),
    base=_stays,
    key=lambda scene: [_stays(scene).c.account_id, _stays(scene).c.id],
    where=lambda scene: [_stays(scene).c.account_id.in_(scene.accounts)],
    keyed="whole",
)  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        plain("accounts", "connected portals", "crm:read"),
        plain("sellers", "users of the CRM", "crm:read"),
        SELLER_TEAM,
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
