"""`Idempotency-Key`: the same POST twice does its work once (api.md 1)."""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.api.deps import Services, services_of
from service.api.problems import fault, problem
from service.errors import ApiError
from service.store.engine import transaction
from service.store.idempotency import Kept, Slot, begin, finish, forget

_FORM = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_KEPT = frozenset({401, 403, 429})


def key_of(request: Request) -> str | None:
    """The key of a request, unquoted; None = none was sent.

    Raises:
        ApiError: invalid_header.
    """
    text = request.headers.get("idempotency-key")
    if text is None:
        return None
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if _FORM.fullmatch(text) is None:
        detail = "Idempotency-Key must be 1 to 255 visible ASCII characters."
        raise problem(
            "invalid_header",
            detail,
            errors=[fault("invalid_header", detail, header="Idempotency-Key")],
        )
    return text


async def once(
    request: Request, key: str, body: bytes, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do the work, or answer what the first request with this key was answered.

    Raises:
        ApiError: idempotency_running, idempotency_mismatch.
    """
    services = services_of(request)
    slot = Slot(request.scope["dozor.caller"].key_id, _path(request), key)
    digest = sha256(body).hexdigest()
    earlier = await run_in_threadpool(_begin, services, slot, digest)
    if earlier is not None:
        return _replay(earlier, digest)
    try:
        response = await work()
    except BaseException:
        await run_in_threadpool(_forget, services, slot)
        raise
    if response.status_code >= 500 or response.status_code in _NOT_KEPT:
        await run_in_threadpool(_forget, services, slot)
    else:
        await run_in_threadpool(_finish, services, slot, digest, response)
    return response


def _path(request: Request) -> str:
    """The path; a very long one by its digest, to fit the column."""
    path = request.url.path
    query = request.url.query
    text = f"{path}?{query}" if query else path
    return text if len(text) <= 200 else sha256(text.encode()).hexdigest()


def _begin(services: Services, slot: Slot, digest: str) -> Kept | None:
    with transaction(services.engine) as connection:
        return begin(connection, slot, digest, services.now())


def _finish(services: Services, slot: Slot, digest: str, response: Response) -> None:
    kept = Kept(
        digest,
        response.status_code,
        response.headers.get("content-type", ""),
        bytes(response.body),
        response.headers.get("location", ""),
    )
    with transaction(services.engine) as connection:
        finish(connection, slot, kept)


def _forget(services: Services, slot: Slot) -> None:
    with transaction(services.engine) as connection:
        forget(connection, slot)


def _replay(earlier: Kept, digest: str) -> Response:
    if earlier.body_hash != digest:
        raise _conflict(
            "idempotency_mismatch", "This Idempotency-Key was used with another body.", {}
        )
    if earlier.status is None:
        detail = "The first request with this Idempotency-Key is still running."
        raise _conflict("idempotency_running", detail, {"retry-after": "1"})
    headers = {"idempotency-replayed": "true"}
    if earlier.location:
        headers["location"] = earlier.location
    if earlier.content_type:
        headers["content-type"] = earlier.content_type
    return Response(earlier.answer, earlier.status, headers=headers)


def _conflict(code: str, detail: str, headers: dict[str, str]) -> ApiError:
    entry = fault(code, detail, header="Idempotency-Key")
    return problem(code, detail, errors=[entry], headers=headers)
