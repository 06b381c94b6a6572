"""Errors as `application/problem+json` (RFC 9457, api.md 1.1): a registry of codes, one renderer.

An endpoint says `raise problem("conflict", "The plan of 2026-11 is closed.")`. Every fault found
goes into `errors[]`; nothing of a stack, a statement or a file ever shows.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from service import log
from service.errors import ApiError

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 100


class Kind(NamedTuple):
    """What is fixed about a code."""

    status: int
    title: str


PROBLEMS: dict[str, Kind] = {
    "unknown_parameter": Kind(400, "Unknown query parameter"),
    "duplicate_parameter": Kind(400, "Repeated query parameter"),
    "invalid_parameter": Kind(400, "Invalid query parameter"),
    "bad_json": Kind(400, "Body is not JSON"),
    "invalid_body": Kind(400, "Invalid body"),
    "unknown_field": Kind(400, "Unknown field"),
    "unknown_property": Kind(400, "Unknown property"),
    "unknown_name": Kind(400, "Unknown name"),
    "invalid_header": Kind(400, "Invalid header"),
    "cursor_invalid": Kind(400, "Invalid cursor"),
    "cursor_mismatch": Kind(400, "Cursor of another query"),
    "range_too_long": Kind(400, "Range too long"),
    "too_many_cells": Kind(400, "Too many cells"),
    "too_many_rows": Kind(400, "Too many rows"),
    "grain_mismatch": Kind(400, "Grain does not fit"),
    "query_timeout": Kind(400, "Query took too long"),
    "key_in_query": Kind(400, "API key in the address"),
    "target_refused": Kind(400, "Target address refused"),
    "unauthenticated": Kind(401, "Not authenticated"),
    "scope_missing": Kind(403, "Scope missing"),
    "not_found": Kind(404, "Not found"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "not_acceptable": Kind(406, "Not acceptable"),
    "conflict": Kind(409, "Conflict"),
    "already_resolved": Kind(409, "Already resolved"),
    "plan_closed": Kind(409, "Plan closed"),
    "idempotency_running": Kind(409, "First request still running"),
    "cursor_expired": Kind(410, "Cursor expired"),
    "precondition_failed": Kind(412, "Precondition failed"),
    "too_large": Kind(413, "Too large"),
    "unsupported_media_type": Kind(415, "Unsupported media type"),
    "idempotency_mismatch": Kind(422, "Idempotency key used for another body"),
    "rate_limited": Kind(429, "Too many requests"),
    "too_many_running": Kind(429, "Too many running requests"),
    "internal": Kind(500, "Internal error"),
    "not_implemented": Kind(501, "Not implemented"),
    "unavailable": Kind(503, "Unavailable"),
    "overloaded": Kind(503, "Overloaded"),
    "starting": Kind(503, "Starting"),
}
NOT_FOUND = "There is nothing here for this key."
_PAUSE = {"retry-after": "30"}


def problem(
    code: str,
    detail: str,
    *,
    errors: Sequence[dict[str, Any]] = (),
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> ApiError:
    """An error to raise.

    Args:
        code: a name of the registry; it decides the status.
        detail: one clear sentence.
        errors: all faults found (see `fault`).
        headers: more response headers.
        extra: more members of the answer, for example `required_scope`.
    """
    kind = PROBLEMS[code]
    return ApiError(kind.status, code, detail, list(errors), dict(headers or {}), extra)


def fault(
    code: str,
    detail: str,
    *,
    parameter: str | None = None,
    pointer: str | None = None,
    header: str | None = None,
    did_you_mean: Iterable[str] = (),
) -> dict[str, Any]:
    """One entry of `errors[]`; exactly one of parameter, pointer (`#/rows/3/value`), header."""
    return {
        "parameter": parameter,
        "pointer": pointer,
        "header": header,
        "code": code,
        "detail": detail,
        "did_you_mean": list(did_you_mean),
    }


def bad_parameter(
    name: str, detail: str, code: str = "invalid_parameter", did_you_mean: Iterable[str] = ()
) -> ApiError:
    """One wrong query parameter."""
    entry = fault(code, detail, parameter=name, did_you_mean=did_you_mean)
    return problem(code, detail, errors=[entry])


def bad_body(
    pointer: str, detail: str, code: str = "invalid_body", did_you_mean: Iterable[str] = ()
) -> ApiError:
    """One wrong place of a body; `pointer` like `#/rows/3/value`."""
    entry = fault(code, detail, pointer=pointer, did_you_mean=did_you_mean)
    return problem(code, detail, errors=[entry])


def unknown_name(
    name: str, known: Iterable[str], what: str, *, parameter: str = "", pointer: str = ""
) -> ApiError:
    """A name that is in no registry (metric, rule, ...), with the near ones."""
    detail = f"There is no {what} {shown(name)}."
    hints = near(name, known)
    if pointer:
        return bad_body(pointer, detail, "unknown_name", hints)
    return bad_parameter(parameter, detail, "unknown_name", hints)


def not_found() -> ApiError:
    """No route, no object, or an account that the key does not see: one text for all."""
    return problem("not_found", NOT_FOUND)


def unavailable() -> ApiError:
    """The database cannot be reached now."""
    return problem("unavailable", "The database does not answer now; try again.", headers=_PAUSE)


def from_faults(faults: Sequence[dict[str, Any]], mixed: str) -> ApiError:
    """Several faults as one error: their common code, else `mixed`."""
    codes = {entry["code"] for entry in faults}
    code = codes.pop() if len(codes) == 1 else mixed
    return problem(code, faults[0]["detail"], errors=faults[:MOST_FAULTS])


def near(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that look like `name`, the nearest first."""
    return get_close_matches(name, list(known), n=3, cutoff=0.6)


def shown(value: str) -> str:
    """Foreign text as it may stand in an answer: quoted, short, masked."""
    short = value if len(value) <= 60 else value[:57] + "..."
    return repr(log.mask(short))


def body_of(error: ApiError, instance: str | None, request_id: str) -> bytes:
    """The JSON of a problem."""
    kind = PROBLEMS[error.code]
    document: dict[str, Any] = {
        "type": f"urn:dozor:problem:{error.code}",
        "code": error.code,
        "title": kind.title,
        "status": error.status,
        "detail": error.detail,
        "instance": None if instance is None else log.mask(instance),
        "request_id": request_id,
        "errors": error.errors,
        **error.extra,
    }
    return msgspec.json.encode(document)


def unknown_path(request_id: str) -> bytes:
    """The body of a 404 outside `/v1`, the same whatever was asked for (wrong hook tokens too)."""
    return body_of(not_found(), None, request_id)


def odata_body_of(error: ApiError) -> bytes:
    """The same as OData clients read it."""
    first: dict[str, Any] = error.errors[0] if error.errors else {}
    told: dict[str, Any] = {
        "code": error.code,
        "message": error.detail,
        "target": first.get("parameter") or first.get("header"),
        "details": [],
    }
    return msgspec.json.encode({"error": told})


def answer(error: ApiError, path: str, request_id: str) -> Response:
    """The response of an error. Unknown paths outside `/v1` all look alike (`instance` null)."""
    if path == "/odata" or path.startswith("/odata/"):
        return Response(
            odata_body_of(error),
            status_code=error.status,
            headers={**error.headers, "odata-version": "4.0"},
            media_type="application/json",
        )
    alike = error.code == "not_found" and not path.startswith(("/v1/", "/odata/"))
    return Response(
        body_of(error, None if alike else path, request_id),
        status_code=error.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )
