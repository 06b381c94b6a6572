"""Bitrix24's protocol put together: /rest/{user}/{secret}/{method}, batch, limits, events."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.portal.bitrix24.bound import Bound
from service.portal.bitrix24.changing import Changing
from service.portal.bitrix24.directory import Directory
from service.portal.bitrix24.events import Outgoings
from service.portal.bitrix24.fields import deal_fields
from service.portal.bitrix24.invoices import Invoices
from service.portal.bitrix24.log import History
from service.portal.bitrix24.methods import Method, Methods
from service.portal.bitrix24.oauth import OAuth
from service.portal.bitrix24.params import Params, RestError, Result, mapping
from service.portal.bitrix24.references import referred
from service.portal.bitrix24.writing import Writing
from service.portal.book import Change
from service.portal.brackets import build, parse
from service.portal.bucket import Bucket
from service.portal.control import answer as control_answer
from service.portal.control import json_object, refusal
from service.portal.dialect import Delivery
from service.portal.office import Office, from_unix

_REQUESTS_PER_SECOND, _BURST = 2, 50
_MOST_IN_BATCH = 50
_OPERATING_WINDOW = 600
_LIMITED = RestError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
_EXPIRED = RestError(401, "expired_token", "The access token provided has expired.")
_NO_AUTH = RestError(401, "NO_AUTH_FOUND", "Wrong authorization data")


class Bitrix24:
    """The dialect of Bitrix24."""

    answer_seconds = 5.0

    def __init__(self, office: Office) -> None:
        self._office = office
        self._history = History(office.book)
        self._outgoings = Outgoings(office)
        self._bound = Bound(office, self._outgoings)
        self._bucket = Bucket(office.clock, _REQUESTS_PER_SECOND, _BURST)
        self._counted: Counter[str] = Counter()
        self._operating: dict[str, tuple[float, int]] = {}
        directory = Directory(office, lambda: deal_fields(self._history))
        self._writing = Writing(office)
        reading = Methods(office, self._history).all()
        writing = {**self._writing.all(), **Changing(office, self._writing).all()}
        money = Invoices(office, self._writing).all()
        self._methods = {**reading, **directory.all(), **writing, **money, "method.get": self._has}
        user, _, secret = office.token.rpartition("/")
        self._token = (user or "1", secret)

    def routes(self) -> list[BaseRoute]:
        """REST, and by hand as in the portal: the outgoing webhook."""
        return [
            Route("/rest/{user}/{secret}/{method}", self._endpoint, methods=["GET", "POST"]),
            Route("/rest/{method}", self._endpoint, methods=["GET", "POST"]),
            Route("/_control/outgoing-webhook", self._make_outgoing, methods=["POST"]),
            *OAuth(self._office, self._outgoings.member_id, self._bound.token).routes(),
        ]

    def _has(self, params: Params) -> Result:
        """method.get: is there such a method."""
        there = str(params.get("name", "")).lower() in self._methods
        return Result({"isExisting": there, "isAvailable": there})

    async def _endpoint(self, request: Request) -> Response:
        body = await request.body()
        self._counted["requests"] += 1
        started = self._office.clock.monotonic()
        method = request.path_params["method"].removesuffix(".json").lower()
        try:
            params = _params(request, body)
            is_application = self._admit(request, params)
            with self._office.lock:
                self._history.catch_up()
                if method == "batch":
                    result = Result(self._batch(params, is_application))
                else:
                    result = self._call(method, params, is_application)
        except RestError as error:
            return _json(error.body(), error.status)
        found: dict[str, Any] = {"result": result.value}
        if result.next is not None:
            found["next"] = result.next
        if result.total is not None:
            found["total"] = result.total
        return _json({**found, "time": self._time(method, started)})

    def _admit(self, request: Request, params: Params) -> bool:
        """Whether an application calls (else an incoming webhook)."""
        is_application = "user" not in request.path_params
        if is_application:
            self._admit_application(params)
        elif (request.path_params["user"], request.path_params["secret"]) != self._token:
            self._counted["unauthorized"] += 1
            raise _NO_AUTH
        if self._office.limits and not self._bucket.take():
            self._counted["limited"] += 1
            raise _LIMITED
        if self._office.faults.status:
            self._counted["faults"] += 1
            raise RestError(self._office.faults.status, "INTERNAL_SERVER_ERROR", "Ordered fault")
        return is_application

    def _admit_application(self, params: Params) -> None:
        with self._office.lock:
            state = self._office.grants.state_of(str(params.get("auth", "")))
        if state != "good":
            self._counted["unauthorized"] += 1
            raise _EXPIRED if state == "expired" else _NO_AUTH

    def _call(self, name: str, params: Params, is_application: bool = False) -> Result:
        own = self._bound.methods() if is_application else {}
        method: Method | None = own.get(name) or self._methods.get(name)
        if method is None:
            raise RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        return method(params)

    def _inner(self, name: str, query: str, is_application: bool) -> Result:
        if name == "batch":
            raise RestError(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method not allowed")
        return self._call(name, parse(query), is_application)

    def _batch(self, params: Params, is_application: bool) -> dict[str, Any]:
        """`batch`: up to fifty commands."""
        commands = _commands(params)
        if len(commands) > _MOST_IN_BATCH:
            raise RestError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
        halt = str(params.get("halt", 0)) in {"1", "true", "True"}
        parts: dict[str, dict[str, Any]] = {
            name: {} for name in ("result", "error", "total", "next", "time")
        }
        for key, command in commands.items():
            started = self._office.clock.monotonic()
            name, _, query = referred(str(command), parts["result"]).partition("?")
            try:
                found = self._inner(name.removesuffix(".json").lower(), query, is_application)
            except RestError as error:
                parts["error"][key] = error.body()
                if halt:
                    break
                continue
            parts["result"][key] = found.value
            parts["time"][key] = self._time(name, started)
            if found.total is not None:
                parts["total"][key] = found.total
            if found.next is not None:
                parts["next"][key] = found.next
        result = _php(parts.pop("result"))
        return {"result": result, **{f"result_{name}": _php(p) for name, p in parts.items()}}

    def _time(self, method: str, started: float) -> dict[str, Any]:
        clock = self._office.clock
        real = (clock.monotonic() - started) / clock.speed
        finish = clock.now().timestamp()
        began, used = self._operating.get(method, (finish, 0))
        if finish - began > _OPERATING_WINDOW:
            began, used = finish, 0
        used += math.ceil(real * 1e6)
        self._operating[method] = (began, used)
        begin = finish - real
        return {
            "start": begin,
            "finish": finish,
            "duration": real,
            "processing": real,
            "date_start": self._office.local_iso(from_unix(int(begin))),
            "date_finish": self._office.local_iso(from_unix(int(finish))),
            "operating_reset_at": int(began) + _OPERATING_WINDOW,
            "operating": used / 1e6,
        }

    async def _make_outgoing(self, request: Request) -> Response:
        """POST {"url", "events", "application_token"?}: answers the webhook with its token."""
        body = await json_object(request)
        if body is None:
            return refusal("the body must be a JSON object")
        url, events, token = (body.get(name) for name in ("url", "events", "application_token"))
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return refusal("url must be an http or https address")
        if not isinstance(events, list) or not all(isinstance(name, str) for name in events):
            return refusal("events must be a list of event names")
        if token is not None and not isinstance(token, str):
            return refusal("application_token must be text")
        try:
            with self._office.lock:
                made = self._outgoings.put(url, events, token)
        except ValueError as error:
            return refusal(str(error))
        return control_answer(
            {
                "url": made.url,
                "events": made.events,
                "application_token": made.application_token,
                "member_id": self._outgoings.member_id,
            }
        )

    def deliveries(self, change: Change) -> Sequence[Delivery]:
        """The events of a change."""
        return self._outgoings.deliveries(change)

    def headers(self) -> dict[str, str]:
        """Headers as captured."""
        return {
            "User-Agent": "Bitrix24 Webhook Engine",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def is_on(self, destination: str) -> bool:
        """Is the outgoing webhook still there."""
        return self._outgoings.has(destination)

    def note_answer(self, destination: str, code: int) -> None:
        """Bitrix24 does not switch webhooks off."""

    def wait_after(self, tries: int, code: int) -> timedelta | None:
        """No retries: an event that is not taken is lost."""
        return None

    def stats(self) -> dict[str, object]:
        """REST counters and outgoing webhooks."""
        return {
            "rest": dict(self._counted),
            "hooks": self._outgoings.state(),
            "notifications": self._writing.state(),
        }


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _params(request: Request, body: bytes) -> Params:
    """Parameters of the query, then of the body (JSON or form), as PHP would see them."""
    query = build(parse_qsl(request.url.query, keep_blank_values=True))
    if not body.strip():
        return query
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {**query, **parse(body.decode("utf-8", "replace"))}
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise RestError(400, "INVALID_REQUEST", "Request body is not JSON") from None
    return {**query, **found} if isinstance(found, dict) else query


def _php(found: dict[str, Any]) -> object:
    """As json_encode writes an array: a list if its keys are 0, 1, 2, ... (so too an empty one)."""
    is_list = all(key == str(place) for place, key in enumerate(found))
    return list(found.values()) if is_list else found


def _commands(params: Params) -> Mapping[str, Any]:
    found = params.get("cmd")
    if isinstance(found, list):
        return {str(place): command for place, command in enumerate(found)}
    return mapping(params, "cmd")
