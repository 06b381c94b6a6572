"""`/healthz`, `/readyz`, `/version`, `/openapi.json`, `/metrics`; no key (api.md 3.14)."""

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from service import __version__, log
from service.api import openapi
from service.api.deps import CallDep, Services, json_answer, services_of
from service.api.gate import Gate
from service.api.problems import not_found
from service.api.router import Router
from service.api.schemas import Health, Ready, Version
from service.metrics import (
    HOOKS_LOST,
    INBOX_DEPTH,
    INBOX_OLDEST,
    INBOX_PARKED,
    OPENMETRICS_TYPE,
    PIPELINE_LAG,
    PORTAL_DOWN,
    TEXT_TYPE,
    expose,
)
from service.store.engine import reading
from service.store.reads.faults import is_unavailable
from service.store.reads.ops import inbox_figures, lags, lost_hooks, portals_down

router = Router(tags=["Operations"])
_LOG = log.get(__name__)
CHECK_SECONDS = 5.0


@router.get("/healthz", response_model=Health)
async def healthz() -> Any:
    """200 while the process turns; asks no database."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Ready, responses={503: {"model": Ready}})
async def readyz(request: Request) -> Response:
    """Whether requests can be served: database, schema, inbox. 503 from SIGTERM on."""
    services = services_of(request)
    try:
        checks = await asyncio.wait_for(run_in_threadpool(services.ready), CHECK_SECONDS)
    except TimeoutError:
        checks = {"database": f"no answer in {CHECK_SECONDS:.0f} s"}
    good = all(result == "ok" for result in checks.values())
    status = "stopping" if services.ending else "ready" if good else "not_ready"
    headers = {} if status == "ready" else {"retry-after": "5"}
    code = 200 if status == "ready" else 503
    return json_answer({"status": status, "checks": checks}, code, headers)


@router.get("/version", response_model=Version)
async def version(request: Request) -> Any:
    """Version of the service, its build and the API."""
    commit = services_of(request).settings.commit or None
    return {"version": __version__, "commit": commit, "api": "v1"}


@router.get("/openapi.json", response_class=Response, include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The schema, as committed in the repository."""
    text = openapi.dump(openapi.cached(request.app))
    return Response(text, media_type="application/json")


async def _metrics_key(call: CallDep) -> None:
    """`/metrics` needs a key with metrics:read unless the installation makes it public."""
    if call.settings.metrics_public:
        return
    gate: Gate = call.request.app.state.gate
    await gate.admit(call.request, "metrics:read")


_METRICS_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {TEXT_TYPE: {"schema": {"type": "string"}}}}
}


@router.get(
    "/metrics",
    response_class=Response,
    responses=_METRICS_CONTENT,
    dependencies=[Depends(_metrics_key)],
)
def metrics(request: Request) -> Response:
    """What Prometheus reads; OpenMetrics when asked for."""
    _set_gauges(services_of(request))
    body, kind = expose(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": kind})


def _set_gauges(services: Services) -> None:
    """Gauges about the database; when it is away they keep what they were."""
    try:
        with reading(services.engine) as connection:
            figures = inbox_figures(connection)
            lag_by_account = lags(connection, services.now())
            lost_by_account = lost_hooks(connection)
            down_by_account = portals_down(connection)
    except Exception as error:
        if not is_unavailable(error):
            raise
        _LOG.warning("metrics_without_database")
        return
    INBOX_DEPTH.set(figures.pending)
    INBOX_PARKED.set(figures.parked)
    oldest = figures.oldest_at
    INBOX_OLDEST.set(0 if oldest is None else max(0, services.now() - oldest))
    PIPELINE_LAG.clear()
    for account, seconds in lag_by_account.items():
        PIPELINE_LAG.labels(account).set(seconds)
    PORTAL_DOWN.clear()
    for account, is_down in down_by_account.items():
        PORTAL_DOWN.labels(account).set(is_down)
    HOOKS_LOST.clear()
    for account, lost in lost_by_account.items():
        HOOKS_LOST.labels(account).set(lost)


@router.post("/hooks/{crm}/{token}", include_in_schema=False)
async def hook(crm: str, token: str) -> Annotated[Any, None]:
    """Hooks are taken by the door before this application; one that comes here is unknown."""
    raise not_found()


__all__ = ["OPENMETRICS_TYPE", "router"]
