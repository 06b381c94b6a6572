"""`GET /v1/tasks` and one task (api.md 3.3)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response

from service.api.auth import require
from service.api.conditional import fresh
from service.api.deal_schemas import Task, TaskList
from service.api.deps import CallDep, json_answer
from service.api.names import Names, chosen, full_id, split_id, team_members, visible_names
from service.api.paging import PageDep, SortParam, read_sort
from service.api.params import Filters, FilterSet, choice, flag, ids, instant, without
from service.api.problems import not_found
from service.api.router import Router
from service.domain.instant import Instant, iso
from service.domain.period import local_date
from service.store.reads.deals import TASK_SORTS, Selection, Slice, count_tasks, task, tasks
from service.store.reads.subjects import deal_names

router = Router(prefix="/v1", tags=["Deals and tasks"])
FILTERS = FilterSet(
    ids("account"),
    ids("seller"),
    ids("team"),
    ids("deal", null=True),
    choice("status", ("open", "done"), "status"),
    flag("overdue"),
    instant("due_at", null=True),
    instant("done_at", null=True),
)
_READ = [Depends(require("crm:read"))]
Deals = Mapping[tuple[str, str], str]


@router.get("/tasks", response_model=TaskList, dependencies=_READ)
def list_tasks(
    call: CallDep,
    page: PageDep,
    filters: Annotated[Filters, Depends(FILTERS)],
    sort: SortParam = None,
) -> Response:
    """Tasks as they are now; `overdue` at the instant of the first page."""
    order = [(key.field, key.down) for key in read_sort(sort, list(TASK_SORTS), "due_at")]
    walk = page.walk(call)
    with call.read() as connection:
        names = visible_names(call, connection)
        fresh(call, connection, walk.as_of)
        selection = Selection(
            list(chosen(names, filters)),
            walk.as_of,
            without(filters, "account"),
            team_members(names, filters),
        )
        rows = tasks(connection, selection, Slice(order, walk.after, walk.limit + 1))
        total = count_tasks(connection, selection) if walk.count else None
        deals = deal_names(connection, [(row["account_id"], row["deal"]) for row in rows])
    return walk.answer(
        rows,
        lambda row: list(row["position"]),
        lambda row: show(names, row, deals, walk.as_of),
        total,
    )


@router.get("/tasks/{task_id}", response_model=Task, dependencies=_READ)
def get_task(call: CallDep, task_id: str) -> Response:
    """One task."""
    with call.read() as connection:
        names = visible_names(call, connection)
        parts = split_id(task_id)
        row = task(connection, *parts) if parts and parts[0] in names else None
        if row is None:
            raise not_found()
        deals = deal_names(connection, [(row["account_id"], row["deal"])])
    return json_answer(show(names, row, deals, call.now))


def show(
    names: Mapping[str, Names], row: Mapping[str, Any], deals: Deals, at: Instant
) -> dict[str, Any]:
    """A task as it is answered; `overdue` at `at`."""
    account, crm_id, due = row["account_id"], row["id"], row["due_at"]
    own = names[account]
    late = at - due if row["is_open"] and due is not None and due <= at else None
    return {
        "id": full_id(account, crm_id),
        "account": account,
        "crm_id": crm_id,
        "deal": own.deal(row["deal"], deals.get((account, row["deal"]))),
        "seller": own.seller(row["seller"]),
        "kind": _kind(own, row["task_kind"]),
        "title": row["title"],
        "due_at": iso(due),
        "due_date": None if due is None else local_date(due, own.config.timezone).isoformat(),
        "all_day": bool(row["is_all_day"]),
        "created_at": iso(row["created_at"]),
        "done_at": iso(row["done_at"]),
        "has_result": bool(row["has_result"]),
        "status": "open" if row["is_open"] else "done",
        "overdue": late is not None,
        "overdue_seconds": late or 0,
        "moves": row["moves"],
    }


def _kind(names: Names, kind: str) -> str | None:
    """The name of a task type; an id that the directory does not know stays an id."""
    known = names.config.directory.task_kinds
    return next((found.name for found in known if found.id == kind), kind) or None
