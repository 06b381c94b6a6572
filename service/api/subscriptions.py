"""Subscriptions: outgoing webhooks, signed as Standard Webhooks asks (api.md 3.9)."""

import base64
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.alerts import events
from service.alerts.channels.webhook import PREFIX, Webhook
from service.api.alert_schemas import (
    SecretSubscription,
    SubscriberMessages,
    Subscription,
    SubscriptionList,
    Tested,
)
from service.api.alerts import shown_delivery
from service.api.auth import require
from service.api.deps import Call, CallDep, json_answer
from service.api.names import visible_accounts
from service.api.problems import bad_body, not_found, problem, unknown_name
from service.api.router import Router
from service.domain.instant import iso
from service.domain.ports import Message
from service.errors import ChannelError, ConfigError
from service.http import public_address
from service.secrets import load_box
from service.store import outbox
from service.store import subscriptions as store
from service.store.handles import Connection
from service.store.ids import new_id
from service.store.reads.alerts import of_receiver

router = Router(prefix="/v1", tags=["Subscriptions"])
WRITE = [Depends(require("subscriptions:write"))]
SECRET_BYTES = 32
OVERLAP_SECONDS = 24 * 3600
FILTERS = ("severity", "rule", "seller")
Row = dict[str, Any]


class NewSubscription(BaseModel):
    """What is wanted, and where."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(max_length=2000, examples=["https://example.com/dozor"])
    events: list[str] = Field(min_length=1, examples=[["violation.opened"]])
    accounts: list[str] | None = None
    filters: dict[str, list[str]] = {}


class ChangedSubscription(BaseModel):
    """What changes; what is absent stays (`accounts` null: all that the key sees)."""

    model_config = ConfigDict(extra="forbid")
    url: str | None = Field(None, max_length=2000)
    events: list[str] | None = Field(None, min_length=1)
    accounts: list[str] | None = None
    filters: dict[str, list[str]] | None = None
    status: str | None = Field(None, pattern="^(active|disabled)$")


def _shown(row: Row) -> Row:
    return {
        "id": row["id"],
        "url": row["url"],
        "events": row["events"],
        "accounts": row["accounts"],
        "filters": row["filters"],
        "status": row["status"],
        "failing_since": iso(row["failing_since"]),
        "created_at": iso(row["created_at"]),
    }


def _check(
    call: Call,
    connection: Connection,
    url: str | None,
    wanted: list[str] | None,
    accounts: list[str] | None,
    filters: dict[str, list[str]] | None,
) -> None:
    """Refuse addresses inside, unknown events, foreign accounts."""
    if url is not None:
        _check_url(url, allow_private=call.settings.allow_private_hosts)
    for index, name in enumerate(wanted or ()):
        if name not in events.TYPES:
            raise unknown_name(name, events.TYPES, "event", pointer=f"#/events/{index}")
    visible = {row.account_id for row in visible_accounts(call, connection)}
    for index, account in enumerate(accounts or ()):
        if account not in visible:
            raise bad_body(f"#/accounts/{index}", f"There is no account {account!r}.")
    for name in filters or {}:
        if name not in FILTERS:
            raise unknown_name(name, FILTERS, "filter", pointer=f"#/filters/{name}")


def _check_url(url: str, *, allow_private: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise bad_body("#/url", "url must be an address that begins with https://.")
    if allow_private:
        return
    try:
        public_address(url)
    except ConfigError as error:
        raise bad_body("#/url", f"{error}.", "target_refused") from None


def _whose(call: Call, accounts: list[str] | None) -> list[str] | None:
    """The accounts of a subscription; all there are only for a key that sees all."""
    if accounts is None and "*" not in call.caller.accounts:
        return sorted(call.caller.accounts)
    return accounts


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _mine(call: Call, row: Row) -> bool:
    """A subscription is seen by keys that see all its accounts."""
    accounts = row["accounts"]
    if accounts is None:
        return "*" in call.caller.accounts or row["key_id"] == call.caller.key_id
    return all(call.caller.sees(account) for account in accounts)


def _found(call: Call, connection: Connection, subscription_id: str) -> Row:
    row = store.subscription(connection, subscription_id)
    if row is None or not _mine(call, row):
        raise not_found()
    return row


@router.post(
    "/subscriptions", response_model=SecretSubscription, status_code=201, dependencies=WRITE
)
def create(call: CallDep, body: NewSubscription) -> Response:
    """Subscribe; the secret is shown once."""
    secret = _new_secret()
    box = load_box(call.settings)
    with call.write() as connection:
        _check(call, connection, body.url, body.events, body.accounts, body.filters)
        accounts = _whose(call, body.accounts)
        chosen = store.add(
            connection,
            {
                "key_id": call.caller.key_id, "url": body.url, "events": body.events,
                "accounts": accounts, "filters": body.filters, "secret": box.seal(secret),
            },
            call.now,
        )  # fmt: skip
        told = {"url": body.url, "events": body.events}
        call.note(connection, "subscription.created", after=told)
        row = _found(call, connection, chosen)
    location = f"/v1/subscriptions/{chosen}"
    return json_answer({**_shown(row), "secret": secret}, 201, {"location": location})


@router.get("/subscriptions", response_model=SubscriptionList, dependencies=WRITE)
def list_subscriptions(call: CallDep) -> Response:
    """All subscriptions that the key may see."""
    with call.read() as connection:
        rows = [row for row in store.subscriptions(connection) if _mine(call, row)]
    return json_answer({"data": [_shown(row) for row in rows], "next_cursor": None, "next": None})


@router.get("/subscriptions/{subscription_id}", response_model=Subscription, dependencies=WRITE)
def get_subscription(subscription_id: str, call: CallDep) -> Response:
    """One subscription, without its secret."""
    with call.read() as connection:
        return json_answer(_shown(_found(call, connection, subscription_id)))


@router.patch("/subscriptions/{subscription_id}", response_model=Subscription, dependencies=WRITE)
def change(subscription_id: str, call: CallDep, body: ChangedSubscription) -> Response:
    """Change address, events, filters; or switch it on and off."""
    with call.write() as connection:
        _found(call, connection, subscription_id)
        _check(call, connection, body.url, body.events, body.accounts, body.filters)
        told = body.model_dump(exclude_unset=True).items()
        values = {name: value for name, value in told if value is not None}
        if "accounts" in body.model_fields_set:
            values["accounts"] = _whose(call, body.accounts)
        if values.get("status") == "active":
            values["failing_since"] = None
        if values:
            store.change(connection, subscription_id, **values)
        return json_answer(_shown(_found(call, connection, subscription_id)))


@router.delete("/subscriptions/{subscription_id}", status_code=204, dependencies=WRITE)
def remove(subscription_id: str, call: CallDep) -> Response:
    """Unsubscribe; what waits for it is not sent any more."""
    with call.write() as connection:
        _found(call, connection, subscription_id)
        store.remove(connection, subscription_id)
    return Response(status_code=204)


@router.post("/subscriptions/{subscription_id}/test", response_model=Tested, dependencies=WRITE)
def test(subscription_id: str, call: CallDep) -> Response:
    """Send a `ping`; answers status and latency, never the receiver's body."""
    with call.read() as connection:
        row = _found(call, connection, subscription_id)
    channel = Webhook(allow_private=call.settings.allow_private_hosts)
    secret = load_box(call.settings).open(row["secret"])
    body = events.body("ping", call.now, {})
    message = Message(new_id("msg", call.now), "ping", body, row["url"], secret)
    began = time.monotonic()
    status: int | None = 200
    error: str | None = None
    try:
        channel.send(message, lambda: float(call.now))
    except ChannelError as fault:
        status, error = fault.status, str(fault)
    latency = int((time.monotonic() - began) * 1000)
    return json_answer(
        {"delivered": error is None, "http_status": status, "latency_ms": latency, "error": error}
    )


