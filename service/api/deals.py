"""`GET /v1/deals`, one deal, its timeline (api.md 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deal_schemas import DealDetail, DealList, Timeline
from service.api.deal_timeline import entries
from service.api.deps import Call, CallDep, json_answer
from service.api.names import Names, chosen, full_id, money, split_id, team_members, visible_names
from service.api.paging import PageDep, SortParam, page_of, read_sort
from service.api.params import Filters, FilterSet, choice, flag, ids, instant, number, without
from service.api.problems import not_found
from service.api.router import Router
from service.domain.instant import Instant, iso
from service.store.handles import Connection
from service.store.reads.deals import (
    DEAL_SORTS,
    Selection,
    Slice,
    count_deals,
    deal,
    deals,
    open_violations,
    reach,
)
from service.store.reads.violations import moved_at

router = Router(prefix="/v1", tags=["Deals and tasks"])
FILTERS = FilterSet(
    ids("account"),
    ids("pipeline"),
    ids("stage"),
    ids("seller"),
    ids("team"),
    ids("source", null=True),
    choice("status", ("open", "won", "lost", "incoming"), "status"),
    number("amount"),
    instant("created_at", null=True),
    instant("updated_at"),
    instant("closed_at", null=True),
    instant("stage_since", null=True),
    flag("has_violations"),
)
_READ = [Depends(require("crm:read"))]


@router.get("/deals", response_model=DealList, dependencies=_READ)
def list_deals(
    call: CallDep,
    page: PageDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    sort: SortParam = None,
) -> Response:
    """Deals as they are now, without deleted ones; `amount` filters are in minor units."""
    order = [(key.field, key.down) for key in read_sort(sort, list(DEAL_SORTS), "-created_at")]
    walk = page.walk(call)
    with call.read() as connection:
        names = visible_names(call, connection)
        fresh(call, connection, moved_at(connection, list(names), call.now))
        selection = Selection(
            list(chosen(names, filters)),
            walk.as_of,
            without(filters, "account"),
            team_members(names, filters),
        )
        rows = deals(connection, selection, Slice(order, walk.after, walk.limit + 1))
        total = count_deals(connection, selection) if walk.count else None
        counts = _counts(connection, rows[: walk.limit], walk.as_of)
    return walk.answer(
        rows,
        lambda row: list(row["position"]),
        lambda row: show(names, row, counts, walk.as_of),
        total,
    )


@router.get("/deals/{deal_id}", response_model=DealDetail, dependencies=_READ)
def get_deal(call: CallDep, deal_id: str) -> Response:
    """One deal, deleted or not."""
    with call.read() as connection:
        names, row = _found(call, connection, deal_id)
        counts = _counts(connection, [row], call.now)
        phone, mail = reach(connection, row["account_id"], row["id"])
    contact = {"has_phone": phone, "has_email": mail}
    return json_answer({**show(names, row, counts, call.now), "contact": contact})


@router.get("/deals/{deal_id}/timeline", response_model=Timeline, dependencies=_READ)
def get_deal_timeline(call: CallDep, page: PageDep, deal_id: str) -> Response:
    """What happened to a deal, its tasks, calls, notes and messages, oldest first."""
    walk = page.walk(call)
    with call.read() as connection:
        names, row = _found(call, connection, deal_id)
        found = entries(connection, names[row["account_id"]], row["id"], walk.as_of)
    total = len(found) if walk.count else None
    numbered = list(enumerate(found))
    rows = page_of(walk, numbered, lambda entry: [entry[1]["at"], entry[0]])
    return walk.answer(
        rows,
        lambda entry: [entry[1]["at"], entry[0]],
        lambda entry: {**entry[1], "at": iso(entry[1]["at"])},
        total,
    )


def show(
    names: Mapping[str, Names],
    row: Mapping[str, Any],
    counts: Mapping[tuple[str, str], int],
    at: Instant,
) -> dict[str, Any]:
    """A deal as it is answered, its seller's team that of `at`."""
    account, crm_id = row["account_id"], row["id"]
    own = names[account]
    instants = ("created_at", "updated_at", "stage_since", "closed_at")
    return {
        "id": full_id(account, crm_id),
        "account": account,
        "crm_id": crm_id,
        "name": row["name"],
        "url": own.url("deal", crm_id),
        "pipeline": own.pipeline(row["pipeline"]),
        "stage": own.stage(row["pipeline"], row["stage"]),
        "status": row["status"],
        "seller": own.seller(row["seller"]),
        "team": own.team(row["seller"], at),
        "source": row["source"],
        "amount": money(row["amount"], row["currency"]),
        **{name: iso(row[name]) for name in instants},
        "loss_reason": _loss_reason(own, row["loss_reason"]),
        "open_tasks": row["open_tasks"],
        "next_task_at": iso(row["next_task_at"]),
        "last_touch_at": iso(row["last_touch_at"]),
        "violations_open": counts.get((account, crm_id), 0),
        "deleted": bool(row["deleted"]),
    }


def _loss_reason(names: Names, reason: str | None) -> str | None:
    """The name of a loss reason; an id that the directory does not know stays an id."""
    known = names.config.directory.loss_reasons
    return next((found.name for found in known if found.id == reason), reason)


def _found(
    call: Call, connection: Connection, deal_id: str
) -> tuple[dict[str, Names], dict[str, Any]]:
    names = visible_names(call, connection)
    parts = split_id(deal_id)
    row = deal(connection, *parts) if parts and parts[0] in names else None
    if row is None:
        raise not_found()
    return names, row


def _counts(
    connection: Connection, rows: Sequence[Mapping[str, Any]], at: Instant
) -> dict[tuple[str, str], int]:
    return open_violations(connection, [(row["account_id"], row["id"]) for row in rows], at)
