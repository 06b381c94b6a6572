"""amoCRM's protocol put together: routes with token and rate limit, hooks with their retries."""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.portal.amocrm import (
    activity,
    catalogs,
    changing,
    leads,
    people,
    pipelines,
    writing,
)
from service.portal.amocrm.answers import problem
from service.portal.amocrm.hooks import HookWriter
from service.portal.amocrm.log import EventLog
from service.portal.amocrm.oauth import OAuth
from service.portal.amocrm.query import Ask, BadQueryError
from service.portal.amocrm.webhooks import Hooks
from service.portal.book import Change
from service.portal.brackets import build
from service.portal.bucket import Bucket
from service.portal.dialect import Delivery
from service.portal.office import Office

_REQUESTS_PER_SECOND = 7
_MOST_LIMITED, _PATIENCE_SECONDS, _BLOCKED_SECONDS = 100, 60.0, 600.0
_BLOCKED = "<html><head><title>403 Forbidden</title></head><body>nginx</body></html>"
_WAITS = (
    (timedelta(minutes=5), False),
    (timedelta(minutes=15), False),
    (timedelta(minutes=15), True),
    (timedelta(hours=1), True),
)
"""The wait before tries 2 to 5, and whether that try is only made after a 499 or a 5xx."""
Handler = Callable[[Office, Ask], Response]


