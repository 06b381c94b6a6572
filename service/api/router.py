"""The one router class.

Each route checks, in this order: scope, media type and size of the body, query parameters (unknown,
repeated, wrong), the body's JSON, the form of ids; and ends with tags and problems.
"""

from collections.abc import Callable, Coroutine, Iterable
from enum import Enum
from functools import cached_property
from typing import Any

from fastapi import APIRouter
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Message

from service import log
from service.api import bodies, conditional, deps, idempotency
from service.api.auth import Require, check_scope
from service.api.params import is_id
from service.api.problems import (
    answer,
    fault,
    from_faults,
    near,
    not_found,
    problem,
    shown,
    unavailable,
)
from service.errors import ApiError
from service.store.reads.faults import is_too_long, is_unavailable

_LOG = log.get(__name__)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """A route with the conventions of api.md 1."""

    @cached_property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that its dependencies require."""
        return tuple(
            dependency.call.scope
            for dependency in _all_dependencies(self.dependant)
            if isinstance(dependency.call, Require)
        )

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the query parameters it knows."""
        return tuple(field.alias for field in self._query_fields)

    @cached_property
    def _query_fields(self) -> list[ModelField]:
        nested = [self.dependant, *_all_dependencies(self.dependant)]
        return [field for dependant in nested for field in dependant.query_params]

    @cached_property
    def body_rule(self) -> bodies.BodyRule | None:
        """What it accepts as a body; None = it takes none."""
        marked: bodies.BodyRule | None = getattr(self.endpoint, "dozor_body", None)
        if marked is None and self.body_field is not None:
            return bodies.BodyRule(optional=not self.body_field.field_info.is_required())
        return marked

    @property
    def verbs(self) -> set[str]:
        """The methods that it answers."""
        return self.methods or set()

    @property
    def is_safe(self) -> bool:
        """Whether a POST changes nothing."""
        return bool(getattr(self.endpoint, "dozor_safe", False))

    def get_route_handler(self) -> Handler:
        """FastAPI's handler inside our checks."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await self._answer(request, inner)
            except conditional.NotModified as known:
                response = conditional.not_modified(known.tag)
            except Exception as error:  # noqa: BLE001 - raised again if it is not ours
                response = self.refusal(request, error)
            if request.method in ("GET", "HEAD") and request.url.path.startswith("/v1/"):
                response = conditional.finish(request, response)
            return response

        return handler

    async def _answer(self, request: Request, inner: Handler) -> Response:
        for scope in self.scopes:
            check_scope(request, scope)
        body = b""
        if self.body_rule is not None:
            body = await bodies.read(request, self.body_rule)
            request = _with_body(request, body)
        self._check_query(request)
        if body and self.body_field is not None:
            bodies.check_json(body)
        if not all(is_id(str(value)) for value in request.path_params.values()):
            raise not_found()
        if request.method == "POST" and not self.is_safe:
            key = idempotency.key_of(request)
            if key is not None and "dozor.caller" in request.scope:
                return await self._once(request, inner, key, body)
        return await inner(request)

    async def _once(self, request: Request, inner: Handler, key: str, body: bytes) -> Response:
        async def work() -> Response:
            try:
                return await inner(request)
            except (ApiError, RequestValidationError) as error:
                return self.refusal(request, error)

        return await idempotency.once(request, key, body, work)

    def _check_query(self, request: Request) -> None:
        """All faults of the address at once.

        Raises:
            ApiError: unknown_parameter, duplicate_parameter, invalid_parameter.
        """
        faults = list(self._strangers(request))
        if faults:
            errors = request_params_to_args(self._query_fields, request.query_params)[1]
            faults += bodies.faults_of(errors)
            raise from_faults(faults, "invalid_parameter")

    def _strangers(self, request: Request) -> Iterable[dict[str, Any]]:
        seen: set[str] = set()
        for name, value in request.query_params.multi_items():
            if name not in self.parameters:
                detail = f"There is no parameter {shown(name)}."
                hints = near(name, self.parameters)
                yield fault("unknown_parameter", detail, parameter=name, did_you_mean=hints)
            elif name in seen:
                detail = f"The parameter {name} stands twice; write lists with commas."
                yield fault("duplicate_parameter", detail, parameter=name)
            elif "\x00" in value:
                detail = f"{name} must not hold the character U+0000."
                yield fault("invalid_parameter", detail, parameter=name)
            seen.add(name)

    def refusal(self, request: Request, error: Exception) -> Response:
        """What an exception of this route is answered.

        Raises:
            Exception: the error itself, if it is none of those that we know.
        """
        known = self._as_problem(error)
        if known is None:
            raise error
        return answer(known, request.url.path, request.scope["dozor.request_id"])

    def _as_problem(self, error: Exception) -> ApiError | None:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, RequestValidationError):
            model = self.body_field.field_info.annotation if self.body_field else None
            errors = error.errors()
            in_body = any(entry["loc"][0] == "body" for entry in errors)
            mixed = "invalid_body" if in_body else "invalid_parameter"
            return from_faults(bodies.faults_of(errors, model), mixed)
        if is_too_long(error):
            detail = f"The query ran longer than {deps.QUERY_SECONDS:g} s; ask for less."
            return problem("query_timeout", detail)
        if is_unavailable(error):
            _LOG.error("database_unavailable", error=type(error).__name__)
            return unavailable()
        return None


class Router(APIRouter):
    """`Router(prefix="/v1", tags=["Deals"])`: makes `Route`s; operation ids are function names."""

    def __init__(self, prefix: str = "", tags: list[str | Enum] | None = None) -> None:
        super().__init__(
            prefix=prefix,
            tags=tags,
            route_class=Route,
            redirect_slashes=False,
            generate_unique_id_function=lambda route: route.name,
        )


def allowed_methods(routes: Iterable[BaseRoute], path: str) -> list[str]:
    """The methods that some route answers at a path, HEAD and OPTIONS among them; empty = none."""
    scope = {"type": "http", "path": path, "method": "OPTIONS", "root_path": ""}
    found: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    if "GET" in found:
        found.add("HEAD")
    return sorted(found | {"OPTIONS"}) if found else []


def _all_dependencies(dependant: Dependant) -> Iterable[Dependant]:
    for dependency in dependant.dependencies:
        yield dependency
        yield from _all_dependencies(dependency)


def _with_body(request: Request, body: bytes) -> Request:
    """The same request with its body read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
