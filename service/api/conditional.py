"""Weak ETags, 304 and `If-Match`.

A GET endpoint that can tell cheaply whether anything changed calls `fresh(call, ...)` before its
queries; all other GETs under `/v1` get a tag of their body from the router.
"""

from hashlib import blake2b
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.api.deps import Call
from service.api.problems import fault, problem
from service.store.handles import Connection
from service.store.reads.versions import versions

CACHE_CONTROL = "private, no-cache"
_TAG = "dozor.etag"
_FORM = "dozor.form"


class NotModified(Exception):  # noqa: N818 - an answer, not an error
    """The client has this already; the router answers 304."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def fresh(call: Call, connection: Connection, *moving: Any) -> None:
    """Set the ETag of this answer; stop with 304 if the client has it.

    Args:
        call: the request.
        connection: the snapshot that the answer is read from.
        moving: what the answer depends on besides data and query, e.g. the latest breach instant
            passed, or the minute.

    Raises:
        NotModified: `If-None-Match` names this tag.
    """
    seen = [row for row in versions(connection) if call.caller.sees(row[0])]
    query = sorted(call.request.query_params.multi_items())
    tag = tag_of([call.request.url.path, query, call.lang, call.caller.accounts, seen, *moving])
    use_tag(call.request, tag)


def vary_tag(request: Request, form: str) -> None:
    """Tags of this answer are those of another form than the usual one."""
    request.scope[_FORM] = form


def use_tag(request: Request, tag: str) -> None:
    """Set the ETag of this answer; stop with 304 if the client has it."""
    if _FORM in request.scope:
        tag = f'{tag[:-1]}-{request.scope[_FORM]}"'
    request.scope[_TAG] = tag
    if request.method in ("GET", "HEAD") and _names(request.headers.get("if-none-match"), tag):
        raise NotModified(tag)


def tag_of(document: Any) -> str:
    """A weak tag of anything that JSON can say."""
    packed = msgspec.json.encode(document, order="deterministic")
    return f'W/"{blake2b(packed, digest_size=12).hexdigest()}"'


def check_if_match(request: Request, tag: str) -> None:
    """Honour `If-Match` of a PUT, PATCH or DELETE.

    Args:
        request: the request.
        tag: the tag of what is there now, as a GET of it answers.

    Raises:
        ApiError: precondition_failed.
    """
    asked = request.headers.get("if-match")
    if asked is None or _names(asked, tag):
        return
    detail = "It has changed since it was read; read it again."
    entry = fault("precondition_failed", detail, header="If-Match")
    raise problem("precondition_failed", detail, errors=[entry], headers={"etag": tag})


def finish(request: Request, response: Response) -> Response:
    """Add caching headers and a tag to a GET's 200; make it a 304 if the client has it."""
    response.headers.setdefault("cache-control", CACHE_CONTROL)
    if response.status_code != 200 or response.headers["cache-control"] == "no-store":
        return response
    tag = request.scope.get(_TAG)
    if tag is None and hasattr(response, "body"):
        tag = f'W/"{blake2b(bytes(response.body), digest_size=12).hexdigest()}"'
    if tag is None:
        return response
    if _names(request.headers.get("if-none-match"), tag):
        return not_modified(tag)
    response.headers["etag"] = tag
    return response


def not_modified(tag: str) -> Response:
    """304 with what a cache needs."""
    return Response(status_code=304, headers={"etag": tag, "cache-control": CACHE_CONTROL})


def _names(header: str | None, tag: str) -> bool:
    """Whether a list of tags holds this one (weak comparison)."""
    if header is None:
        return False
    asked = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in asked or tag.removeprefix("W/") in asked
