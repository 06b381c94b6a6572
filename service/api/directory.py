"""Accounts, sellers, pipelines, teams (api.md 3.2)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.directory_schemas import (
    Account,
    AccountFields,
    AccountHealth,
    AccountList,
    Pipeline,
    PipelineList,
    Seller,
    SellerList,
    TeamList,
)
from service.api.names import Names, chosen, full_id, split_id, stage_full_id, visible_names
from service.api.paging import PageDep, Walk, page_of
from service.api.params import Filters, FilterSet, flag, ids, value_of
from service.api.problems import not_found
from service.api.router import Router
from service.domain import directory
from service.domain.calendar import WorkCalendar
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.fieldmap import meanings
from service.domain.instant import Instant, iso
from service.domain.span import Span
from service.http import limits_of
from service.store import budgets
from service.store.accounts import AccountRow, pending_counts
from service.store.handles import Connection
from service.store.reads.ops import troubles, waiting_since

router = Router(prefix="/v1", tags=["Directory"])
SELLERS = FilterSet(ids("account"), ids("team"), flag("active"))
ACCOUNT = FilterSet(ids("account"))
STUCK = "deal-stuck"
_READ = [Depends(require("crm:read"))]
AccountFilter = Annotated[Filters, Depends(ACCOUNT)]
Row = dict[str, Any]


def _listed(walk: Walk, rows: list[Row]) -> Response:
    """A page of rows that are ordered by id."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    total = len(ordered) if walk.count else None
    piece = page_of(walk, ordered, lambda row: [row["id"]])
    return walk.answer(piece, lambda row: [row["id"]], lambda row: row, total)


# --- accounts -------------------------------------------------------------------------------------


@router.get("/accounts", response_model=AccountList, dependencies=_READ)
def list_accounts(call: CallDep, page: PageDep) -> Response:
    """The portals that this key sees, and how far behind them we are."""
    walk = page.walk(call)
    with call.read() as connection:
        rows = _accounts(call, connection, visible_names(call, connection))
    return _listed(walk, rows)


@router.get("/accounts/{account_id}", response_model=Account, dependencies=_READ)
def get_account(call: CallDep, account_id: str) -> Response:
    """One portal; everything received has been worked on when `pending` is 0."""
    with call.read() as connection:
        names = visible_names(call, connection)
        if account_id not in names:
            raise not_found()
        rows = _accounts(call, connection, {account_id: names[account_id]})
    return json_answer(rows[0])


@router.get("/accounts/{account_id}/health", response_model=AccountHealth, dependencies=_READ)
def account_health(call: CallDep, account_id: str) -> Response:
    """Hooks received, lost and repaired; the last reconciliation; what waits."""
    with call.read() as connection:
        names = visible_names(call, connection)
        if account_id not in names:
            raise not_found()
        row = names[account_id].account
        pending = pending_counts(connection, [account_id])[account_id]
        through = waiting_since(connection).get(account_id, call.now)
        parked, waiting = troubles(connection, account_id)
        budget = budgets.budget(connection, budgets.portal_key(row.crm, row.base_url))
    limit = budgets.left(budget, call.now, *limits_of(row.crm))
    answer = {
        "account": row.account_id, "status": row.status, "error": row.error,
        "backfill": row.backfill_state, "hooks_received": row.hooks_received,
        "limit_left": limit.share, "limit_paused_until": iso(limit.paused_until),
        "portal": "answers" if row.down_since is None else "down",
        "portal_down_since": iso(row.down_since), "portal_next_try_at": iso(row.down_until),
        "portal_error": row.down_reason,
        "hook": row.hook_state, "access_ends_at": iso(row.access_ends_at),
        "drift": row.drift, "hooks_lost": row.hooks_lost, "last_event_at": iso(row.last_event_at),
        "reconciled_at": iso(row.synced_at if row.backfill_state == "done" else None),
        "reconcile_error": row.sync_error,
        "lag_seconds": max(0, call.now - through), "pending": pending, "parked": parked,
        "waiting_to_be_fetched": waiting, "judging": _judging(row),
    }  # fmt: skip
    return json_answer(answer)


