"""Workload: what each seller has against the limits, and to whom work could move (api.md 3.5)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import CallDep, json_answer
from service.api.names import Names, full_id, visible_names
from service.api.params import AsOf, LangParam, ListParam
from service.api.router import Router
from service.api.workload_schemas import Workload
from service.domain.instant import Instant, iso
from service.domain.period import local_date
from service.domain.standards import load_status
from service.kpi.load import Holding, absence, against_limits, near_pipeline_limits, proposals
from service.kpi.sums import Ask, Cut, bases
from service.store.handles import Connection
from service.store.reads.workload import due_today, level_since, untouched

router = Router(prefix="/v1", tags=["Workload"])
WEEK = timedelta(days=7)
SHOWN = 20  # untouched deals named in a proposal
_TOTALS = (
    "open_deals", "weighted", "room", "open_tasks", "overdue_tasks", "due_today", "hot_deals",
)  # fmt: skip


@router.get("/workload", response_model=Workload, dependencies=[Depends(require("kpi:read"))])
def workload(
    call: CallDep,
    as_of: AsOf = None,
    account: ListParam = None,
    team: ListParam = None,
    seller: ListParam = None,
    lang: LangParam = None,
) -> Response:
    """Who has how much, who has room. `proposals` are only that: nothing is moved."""
    at = as_of if as_of is not None else call.now
    data: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    with call.read() as connection:
        fresh(call, connection, at)
        for names in visible_names(call, connection).values():
            if account is not None and names.id not in account:
                continue
            desk = _Desk(connection, names, at)
            rows = [
                row
                for row in desk.rows()
                if seller is None or row["seller"]["id"] in seller
                if team is None or (row["team"] and row["team"]["id"] in team)
            ]
            data += rows
            shown = {row["seller"]["id"] for row in rows}
            moves += [move for move in desk.moves() if move["from"]["id"] in shown]
    totals = {name: sum(row[name] or 0 for row in data) for name in _TOTALS}
    return json_answer({
        "data": data, "totals": totals, "proposals": moves, "next_cursor": None, "next": None,
    })  # fmt: skip


class _Desk:
    """One account at an instant."""

    def __init__(self, connection: Connection, names: Names, at: Instant) -> None:
        self._connection = connection
        self._names = names
        self._config = names.config
        self._at = at
        self._weighted = "deals_load" if self._config.standards.weights else "deals_open"
        self._now = self._levels(at)
        self._week_ago = self._levels(at - int(WEEK.total_seconds()))
        self._by_pipeline = self._deals_by_pipeline()
        self._today = due_today(connection, names.id, self._config.timezone, at)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each seller, by name."""
        return [self._row(who) for who in self._sellers()]

    def moves(self) -> list[dict[str, Any]]:
        """Who could give how many deals to whom; those that nobody has touched first."""
        names = self._names
        found = []
        for move in proposals([self._holding(who) for who in self._sellers()]):
            most = min(move.deals, SHOWN)
            deals = untouched(self._connection, names.id, move.giver, self._at, most)
            found.append({
                "from": names.seller(move.giver), "to": names.seller(move.taker),
                "deals": move.deals, "untouched": [full_id(names.id, deal) for deal in deals],
            })  # fmt: skip
        return found

    def _sellers(self) -> Sequence[str]:
        config, at = self._config, self._at
        sellers = {s.id for s in config.directory.sellers if s.listed and s.active_at(at)}
        sellers |= {
            who for (part, who), count in self._now.items() if part == "deals_open" and count
        }
        sellers.discard("")
        return sorted(sellers, key=lambda s: (config.seller_name(s) or s, s))

    def _levels(self, at: Instant) -> Mapping[tuple[str, str], int]:
        """Running sums up to and with `at`, by (part, seller)."""
        parts = ("deals_open", "tasks_overdue", "tasks_open", "hot_deals", "deals_load")
        found = self._sums(Ask(self._names.id, parts, ("seller",)), at)
        return {(part, group[0]): value for (part, group), value in found.items()}

    def _deals_by_pipeline(self) -> Mapping[str, Mapping[str, int]]:
        """Seller -> pipeline -> open deals, where a pipeline has a limit."""
        if not self._config.standards.limited_pipelines:
            return {}
        ask = Ask(self._names.id, ("deals_open",), ("seller", "pipeline"))
        held: dict[str, dict[str, int]] = {}
        for (_, (seller, pipeline)), value in self._sums(ask, self._at).items():
            held.setdefault(seller, {})[pipeline] = value
        return held

    def _sums(self, ask: Ask, at: Instant) -> Mapping[tuple[str, tuple[str, ...]], int]:
        zone = self._config.timezone
        tomorrow = local_date(at, zone) + timedelta(days=1)
        found = bases(self._connection, ask, tomorrow, Cut(at, zone))
        return {(part, group): value for (part, group, _), value in found.items()}

    def _holding(self, who: str) -> Holding:
        team = self._config.team_of(who, self._at)
        return Holding(
            who, team.id if team else "", self._now.get((self._weighted, who), 0),
            self._config.limit(who, self._at), absence(self._config, who, self._at) is None,
        )  # fmt: skip

    def _row(self, who: str) -> dict[str, Any]:
        config, names, at = self._config, self._names, self._at
        held, limit = self._now.get((self._weighted, who), 0), config.limit(who, at)
        before = self._week_ago.get((self._weighted, who), 0)
        now = load_status(held, limit)
        since = None
        if limit:
            since = level_since(self._connection, names.id, who, (self._weighted, now), limit, at)
        away = absence(config, who, at)
        counts = {
            "open_deals": held,
            "open_tasks": self._now.get(("tasks_open", who), 0),
            "due_today": self._today.get(who, 0),
            "overdue_tasks": self._now.get(("tasks_overdue", who), 0),
            "hot_deals": self._now.get(("hot_deals", who), 0),
        }
        return {
            "seller": names.seller(who),
            "team": names.team(who, at),
            **counts,
            "open_deals": self._now.get(("deals_open", who), 0),
            "weighted": held,
            "limit": limit or None,
            "share": round(held / limit, 6) if limit else None,
            "status": now,
            "since": iso(since),
            "room": max(0, limit - held) if limit else None,
            "limits": against_limits(config, who, counts, at),
            "pipelines": self._near_full(who),
            "trend": {"week_ago": before, "change": held - before},
            "absent": away is not None,
            "absent_until": iso(away[0]) if away else None,
            "deputy": names.seller(away[1]) if away else None,
        }

    def _near_full(self, who: str) -> list[dict[str, Any]]:
        """Pipelines of which a seller has nearly as many open deals as he may, or more."""
        held = self._by_pipeline.get(who, {})
        return [
            {
                "pipeline": self._names.pipeline(pipeline), "open_deals": count, "limit": limit,
                "status": status,
            }
            for pipeline, count, limit, status in near_pipeline_limits(self._config, held)
        ]  # fmt: skip
