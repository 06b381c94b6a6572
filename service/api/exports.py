"""`GET /v1/exports/{table}.{csv|ndjson|xlsx|parquet}`: tables as files, streamed (api.md 3.11)."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from service.api import parquet, xlsx
from service.api.auth import require
from service.api.bi_refs import scene_of
from service.api.bi_values import csv_text, typed
from service.api.deps import Call, CallDep
from service.api.export_cells import Csv, Json, RussianCsv
from service.api.names import Names, visible_names
from service.api.params import DateParam, LangParam, ListParam
from service.api.problems import bad_parameter, near, problem, shown
from service.api.router import Router
from service.domain.period import to_day
from service.kpi.bi_rows import days_of
from service.kpi.tables import TABLES
from service.store.bi.reader import Block, Cut, Reading, any_of, at_least, at_most
from service.store.bi.scene import Scene
from service.store.bi.tables import Column, Table
from service.store.handles import Connection

router = Router(prefix="/v1", tags=["Exports"])
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


Way = Callable[[Column, Block, Mapping[str, Names]], Sequence[Any]]


@dataclass(frozen=True)
class _Source:
    """What an export reads from."""

    connection: Connection
    reading: Reading
    names: Mapping[str, Names]
    wish: Wish

    def blocks(self) -> Iterator[Block]:
        """All rows; the database makes the next block while this one is written."""
        return _ahead(self.reading.blocks(self.connection, self.wish.columns))

    def columns(self, block: Block, way: Way) -> list[Sequence[Any]]:
        """The cells of a block, column by column."""
        return [way(column, block, self.names) for column in self.wish.columns]

    def lines(self, form: Csv | Json) -> Iterator[bytes]:
        """All rows as lines of a file, block by block."""
        return (form.lines(self.wish.columns, block, self.names) for block in self.blocks())


def _ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


WantedDep = Annotated[Wanted, Depends(Wanted)]


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

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            zones = {account: own.config.timezone for account, own in source.names.items()}
            form = RussianCsv(zones) if russian else Csv()
            head = csv_text([[column.name for column in wish.columns]], form.mark)
            yield (f"\ufeff{head}" if russian else head).encode()
            yield from source.lines(form)

    return _streamed(pieces(), wish, "csv", "text/csv; charset=utf-8")


def _ndjson(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            yield b""
            yield from source.lines(Json(wish.columns))

    return _streamed(pieces(), wish, "ndjson", "application/x-ndjson")


def _xlsx(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)
    kinds = {column.name: column.kind for column in wish.columns}

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            total = source.reading.count(source.connection)
            if total > xlsx.MOST_ROWS:
                detail = f"A sheet holds {xlsx.MOST_ROWS} rows, these are {total}; cut by from, to."
                raise problem("too_many_rows", detail)
            blocks = (source.columns(block, _sheet_cells) for block in source.blocks())
            yield from xlsx.workbook(table.name, kinds, blocks)

    return _streamed(pieces(), wish, "xlsx", xlsx.MEDIA_TYPE)


def _sheet_cells(column: Column, block: Block, names: Mapping[str, Names]) -> Sequence[Any]:
    zones = (names[account].config.timezone for account in block.accounts)
    return xlsx.cells(column.kind, typed(column, block, names), zones)


def _parquet(call: Call, wanted: Wanted, table: Table) -> Response:
    wish = wanted.of(table)
    arrow = parquet.arrow()

    def pieces() -> Iterator[bytes]:
        with _opened(call, wanted, wish) as source:
            blocks = (source.columns(block, typed) for block in source.blocks())
            yield from parquet.parquet_file(arrow, wish.columns, blocks)

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
