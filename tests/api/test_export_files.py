"""Exports as XLSX and Parquet: read by other programs' readers, exact, in bounded memory."""

import io
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.api import parquet, xlsx
from service.kpi.tables import TABLES
from service.store.tables import Contribution, Deal
from tests.api.conftest import Api, at, deal_row
from tests.api.test_exports import ODD_MONEY, contribution, figures, table

MOSCOW = ZoneInfo("Europe/Moscow")
ZONES = {"romashka": MOSCOW, "vasilek": ZoneInfo("Asia/Krasnoyarsk")}
ODD = ["=1+1", "+7 900", "a<b>&\"c'", "стр\r\nока\tи\x01конец", "_x000D_", " край ", "😀"]


def sheet(content: bytes) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=False)
    return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


def local(value: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(value).astimezone(zone).replace(tzinfo=None)


def test_xlsx_and_parquet_hold_what_ndjson_does(api: Api) -> None:
    figures(api)
    api.insert(Deal, *ODD_MONEY)
    api.insert(Contribution, contribution(9, currency="KWD", value=-1_005))
    client = api.client()
    for name in TABLES:
        check_xlsx(client, name)
        check_parquet(client, name)


def check_xlsx(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/v1/exports/{name}.xlsx")
    assert answer.headers["content-type"] == xlsx.MEDIA_TYPE
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.xlsx"'
    head, *rows = sheet(answer.content)
    columns = TABLES[name].columns
    assert head == [column.name for column in columns]
    told = table(client, name)
    assert len(rows) == len(told) > 0
    for row, expected in zip(rows, told, strict=True):
        for column, value in zip(columns, row, strict=True):
            should = expected[column.name]
            if column.kind == "Date" and should is not None:
                value = value.date().isoformat()  # noqa: PLW2901 - as told
            elif column.kind == "DateTimeOffset" and should is not None:
                zone = ZONES[expected["account_id"]]
                assert abs(value - local(should, zone)) < timedelta(seconds=0.001)
                continue
            elif column.kind == "Decimal" and should is not None:
                assert isinstance(value, int | float)
                value = Decimal(str(value))  # noqa: PLW2901 - as told
            assert value == should, column.name


def check_parquet(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/v1/exports/{name}.parquet")
    assert answer.headers["content-type"] == parquet.MEDIA_TYPE
    found = pq.read_table(io.BytesIO(answer.content))
    types = {
        "String": pa.string(), "Int32": pa.int32(), "Boolean": pa.bool_(), "Date": pa.date32(),
        "DateTimeOffset": pa.timestamp("ms", tz="UTC"), "Decimal": pa.decimal128(18, 3),
    }  # fmt: skip
    columns = TABLES[name].columns
    assert found.schema.types == [types[column.kind] for column in columns]
    assert [field.nullable for field in found.schema] == [
        column.name not in ("id", "account_id") for column in columns
    ]
    for row, told in zip(found.to_pylist(), table(client, name), strict=True):
        for column in columns:
            value = row[column.name]
            if isinstance(value, datetime):
                value = value.strftime("%Y-%m-%dT%H:%M:%SZ")
            elif isinstance(value, date):
                value = value.isoformat()
            assert value == told[column.name], column.name


def test_odd_texts_come_through_and_are_no_formulas(both: Api) -> None:
    both.insert(Deal, *(deal_row(f"x{n}", name=text, amount=n) for n, text in enumerate(ODD)))
    client = both.client(accounts=("romashka",))
    query = {"columns": "id,name,amount,created_at"}
    answer = client.get("/v1/exports/deals.xlsx", params=query)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    rows = {row[0]: row for row in sheet(answer.content)[1:]}
    for number, text in enumerate(ODD):
        found = rows[f"romashka.x{number}"]
        unescaped = openpyxl.utils.escape.unescape(found[1])
        assert unescaped == text
        assert found[2] == number / 100
        assert found[3] == datetime(2026, 11, 2, 11, 15)  # noqa: DTZ001 - cells have no zones
    kept = pq.read_table(
        io.BytesIO(client.get("/v1/exports/deals.parquet", params=query).content)
    ).to_pylist()
    assert [row["name"] for row in kept if row["id"].startswith("romashka.x")] == ODD
    assert kept[0]["created_at"] == datetime(2026, 11, 2, 8, 15, tzinfo=UTC)


def test_cuts_and_scopes_hold_for_files_too(api: Api) -> None:
    api.insert(Deal, deal_row("8", created_at=at("2026-10-31T21:30:00Z")))
    client = api.client()
    query = {"from": "2026-11-01", "to": "2026-11-01", "columns": "id"}
    answer = client.get("/v1/exports/deals.xlsx", params=query)
    assert sheet(answer.content) == [["id"], ["romashka.8"]]
    assert "deals-2026-11-01-2026-11-01.xlsx" in answer.headers["content-disposition"]
    answer = client.get("/v1/exports/deals.parquet", params=query)
    assert pq.read_table(io.BytesIO(answer.content)).to_pylist() == [{"id": "romashka.8"}]
    mine = api.client(accounts=("vasilek",))
    for ending in ("xlsx", "parquet"):
        assert api.client("kpi:read").get(f"/v1/exports/deals.{ending}").status_code == 403
        assert client.get(f"/v1/exports/deals.{ending}?columns=x").status_code == 400
        assert b"romashka" not in mine.get(f"/v1/exports/deals.{ending}").content
    empty = client.get("/v1/exports/deals.parquet?account=nobody")
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0


def test_more_rows_than_a_sheet_has_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 2)
    answer = api.client().get("/v1/exports/deals.xlsx")
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_rows")


def test_without_pyarrow_the_answer_names_the_extra(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    answer = api.client().get("/v1/exports/deals.parquet")
    assert answer.status_code == 501
    assert "dozor[parquet]" in answer.json()["detail"]


def test_memory_does_not_grow_with_the_rows() -> None:
    columns = [column for column in TABLES["deals"].columns if column.name in ("id", "amount")]

    def peak(make: Any, blocks: int) -> int:
        tracemalloc.start()
        for _ in make(blocks):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    def as_xlsx(blocks: int) -> Any:
        cells: list[list[Any]] = [["a" * 40] * 500, [Decimal("1.00")] * 500]
        kinds = {"id": "String", "amount": "Decimal"}
        return xlsx.workbook("deals", kinds, (cells for _ in range(blocks)))

    def as_parquet(blocks: int) -> Any:
        numbers = (range(500 * n, 500 * n + 500) for n in range(blocks))
        read: Iterator[list[Sequence[Any]]] = (
            [[f"r.{n}" for n in part], list(map(Decimal, part))] for part in numbers
        )
        return parquet.parquet_file(pa, columns, read)

    for make, few, many in ((as_xlsx, 4, 24), (as_parquet, 90, 170)):
        assert peak(make, many) < 1.3 * peak(make, few)
    groups = pq.ParquetFile(io.BytesIO(b"".join(as_parquet(90)))).metadata
    assert groups.num_row_groups == 5  # of 10,000 rows
