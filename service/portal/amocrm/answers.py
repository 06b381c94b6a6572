"""amoCRM's ways of answering: HAL pages, problems, 204 for nothing."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from service.portal.amocrm.query import Ask, BadQueryError
from service.portal.office import Office

Json = dict[str, Any]
Row = TypeVar("Row")

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def hal(body: object, status: int = 200) -> Response:
    """A good answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/hal+json")


def nothing() -> Response:
    """204: an empty list, or no such entity."""
    return Response(status_code=204)


def problem(status: int, detail: str, **extra: object) -> Response:
    """An error as `application/problem+json`."""
    body = {
        **extra,
        "title": _TITLES.get(status, "ErrInternalServer"),
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": detail,
    }
    if status == 429:
        body["retry_after"] = 1
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")


def link(office: Office, path: str) -> Json:
    """A `_links` block with the one link every entity has."""
    return {"self": {"href": f"{office.base_url}/api/v4/{path}"}}


def whole_list(office: Office, ask: Ask, key: str, items: Sequence[Json]) -> Response:
    """A list that is not paged but counted (pipelines, loss reasons, custom fields)."""
    body = {
        "_total_items": len(items),
        "_links": {"self": {"href": office.base_url + ask.path}},
        "_embedded": {key: items},
    }
    return hal(body)


def page(
    office: Office,
    ask: Ask,
    key: str,
    rows: Sequence[Row],
    render: Callable[[Row], Json],
    *,
    most: int = 250,
    total: bool = False,
) -> Response:
    """One page of `rows`: links to itself and to the next one if there is more, 204 if empty.

    Raises:
        BadQueryError: 422 when `limit` is above `most`.
    """
    number = ask.whole("page", 1)
    limit = ask.whole("limit", min(50, most))
    if limit > most:
        raise BadQueryError(422, f"Limit {most} per page")
    first = (number - 1) * limit
    shown = rows[first : first + limit]
    if not shown:
        return nothing()
    links = {"self": {"href": _address(office, ask, number)}}
    if first + limit < len(rows):
        links["next"] = {"href": _address(office, ask, number + 1)}
    body: Json = {"_page": number, "_links": links}
    if total:
        body = {"_total_items": len(rows), "_page_count": -(-len(rows) // limit), **body}
    body["_embedded"] = {key: [render(row) for row in shown]}
    return hal(body)


def _address(office: Office, ask: Ask, number: int) -> str:
    pairs = [(name, value) for name, value in ask.pairs if name != "page"]
    return f"{office.base_url}{ask.path}?{urlencode([*pairs, ('page', str(number))])}"
