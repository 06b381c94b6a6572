"""`/odata/v4`: the BI tables as OData 4.0, read-only (api.md 3.13)."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from fastapi import Request
from starlette.responses import Response

from service.api import odata_options
from service.api.auth import check_scope
from service.api.bi_refs import scene_of
from service.api.bi_values import plain_rows
from service.api.deps import Call, CallDep
from service.api.names import Names, visible_names
from service.api.odata_metadata import csdl
from service.api.odata_options import Options
from service.api.problems import bad_parameter, fault, not_found, problem
from service.api.router import Handler, Route, Router
from service.kpi.tables import TABLES
from service.store.bi.reader import Cut, Piece, Reading, any_id, block_of
from service.store.bi.tables import Table
from service.store.handles import Connection

PAGE_ROWS, MOST_PAGE = 5000, 20_000
JSON = "application/json;odata.metadata=minimal;charset=utf-8"
_ADDRESS = re.compile(r"(?P<set>\w+)(?:\('(?P<key>(?:[^']|'')*)'\))?(?P<count>/\$count)?")
_PAGE = re.compile(r"(?:odata\.)?maxpagesize\s*=\s*(\d{1,6})")
_NUMBERS = msgspec.json.Encoder(decimal_format="number")
_TEXTS = msgspec.json.Encoder(decimal_format="string")


class _Route(Route):
    """Options without `$` are ignored here, and addresses hold more than ids."""

    async def _answer(self, request: Request, inner: Handler) -> Response:
        return await inner(request)


router = Router(tags=["OData"])
router.route_class = _Route


class _Token(msgspec.Struct, frozen=True):
    """Where a walk goes on: position, rows left of `$top`, the instant of its first page."""

    p: list[Any]
    left: int | None
    at: int


@router.get("/odata/v4", include_in_schema=False)
def service_document(call: CallDep) -> Response:
    """The sets that the key may read."""
    return _served(call, "")


@router.get("/odata/v4/{address:path}", include_in_schema=False)
def odata(call: CallDep, address: str) -> Response:
    """The service document, `$metadata`, a set, its count, one row."""
    return _served(call, address)


def _served(call: Call, address: str) -> Response:
    asked = call.request.headers.get("odata-maxversion", "4.0").strip()
    if not re.fullmatch(r"\d+(\.\d+)?", asked) or float(asked) < 4:
        detail = "OData-MaxVersion must be 4.0 or above."
        entry = fault("invalid_header", detail, header="OData-MaxVersion")
        raise problem("invalid_header", detail, errors=[entry])
    tables = [t for t in TABLES.values() if call.caller.allows(t.scope)]
    if address == "$batch":
        raise problem("not_implemented", "$batch is not served.")
    match = _ADDRESS.fullmatch(address)
    table = TABLES.get(match["set"]) if match else None
    if table is not None:
        check_scope(call.request, table.scope)
    raw = odata_options.raw_options(call.request.url.query)
    _check_format(raw.get("$format"), address)
    if address == "$metadata":
        return _answer(csdl(tables).encode(), "application/xml")
    if not address:
        sets = [{"name": t.name, "kind": "EntitySet", "url": t.name} for t in tables]
        return _json(call, {"@odata.context": f"{_root(call)}/$metadata", "value": sets})
    if table is None or match is None or (match["key"] is not None and match["count"]):
        raise not_found()
    options = odata_options.read(table, raw)
    if match["key"] is not None:
        return _one(call, table, options, match["key"].replace("''", "'"))
    return _count(call, table, options) if match["count"] else _page(call, table, options)


def _check_format(text: str | None, address: str) -> None:
    """`$format` wins over `Accept`.

    Raises:
        ApiError: not_acceptable.
    """
    if text is None:
        return
    form = text.split(";")[0].strip().lower()
    allowed = ("xml", "application/xml") if address == "$metadata" else ("json", "application/json")
    if form not in allowed:
        raise problem("not_acceptable", f"This is served as {allowed[1]}.")


def _root(call: Call) -> str:
    base = call.settings.public_url or str(call.request.base_url)
    return f"{base.rstrip('/')}/odata/v4"


def _answer(body: bytes, media_type: str, **headers: str) -> Response:
    found = {"odata-version": "4.0", "cache-control": "private, no-cache", **headers}
    return Response(body, headers=found, media_type=media_type)


def _json(call: Call, document: Any, **headers: str) -> Response:
    accept = call.request.headers.get("accept", "").lower()
    encoder = _TEXTS if "ieee754compatible=true" in accept else _NUMBERS
    return _answer(encoder.encode(document), JSON, **headers)


def _reading(
    call: Call, connection: Connection, names: Mapping[str, Names], table: Table, options: Options
) -> Reading:
    scene = scene_of(call, connection, names, table.name)
    token = _token_of(call, options)
    if token is not None:
        scene.at = token.at
    if options.tree is None:
        return Reading(table, scene)
    used: set[str] = set()
    found = odata_options.condition(table, scene, options.tree, used)
    return Reading(table, scene, Cut([found], frozenset(used)))


def _count(call: Call, table: Table, options: Options) -> Response:
    with call.read() as connection:
        names = visible_names(call, connection)
        total = _reading(call, connection, names, table, options).count(connection)
    return _answer(str(total).encode(), "text/plain")


def _one(call: Call, table: Table, options: Options, key: str) -> Response:
    if "\x00" in key:
        raise not_found()
    with call.read() as connection:
        names = visible_names(call, connection)
        scene = scene_of(call, connection, names, table.name)
        reading = Reading(table, scene, Cut([any_id(table, scene, [key])]))
        rows = list(reading.rows(connection, options.columns, Piece(limit=1)))
    if not rows:
        raise not_found()
    context = f"{_root(call)}/$metadata#{table.name}{_chosen(options)}/$entity"
    return _json(call, {"@odata.context": context, **_shown(rows, options, names)[0]})


def _page(call: Call, table: Table, options: Options) -> Response:
    token = _token_of(call, options)
    wanted = _PAGE.search(call.request.headers.get("prefer", ""))
    size = min(int(wanted[1]), MOST_PAGE) if wanted and int(wanted[1]) else PAGE_ROWS
    left = options.top if token is None else token.left
    limit = size + 1 if left is None else min(size + 1, left)
    skip = options.skip if token is None else 0
    piece = Piece(options.sort, token.p if token else None, limit, skip)
    with call.read() as connection:
        names = visible_names(call, connection)
        reading = _reading(call, connection, names, table, options)
        rows = list(reading.rows(connection, options.columns, piece))
        total = reading.count(connection) if options.count else None
    document: dict[str, Any] = {"@odata.context": f"{_root(call)}/$metadata#{table.name}"}
    document["@odata.context"] += _chosen(options)
    if total is not None:
        document["@odata.count"] = total
    document["value"] = _shown(rows[:size], options, names)
    if len(rows) > size:
        rest = None if left is None else left - size
        position = _Token(rows[size - 1]["position"], rest, reading.scene.at)
        document["@odata.nextLink"] = _next(call, table, position)
    applied = {"preference-applied": f"odata.maxpagesize={size}"} if wanted else {}
    return _json(call, document, **applied)


def _chosen(options: Options) -> str:
    return f"({','.join(c.name for c in options.columns)})" if options.selected else ""


def _shown(
    rows: Sequence[dict[str, Any]], options: Options, names: Mapping[str, Names]
) -> list[dict[str, Any]]:
    return plain_rows(options.columns, block_of(rows, options.columns), names)


# --- the token ------------------------------------------------------------------------------------


def _next(call: Call, table: Table, token: _Token) -> str:
    packed = base64.urlsafe_b64encode(_plain_token(token)).rstrip(b"=").decode()
    pairs = [*_pairs(call), ("$skiptoken", f"c1.{packed}.{_signature(call, packed)}")]
    query = urlencode(pairs, safe="$", quote_via=quote)
    return f"{_root(call)}/{table.name}?{query}"


def _plain_token(token: _Token) -> bytes:
    """Sums that come as Decimal from PostgreSQL go as numbers."""
    place = [float(one) if isinstance(one, Decimal) else one for one in token.p]
    return msgspec.json.encode(_Token(place, token.left, token.at))


def _pairs(call: Call) -> Sequence[tuple[str, str]]:
    pairs = parse_qsl(call.request.url.query, keep_blank_values=True)
    return [pair for pair in pairs if pair[0] != "$skiptoken"]


def _signature(call: Call, packed: str) -> str:
    bound = [call.caller.key_id, call.request.url.path, packed, sorted(_pairs(call))]
    made = hmac.new(call.services.cursor_secret, msgspec.json.encode(bound), "sha256")
    return made.hexdigest()[:32]


def _token_of(call: Call, options: Options) -> _Token | None:
    """Where the address says to go on.

    Raises:
        ApiError: cursor_invalid.
    """
    if not options.token:
        return None
    version, _, rest = options.token.partition(".")
    packed, _, signature = rest.partition(".")
    same = hmac.compare_digest(_signature(call, packed).encode(), signature.encode())
    try:
        raw = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        if same and version == "c1":
            return msgspec.json.decode(raw, type=_Token)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        pass
    detail = "This $skiptoken belongs to no page of this query."
    raise bad_parameter("$skiptoken", detail, "cursor_invalid")
