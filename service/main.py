"""The HTTP application: routers, layers, handlers; nothing else."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from service import __version__
from service.api import (
    absences,
    alerts,
    changes,
    deals,
    directory,
    exports,
    funnel,
    hygiene,
    inbox,
    kpis,
    me,
    mutes,
    odata,
    ops,
    plan_fact,
    plan_files,
    plan_gap,
    plan_split,
    plan_states,
    plans,
    rule_files,
    rule_norm,
    rules,
    settings_document,
    subscriptions,
    tasks,
    violation_actions,
    violations,
    work_calendar,
    workload,
)
from service.api.auth import KeyRing
from service.api.deps import Services
from service.api.frame import Frame
from service.api.gate import Gate, GateMiddleware
from service.api.limits import Limiter, Running
from service.api.problems import answer, not_found, problem
from service.api.router import Router, allowed_methods
from service.clock import Clock
from service.domain.ports import Adapter
from service.errors import ApiError, ConfigError
from service.files import read_text
from service.rules.book import RuleBook
from service.rules.loading import load_book
from service.settings import Settings
from service.store.handles import Engine

GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 5
WRONG_KEYS_PER_MINUTE = 20
BULK_TIMES, MOST_RUNNING = 2, 4  # exports and OData: of one key, so often and so many at once
ROUTERS: Sequence[Router] = (
    violations.router,
    violation_actions.router,
    mutes.router,
    directory.router,
    absences.router,
    deals.router,
    tasks.router,
    rule_files.router,
    rule_norm.router,
    rules.router,
    inbox.router,
    settings_document.router,
    me.router,
    ops.router,
    kpis.router,
    funnel.router,
    plans.router,
    plan_fact.router,
    work_calendar.router,
    plan_gap.router,
    plan_split.router,
    plan_states.router,
    plan_files.router,
    workload.router,
    hygiene.router,
    alerts.router,
    subscriptions.router,
    exports.router,
    changes.router,
    odata.router,
)


def create_app(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    *,
    ready: Callable[[], dict[str, str]],
    book: RuleBook | None = None,
    adapters: Mapping[str, Adapter] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The application.

    Args:
        settings: the installation's settings.
        engine: the database; not asked before the first request.
        clock: tells `now`.
        ready: the checks of `/readyz`: name -> `ok`, or in a few words why not. May block for
            five seconds.
        book: the rules; by default the built-in ones and those of `DOZOR_RULES_FILE`.
        adapters: CRM adapters by name, for links into the CRM; by default all that there are.
        monotonic: real seconds for rate limits and the memory of keys.

    Returns:
        The application; `app.state.services.ending = True` makes `/readyz` answer 503;
        `app.state.services.try_rules` is what `POST /v1/rules/try` asks.

    Raises:
        ConfigError: the rule file cannot be used.
    """
    services = Services(
        settings=settings,
        engine=engine,
        clock=clock,
        book=book or read_book(settings),
        ready=ready,
        keys=KeyRing(engine, monotonic),
        **_limits(settings, monotonic),
        adapters=_all_adapters() if adapters is None else adapters,
    )
    gate = Gate(services)
    routes = [route for router in ROUTERS for route in router.routes]
    app = FastAPI(
        title="Dozor",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=routes,
        middleware=[
            Middleware(Frame, services=services, routes=routes),
            Middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL),
            Middleware(GateMiddleware, gate=gate),
        ],
        exception_handlers={HTTPException: _refuse, ApiError: _refuse},
    )
    app.state.services = services
    app.state.gate = gate
    return app


def _limits(settings: Settings, monotonic: Callable[[], float]) -> dict[str, Any]:
    """How much of what a key, or an address, may ask."""
    return {
        "limiter": Limiter(settings.rate_limit_per_minute, monotonic),
        "bulk": Limiter(settings.rate_limit_per_minute * BULK_TIMES, monotonic),
        "running": Running(MOST_RUNNING),
        "wrong_keys": Limiter(WRONG_KEYS_PER_MINUTE, monotonic),
    }


def _all_adapters() -> Mapping[str, Adapter]:
    from service.crm import ADAPTERS

    return ADAPTERS


def read_book(settings: Settings) -> RuleBook:
    """The built-in rules with the installation's file of rules, if any.

    Raises:
        ConfigError: the file cannot be read or used; names the setting, line and column.
    """
    path = settings.rules_file
    if path is None:
        return load_book()
    text = read_text(path, "DOZOR_RULES_FILE")
    try:
        return load_book(text, str(path))
    except ConfigError as error:
        raise ConfigError(f"DOZOR_RULES_FILE: {error}") from None


async def _refuse(request: Request, error: Exception) -> Response:
    """What the router itself refuses (404, 405), and errors raised outside a route."""
    known = error if isinstance(error, ApiError) else _as_problem(request, error)
    return answer(known, request.url.path, request.scope["dozor.request_id"])


def _as_problem(request: Request, error: Exception) -> ApiError:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        return not_found()
    if error.status_code == 405:
        allowed = ", ".join(allowed_methods(request.app.routes, request.url.path))
        detail = f"This address answers {allowed}."
        return problem("method_not_allowed", detail, headers={"allow": allowed})
    return problem("invalid_body", str(error.detail))
