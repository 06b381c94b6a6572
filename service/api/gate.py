"""The gate before all routes: no keys in addresses, a valid key under `/v1`, rate limits."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.auth import (
    KEY_PARAMETERS,
    Caller,
    check_scope,
    keys_in,
    secret_of,
    unauthenticated,
)
from service.api.deps import Services
from service.api.limits import Allowance
from service.api.problems import answer, fault, problem, unavailable
from service.errors import ApiError
from service.store.audit import record
from service.store.engine import transaction
from service.store.reads.faults import is_unavailable

URL_BYTES = 8 * 1024
PROTECTED = ("/v1", "/odata")
BULK = ("/v1/exports/", "/odata/")


def is_protected(path: str) -> bool:
    """Whether nothing under this path answers without a key."""
    return any(path == root or path.startswith(root + "/") for root in PROTECTED)


class GateMiddleware:
    """ASGI middleware. Puts `dozor.caller` into the scope of protected paths."""

    def __init__(self, app: ASGIApp, gate: "Gate") -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        running = None
        try:
            running = await self._gate.check(scope, headers)
        except ApiError as error:
            error.headers.update(headers)
            response = answer(error, scope["path"], scope["dozor.request_id"])
            await response(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _with_headers(send, headers))
        finally:
            if running is not None:
                self._gate.leave(running)


class Gate:
    """Checks addresses, keys and limits."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def check(self, scope: Scope, headers: dict[str, str]) -> str | None:
        """Check one request; `headers` takes what the answer has to carry.

        Returns:
            The key that runs a bulk request now, for `leave`; None: nothing is counted.

        Raises:
            ApiError: too_large, key_in_query, unauthenticated, rate_limited, too_many_running,
                unavailable.
        """
        await self._check_address(scope)
        if not is_protected(scope["path"]):
            return None
        caller = await self._authenticate(scope)
        services, bulk = self._services, scope["path"].startswith(BULK)
        limiter = services.bulk if bulk else services.limiter
        allowance = limiter.take(caller.key_id)
        headers.update(allowance.headers("bulk" if bulk else "key"))
        _refuse_over(allowance)
        scope["dozor.caller"] = caller
        if not bulk:
            return None
        if not services.running.enter(caller.key_id):
            detail = f"{services.running.most} such requests of this key run already."
            raise problem("too_many_running", detail, headers={"retry-after": "2"})
        return caller.key_id

    def leave(self, key_id: str) -> None:
        """A bulk request has ended."""
        self._services.running.leave(key_id)

    async def _check_address(self, scope: Scope) -> None:
        raw = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        if len(raw) + len(query) > URL_BYTES:
            raise problem("too_large", f"The address is longer than {URL_BYTES} bytes.")
        text = unquote(query.decode("latin-1"))
        secrets = keys_in(text) + keys_in(scope["path"])
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        names = [name for name, _ in pairs if name.lower() in KEY_PARAMETERS]
        if secrets or names:
            await run_in_threadpool(self._note_exposed, secrets, scope)
            raise _key_in_query(names)

    def _note_exposed(self, secrets: Sequence[str], scope: Scope) -> None:
        """A right key in an address stands in logs by now: say so in the audit log."""
        try:
            for secret in secrets:
                owner = self._services.keys.owner(secret)
                if owner is None:
                    continue
                with transaction(self._services.engine) as connection:
                    record(
                        connection,
                        owner.id,
                        "key.exposed",
                        self._services.now(),
                        request_id=scope["dozor.request_id"],
                        address=_address(scope),
                    )
        except Exception as error:
            if not is_unavailable(error):
                raise

    async def _authenticate(self, scope: Scope) -> Caller:
        """The caller of a protected path.

        Raises:
            ApiError: unauthenticated, rate_limited, unavailable.
        """
        address = _address(scope)
        wrong = self._services.wrong_keys.look(address)
        if not wrong.ok:
            raise _limited(wrong, "Too many wrong keys from this address")
        secret = secret_of(Headers(scope=scope).get("authorization", ""))
        if secret is None:
            raise unauthenticated(scope["path"])
        now = self._services.now()
        caller = self._services.keys.remembered(secret, now)
        if caller is None:
            caller = await self._look_up(secret, now)
        if caller is None:
            self._services.wrong_keys.take(address)
            raise unauthenticated(scope["path"])
        return caller

    async def admit(self, request: Request, scope: str) -> None:
        """Ask for a key on a path that is not protected as a whole.

        Raises:
            ApiError: unauthenticated, rate_limited, scope_missing.
        """
        request.scope["dozor.caller"] = await self._authenticate(request.scope)
        check_scope(request, scope)

    async def _look_up(self, secret: str, now: int) -> Caller | None:
        try:
            return await run_in_threadpool(self._services.keys.find, secret, now)
        except Exception as error:
            if is_unavailable(error):
                raise unavailable() from error
            raise


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _key_in_query(names: Sequence[str]) -> ApiError:
    detail = "An API key must not stand in an address; send it as Authorization: Bearer dzr_..."
    entries = [fault("key_in_query", detail, parameter=name) for name in names]
    return problem("key_in_query", detail, errors=entries)


def _refuse_over(allowance: Allowance) -> None:
    if not allowance.ok:
        raise _limited(allowance, f"More than {allowance.quota} requests a minute with this key")


def _limited(allowance: Allowance, what: str) -> ApiError:
    detail = f"{what}; wait {allowance.reset} s."
    return problem("rate_limited", detail, headers={"retry-after": str(allowance.reset)})


def _with_headers(send: Send, extra: dict[str, str]) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in extra.items():
                headers[name] = value
        await send(message)

    return wrapped if extra else send
