"""Alerts: what was said to whom, and acknowledging it (api.md 3.8)."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from service.api.alert_schemas import AlertList, AlertShown
from service.api.auth import require
from service.api.conditional import fresh
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_accounts
from service.api.paging import PageDep
from service.api.params import Choice, ListParam
from service.api.problems import not_found
from service.api.router import Router
from service.domain.instant import iso
from service.store import outbox, remarks
from service.store.accounts import bump
from service.store.handles import Connection
from service.store.reads import alerts as store
from service.store.reads.violations import violation

router = Router(prefix="/v1", tags=["Alerts"])
READ, WRITE = [Depends(require("alerts:read"))], [Depends(require("alerts:write"))]
StatesParam = Annotated[tuple[str, ...] | None, Choice(store.STATES, "state"), Query()]
Row = dict[str, Any]


class AckBody(BaseModel):
    """A word on an acknowledgement."""

    model_config = ConfigDict(extra="forbid")
    comment: str = ""


def shown(row: Row, deliveries: Sequence[Row]) -> Row:
    """An alert on the wire."""
    return {
        "id": row["id"],
        "account": row["account_id"],
        "kind": row["kind"],
        "receiver": row["receiver"],
        "channel": row["channel"],
        "state": row["state"],
        "reason": row["reason"] or None,
        "created_at": iso(row["created_at"]),
        "sent_at": iso(row["sent_at"]),
        "violations": row["violations"],
        "text": row["text"],
        "deliveries": [shown_delivery(d) for d in deliveries],
    }


def shown_delivery(row: Row) -> Row:
    """One attempt on the wire."""
    return {
        "attempt": row["attempt"],
        "at": iso(row["at"]),
        "outcome": row["outcome"],
        "http_status": row["http_status"],
        "latency_ms": row["latency_ms"],
        "error": row["error"] or None,
    }


def _visible(call: Call, connection: Connection, chosen: Sequence[str] | None = None) -> list[str]:
    seen = [row.account_id for row in visible_accounts(call, connection)]
    return [account for account in seen if chosen is None or account in chosen]


@router.get("/alerts", response_model=AlertList, dependencies=READ)
def list_alerts(
    call: CallDep,
    page: PageDep,
    account: ListParam = None,
    receiver: ListParam = None,
    channel: ListParam = None,
    state: StatesParam = None,
) -> Response:
    """Messages, newest first."""
    walk = page.walk(call)
    equal = {"receiver": receiver, "channel": channel, "state": state}
    chosen = {name: values for name, values in equal.items() if values is not None}
    with call.read() as connection:
        fresh(call, connection, call.now)
        accounts = _visible(call, connection, account)
        rows = store.alerts(connection, accounts, walk.after, walk.limit + 1, **chosen)
        tries = {
            row["id"]: outbox.deliveries(connection, row["account_id"], row["id"]) for row in rows
        }
    return walk.answer(
        rows,
        lambda row: [row["created_at"], row["id"]],
        lambda row: shown(row, tries[row["id"]]),
    )


@router.get("/alerts/{alert_id}", response_model=AlertShown, dependencies=READ)
def get_alert(alert_id: str, call: CallDep) -> Response:
    """One message with its deliveries."""
    with call.read() as connection:
        row = _found(call, connection, alert_id)
        return json_answer(shown(row, outbox.deliveries(connection, row["account_id"], row["id"])))


@router.post("/alerts/{alert_id}/ack", response_model=AlertShown, dependencies=WRITE)
def acknowledge(alert_id: str, call: CallDep, body: AckBody) -> Response:
    """Acknowledge the violations of a message."""
    author = remarks.Author(call.caller.key_id, call.request_id, call.address)
    with call.write() as connection:
        row = _found(call, connection, alert_id)
        for violation_id in row["violations"]:
            known = violation(connection, [row["account_id"]], violation_id)
            if known is not None:
                remarks.ack(connection, dict(known), author, body.comment, call.now)
        outbox.settle(connection, row, state="acked", next_try_at=None)
        bump(connection, row["account_id"])
        row = _found(call, connection, alert_id)
        return json_answer(shown(row, outbox.deliveries(connection, row["account_id"], row["id"])))


def _found(call: Call, connection: Connection, alert_id: str) -> Row:
    row = store.alert(connection, _visible(call, connection), alert_id)
    if row is None:
        raise not_found()
    return row
