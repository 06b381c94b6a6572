"""The outermost ASGI layer.

Request ids, HEAD, OPTIONS, CORS, metrics, one log line a request, and an answer for whatever nobody
foresaw.
"""

import re
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import log
from service.api.deps import Services
from service.api.gate import is_protected
from service.api.problems import answer, problem
from service.api.router import allowed_methods
from service.metrics import HTTP_SECONDS

VARY = "Authorization, Accept, Accept-Encoding"
EXPOSED = "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_LOG = log.get(__name__)


@dataclass
class _Exchange:
    """One request and what is known of its answer."""

    request_id: str
    origin: str | None
    began: float
    head: bool
    keyed: bool
    status: int = 0


class Frame:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, services: Services, routes: list[BaseRoute]) -> None:
        self._app = app
        self._routes = routes
        self._origins = frozenset(services.settings.cors_origins.split())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)  # the server looks at its own: HEAD stays HEAD there
        exchange = self._exchange(scope)
        scope["dozor.request_id"] = exchange.request_id
        method = scope["method"]
        wrapped = self._wrap(exchange, send)
        try:
            await self._answer(scope, receive, wrapped, exchange)
        except Exception:
            _LOG.exception("request_failed", request_id=exchange.request_id, path=scope["path"])
            if exchange.status:
                raise
            error = problem("internal", "Something went wrong here; tell us the request id.")
            response = answer(error, scope["path"], exchange.request_id)
            await response(scope, receive, wrapped)
        finally:
            _account(scope, method, exchange)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange
    ) -> None:
        if scope["method"] == "OPTIONS":
            allowed = allowed_methods(self._routes, scope["path"])
            if allowed:
                response = self._options(scope, allowed, exchange)
                await response(scope, receive, send)
                return
        if exchange.head:
            scope["method"] = "GET"
        await self._app(scope, receive, send)

    def _exchange(self, scope: Scope) -> _Exchange:
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        origin = headers.get("origin")
        known = origin in self._origins and not scope["path"].startswith("/hooks/")
        head = scope["method"] == "HEAD"
        return _Exchange(
            request_id,
            origin if known else None,
            time.perf_counter(),
            head,
            is_protected(scope["path"]),
        )

    def _options(self, scope: Scope, allowed: list[str], exchange: _Exchange) -> Response:
        headers = {"allow": ", ".join(allowed)}
        asked = Headers(scope=scope).get("access-control-request-headers", "")
        if exchange.origin is not None:
            headers["access-control-allow-methods"] = ", ".join(allowed)
            headers["access-control-max-age"] = "600"
            if asked:
                headers["access-control-allow-headers"] = asked
        return Response(status_code=204, headers=headers)

    def _wrap(self, exchange: _Exchange, send: Send) -> Send:
        """Headers that every answer has; no body for HEAD."""

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                headers["x-request-id"] = exchange.request_id
                headers["x-content-type-options"] = "nosniff"
                if exchange.keyed:
                    headers["vary"] = VARY
                if self._origins:
                    headers.add_vary_header("Origin")
                if exchange.origin is not None:
                    headers["access-control-allow-origin"] = exchange.origin
                    headers["access-control-expose-headers"] = EXPOSED
            elif exchange.head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        return wrapped


def _account(scope: Scope, method: str, exchange: _Exchange) -> None:
    """Metrics and the log line. Routes are told as templates."""
    seconds = time.perf_counter() - exchange.began
    route = str(getattr(scope.get("route"), "path", "(none)"))
    status = exchange.status or 500
    known = method if method in _METHODS else "OTHER"
    HTTP_SECONDS.labels(route, known, str(status)).observe(seconds)
    caller = scope.get("dozor.caller")
    write = _LOG.debug if scope["path"] in _QUIET else _LOG.info
    write(
        "request",
        method=method,
        route=route,
        path=scope["path"],
        status=status,
        milliseconds=round(seconds * 1000, 1),
        request_id=exchange.request_id,
        key_id=caller.key_id if caller else None,
    )
