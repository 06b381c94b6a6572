"""The hygiene index: one number per seller, team and account, its trend, what costs most points."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.kpis import FromParam, ToParam
from service.api.names import Names, visible_names, windows_of
from service.api.params import AsOf, LangParam, ListParam
from service.api.problems import bad_parameter
from service.api.router import Router
from service.api.schemas import Listed, LocalDate, Ref, Wire
from service.domain.instant import Instant
from service.domain.period import day_start, local_date, to_day
from service.kpi import stays
from service.kpi.hygiene import Kept, Weight, of_spans
from service.rules.words import rule_name
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Hygiene"])
MOST_DAYS = 366
By = Literal["seller", "team", "account"]
WeightParam = Annotated[
    Weight,
    Query(
        description="`amount`: deals count 1, 2 or 3 times by their amount at each instant; "
        "null in accounts without the setting `hygiene.amount_classes`"
    ),
]


class Cost(Wire):
    """What a rule takes off the index."""

    rule: str
    name: str
    points: float


class DayIndex(Wire):
    """The index of one working day; null: nothing was open."""

    date: LocalDate
    index: float | None
    muted_share: float | None
    rules_changed: list[str] = Field(
        description="rules that came, went or changed since the working day before: indexes on "
        "both sides do not compare"
    )


class HygieneRow(Wire):
    """How well a seller, team or account kept the CRM."""

    account: str
    seller: Ref | None
    team: Ref | None
    index: float | None = Field(description="0-100; null with fewer than 5 open deals")
    previous: float | None = Field(description="the same number of days before")
    change: float | None
    open_deals: int = Field(description="at the end of the period")
    costs: list[Cost] = Field(description="points lost by rule, most first; index + costs = 100")
    muted_seconds: int = Field(
        description="working seconds of open deals of which some debt was muted: not in the costs"
    )
    muted_share: float | None = Field(
        description="the same as per cent of all their open working time; null: nothing was open"
    )
    trend: list[DayIndex]


class HygieneList(Listed):
    """Rows, the lowest index first."""

    data: list[HygieneRow]


@router.get("/hygiene", response_model=HygieneList, dependencies=[Depends(require("kpi:read"))])
def hygiene_index(
    call: CallDep,
    from_: FromParam = None,
    to: ToParam = None,
    by: By = "seller",
    weight: WeightParam = "one",
    account: ListParam = None,
    seller: ListParam = None,
    team: ListParam = None,
    as_of: AsOf = None,
    lang: LangParam = None,
) -> Response:
    """The hygiene index (kpis.md 6): 100 x (1 - cost / weight) over open deals and working time.

    By `weight=amount` large deals count more: `hygiene_index_weighted`, opened in the same way.
    """
    first, last = _span(from_, to)
    at = min(as_of if as_of is not None else call.now, call.now)
    rows: list[dict[str, Any]] = []
    with call.read() as connection:
        fresh(call, connection, at // 60)
        for names in visible_names(call, connection).values():
            if account is None or names.id in account:
                rows += _rows(call, connection, names, (first, last, at), (by, weight))
    rows = [
        row
        for row in rows
        if seller is None or (row["seller"] and row["seller"]["id"] in seller)
        if team is None or (row["team"] and row["team"]["id"] in team)
    ]
    rows.sort(key=lambda row: (row["index"] is None, row["index"] or 0))
    return json_answer({"data": rows, "next_cursor": None, "next": None})


def _span(first: date | None, last: date | None) -> tuple[date, date]:
    if first is None or last is None:
        raise bad_parameter("from" if first is None else "to", "from and to are required.")
    if first > last:
        raise bad_parameter("from", "from must not lie after to.")
    if (last - first).days >= MOST_DAYS:
        raise bad_parameter("to", f"At most {MOST_DAYS} days at once.", "range_too_long")
    return first, last


def _rows(
    call: Call,
    connection: Connection,
    names: Names,
    span: tuple[date, date, Instant],
    way: tuple[By, Weight],
) -> Iterator[dict[str, Any]]:
    (first, last, at), (by, weight) = span, way
    days = (last - first).days + 1
    now = _grouped(connection, names, span, by, weight)
    earlier = (first - timedelta(days=days), first - timedelta(days=1), at)
    before = _grouped(connection, names, earlier, by, weight)
    end = min(at, day_start(to_day(last + timedelta(days=1)), names.config.timezone) - 1)
    changes = list(_rule_changes(call, connection, names))
    for group, kept in now.items():
        was = before[group].index if group in before else None
        yield {
            "account": names.id,
            "seller": names.seller(group) if by == "seller" else None,
            "team": names.team(group, end) if by == "seller" else _team(names, group, by),
            "index": kept.index,
            "previous": was,
            "change": None if was is None or kept.index is None else round(kept.index - was, 6),
            "open_deals": kept.open_deals,
            "costs": [
                {"rule": rule, "name": rule_name(names.book.model(rule), rule, call.lang),
                 "points": points}
                for rule, points in kept.whole.points().items()
            ],
            "muted_seconds": kept.whole.muted,
            "muted_share": kept.whole.muted_share,
            "trend": list(_trend(kept, changes)),
        }  # fmt: skip


def _rule_changes(
    call: Call, connection: Connection, names: Names
) -> Iterator[tuple[date, set[str]]]:
    """Local days on which rules came, went or changed, and which, in order."""
    for before, after in pairwise(windows_of(call, connection, names.id)):
        was, now = ({(rule.id, rule.version) for rule in one.rules} for one in (before, after))
        if was != now:
            yield local_date(after.start, names.config.timezone), {rule for rule, _ in was ^ now}


def _trend(kept: Kept, changes: Sequence[tuple[date, set[str]]]) -> Iterator[dict[str, Any]]:
    earlier: date | None = None
    for on, taken in sorted(kept.days.items()):
        moved: set[str] = set()
        for day, rules in changes:
            if day == on or (earlier is not None and earlier < day < on):
                moved |= rules
        yield {
            "date": on.isoformat(), "index": taken.index, "muted_share": taken.muted_share,
            "rules_changed": sorted(moved),
        }  # fmt: skip
        earlier = on


def _team(names: Names, group: str, by: By) -> dict[str, Any] | None:
    team = names.config.teams.get(group)
    return {"id": team.id, "name": team.name} if by == "team" and team else None


def _grouped(
    connection: Connection, names: Names, span: tuple[date, date, Instant], by: By, weight: Weight
) -> dict[str, Kept]:
    """Sellers, teams, or the whole account; who is in no team stands in no row of teams.

    Where somebody moves within the span, each team has what its sellers did while they were there,
    and what they hold at its end.
    """
    config, (first, last, at) = names.config, span
    groups: dict[str, Kept] = {}
    if by == "team":
        last = max(first, min(last, local_date(at, config.timezone)))
    spans = stays.cut(config, first, last, by_team=by == "team")
    for seller, told in of_spans(connection, config, spans, at, weight).items():
        for (begin, _), kept in zip(spans, told, strict=True):
            team = config.memberships.rota.team_on(seller, to_day(begin))
            group = {"seller": seller, "account": names.id, "team": team}[by]
            if group:
                groups.setdefault(group, Kept()).add(kept)
    return groups