def _judging(row: AccountRow) -> Row:
    running = row.judged_version < row.config_version
    return {
        "state": "running" if running else "idle",
        "done": row.judged_done,
        "total": row.judged_total if row.judged_total or not running else None,
        "version": row.config_version,
    }


@router.get("/accounts/{account_id}/fields", response_model=AccountFields, dependencies=_READ)
def account_fields(call: CallDep, account_id: str) -> Response:
    """Custom fields of deals: which one is the source, the budget, the loss reason; guesses."""
    with call.read() as connection:
        names = visible_names(call, connection)
        if account_id not in names:
            raise not_found()
        config = names[account_id].config
    answer = {
        "account": account_id,
        "meanings": [
            {
                "meaning": one.name,
                "field": one.field.id if one.field else None,
                "name": one.field.name if one.field else None,
                "guesses": [guess.id for guess in one.guesses],
            }
            for one in meanings(config)
        ],
        "fields": [
            {
                "id": one.id, "name": one.name, "type": one.type, "code": one.code,
                "required_stages": _needed_at(config, account_id, one.id),
            }
            for one in config.directory.fields
        ],
    }  # fmt: skip
    return json_answer(answer)


def _needed_at(config: Config, account_id: str, field_id: str) -> list[str]:
    found = [
        stage_full_id(account_id, pipeline.id, stage.id)
        for pipeline in config.directory.pipelines
        for stage in pipeline.stages
        if field_id in config.required(pipeline.id, stage.id)
    ]
    return [stage for stage in found if stage is not None]


def _accounts(call: Call, connection: Connection, names: Mapping[str, Names]) -> list[Row]:
    pending = pending_counts(connection, list(names))
    waiting = waiting_since(connection)
    return [
        _account(call, own, pending[account], waiting.get(account, call.now))
        for account, own in names.items()
    ]


def _account(call: Call, names: Names, pending: int, through: int) -> Row:
    row = names.account
    return {
        "id": row.account_id,
        "name": row.name,
        "crm": row.crm,
        "base_url": row.base_url,
        "timezone": str(names.config.timezone),
        "currency": names.config.currency,
        "status": row.status,
        "last_event_at": iso(row.last_event_at),
        "data_through": iso(through),
        "lag_seconds": max(0, call.now - through),
        "pending": pending,
    }


# --- sellers and teams ----------------------------------------------------------------------------


@router.get("/sellers", response_model=SellerList, dependencies=_READ)
def list_sellers(
    call: CallDep, page: PageDep, filters: Annotated[Filters, Depends(SELLERS)]
) -> Response:
    """The CRM's users, also those who have left."""
    walk = page.walk(call)
    with call.read() as connection:
        names = chosen(visible_names(call, connection), filters)
        newcomers = [own.config.standards.newcomers(call.now) for own in names.values()]
        fresh(call, connection, newcomers)
    active = value_of(filters, "active")
    wanted, refused = value_of(filters, "team"), value_of(filters, "team", "ne") or ()
    rows = []
    for own in names.values():
        for seller in own.config.directory.sellers:
            row = _seller(own, seller, call.now)
            team = row["team"]["id"] if row["team"] else None
            if (wanted is not None and team not in wanted) or team in refused:
                continue
            if active is None or row["active"] == active[0]:
                rows.append(row)
    return _listed(walk, rows)


@router.get("/sellers/{seller_id}", response_model=Seller, dependencies=_READ)
def get_seller(call: CallDep, seller_id: str) -> Response:
    """One seller."""
    own, crm_id = _of_account(call, seller_id)
    seller = own.config.directory.seller(crm_id)
    if seller is None:
        raise not_found()
    return json_answer(_seller(own, seller, call.now))


