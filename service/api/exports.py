"""`GET /v1/exports/{table}.{csv|ndjson|xlsx|parquet}`: tables as files, streamed (api.md 3.11)."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Query
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from service.api import parquet, xlsx
from service.api.auth import require
from service.api.bi_refs import scene_of
from service.api.bi_values import csv_cell, csv_line, plain, ru_cell, typed
from service.api.deps import Call, CallDep
from service.api.names import Names, visible_names
from service.api.params import DateParam, LangParam, ListParam
from service.api.problems import bad_parameter, near, problem, shown
from service.api.router import Router
from service.domain.period import to_day
from service.kpi.bi_rows import days_of
from service.kpi.tables import TABLES
from service.store.bi.reader import Cut, Reading, any_of, at_least, at_most
from service.store.bi.scene import Scene
from service.store.bi.tables import Column, Table
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Exports"])
BLOCK = 500
_ENCODER = msgspec.json.Encoder(decimal_format="number")
FromParam = Annotated[DateParam, Query(alias="from")]
ToParam = Annotated[DateParam, Query(alias="to")]
Dialect = Literal["rfc4180", "excel_ru"]


@dataclass(frozen=True)
class Wish:
    """What an export asks for."""

    table: Table
    columns: Sequence[Column]
    first: Any
    last: Any
    equal: Mapping[str, Sequence[str] | None]


class Wanted:
    """The parameters of every export."""

    def __init__(
        self,
        from_: FromParam = None,
        to: ToParam = None,
        columns: ListParam = None,
        account: ListParam = None,
        seller: ListParam = None,
        pipeline: ListParam = None,
        lang: LangParam = None,
    ) -> None:
        self.first, self.last, self.columns = from_, to, columns
        self.accounts = account
        self.equal = {"seller": seller, "pipeline": pipeline}

    def of(self, table: Table) -> Wish:
        """The same, checked against a table.

        Raises:
            ApiError: unknown_name (a column), invalid_parameter.
        """
        known = [column.name for column in table.columns]
        for name in self.columns or ():
            if name not in known:
                detail = f"The table {table.name} has no column {shown(name)}."
                raise bad_parameter("columns", detail, "unknown_name", near(name, known))
        for name, values in self.equal.items():
            if values is not None and f"{name}_id" not in known:
                raise bad_parameter(name, f"The table {table.name} has no {name}_id.")
        for name, value in (("from", self.first), ("to", self.last)):
            if value is not None and not table.when:
                raise bad_parameter(name, f"The table {table.name} has no dates to cut by.")
        if self.first and self.last and self.first > self.last:
            raise bad_parameter("to", "to must not be before from.")
        chosen = self.columns or known
        columns = [column for name in chosen for column in table.columns if column.name == name]
        return Wish(table, columns, self.first, self.last, self.equal)


@dataclass(frozen=True)
class _Source:
    """What an export reads from."""

    connection: Connection
    reading: Reading
    names: Mapping[str, Names]
    wish: Wish

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Rows one by one, as the store gives them."""
        return self.reading.rows(self.connection, self.wish.columns)

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """The typed values of a row, in the order of the columns."""
        return [typed(row, column, self.names) for column in self.wish.columns]


WantedDep = Annotated[Wanted, Depends(Wanted)]
Lines = Callable[[Mapping[str, Any], Mapping[str, Names]], str]


def _cut(wish: Wish, scene: Scene) -> Cut:
    table, conditions, used = wish.table, [], set()
    for name, values in wish.equal.items():
        if values is not None:
            conditions.append(any_of(table, scene, f"{name}_id", values))
            used.add(f"{name}_id")
    for bound, way in ((wish.first, at_least), (wish.last, at_most)):
        if bound is not None:
            conditions.append(way(table, scene, table.when, days_of(bound)))
            used.add(table.when)
    return Cut(conditions, frozenset(used))


def _days_of(wish: Wish) -> Callable[[Any], Any]:
    """The days from `from` to `to`, for tables that are added up by day."""
    first, last = to_day(wish.first or date.min), to_day(wish.last or date.max)
    return lambda day: day.between(first, last)


@contextmanager
def _opened(call: Call, wanted: Wanted, wish: Wish) -> Iterator[_Source]:
    """The rows of an export in one snapshot."""
    with call.read_long() as connection:
        names = visible_names(call, connection)
        if wanted.accounts is not None:
            names = {key: own for key, own in names.items() if key in wanted.accounts}
        scene = scene_of(call, connection, names, wish.table.name)
        scene.days = _days_of(wish)
        yield _Source(connection, Reading(wish.table, scene, _cut(wish, scene)), names, wish)


def _lines(call: Call, wanted: Wanted, wish: Wish, head: str, line: Lines) -> Iterator[bytes]:
    """The file in blocks; nothing is read before the first one is asked for."""
    with _opened(call, wanted, wish) as source:
        block = [head] if head else []
        for row in source.rows():
            block.append(line(row, source.names))
            if len(block) >= BLOCK:
                yield "".join(block).encode()
                block = []
        yield "".join(block).encode()


