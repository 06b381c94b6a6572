"""What a trusted proxy says of the address that the client used: `X-Forwarded-For/Proto/Host/Port`.

Links in answers (`@odata.nextLink`) are made from it where `DOZOR_PUBLIC_URL` is not set. From
anybody else these headers are ignored.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?P<port>:\d{1,5})?")
_PORT = re.compile(r"\d{1,5}")
_USUAL = {"https": "443", "http": "80"}


class Forwarded:
    """ASGI middleware. `trusted`: addresses or networks, separated by commas; `*` = everybody."""

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        hosts = [one.strip() for one in trusted.split(",") if one.strip()]
        self._proxy = ProxyHeadersMiddleware(self._told_scheme, hosts)  # type: ignore[arg-type]
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers if the other side is trusted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        if client is None or client[0] not in self._proxy.trusted_hosts:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("x-forwarded-host", "").partition(",")[0].strip()
        port = headers.get("x-forwarded-port", "").partition(",")[0].strip()
        scope = {**scope, "dozor.forwarded": (host, port), "headers": list(scope["headers"])}
        await self._proxy(scope, receive, send)  # type: ignore[arg-type]

    async def _told_scheme(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Scheme and client are the told ones by now; the host follows."""
        host, port = scope["dozor.forwarded"]
        match = _HOST.fullmatch(host)
        if match is not None:
            usual = _USUAL.get(scope["scheme"])
            told = f":{port}" if _PORT.fullmatch(port) and port != usual else ""
            name = f"{match['name']}{match['port'] or told}"
            MutableHeaders(raw=scope["headers"])["host"] = name
        await self._app(scope, receive, send)
