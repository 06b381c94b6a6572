"""`GET /v1/changes`: what has changed, in order, for whoever keeps a copy (api.md 3.12)."""

import asyncio
import base64
import binascii
import hmac
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.api.bi_refs import scene_of
from service.api.bi_values import plain_rows
from service.api.change_schemas import ChangeList
from service.api.deps import Call, CallDep
from service.api.names import Names, visible_names
from service.api.paging import LimitParam
from service.api.params import LangParam, ListParam, read_number, refused
from service.api.problems import bad_parameter, near, problem, shown
from service.api.router import Router
from service.domain.instant import Instant
from service.domain.period import to_date
from service.errors import ApiError
from service.kpi.tables import PARTS, TABLES
from service.store.bi.reader import Cut, Reading, any_id
from service.store.bi.tables import Table
from service.store.handles import Connection
from service.store.reads.changes import BEGINNING, Place, changes
from service.store.reads.versions import versions
from service.store.revisions import DAY_SECONDS, KEEP_DAYS

router = Router(prefix="/v1", tags=["Exports"])
KINDS: dict[str, Table] = {
    "deal": TABLES["deals"],
    "kpi_day": TABLES["kpi_daily"],
    "plan": TABLES["plans"],
    "seller": TABLES["sellers"],
    "task": TABLES["tasks"],
    "violation": TABLES["violations"],
}
MOST_WAIT, LOOK_SECONDS = 30, 0.5
MOST_CURSOR = 6000  # characters: an address holds 8 KiB
_ENCODER = msgspec.json.Encoder(decimal_format="number")
Row = dict[str, Any]


def _wait(text: Any) -> Any:
    value = read_number(text)
    if isinstance(value, int) and not 0 <= value <= MOST_WAIT:
        raise refused(f"wait must be 0 to {MOST_WAIT}.")
    return value


WaitParam = Annotated[
    int,
    BeforeValidator(_wait),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST_WAIT, "default": 0}),
    Query(description="seconds to hold the answer open while nothing has changed"),
]
SinceParam = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the answer before; none: the present state first; `now`",
        max_length=MOST_CURSOR,
    ),
]


class _Cursor(msgspec.Struct, frozen=True):
    """Where a reader is: bound query, its making, places by account."""

    q: str
    m: Instant
    p: dict[str, Place]