def _streamed(lines: Iterator[bytes], wish: Wish, ending: str, media_type: str) -> Response:
    """The answer; the first block is read now, so that a problem is still one."""
    first = next(lines)

    async def body() -> AsyncIterator[bytes]:
        try:
            async for block in iterate_in_threadpool(chain([first], lines)):
                yield block
        finally:
            lines.close()  # type: ignore[attr-defined]  # a generator: gives its snapshot back

    span = "".join(f"-{day.isoformat()}" for day in (wish.first, wish.last) if day is not None)
    name = f"{wish.table.name}{span}.{ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(body(), headers=headers, media_type=media_type)


def _csv(call: Call, wanted: Wanted, table: Table, dialect: Dialect) -> Response:
    wish = wanted.of(table)
    russian = dialect == "excel_ru"
    mark = ";" if russian else ","

    def line(row: Mapping[str, Any], names: Mapping[str, Names]) -> str:
        values = [(plain(row, column, names), column.kind) for column in wish.columns]
        if not russian:
            return csv_line([csv_cell(value) for value, _ in values], mark)
        zone = names[row["account"]].config.timezone
        return csv_line([ru_cell(value, kind, zone) for value, kind in values], mark)

    head = csv_line([column.name for column in wish.columns], mark)
    lines = _lines(call, wanted, wish, f"\ufeff{head}" if russian else head, line)
    return _streamed(lines, wish, "csv", "text/csv; charset=utf-8")


def _ndjson(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)

    def line(row: Mapping[str, Any], names: Mapping[str, Names]) -> str:
        shown_row = {column.name: plain(row, column, names) for column in wish.columns}
        return _ENCODER.encode(shown_row).decode() + "\n"

    lines = _lines(call, wanted, wish, "", line)
    return _streamed(lines, wish, "ndjson", "application/x-ndjson")


def _xlsx(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)
    kinds = [column.kind for column in wish.columns]

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            total = source.reading.count(source.connection)
            if total > xlsx.MOST_ROWS:
                detail = f"A sheet holds {xlsx.MOST_ROWS} rows, these are {total}; cut by from, to."
                raise problem("too_many_rows", detail)
            head = [column.name for column in wish.columns]
            yield from xlsx.workbook(table.name, head, _blocks(source, kinds))

    return _streamed(pieces(), wish, "xlsx", xlsx.MEDIA_TYPE)


def _blocks(source: _Source, kinds: Sequence[str]) -> Iterator[list[list[xlsx.Cell]]]:
    block: list[list[xlsx.Cell]] = []
    for row in source.rows():
        zone = source.names[row["account"]].config.timezone
        pairs = zip(source.values(row), kinds, strict=True)
        block.append([(value, kind, zone) for value, kind in pairs])
        if len(block) >= BLOCK:
            yield block
            block = []
    yield block


def _parquet(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)
    arrow = parquet.arrow()

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            names = [column.name for column in wish.columns]
            rows = (dict(zip(names, source.values(row), strict=True)) for row in source.rows())
            yield from parquet.parquet_file(arrow, wish.columns, rows)

    return _streamed(pieces(), wish, "parquet", parquet.MEDIA_TYPE)


def _schema_of(media: str) -> dict[str, str]:
    is_text = media.startswith(("text", "application/x-"))
    return {"type": "string"} | ({} if is_text else {"format": "binary"})


def _declare(table: Table) -> None:
    """The routes of one table."""

    def export_csv(call: CallDep, wanted: WantedDep, dialect: Dialect = "rfc4180") -> Response:
        return _csv(call, wanted, table, dialect)

    def export_ndjson(call: CallDep, wanted: WantedDep) -> Response:
        return _ndjson(call, wanted, table)

    def export_xlsx(call: CallDep, wanted: WantedDep) -> Response:
        return _xlsx(call, wanted, table)

    def export_parquet(call: CallDep, wanted: WantedDep) -> Response:
        return _parquet(call, wanted, table)

    for ending, endpoint, media in (
        ("csv", export_csv, "text/csv; charset=utf-8"),
        ("ndjson", export_ndjson, "application/x-ndjson"),
        ("xlsx", export_xlsx, xlsx.MEDIA_TYPE),
        ("parquet", export_parquet, parquet.MEDIA_TYPE),
    ):
        router.add_api_route(
            f"/exports/{table.name}.{ending}",
            endpoint,
            methods=["GET"],
            name=f"export_{table.name}_{ending}",
            description=f"{table.title[0].upper()}{table.title[1:]}, as a file.",
            dependencies=[Depends(require(table.scope))],
            response_class=Response,
            responses={200: {"content": {media: {"schema": _schema_of(media)}}}},
        )


for _table in TABLES.values():
    _declare(_table)
