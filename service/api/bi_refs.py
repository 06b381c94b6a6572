"""Reference rows of the BI tables: what accounts, directories, settings and plans say."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from service.api.deps import Call
from service.api.names import Names, full_id, stage_full_id
from service.api.rule_texts import rule_name
from service.domain.period import Period, local_date
from service.kpi.metric import KINDS, Metric
from service.kpi.metrics import METRICS
from service.kpi.sources import COMPUTED
from service.store import plans
from service.store.bi.reader import first_instant
from service.store.bi.scene import PLAIN, Scene
from service.store.engine import is_sqlite
from service.store.handles import Connection

Row = dict[str, Any]
EPOCH = date(1970, 1, 1)
EARLIEST = date(2000, 1, 1)
MONTHS = {
    "ru": "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "en": "January February March April May June July August September October November December",
}


def scene_of(call: Call, connection: Connection, names: Mapping[str, Names], table: str) -> Scene:
    """What a BI table of these accounts is read with."""
    refs: dict[str, Sequence[Row]] = {
        "accounts": [_account(own) for own in names.values()],
        "sellers": [row for own in names.values() for row in _sellers(own, call.now)],
        "pipelines": [row for own in names.values() for row in _pipelines(own)],
        "stages": [row for own in names.values() for row in _stages(own)],
        "rules": [row for own in names.values() for row in _rules(own, call.lang)],
        "loss_reasons": [row for own in names.values() for row in _loss_reasons(own)],
        "task_kinds": [row for own in names.values() for row in _task_kinds(own)],
    }
    if table == "metrics":
        refs["metrics"] = [row for own in names.values() for row in _metrics(own, call.lang)]
    if table == "calendar":
        days = [_calendar(call, connection, own) for own in names.values()]
        refs["calendar"] = [row for one in days for row in one]
    if table == "plans":
        rows = plans.plans(connection, list(names)) if names else []
        refs["plans"] = [_plan(row) for row in rows]
    zones = {account: own.config.timezone for account, own in names.items()}
    return Scene(list(names), call.now, zones, refs, is_sqlite(connection))


def days_of(on: date) -> int:
    """A date as days since 1970."""
    return (on - EPOCH).days


def date_of(days: int) -> date:
    """The date of days since 1970."""
    return EPOCH + timedelta(days=days)


def _account(own: Names) -> Row:
    row = own.account
    return {
        "id": own.id, "account_id": own.id, "name": row.name, "crm": row.crm,
        "base_url": row.base_url, "timezone": str(own.config.timezone),
        "currency": own.config.currency, "status": row.status, "last_event_at": row.last_event_at,
    }  # fmt: skip


def _sellers(own: Names, now: int) -> Iterator[Row]:
    for seller in own.config.directory.sellers:
        team = own.team(seller.id) or {"id": None, "name": None}
        settings = own.config.sellers.get(seller.id)
        yield {
            "id": full_id(own.id, seller.id), "account_id": own.id, "crm_id": seller.id,
            "name": seller.name, "team_id": team["id"], "team_name": team["name"],
            "person": settings.person if settings else None,
            "active": seller.active and seller.listed, "timezone": seller.timezone,
            "open_deals_limit": own.config.limit(seller.id, now) or None,
        }  # fmt: skip


def _pipelines(own: Names) -> Iterator[Row]:
    for pipeline in own.config.directory.pipelines:
        yield {
            "id": full_id(own.id, pipeline.id), "account_id": own.id, "crm_id": pipeline.id,
            "name": pipeline.name,
        }  # fmt: skip


def _stages(own: Names) -> Iterator[Row]:
    for pipeline in own.config.directory.pipelines:
        for stage in pipeline.stages:
            yield {
                "id": stage_full_id(own.id, pipeline.id, stage.id), "account_id": own.id,
                "crm_id": stage.id, "name": stage.name,
                "pipeline_id": full_id(own.id, pipeline.id), "pipeline_name": pipeline.name,
                "pipeline_crm_id": pipeline.id, "sort": stage.sort, "kind": stage.kind.value,
            }  # fmt: skip


def _rules(own: Names, lang: str) -> Iterator[Row]:
    for name in own.book.names:
        title = rule_name(own.book.model(name), name, lang)
        yield {"account_id": own.id, "id": name, "title": title}


def _loss_reasons(own: Names) -> Iterator[Row]:
    known = {reason.id: reason.name for reason in own.config.directory.loss_reasons}
    for reason, name in known.items():
        yield {"account_id": own.id, "id": reason, "name": name}


def _task_kinds(own: Names) -> Iterator[Row]:
    known = {kind.id: kind.name for kind in own.config.directory.task_kinds}
    for kind, name in known.items():
        yield {"account_id": own.id, "id": kind, "name": name}


def _metrics(own: Names, lang: str) -> Iterator[Row]:
    for metric in METRICS.values():
        yield {
            "id": f"{own.id}.{metric.slug}", "account_id": own.id, "metric": metric.slug,
            "title": metric.title(lang), "kind": KINDS.get(metric.kind, metric.kind),
            "unit": metric.unit, "formula": metric.formula, "direction": metric.direction,
            "numerator": metric.numerator or None,
            "denominator": ",".join(metric.denominator) or None,
            "part": _parts(metric),
        }  # fmt: skip


def _parts(metric: Metric) -> str | None:
    """The parts that `kpi_daily` has, taken off where a minus stands; None = it has not all."""
    if not COMPUTED.isdisjoint(metric.parts) or metric.unread:
        return None
    return ",".join(f"-{p}" if p in metric.takes else p for p in metric.parts) or None


def _calendar(call: Call, connection: Connection, own: Names) -> Iterator[Row]:
    zone = own.config.timezone
    today = local_date(call.now, zone)
    oldest = first_instant(connection, own.id)
    first = max(EARLIEST, min(today, local_date(oldest, zone) if oldest is not None else today))
    on, end = first.replace(month=1, day=1), date(today.year + 1, 12, 31)
    calendar = own.config.calendar(None)
    months = MONTHS["ru" if call.lang == "ru" else "en"].split()
    while on <= end:
        seconds = calendar.day_seconds(on)
        yield {
            "id": f"{own.id}.{on.isoformat()}", "account_id": own.id, "date": days_of(on),
            "year": on.year, "quarter": (on.month + 2) // 3, "month": on.month,
            "month_name": months[on.month - 1], "week": on.isocalendar().week,
            "weekday": on.isoweekday(), "is_working": seconds > 0, "working_seconds": seconds,
        }  # fmt: skip
        on += timedelta(days=1)


def _plan(row: Mapping[str, Any]) -> Row:
    account, metric = row["account_id"], METRICS.get(row["metric"])
    period = Period.parse(row["period"])
    money = metric is not None and metric.unit == "money"
    key = (account, row["metric"], row["period"], row["team"], row["seller"])
    return {
        "id": ".".join(key), "account_id": account, "metric": row["metric"],
        "period_start": days_of(period.first), "period_end": days_of(period.last),
        "grain": period.grain, "team_id": row["team"] or None,
        "seller_id": full_id(account, row["seller"]), "value": row["value"],
        "currency": row["currency"] or None, "status": row["status"], "updated_at": row["at"],
        "scale": row["currency"] if money else PLAIN,
    }  # fmt: skip
