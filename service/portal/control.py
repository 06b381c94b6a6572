"""The control interface of a simulated portal: /_control/, for the demo and for tests."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.portal.book import Book, Change
from service.portal.courier import Courier
from service.portal.dialect import Dialect
from service.portal.driver import Driver
from service.portal.grants import Client
from service.portal.mischief import BROKEN
from service.portal.office import Faults, Office

Truth = Callable[[Book, dict[str, str]], dict[str, Any]]
JOURNAL_PAGE = 1000


def answer(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def refusal(detail: str, status: int = 400) -> Response:
    """An error with one clear sentence."""
    return answer({"error": detail}, status)


async def json_object(request: Request) -> dict[str, Any] | None:
    """The body as a JSON object; None if it is none."""
    try:
        found = msgspec.json.decode(await request.body())
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


class Control:
    """The routes under /_control/."""

    def __init__(self, office: Office, dialect: Dialect, courier: Courier) -> None:
        self._office = office
        self._dialect = dialect
        self._courier = courier
        self.driver: Driver | None = None
        self.truth: Truth | None = None
        self.log: Iterable[Mapping[str, Any]] = ()

    def routes(self) -> list[BaseRoute]:
        """What every portal has, whatever its CRM."""
        return [
            Route("/_control/stats", self.stats),
            Route("/_control/journal", self.journal),
            Route("/_control/truth", self.tell_truth),
            Route("/_control/requests", self.requests),
            Route("/_control/faults", self.faults, methods=["POST"]),
            Route("/_control/driver", self.drive, methods=["POST"]),
            Route("/_control/watched", self.watch, methods=["POST"]),
            Route("/_control/oauth", self.oauth, methods=["GET", "POST"]),
            Route("/_control/oauth/{what}", self.end_oauth, methods=["POST"]),
        ]

    async def stats(self, request: Request) -> Response:
        """GET stats: the clock, sizes, hooks, REST counters, the driver."""
        office = self._office
        with office.lock:
            book = office.book
            sizes = {
                name: len(getattr(book, name))
                for name in (
                    "users",
                    "contacts",
                    "deals",
                    "tasks",
                    "calls",
                    "notes",
                    "messages",
                    "inquiries",
                )
            }
            body = {
                "kind": office.kind,
                "now": office.clock.now(),
                "journal": len(book.journal),
                **sizes,
                "deliveries": self._courier.stats(),
                **self._dialect.stats(),
            }
        driver = self.driver
        if driver is not None:
            body["driver"] = {**_plain(driver.progress), "until": driver.until}
        return answer(body)

    async def journal(self, request: Request) -> Response:
        """GET journal?since=N&limit=M: changes from the N-th on, and where to go on (`next`)."""
        try:
            since = int(request.query_params.get("since", "0"))
            limit = int(request.query_params.get("limit", str(JOURNAL_PAGE)))
        except ValueError:
            return refusal("since and limit must be whole numbers")
        with self._office.lock:
            found = self._office.book.journal[max(since, 0) : max(since, 0) + max(limit, 0)]
        changes = [_change(number, change) for number, change in enumerate(found, max(since, 0))]
        return answer({"next": max(since, 0) + len(found), "changes": changes})

    async def tell_truth(self, request: Request) -> Response:
        """GET truth?what=...: the department's own bookkeeping, from a copy of the book."""
        truth = self.truth
        if truth is None:
            return refusal("this portal was started without the department's bookkeeping", 501)
        book = self._office.snapshot()
        try:
            found = await run_in_threadpool(truth, book, dict(request.query_params))
        except (ValueError, KeyError) as error:
            return refusal(f"truth: {error}")
        return answer(found)

    async def requests(self, request: Request) -> Response:
        """GET requests: the last REST calls: at, method, path without secrets, status."""
        return answer(list(self.log))

    async def faults(self, request: Request) -> Response:
        """POST faults {...}: what is not given is switched off (`office.Faults` says what is)."""
        body = await json_object(request)
        if body is None:
            return refusal("the body must be a JSON object")
        try:
            faults = msgspec.convert(body, Faults)
        except msgspec.ValidationError as error:
            return refusal(str(error))
        unknown = set(body) - set(Faults.__dataclass_fields__)
        if unknown:
            return refusal(f"unknown fault {min(unknown)!r}")
        if not (0 <= faults.drop <= 1 and 0 <= faults.duplicate <= 1):
            return refusal("drop and duplicate must lie between 0 and 1")
        if not (0 <= faults.errors <= 1 and 0 <= faults.slow_seconds <= 300):
            return refusal("errors must lie between 0 and 1, slow_seconds between 0 and 300")
        if faults.broken and faults.broken not in BROKEN:
            return refusal(f"broken must be empty or one of {', '.join(sorted(BROKEN))}")
        if faults.status and not 400 <= faults.status < 600:
            return refusal("status must be 0 or an HTTP error, 400 to 599")
        for name, value in asdict(faults).items():
            setattr(self._office.faults, name, value)
        return answer(asdict(self._office.faults))

    async def oauth(self, request: Request) -> Response:
        """POST oauth {client_id, client_secret, redirect_uri, install_uri?}: an integration."""
        grants = self._office.grants
        if request.method == "POST":
            try:
                client = msgspec.convert(await json_object(request), Client)
            except msgspec.ValidationError as error:
                return refusal(str(error))
            with self._office.lock:
                grants.register(client)
        return answer(
            {
                "clients": sorted(grants.clients),
                "exchanges": grants.exchanges,
                "refused": grants.refused,
            }
        )

    async def end_oauth(self, request: Request) -> Response:
        """POST oauth/expire: access tokens end now; oauth/revoke: everything is withdrawn.

        oauth/move {"home": "host:port"} (amoCRM): the account answers at this host only.
        """
        if request.path_params["what"] == "move":
            home = (await json_object(request) or {}).get("home")
            if not isinstance(home, str):
                return refusal("home is missing: a host, with its port")
            self._office.grants.home = home
            return answer({})
        ends = {"expire": self._office.grants.expire, "revoke": self._office.grants.revoke}
        end = ends.get(request.path_params["what"])
        if end is None:
            return refusal("there are expire, revoke and move", 404)
        with self._office.lock:
            end()
        return answer({})

    async def drive(self, request: Request) -> Response:
        """POST driver {"until": instant or null}: when the department stops living."""
        body = await json_object(request)
        if body is None or "until" not in body:
            return refusal("until is missing: an ISO instant or null")
        if self.driver is None:
            return refusal("nobody lives in this portal", 409)
        try:
            until = None if body["until"] is None else datetime.fromisoformat(body["until"])
        except (TypeError, ValueError):
            return refusal(f"until: {body['until']!r} is not an ISO instant")
        if until is not None and until.tzinfo is None:
            return refusal("until has no time zone; write for example 2026-03-02T07:00:00Z")
        self.driver.end_at(until)
        return answer({"until": until})

    async def watch(self, request: Request) -> Response:
        """POST watched: somebody has read the history, and hears what happens from now on."""
        with self._office.lock:
            self._office.book.watched = True
        return answer({"watched": True})


def _plain(value: object) -> dict[str, Any]:
    found = msgspec.to_builtins(value)
    return found if isinstance(found, dict) else {}


def _change(number: int, change: Change) -> dict[str, Any]:
    image = change.after or change.before
    return {"n": number, "kind": type(image).__name__.lower(), **_plain(change)}
