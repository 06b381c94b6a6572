"""Reference rows of the BI tables: what accounts, directories, settings and plans say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, day_start, local_date, to_date
from service.domain.teams import LAST_DAY, day_after
from service.kpi.metric import KINDS as WIRE_KINDS
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS, formula_of
from service.kpi.parts import NOT_DAILY
from service.kpi.sources import COMPUTED
from service.store.accounts import AccountRow
from service.store.bi.scene import PLAIN

Row = dict[str, Any]
EPOCH = date(1970, 1, 1)
EARLIEST = date(2000, 1, 1)
MONTHS = {
    "ru": "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "en": "January February March April May June July August September October November December",
}
KINDS = (
    "accounts", "places", "sellers", "stays", "pipelines", "stages", "rules", "loss_reasons",
    "task_kinds", "metrics", "calendar",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What one account's reference rows are made from.

    `rules`: (id, title) pairs; `deal_url`: a deal's page in the CRM with `{id}` in it, if it has
    one.
    """

    config: Config
    account: AccountRow
    rules: Sequence[tuple[str, str]]
    deal_url: str | None

    @property
    def id(self) -> str:
        """The account's id."""
        return self.config.account_id


def rows_of(
    kind: str, own: Origin, now: Instant, lang: str, oldest: Instant | None
) -> Iterator[Row]:
    """The reference rows of one of `KINDS`; `oldest`: the first deal, where the calendar begins."""
    if kind == "calendar":
        yield from _calendar(own, now, lang, oldest)
    elif kind == "metrics":
        yield from _metrics(own, lang)
    elif kind == "sellers":
        yield from _sellers(own, now)
    elif kind == "stays":
        yield from _stays(own)
    elif kind in ("accounts", "places"):
        yield _account(own) if kind == "accounts" else _place(own)
    else:
        make = {
            "pipelines": _pipelines, "stages": _stages, "rules": _rules,
            "loss_reasons": _loss_reasons, "task_kinds": _task_kinds,
        }[kind]  # fmt: skip
        yield from make(own)


def days_of(on: date) -> int:
    """A date as days since 1970."""
    return (on - EPOCH).days


@lru_cache(maxsize=20_000)
def date_of(days: int) -> date:
    """The date of days since 1970."""
    return EPOCH + timedelta(days=days)


def _full_id(account: str, *parts: str | None) -> str | None:
    return ".".join([account, *(part or "" for part in parts)]) if all(parts) else None


def _account(own: Origin) -> Row:
    row = own.account
    return {
        "id": own.id, "account_id": own.id, "name": row.name, "crm": row.crm,
        "base_url": row.base_url, "timezone": str(own.config.timezone),
        "currency": own.config.currency, "status": row.status, "last_event_at": row.last_event_at,
    }  # fmt: skip


def _place(own: Origin) -> Row:
    return {
        "id": own.id, "account_id": own.id, "timezone": str(own.config.timezone),
        "deal_url": own.deal_url,
    }  # fmt: skip


def _sellers(own: Origin, now: int) -> Iterator[Row]:
    for seller in own.config.directory.sellers:
        team = own.config.team_of(seller.id, now)
        settings = own.config.sellers.get(seller.id)
        yield {
            "id": _full_id(own.id, seller.id), "account_id": own.id, "crm_id": seller.id,
            "name": seller.name, "team_id": team.id if team else None,
            "team_name": team.name if team else None,
            "person": settings.person if settings else None,
            "active": seller.active and seller.listed, "timezone": seller.timezone,
            "open_deals_limit": own.config.limit(seller.id, now) or None,
        }  # fmt: skip


def _stays(own: Origin) -> Iterator[Row]:
    """Who is in which team from which local day to which."""
    config, known, zone = own.config, own.config.memberships, own.config.timezone
    for team in known.teams.values():
        for seller, first, last in known.rota.stays(team.id):
            begin = to_date(first) if first else EPOCH
            lasts, end = last == LAST_DAY, date.max if last == LAST_DAY else to_date(last)
            yield {
                "id": f"{_full_id(own.id, seller)}.{begin}", "account_id": own.id, "crm_id": seller,
                "seller_id": _full_id(own.id, seller), "seller_name": config.seller_name(seller),
                "team_id": team.id, "team_name": team.name,
                "first": days_of(begin), "last": days_of(end),
                "valid_from": day_start(first, zone) if first else None,
                "valid_to": None if lasts else day_start(day_after(last), zone),
            }  # fmt: skip