class AmoCrm:
    """The dialect of amoCRM."""

    answer_seconds = 2.0

    def __init__(self, office: Office) -> None:
        self._office = office
        self._log = EventLog(office.book)
        self._hooks = Hooks(office)
        self._writer = HookWriter(office)
        self._bucket = Bucket(office.clock, _REQUESTS_PER_SECOND, _REQUESTS_PER_SECOND)
        self._counted: Counter[str] = Counter()
        self._limited: deque[float] = deque()
        self._blocked_until = float("-inf")

    def routes(self) -> list[BaseRoute]:
        """All of /api/v4."""
        reading: dict[str, Handler] = {
            "account": people.account,
            "users": people.users,
            "users/{id:int}": people.user,
            "contacts": people.contacts,
            "contacts/custom_fields": people.contact_fields,
            "companies": people.companies,
            "contacts/notes": lambda office, ask: activity.contact_notes(office, self._log, ask),
            "contacts/{id:int}": people.contact,
            "contacts/{id:int}/notes": (
                lambda office, ask: activity.contact_notes(office, self._log, ask)
            ),
            "leads/pipelines": pipelines.pipelines,
            "leads/pipelines/{id:int}": pipelines.pipeline,
            "leads/pipelines/{id:int}/statuses": pipelines.statuses,
            "leads/loss_reasons": pipelines.loss_reasons,
            "leads/custom_fields": pipelines.custom_fields,
            "leads/unsorted": activity.unsorted,
            "leads/notes": lambda office, ask: activity.lead_notes(office, self._log, ask),
            "leads": leads.leads,
            "leads/{id:int}": leads.lead,
            "leads/{id:int}/links": leads.links,
            "leads/{id:int}/notes": (
                lambda office, ask: activity.lead_notes(office, self._log, ask)
            ),
            "leads/{id:int}/notes/{note:int}": (
                lambda office, ask: activity.lead_note(office, self._log, ask)
            ),
            "catalogs": catalogs.catalogs,
            "catalogs/{id:int}/elements": catalogs.elements,
            "tasks": activity.tasks,
            "tasks/{id:int}": activity.task,
            "events": lambda office, ask: activity.events(office, self._log, ask),
        }
        writing_to: dict[str, dict[str, Handler]] = {
            "leads": {"POST": changing.add_leads, "PATCH": changing.edit_leads},
            "leads/{id:int}": {"PATCH": changing.edit_leads},
            "leads/notes": {"POST": writing.add_notes},
            "leads/{id:int}/notes": {"POST": writing.add_notes},
            "tasks": {"POST": writing.add_tasks, "PATCH": changing.edit_tasks},
            "tasks/{id:int}": {"PATCH": changing.edit_tasks},
        }
        routes = [
            self._route(path, {"GET": handler, **writing_to.get(path, {})})
            for path, handler in reading.items()
        ]
        subscriptions: dict[str, Handler] = {
            "GET": lambda _office, ask: self._hooks.read(ask),
            "POST": lambda _office, ask: self._hooks.subscribe(ask),
            "DELETE": lambda _office, ask: self._hooks.unsubscribe(ask),
        }
        oauth = OAuth(self._office).routes()
        return [*routes, self._route("webhooks", subscriptions), *oauth]

    def _route(self, path: str, handlers: dict[str, Handler]) -> BaseRoute:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            handler = handlers.get(request.method)
            if handler is None:
                return problem(405, "Method Not Allowed")
            return self._answer(request, body, handler)

        return Route(f"/api/v4/{path}", endpoint, methods=["GET", "POST", "DELETE", "PATCH"])

    def _answer(self, request: Request, body: bytes, handler: Handler) -> Response:
        self._counted["requests"] += 1
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        pairs = tuple(parse_qsl(request.url.query, keep_blank_values=True))
        parts = {name: str(value) for name, value in request.path_params.items()}
        ask = Ask(request.method, request.url.path, parts, pairs, build(pairs), body)
        try:
            with self._office.lock:
                return handler(self._office, ask)
        except BadQueryError as error:
            return problem(error.status, error.detail)

    def _refusal(self, request: Request) -> Response | None:
        if not self._office.is_home(request.headers.get("host", "")):
            return problem(401, "Account not found")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        with self._office.lock:
            state = self._office.grants.state_of(token)
        if token != self._office.token and state != "good":
            self._counted["unauthorized"] += 1
            return problem(401, "Invalid user name or password")
        if self._is_blocked():
            self._counted["blocked"] += 1
            return Response(_BLOCKED, 403, media_type="text/html")
        if self._office.limits and not self._bucket.take():
            self._counted["limited"] += 1
            self._limited.append(self._office.clock.monotonic())
            detail = "You have sent too many requests in a given amount of time."
            return problem(429, f"{detail} Please try again later.")
        if self._office.faults.status:
            self._counted["faults"] += 1
            return problem(self._office.faults.status, "A fault was ordered")
        return None

    def _is_blocked(self) -> bool:
        """Who goes on after many refusals is blocked for a while (amocrm.md 4.1)."""
        now = self._office.clock.monotonic()
        while self._limited and self._limited[0] < now - _PATIENCE_SECONDS:
            self._limited.popleft()
        if len(self._limited) > _MOST_LIMITED:
            self._blocked_until = now + _BLOCKED_SECONDS
            self._limited.clear()
        return now < self._blocked_until

    def deliveries(self, change: Change) -> Sequence[Delivery]:
        """One delivery for each body and each hook that wants it."""
        return [
            Delivery(destination, settings[0], body)
            for settings, body in self._writer.write(change)
            for destination in self._hooks.subscribed(*settings)
        ]

    def headers(self) -> dict[str, str]:
        """Headers as captured; the request id is new for each request."""
        return {
            "User-Agent": "amoCRM-Webhooks/3.0",
            "X-Amocrm-Requestid": str(uuid.uuid4()),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept-Encoding": "gzip",
        }

    def is_on(self, destination: str) -> bool:
        """Is the hook subscribed and switched on."""
        return self._hooks.is_on(destination)

    def note_answer(self, destination: str, code: int) -> None:
        """Count bad answers; too many switch the hook off."""
        self._hooks.note_answer(destination, code)

    def wait_after(self, tries: int, code: int) -> timedelta | None:
        """The table of amocrm.md 1.3: three tries for any bad answer, five for a 499 or 5xx."""
        if tries > len(_WAITS):
            return None
        wait, only_server_faults = _WAITS[tries - 1]
        server_fault = code == 499 or 500 <= code < 600
        return wait if server_fault or not only_server_faults else None

    def stats(self) -> dict[str, object]:
        """REST counters and hooks."""
        return {"rest": dict(self._counted), "hooks": self._hooks.state()}