@router.post(
    "/subscriptions/{subscription_id}/rotate", response_model=SecretSubscription, dependencies=WRITE
)
def rotate(subscription_id: str, call: CallDep) -> Response:
    """A new secret; for 24 hours both sign."""
    secret = _new_secret()
    box = load_box(call.settings)
    with call.write() as connection:
        row = _found(call, connection, subscription_id)
        store.change(
            connection, subscription_id, secret=box.seal(secret), old_secret=row["secret"],
            old_secret_until=call.now + OVERLAP_SECONDS,
        )  # fmt: skip
    return json_answer({**_shown(row), "secret": secret})


@router.get(
    "/subscriptions/{subscription_id}/deliveries",
    response_model=SubscriberMessages,
    dependencies=WRITE,
)
def list_deliveries(subscription_id: str, call: CallDep) -> Response:
    """The newest messages to a subscriber with all attempts."""
    with call.read() as connection:
        _found(call, connection, subscription_id)
        rows = [
            {
                "id": row["id"], "account": row["account_id"], "webhook_id": row["key"],
                "state": row["state"], "created_at": iso(row["created_at"]),
                "sent_at": iso(row["sent_at"]),
                "attempts": [
                    shown_delivery(d)
                    for d in outbox.deliveries(connection, row["account_id"], row["id"])
                ],
            }
            for row in of_receiver(connection, subscription_id, 100)
        ]  # fmt: skip
    return json_answer({"data": rows, "next_cursor": None, "next": None})


@router.post(
    "/subscriptions/{subscription_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_class=Response,
    dependencies=WRITE,
)
def replay(subscription_id: str, delivery_id: str, call: CallDep) -> Response:
    """Send a message again, under the same `webhook-id`."""
    with call.write() as connection:
        row = _found(call, connection, subscription_id)
        if row["status"] != "active":
            raise problem("conflict", "The subscription is disabled.")
        sent = [m for m in of_receiver(connection, subscription_id, 1000) if m["id"] == delivery_id]
        if not sent:
            raise not_found()
        outbox.settle(connection, sent[0], state="pending", next_try_at=call.now)
    return Response(status_code=202)
