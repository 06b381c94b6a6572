"""The door: `/hooks/...` as plain ASGI, before any framework; every other path goes to the app.

Checks the token (SHA-256, looked up in memory), bounds the body, asks the adapter whether the body
may come in, waits for the commit, answers 200. A wrong token answers like any unknown path, with
nothing written. What cannot be stored in time is 503 with Retry-After, never a time-out: amoCRM
gives two seconds.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Protocol

from service.clock import Clock
from service.domain.ports import Adapter, Connection, RawHook
from service.ingest import InboxUnavailable, Ingest, Overloaded

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1024 * 1024
RETRY_AFTER = b"30"
_PREFIX = "/hooks/"


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the door knows of an account: read often, so kept in memory."""

    account_id: str
    crm: str
    hook_hash: str
    adapter: Adapter
    portal: Connection


class Directory(Protocol):
    """Where the door looks tokens up."""

    async def entrance(self, crm: str, token_hash: str) -> Entrance | None:
        """The account with this hook token, or None; InboxUnavailable if nobody can tell."""


class Counter(Protocol):
    """Counts hooks by CRM and result."""

    def __call__(self, crm: str, result: str) -> None:
        """One more."""


class Door:
    """ASGI application in front of another one."""

    def __init__(
        self, app: App, ingest: Ingest, entrances: Directory, clock: Clock, count: Counter
    ) -> None:
        self._app = app
        self._ingest = ingest
        self._entrances = entrances
        self._clock = clock
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take hooks, hand everything else on."""
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self._app(scope, receive, send)
            return
        crm, _, token = scope["path"].removeprefix(_PREFIX).partition("/")
        if scope["method"] != "POST":
            await _answer(send, 405, _METHOD, ((b"allow", b"POST"),))
            return
        await self._hook(scope, receive, send, (crm, token))

    async def _hook(self, scope: Scope, receive: Receive, send: Send, way: tuple[str, str]) -> None:
        crm, token = way
        token_hash = sha256(token.encode()).hexdigest()
        try:
            entrance = await self._entrances.entrance(crm, token_hash)
        except InboxUnavailable:
            await self._unavailable(send, "unknown")
            return
        if entrance is None or not compare_digest(entrance.hook_hash, token_hash):
            await self._refuse(scope, receive, send, "unknown")
            return
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body") or len(body) > MAX_BODY:
            body = await _read_on(message, receive)
        if body is None:
            self._count(crm, "too_large")
            await _answer(send, 413, _TOO_LARGE)
            return
        await self._keep(scope, receive, send, entrance, body)

    async def _keep(
        self, scope: Scope, receive: Receive, send: Send, entrance: Entrance, body: bytes
    ) -> None:
        content_type = _content_type(scope["headers"])
        now = self._clock.timestamp()
        raw = RawHook(body, content_type, int(now))
        if entrance.adapter.admits(raw, entrance.portal) == "no":
            await self._refuse(scope, receive, send, entrance.crm)
            return
        try:
            await self._ingest.put(entrance.account_id, now, content_type, body)
        except Overloaded:
            self._count(entrance.crm, "overloaded")
            await _answer(send, 503, _OVERLOADED, ((b"retry-after", RETRY_AFTER),))
        except InboxUnavailable:
            await self._unavailable(send, entrance.crm)
        else:
            self._count(entrance.crm, "accepted")
            await send(_OK)
            await send(_EMPTY)

    async def _unavailable(self, send: Send, crm: str) -> None:
        self._count(crm, "unavailable")
        await _answer(send, 503, _UNAVAILABLE, ((b"retry-after", RETRY_AFTER),))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, crm: str) -> None:
        """The application knows no such path: its answer is that of any unknown path."""
        self._count(crm, "refused")
        await self._app(scope, receive, send)


def _content_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"content-type":
            return value.decode("latin-1")[:200]
    return ""


async def _read_on(message: MutableMapping[str, Any], receive: Receive) -> bytes | None:
    """The whole body after its first part, or None when it is larger than it may be."""
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    while message.get("more_body") and size <= MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    return b"".join(parts) if size <= MAX_BODY else None


def _problem(status: int, code: str, title: str) -> bytes:
    problem: Mapping[str, object] = {
        "type": f"urn:dozor:problem:{code}", "code": code, "title": title, "status": status,
        "detail": title, "errors": [],
    }  # fmt: skip
    return json.dumps(problem).encode()


async def _answer(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    head = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


_OK: dict[str, Any] = {
    "type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]
}  # fmt: skip
_EMPTY: dict[str, Any] = {"type": "http.response.body", "body": b""}
_METHOD = _problem(405, "method_not_allowed", "Hooks are sent with POST")
_TOO_LARGE = _problem(413, "too_large", "A hook body is at most 1 MiB")
_OVERLOADED = _problem(503, "overloaded", "Too many hooks at once; send this one again")
_UNAVAILABLE = _problem(503, "unavailable", "The inbox cannot be written; send this one again")
