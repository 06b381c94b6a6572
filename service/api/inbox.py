"""Raw hooks for admins: what waits, what nobody understood, replay and drop (api.md 3.1)."""

from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from service.api.auth import require
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_accounts
from service.api.paging import PageDep
from service.api.params import Choice, ListParam
from service.api.problems import not_found, problem
from service.api.router import Router
from service.api.schemas import Instant, Listed, Wire
from service.domain.instant import iso
from service.store import ids, inbox
from service.store.handles import Connection
from service.store.reads import inbox as reads

router = Router(prefix="/v1", tags=["Administration"])
PREFIX = "inb_"
_ADMIN = [Depends(require("admin"))]
StateParam = Annotated[
    tuple[str, ...] | None, Choice(reads.STATES, "state"), Query(description="default: all")
]


class InboxRow(Wire):
    """A hook as it was received."""

    id: str = Field(examples=["inb_000000000000007QK5ZT3M9XY2"])
    account: str
    received_at: Instant
    state: str = Field(description="pending, done, parked, dropped")
    reason: str | None = Field(description="why it is parked")
    size: int = Field(description="bytes")
    facts: int


class InboxList(Listed):
    """A page of hooks, the latest first."""

    data: list[InboxRow]


class InboxDetail(InboxRow):
    """A hook with its body; bytes that are no text are escaped."""

    content_type: str
    body: str


@router.get("/inbox", response_model=InboxList, dependencies=_ADMIN)
def list_inbox(
    call: CallDep, page: PageDep, state: StateParam = None, account: ListParam = None
) -> Response:
    """Hooks by state and account, the latest first."""
    walk = page.walk(call)
    states = list(state or reads.STATES)
    with call.read() as connection:
        seen = [row.account_id for row in visible_accounts(call, connection)]
        accounts = [one for one in seen if account is None or one in account]
        rows = reads.rows(connection, accounts, states, after_row=walk.after, limit=walk.limit + 1)
        total = reads.count(connection, accounts, states) if walk.count else None
    return walk.answer(rows, lambda row: list(row["position"]), _show, total)


@router.get("/inbox/{inbox_id}", response_model=InboxDetail, dependencies=_ADMIN)
def get_inbox_row(call: CallDep, inbox_id: str) -> Response:
    """One hook with its body."""
    with call.read() as connection:
        row = _found(call, connection, inbox_id)
    body = row["body"].decode("utf-8", errors="backslashreplace")
    return json_answer({**_show(row), "content_type": row["content_type"], "body": body})


@router.post(
    "/inbox/{inbox_id}/replay", status_code=202, response_model=InboxRow, dependencies=_ADMIN
)
def replay_inbox_row(call: CallDep, inbox_id: str) -> Response:
    """Work on it once more."""
    with call.write() as connection:
        row = _found(call, connection, inbox_id)
        inbox.replay(connection, row["account_id"], [row["id"]])
        _note(call, connection, row, "inbox.replayed")
        row = _found(call, connection, inbox_id)
    return json_answer(_show(row), 202)


@router.post("/inbox/{inbox_id}/drop", status_code=204, dependencies=_ADMIN)
def drop_inbox_row(call: CallDep, inbox_id: str) -> Response:
    """Give it up; one that was worked on already cannot be dropped."""
    with call.write() as connection:
        row = _found(call, connection, inbox_id)
        if row["state"] == "done":
            raise problem("conflict", "This hook has been worked on already.")
        inbox.drop(connection, row["account_id"], [row["id"]])
        _note(call, connection, row, "inbox.dropped")
    return Response(status_code=204)


def _found(call: Call, connection: Connection, inbox_id: str) -> dict[str, Any]:
    number = ids.read(inbox_id.removeprefix(PREFIX)) if inbox_id.startswith(PREFIX) else None
    accounts = [row.account_id for row in visible_accounts(call, connection)]
    known = number is not None and number < 1 << 63
    row = reads.one(connection, accounts, number) if known and number is not None else None
    if row is None:
        raise not_found()
    return row


def _note(call: Call, connection: Connection, row: dict[str, Any], what: str) -> None:
    shown = {"id": _show(row)["id"], "state": row["state"], "reason": row["reason"]}
    call.note(connection, what, row["account_id"], before=shown)


def _show(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": PREFIX + ids.spell(row["id"]),
        "account": row["account_id"],
        "received_at": iso(row["received_at"]),
        "state": row["state"],
        "reason": row["reason"],
        "size": row["size"],
        "facts": row["facts"],
    }
