"""What stands before a simulated portal's REST: the log of requests, and faults on demand."""

import asyncio
import gzip
import random
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.portal.office import Office

KEPT = 1000
_SECRET = re.compile(r"^/rest/\d+/[^/]+/")
_NGINX = b"<html><head><title>%d</title></head><body><center><h1>nginx</h1></center></body></html>"
_LIMIT = b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}'
_ANSWERS: Mapping[str, tuple[int, dict[str, str], bytes]] = {
    "html_403": (403, {"content-type": "text/html"}, _NGINX % 403),
    "html_500": (500, {"content-type": "text/html"}, _NGINX % 500),
    "html_200": (200, {"content-type": "text/html"}, _NGINX % 200),
    "gzip": (200, {"content-type": "application/json", "content-encoding": "gzip"}, b"no gzip"),
    "gzip_cut": (
        200,
        {"content-type": "application/json", "content-encoding": "gzip"},
        gzip.compress(b'{"result": []}' * 50)[:-20],
    ),
    "half": (200, {"content-type": "application/json", "content-length": "4096"}, b'{"_embedded'),
    "list": (200, {"content-type": "application/json"}, b"[1, 2, 3]"),
    "redirect": (302, {"location": "https://elsewhere.example/"}, b""),
    "error_200": (200, {"content-type": "application/json"}, _LIMIT),
}
BROKEN = frozenset(_ANSWERS)


class Mischief:
    """Wraps the portal's application; /_control/ is let through untouched."""

    def __init__(self, app: ASGIApp, office: Office) -> None:
        self._app = app
        self._office = office
        self._random = random.Random(0)
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self._app(scope, receive, send)
            return
        line = {
            "at": self._office.clock.now(),
            "method": scope["method"],
            "path": _SECRET.sub("/rest/***/", scope["path"]),
            "status": 0,
        }
        self.log.append(line)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
            await send(message)

        faults = self._office.faults
        if faults.slow_seconds:
            await asyncio.sleep(faults.slow_seconds)
        if faults.broken:
            await _break(faults.broken, told)
        elif self._random.random() < faults.errors:
            await _answer(503, {"content-type": "text/html"}, _NGINX % 503, told)
        else:
            await self._app(scope, receive, told)


async def _break(kind: str, send: Send) -> None:
    status, headers, body = _ANSWERS[kind]
    await _answer(status, headers, body, send)


async def _answer(status: int, headers: Mapping[str, str], body: bytes, send: Send) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
