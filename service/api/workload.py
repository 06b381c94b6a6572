"""Workload: open deals of each seller against the limit (api.md 3.5)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.names import Names, visible_names
from service.api.params import AsOf, LangParam, ListParam
from service.api.router import Router
from service.domain.instant import Instant, iso
from service.domain.period import local_date, local_day
from service.kpi.sums import Ask, Cut, bases
from service.store.handles import Connection
from service.store.reads.workload import due_today, level_since, open_tasks

router = Router(prefix="/v1", tags=["Workload"])
WARNING_SHARE = 0.8


@router.get("/workload", dependencies=[Depends(require("kpi:read"))])
def workload(
    call: CallDep,
    as_of: AsOf = None,
    account: ListParam = None,
    team: ListParam = None,
    seller: ListParam = None,
    lang: LangParam = None,
) -> Response:
    """Who has how much, who has room."""
    at = as_of if as_of is not None else call.now
    with call.read() as connection:
        fresh(call, connection, at)
        rows = [
            row
            for names in visible_names(call, connection).values()
            if account is None or names.id in account
            for row in _rows(connection, names, at)
            if seller is None or row["seller"]["id"] in seller
            if team is None or (row["team"] and row["team"]["id"] in team)
        ]
    totals = {
        name: sum(row[name] or 0 for row in rows)
        for name in ("open_deals", "weighted", "room", "open_tasks", "overdue_tasks", "due_today")
    }
    return json_answer({"data": rows, "totals": totals, "next_cursor": None, "next": None})


def _rows(connection: Connection, names: Names, at: Instant) -> list[dict[str, Any]]:
    config = names.config
    levels = _levels(connection, names, at)
    tasks = open_tasks(connection, names.id)
    today = due_today(connection, names.id, config.timezone, at)
    sellers = {s.id for s in config.directory.sellers if s.listed and s.active_at(at)}
    sellers |= {who for (part, who), value in levels.items() if part == "deals_open" and value}
    sellers.discard("")
    return [
        _row(connection, names, who, levels, tasks, today, at)
        for who in sorted(sellers, key=lambda s: (config.seller_name(s) or s, s))
    ]


def _levels(connection: Connection, names: Names, at: Instant) -> dict[tuple[str, str], int]:
    """Running sums up to and with `at`, by (part, seller)."""
    config = names.config
    ask = Ask(names.id, ("deals_open", "tasks_overdue"), ("seller",))
    cut = Cut(at, local_day(at, config.timezone))
    tomorrow = local_date(at, config.timezone) + timedelta(days=1)
    found = bases(connection, ask, tomorrow, cut)
    return {(part, group[0]): value for (part, group), value in found.items()}


def _row(
    connection: Connection,
    names: Names,
    who: str,
    levels: Mapping[tuple[str, str], int],
    tasks: Mapping[str, int],
    today: Mapping[str, int],
    at: Instant,
) -> dict[str, Any]:
    config = names.config
    count, limit = levels.get(("deals_open", who), 0), config.limit(who)
    status = _status(count, limit)
    since = level_since(connection, names.id, who, status, limit, at) if limit else None
    on = local_date(at, config.timezone)
    return {
        "seller": names.seller(who),
        "team": names.team(who),
        "open_deals": count,
        "weighted": count,
        "limit": limit or None,
        "share": round(count / limit, 6) if limit else None,
        "status": status,
        "since": iso(since),
        "room": max(0, limit - count) if limit else None,
        "open_tasks": tasks.get(who, 0),
        "overdue_tasks": levels.get(("tasks_overdue", who), 0),
        "due_today": today.get(who, 0),
        "hot_deals": None,
        "absent": config.calendar(who).reason_off(on) == "absent",
    }


def _status(count: int, limit: int) -> str:
    if not limit:
        return "no_limit"
    if count > limit:
        return "over"
    return "warning" if count >= limit * WARNING_SHARE else "ok"
