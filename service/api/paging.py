"""Keyset paging: signed cursors that are bound to key, path, filters and sort, and fix `as_of`.

def list_deals(call: CallDep, page: PageDep, ...):
    walk = page.walk(call, sort)            # where to begin: walk.after, walk.as_of
    rows = ...                              # at most walk.limit + 1 rows after walk.after
    return walk.answer(rows, position_of, total)
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import Depends, Query
from pydantic import BeforeValidator, WithJsonSchema
from starlette.responses import Response

from service.api.deps import Call, json_answer
from service.api.fields import FieldsParam, check_fields, only
from service.api.params import FlagParam, read_number, refused
from service.api.problems import bad_parameter, near, shown
from service.domain.instant import Instant
from service.errors import ApiError

KEEP_SECONDS = 24 * 3600
DEFAULT_LIMIT = 100
MOST_ROWS = 1000
_VERSION = "c1"
_FREE = frozenset({"cursor", "limit", "count"})  # may differ between the pages of a walk
Row = TypeVar("Row")


def _limit_to(most: int) -> Callable[[Any], Any]:
    def read(text: Any) -> Any:
        value = read_number(text)
        if isinstance(value, int) and not 1 <= value <= most:
            raise refused(f"limit must be 1 to {most}.")
        return value

    return read


LimitParam = Annotated[
    int,
    BeforeValidator(_limit_to(MOST_ROWS)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 100}),
    Query(description="rows of a page"),
]
CursorParam = Annotated[
    str | None, Query(description="`next_cursor` of the page before", max_length=4000)
]


class _Cursor(msgspec.Struct, frozen=True):
    """What a cursor says: bound query, `as_of`, position after which to go on, its making."""

    q: str
    t: Instant
    p: list[Any]
    m: Instant


@dataclass(frozen=True)
class Walk:
    """One page of a walk. `after`: sort values of the last row of the page before, None = begin."""

    call: Call
    limit: int
    as_of: Instant
    after: list[Any] | None
    count: bool
    bound: str
    fields: tuple[str, ...] | None = None

    def answer(
        self,
        rows: Sequence[Row],
        position: Callable[[Row], list[Any]],
        show: Callable[[Row], Any],
        total: int | None = None,
        **members: Any,
    ) -> Response:
        """The page as JSON with `next_cursor`, `next` and the Link header.

        Args:
            rows: at most `limit + 1` rows; one more than `limit` means that there is another page.
            position: the sort values of a row, its id last.
            show: a row as it is answered.
            total: exact number of rows, if asked for.
            members: more members of the answer (`meta`, `totals`).
        """
        shown_rows = rows[: self.limit]
        more = len(rows) > self.limit
        cursor = self._sign(position(shown_rows[-1])) if more else None
        link = self._link(cursor) if cursor else None
        data = [show(row) for row in shown_rows]
        if self.fields is not None:
            data = [only(row, self.fields) for row in data]
        document: dict[str, Any] = {"data": data, **members}
        if total is not None:
            document["total"] = total
        document |= {"next_cursor": cursor, "next": link}
        headers = {"link": f'<{link}>; rel="next"'} if link else {}
        return json_answer(document, headers=headers)

    def _sign(self, position: list[Any]) -> str:
        body = msgspec.json.encode(_Cursor(self.bound, self.as_of, position, self.call.now))
        packed = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        return f"{_VERSION}.{packed}.{_signature(self.call, packed)}"

    def _link(self, cursor: str) -> str:
        request = self.call.request
        query = [
            pair
            for pair in parse_qsl(request.url.query, keep_blank_values=True)
            if pair[0] != "cursor"
        ]
        query.append(("cursor", cursor))
        return f"{self.call.settings.public_url}{request.url.path}?{urlencode(query)}"


class Page:
    """The parameters `limit`, `cursor`, `count`, `fields` of a list."""

    def __init__(
        self,
        limit: LimitParam = DEFAULT_LIMIT,
        cursor: CursorParam = None,
        count: FlagParam = None,
        fields: FieldsParam = None,
    ) -> None:
        self.limit = limit
        self.cursor = cursor
        self.count = bool(count)
        self.fields = fields

    def walk(self, call: Call, as_of: Instant | None = None) -> Walk:
        """Begin or go on.

        Args:
            call: the request.
            as_of: the instant that the query names; default now (the first page's, on later ones).

        Raises:
            ApiError: cursor_invalid (forged, old), cursor_mismatch (of another query),
                unknown_name (a field).
        """
        bound = _bound(call)
        check_fields(call.request, self.fields)
        if self.cursor is None:
            moment = call.now if as_of is None else as_of
            return Walk(call, self.limit, moment, None, self.count, bound, self.fields)
        cursor = _read(call, self.cursor)
        if cursor.q != bound:
            detail = "This cursor belongs to another key, path, filter or sort."
            raise bad_parameter("cursor", detail, "cursor_mismatch")
        return Walk(call, self.limit, cursor.t, cursor.p, self.count, bound, self.fields)


PageDep = Annotated[Page, Depends(Page)]


def page_of(walk: Walk, rows: Sequence[Row], position: Callable[[Row], list[Any]]) -> Sequence[Row]:
    """The piece of a short list in memory, sorted by `position`, that this page is made of."""
    after = walk.after
    rest = rows if after is None else [row for row in rows if position(row) > after]
    return rest[: walk.limit + 1]


def _bound(call: Call) -> str:
    """A short digest of key, path and query (without the paging parameters)."""
    pairs = sorted(
        pair
        for pair in parse_qsl(call.request.url.query, keep_blank_values=True)
        if pair[0] not in _FREE
    )
    packed = msgspec.json.encode([call.caller.key_id, call.request.url.path, pairs])
    return blake2b(packed, digest_size=9).hexdigest()


def _signature(call: Call, packed: str) -> str:
    secret = call.services.cursor_secret
    return hmac.new(secret, packed.encode(), "sha256").hexdigest()[:32]


def _read(call: Call, text: str) -> _Cursor:
    version, _, rest = text.partition(".")
    packed, _, signature = rest.partition(".")
    expected = _signature(call, packed).encode()
    if version != _VERSION or not hmac.compare_digest(expected, signature.encode()):
        raise _invalid()
    try:
        padded = packed + "=" * (-len(packed) % 4)
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise _invalid() from None
    if not cursor.m <= call.now < cursor.m + KEEP_SECONDS:
        raise _invalid()
    return cursor


def _invalid() -> ApiError:
    detail = "This cursor is not valid (any more); begin without one."
    return bad_parameter("cursor", detail, "cursor_invalid")


# --- sort -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort field; `down` = largest first. Nulls come last either way."""

    field: str
    down: bool


SortParam = Annotated[str | None, Query(description="`-amount,created_at`", max_length=200)]


def read_sort(text: str | None, known: Sequence[str], default: str) -> tuple[Sort, ...]:
    """Read `sort=-amount,created_at`.

    Raises:
        ApiError: unknown_name (with the near ones), invalid_parameter (a field twice).
    """
    found: list[Sort] = []
    for part in (text if text is not None else default).split(","):
        name = part.strip().removeprefix("-")
        if name not in known:
            detail = f"Nothing sorts by {shown(name)}; there are {', '.join(known)}."
            raise bad_parameter("sort", detail, "unknown_name", near(name, known))
        if any(sort.field == name for sort in found):
            raise bad_parameter("sort", f"{name} stands twice in sort.")
        found.append(Sort(name, part.strip().startswith("-")))
    return tuple(found)