@router.get("/teams", response_model=TeamList, dependencies=_READ)
def list_teams(call: CallDep, page: PageDep) -> Response:
    """Teams of the settings, else the CRM's groups; equal ones of several accounts are one."""
    walk = page.walk(call)
    with call.read() as connection:
        names = visible_names(call, connection)
        fresh(call, connection, [own.config.memberships.day_of(call.now) for own in names.values()])
    teams: dict[str, Row] = {}
    for own in names.values():
        for team in own.config.teams.values():
            members = own.config.memberships.members(team.id, call.now)
            if team.former and not members:
                continue
            row = teams.setdefault(team.id, {"id": team.id, "name": team.name, "sellers": []})
            row["sellers"] += [own.seller(seller) for seller in members]
    return _listed(walk, list(teams.values()))


def _seller(names: Names, seller: directory.Seller, now: Instant) -> Row:
    own = names.config.sellers.get(seller.id)
    return {
        "id": full_id(names.id, seller.id),
        "account": names.id,
        "crm_id": seller.id,
        "name": seller.name,
        "team": names.team(seller.id, now),
        "person": own.person if own else None,
        "active": seller.active and seller.listed,
        "timezone": seller.timezone,
        "open_deals_limit": names.config.limit(seller.id, now) or None,
    }


# --- pipelines ------------------------------------------------------------------------------------


@router.get("/pipelines", response_model=PipelineList, dependencies=_READ)
def list_pipelines(call: CallDep, page: PageDep, filters: AccountFilter) -> Response:
    """Pipelines with their stages, what each means and how long a deal may stay."""
    walk = page.walk(call)
    with call.read() as connection:
        fresh(call, connection)
        names = chosen(visible_names(call, connection), filters)
    rows = [
        _pipeline(own, pipeline)
        for own in names.values()
        for pipeline in own.config.directory.pipelines
    ]
    return _listed(walk, rows)


@router.get("/pipelines/{pipeline_id}", response_model=Pipeline, dependencies=_READ)
def get_pipeline(call: CallDep, pipeline_id: str) -> Response:
    """One pipeline."""
    own, crm_id = _of_account(call, pipeline_id)
    pipeline = own.config.directory.pipeline(crm_id)
    if pipeline is None:
        raise not_found()
    return json_answer(_pipeline(own, pipeline))


def _pipeline(names: Names, pipeline: directory.Pipeline) -> Row:
    stages = sorted(pipeline.stages, key=lambda stage: stage.sort)
    return {
        "id": full_id(names.id, pipeline.id),
        "account": names.id,
        "crm_id": pipeline.id,
        "name": pipeline.name,
        "stages": [_stage(names, pipeline.id, stage) for stage in stages],
    }


def _stage(names: Names, pipeline: str, stage: directory.Stage) -> Row:
    return {
        "id": stage_full_id(names.id, pipeline, stage.id),
        "crm_id": stage.id,
        "name": stage.name,
        "sort": stage.sort,
        "kind": stage.kind.value,
        "norm_seconds": _norm(names, pipeline, stage),
    }


def _norm(names: Names, pipeline: str, stage: directory.Stage) -> int | None:
    """The span of the rule about stuck deals, in seconds of its own kind of time."""
    if stage.kind is not StageKind.OPEN:
        return None
    rules = (rule for rule in names.book.in_force(names.config) if rule.id == STUCK)
    rule = next(rules, None)
    if rule is None:
        return None
    return _seconds(rule.span(pipeline, stage.id), names.config.calendar(None))


def _seconds(span: Span, calendar: WorkCalendar) -> int:
    if span.unit == "d":
        return span.count * 86_400
    if span.unit == "wd":
        return span.count * calendar.full_day_seconds
    return span.seconds


def _of_account(call: Call, text: str) -> tuple[Names, str]:
    """(account, CRM id) of an id whose account the caller sees.

    Raises:
        ApiError: not_found.
    """
    parts = split_id(text)
    with call.read() as connection:
        names = visible_names(call, connection)
    if parts is None or parts[0] not in names:
        raise not_found()
    return names[parts[0]], parts[1]