def _pipelines(own: Origin) -> Iterator[Row]:
    for pipeline in own.config.directory.pipelines:
        yield {
            "id": _full_id(own.id, pipeline.id), "account_id": own.id, "crm_id": pipeline.id,
            "name": pipeline.name,
        }  # fmt: skip


def _stages(own: Origin) -> Iterator[Row]:
    for pipeline in own.config.directory.pipelines:
        for stage in pipeline.stages:
            yield {
                "id": _full_id(own.id, pipeline.id, stage.id), "account_id": own.id,
                "crm_id": stage.id, "name": stage.name,
                "pipeline_id": _full_id(own.id, pipeline.id), "pipeline_name": pipeline.name,
                "pipeline_crm_id": pipeline.id, "sort": stage.sort, "kind": stage.kind.value,
            }  # fmt: skip


def _rules(own: Origin) -> Iterator[Row]:
    for name, title in own.rules:
        yield {"account_id": own.id, "id": name, "title": title}


def _loss_reasons(own: Origin) -> Iterator[Row]:
    known = {reason.id: reason.name for reason in own.config.directory.loss_reasons}
    for reason, name in known.items():
        yield {"account_id": own.id, "id": reason, "name": name}


def _task_kinds(own: Origin) -> Iterator[Row]:
    known = {kind.id: kind.name for kind in own.config.directory.task_kinds}
    for kind, name in known.items():
        yield {"account_id": own.id, "id": kind, "name": name}


def _metrics(own: Origin, lang: str) -> Iterator[Row]:
    for metric in METRICS.values():
        yield {
            "id": f"{own.id}.{metric.slug}", "account_id": own.id, "metric": metric.slug,
            "title": metric.title(lang), "kind": WIRE_KINDS.get(metric.kind, metric.kind),
            "unit": metric.unit, "formula": formula_of(metric, lang), "direction": metric.direction,
            "numerator": metric.numerator or None,
            "denominator": ",".join(metric.denominator) or None,
            "part": _parts(metric),
        }  # fmt: skip


def _parts(metric: Metric) -> str | None:
    """The parts that `kpi_daily` has, taken off where a minus stands; None = it has not all."""
    if not (COMPUTED | NOT_DAILY).isdisjoint(metric.parts):
        return None
    return ",".join(f"-{p}" if p in metric.takes else p for p in metric.parts) or None


def _calendar(own: Origin, now: Instant, lang: str, oldest: Instant | None) -> Iterator[Row]:
    zone = own.config.timezone
    today = local_date(now, zone)
    first = max(EARLIEST, min(today, local_date(oldest, zone) if oldest is not None else today))
    on, end = first.replace(month=1, day=1), date(today.year + 1, 12, 31)
    calendar = own.config.calendar(None)
    months = MONTHS["ru" if lang == "ru" else "en"].split()
    while on <= end:
        seconds = calendar.day_seconds(on)
        yield {
            "id": f"{own.id}.{on.isoformat()}", "account_id": own.id, "date": days_of(on),
            "year": on.year, "quarter": (on.month + 2) // 3, "month": on.month,
            "month_name": months[on.month - 1], "week": on.isocalendar().week,
            "weekday": on.isoweekday(), "is_working": seconds > 0, "working_seconds": seconds,
        }  # fmt: skip
        on += timedelta(days=1)


def plan_row(row: Mapping[str, Any]) -> Row:
    """A stored plan as a reference row."""
    account, metric = row["account_id"], METRICS.get(row["metric"])
    period = Period.parse(row["period"])
    money = metric is not None and metric.unit == "money"
    key = (account, row["metric"], row["period"], row["team"], row["seller"])
    return {
        "id": ".".join(key), "account_id": account, "metric": row["metric"],
        "period_start": days_of(period.first), "period_end": days_of(period.last),
        "grain": period.grain, "team_id": row["team"] or None,
        "seller_id": _full_id(account, row["seller"]), "value": row["value"],
        "currency": row["currency"] or None, "status": row["status"], "updated_at": row["at"],
        "scale": row["currency"] if money else PLAIN,
    }  # fmt: skip