@router.get("/changes", response_model=ChangeList)
async def list_changes(
    call: CallDep,
    since: SinceParam = None,
    types: ListParam = None,
    account: ListParam = None,
    limit: LimitParam = 100,
    wait: WaitParam = 0,
    lang: LangParam = None,
) -> Response:
    """Changes in the order of their commit, each object as its export's row.

    Store `next_cursor` after processing. Several changes of one object fold into the last; each
    comes at least once. Types need their scopes: `deal task seller` crm:read, `violation`
    violations:read, `plan kpi_day` kpi:read; by default all that the key may read.
    """
    feed = _Feed(call, _types(call, types), account, limit)
    start = feed.start(since)
    until = time.monotonic() + wait
    while True:
        document, seen = await run_in_threadpool(feed.page, start)
        if document["data"] or time.monotonic() >= until:
            break
        while time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
            if await run_in_threadpool(feed.versions) != seen:
                break
    return Response(
        _ENCODER.encode(document),
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


def _types(call: Call, asked: Sequence[str] | None) -> list[str]:
    """The types to tell.

    Raises:
        ApiError: unknown_name, scope_missing.
    """
    for name in asked or ():
        if name not in KINDS:
            detail = f"There is no type {shown(name)}; there are {', '.join(KINDS)}."
            raise bad_parameter("types", detail, "unknown_name", near(name, list(KINDS)))
    for name in asked or ():
        _check(call, KINDS[name].scope)
    chosen = [name for name in KINDS if call.caller.allows(KINDS[name].scope)]
    if not chosen:
        _check(call, "crm:read")
    return sorted(asked) if asked else chosen


def _check(call: Call, scope: str) -> None:
    if not call.caller.allows(scope):
        detail = f"This key has not the scope {scope}."
        raise problem("scope_missing", detail, required_scope=scope)


class _Feed:
    """One request."""

    def __init__(
        self, call: Call, types: Sequence[str], accounts: Sequence[str] | None, limit: int
    ) -> None:
        self._call = call
        self._types = types
        self._accounts = accounts
        self._limit = limit
        asked = [call.caller.key_id, list(types), sorted(accounts) if accounts else None]
        self._bound = _digest(call, msgspec.json.encode(asked))[:16]

    def versions(self) -> dict[str, int]:
        """The data version of each account that is read."""
        with self._call.read() as connection:
            return self._versions(connection)

    def _versions(self, connection: Connection) -> dict[str, int]:
        return {
            account: version
            for account, version, _, _ in versions(connection)
            if self._call.caller.sees(account)
            and (self._accounts is None or account in self._accounts)
        }

    def start(self, since: str | None) -> dict[str, Place]:
        """Where to begin.

        Raises:
            ApiError: cursor_invalid, cursor_mismatch, cursor_expired.
        """
        if since is None:
            return {}
        if since == "now":
            return {name: Place(at, "~", "") for name, at in self.versions().items()}
        cursor = _unsigned(self._call, since)
        if cursor.q != self._bound:
            detail = "This cursor belongs to another key, other types or accounts."
            raise bad_parameter("since", detail, "cursor_mismatch")
        if self._call.now - cursor.m > KEEP_DAYS * DAY_SECONDS:
            detail = f"What was deleted is told for {KEEP_DAYS} days; begin without a cursor."
            raise problem("cursor_expired", detail)
        return dict(cursor.p)

    def page(self, start: Mapping[str, Place]) -> tuple[Row, dict[str, int]]:
        """The changes after a start, and the versions they are read at."""
        with self._call.read() as connection:
            seen = self._versions(connection)
            names = visible_names(self._call, connection)
            places = dict(start)
            found: list[Row] = []
            more = False
            for account in sorted(seen):
                left = self._limit - len(found)
                after = places.get(account, BEGINNING)
                if after.revision > seen[account]:
                    continue
                told = self._changes(connection, names[account], after, left + 1)
                more = len(told) > left
                told = told[:left]
                if told:
                    places[account] = told[-1]
                found += self._shown(connection, names[account], told)
                if more:
                    break
        cursor = _Cursor(self._bound, self._call.now, places)
        document = {
            "data": found,
            "next_cursor": self._signed(cursor),
            "has_more": more,
        }
        return document, seen

    def _changes(self, connection: Connection, own: Names, after: Place, limit: int) -> list[Place]:
        kinds = [name for name in self._types if name != "seller"]
        told = changes(connection, own.id, kinds, after, limit, PARTS)
        if "seller" in self._types:
            sellers = own.config.directory.sellers
            revision = own.account.config_revision
            all_of_them = (Place(revision, "seller", seller.id) for seller in sellers)
            told = sorted([*told, *(place for place in all_of_them if place > after)])
        return told[:limit]

    def _signed(self, cursor: _Cursor) -> str:
        """The cursor as text.

        Raises:
            ApiError: too_large (it would not fit into an address).
        """
        packed = base64.urlsafe_b64encode(zlib.compress(msgspec.json.encode(cursor), 9))
        text = packed.rstrip(b"=").decode()
        if len(text) > MOST_CURSOR - 40:
            detail = f"A feed of {len(cursor.p)} accounts at once is too much; use `account=`."
            raise problem("too_large", detail)
        return f"f1.{text}.{_digest(self._call, text.encode())}"

    def _shown(self, connection: Connection, own: Names, told: Sequence[Place]) -> Iterator[Row]:
        """The changes as they are answered, in their order."""
        objects: dict[tuple[str, str], Row] = {}
        for kind in {place.type for place in told}:
            ids = [place.id for place in told if place.type == kind]
            make = _days if kind == "kpi_day" else _objects
            for name, row in make(self._call, connection, own, kind, ids):
                objects[kind, name] = row
        for place in told:
            if place.type == "kpi_day" and place.id.split(".")[1] not in PARTS:
                continue  # a level's day that is gone
            known: Row | None = objects.get((place.type, place.id))
            yield {
                "type": place.type,
                "op": "upsert" if known else "delete",
                "id": _full(own.id, place),
                "account_id": own.id,
                "at": known.get("updated_at") if known else None,
                "object": known,
            }


def _full(account: str, place: Place) -> str:
    return place.id if place.type == "violation" else f"{account}.{place.id}"


def _rows(
    call: Call, connection: Connection, own: Names, kind: str, ids: Sequence[str] | None = None,
    days: Sequence[int] = (),
) -> Iterator[Row]:  # fmt: skip
    """The rows with these ids, or of these days (yyyymmdd)."""
    table = KINDS[kind]
    scene = scene_of(call, connection, {own.id: own}, table.name)
    cut = Cut()
    if ids is None:
        scene.days = lambda day: day.in_(days)
    else:
        cut = Cut([any_id(table, scene, ids)])
    for block in Reading(table, scene, cut).blocks(connection, table.columns):
        yield from plain_rows(table.columns, block, {own.id: own})


def _objects(
    call: Call, connection: Connection, own: Names, kind: str, ids: Sequence[str]
) -> Iterator[tuple[str, Row]]:
    full = {_full(own.id, Place(0, kind, one)): one for one in ids}
    for row in _rows(call, connection, own, kind, list(full)):
        yield full[row["id"]], row


def _days(
    call: Call, connection: Connection, own: Names, kind: str, ids: Sequence[str]
) -> Iterator[tuple[str, Row]]:
    """Day, metric and seller with all rows of `kpi_daily` that replace the ones of before."""
    asked = {}
    for one in ids:
        day, metric, seller = one.split(".", 2)
        asked[to_date(int(day)).isoformat(), metric, f"{own.id}.{seller}" if seller else None] = one
    found: dict[str, list[Row]] = {}
    days = sorted({int(one.split(".", 1)[0]) for one in ids})
    for row in _rows(call, connection, own, kind, days=days):
        name = asked.get((row["date"].isoformat(), row["metric"], row["seller_id"]))
        if name is not None:
            found.setdefault(name, []).append(row)
    for name, rows in found.items():
        first = rows[0]
        yield (
            name,
            {
                **{key: first[key] for key in ("account_id", "date", "metric", "seller_id")},
                "updated_at": max(row["updated_at"] for row in rows),
                "rows": rows,
            },
        )


def _digest(call: Call, content: bytes) -> str:
    return hmac.new(call.services.cursor_secret, b"changes:" + content, "sha256").hexdigest()[:32]


def _unsigned(call: Call, text: str) -> _Cursor:
    version, _, rest = text.partition(".")
    packed, _, signature = rest.partition(".")
    same = hmac.compare_digest(_digest(call, packed.encode()).encode(), signature.encode())
    try:
        if same and version == "f1":
            raw = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
            return msgspec.json.decode(raw, type=_Cursor)
    except (msgspec.MsgspecError, binascii.Error, zlib.error, ValueError):
        pass
    raise _invalid()


def _invalid() -> ApiError:
    return bad_parameter("since", "This cursor is not valid.", "cursor_invalid")
