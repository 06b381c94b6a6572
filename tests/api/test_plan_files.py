"""Plans read from files and written to files, by people and by Excel (api.md 3.7)."""

import io
from typing import Any

import openpyxl
import pytest

from tests.api.conftest import Api
from tests.api.test_plans import MONTH, Client, act, listed, plan, put

RUSSIAN = (
    "Показатель;Период;Продавец;Отдел;План\r\n"
    "Поступления;01.12.2026;Иванов;;1 234,50\r\n"
    "Продажи;01.12.2026;;Отдел 2;12\r\n"
    "deals_won;01.12.2026;romashka.7;;5\r\n"
)


def upload(client: Client, data: bytes, kind: str = "text/csv", **query: str) -> dict[str, Any]:
    answer = client.post(
        "/v1/plans/import", params={"account": "romashka"} | query, content=data,
        headers={"content-type": kind},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_russian_files_in_any_dress(api: Api, encoding: str, separator: str) -> None:
    client = api.client()
    data = RUSSIAN.replace(";", separator).encode(encoding)
    looked = upload(client, data, dry_run="true")
    assert (looked["accepted"], looked["rejected"], looked["created"]) == (3, 0, 3)
    assert listed(client) == {}
    assert upload(client, data)["created"] == 3
    assert upload(client, data)["unchanged"] == 3
    rows = client.get("/v1/plans").json()["data"]
    assert {(r["metric"], r["period"], r["team"], r["seller"], r["value"]) for r in rows} == {
        ("receipts", MONTH, None, "romashka.7", 123_450),
        ("deals_won", MONTH, "2", None, 12),
        ("deals_won", MONTH, None, "romashka.7", 5),
    }


def test_cells_as_excel_saves_them(api: Api) -> None:
    """A column of months becomes `дек.26`, money and shares keep their signs."""
    client = api.client()
    data = (
        "Показатель;Период;План\r\n"
        "Поступления;дек.26;1 234 567,50 ₽\r\n"
        "Средний чек;Dec-26;50\u00a0000 руб.\r\n"
        "Конверсия (за период);декабрь 2026 г.;25%\r\n"
        "Продажи;май.26;12\r\n"
        "Продажи;июн.26;12 ₽\r\n"
        "Поступления;июн.26;$12\r\n"
        "Конверсия (за период);июн.26;0,25\r\n"
        "Продажи;дек.2026;1\r\n"
        "Конверсия;июн.26;25%\r\n"
        "Минуты на линии;июн.26;600\r\n"
        "Минуты на линии;июл.26;600 мин.\r\n"
        "talk_seconds;авг.26;36000\r\n"
        "Цикл сделки;2026;1,5 ч\r\n"
        "Звонки;03.2026;31\r\n"
        "Цикл сделки;IV кв. 2026;2 ч\r\n"
        "Цикл сделки;1 квартал 2027 г.;3 ч\r\n"
        "Звонки;13.2026;42\r\n"
    ).encode("cp1251", "replace")  # it has no ₽: Excel writes a question mark
    found = upload(client, data, partial="true")
    assert [(e["row"], e["column"]) for e in found["errors"]] == [
        (6, "План"), (7, "План"), (8, "План"), (9, "Период"), (10, "Показатель"),
        (11, "План"), (18, "Период"),
    ]  # fmt: skip
    assert "per cent" in found["errors"][2]["detail"]
    assert "Конверсия (за период)" in found["errors"][4]["detail"]
    rows = client.get("/v1/plans").json()["data"]
    assert {(row["metric"], row["period"], row["value"]) for row in rows} == {
        ("receipts", "2026-12", 123_456_750), ("average_check", "2026-12", 5_000_000),
        ("conversion", "2026-12", 25), ("deals_won", "2026-05", 12), ("cycle", "2026", 5_400),
        ("talk_seconds", "2026-07", 36_000), ("talk_seconds", "2026-08", 36_000),
        ("calls", "2026-03", 31), ("cycle", "2026-Q4", 7_200), ("cycle", "2027-Q1", 10_800),
    }  # fmt: skip


def test_a_rejected_row_stops_all_unless_partial(both: Api) -> None:
    client = both.client()
    data = (
        "metric,period,seller,value\n"
        "deals_won,2026-12,Иванов,5\n"
        "deals_wom,2026-12,Иванов,5\n"
        "deals_won,2026-12,Иванова,5\n"
        "deals_won,2026-12-40,,5\n"
        "deals_won,2026-12,Петрова,пять\n"
        "deals_won,2026-12,Иванов,6\n"
        "deals_won,2026-12-10,Иванов,9\n"
    ).encode()
    found = upload(client, data)
    assert (found["accepted"], found["rejected"]) == (0, 6)
    assert [(e["row"], e["column"], e["code"], e["value"]) for e in found["errors"]] == [
        (3, "metric", "unknown_name", "deals_wom"),
        (4, "seller", "unknown_name", "Иванова"),
        (5, "period", "invalid_body", "2026-12-40"),
        (6, "value", "invalid_body", "пять"),
        (7, "period", "invalid_body", "2026-12"),
        (8, "value", "conflict", "9"),
    ]
    assert listed(client) == {}
    partly = upload(client, data, partial="true")
    assert (partly["accepted"], partly["rejected"], partly["created"]) == (1, 6, 1)
    assert listed(client) == {(MONTH, None, "romashka.7"): 5}


def test_what_is_no_table_is_refused_with_a_sentence(api: Api) -> None:
    client = api.client()
    for data, words in (
        (b"", "no rows"), (b"metric;value\ndeals_won;1\n", "column period is missing"),
        (b"PK\x03\x04nonsense", "XLSX"), (b"metric;period;value;x\n1;2;3;4\n", "no column 'x'"),
        (b"metric;metric;period;value\na;b;c;d\n", "stands twice"), (b"\x00\x01", "no CSV"),
    ):  # fmt: skip
        answer = client.post("/v1/plans/import", content=data, headers={"content-type": "text/csv"})
        assert answer.status_code == 400, data
        assert words in answer.json()["detail"], answer.json()
    form = client.post("/v1/plans/import", files={"wrong": b"x"})
    assert form.json()["detail"] == "The form has no part named file."
    assert client.post("/v1/plans/import", json={}).status_code == 415


def fill(client: Client) -> None:
    put(
        client, plan(40, seller="romashka.7"), plan(7, team="2"), plan(60),
        plan(123_456_789, metric="receipts", seller="romashka.9", locked=True),
        plan(3, seller="romashka.7", period="2026-12-01"), plan(25, metric="conversion"),
    )  # fmt: skip
    act(client, "approve", period=MONTH, metrics=["receipts"])


@pytest.mark.parametrize("query", ["", "?dialect=excel_ru", "?account=romashka&period=2026-12"])
def test_what_is_exported_and_imported_again_is_unchanged(both: Api, query: str) -> None:
    client = both.client()
    fill(client)
    answer = client.get(f"/v1/plans/export.csv{query}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.content
    if "excel_ru" in query:
        assert text.startswith(b"\xef\xbb\xbfaccount;metric;")
        assert b";1234567,89;RUB;approved;true\r\n" in text
    else:
        assert b",1234567.89,RUB,approved,true\r\n" in text
    found = upload(client, text)
    assert (found["accepted"], found["unchanged"], found["rejected"]) == (6, 6, 0)
    form = client.post("/v1/plans/import", files={"file": ("plans.csv", text, "text/csv")})
    assert form.json()["unchanged"] == 6


def test_xlsx_there_and_back(both: Api) -> None:
    client = both.client()
    fill(client)
    data = client.get("/v1/plans/export.xlsx").content
    sheet = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]
    cells = list(sheet.iter_rows(values_only=True))
    assert cells[0][:3] == ("account", "metric", "period")
    assert 1234567.89 in [row[5] for row in cells]
    form = client.post("/v1/plans/import", files={"file": ("plans.xlsx", data)})
    assert form.json()["unchanged"] == 6, form.text
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert upload(client, data, kind)["unchanged"] == 6


def test_a_sheet_with_real_dates_and_numbers(api: Api) -> None:
    from datetime import datetime

    client = api.client()
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Показатель", "Месяц", "Менеджер", "Сумма"])
    sheet.append(["Поступления", datetime(2026, 12, 1), "Иванов", 1234.5])  # noqa: DTZ001
    sheet.append(["Звонки", datetime(2026, 12, 1), 9, 300])  # noqa: DTZ001
    for month, value, form in (
        ("2026-07", 0.29, "0%"), ("2026-08", 0.07, '0.00" руб. "%'), ("2026-09", 31, '0" %"'),
        ("2026-10", 0.25, "General"), ("2026-11", 0.255, "0%"),
    ):  # fmt: skip
        sheet.append(["Конверсия (за период)", month, None, value])
        sheet.cell(sheet.max_row, 4).number_format = form
    sheet.append(["Звонки", "2026-11", 9, 3])
    sheet.cell(sheet.max_row, 4).number_format = "0%"
    out = io.BytesIO()
    book.save(out)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    refused = upload(client, out.getvalue(), kind, partial="true")
    assert [(e["row"], e["column"]) for e in refused["errors"]] == [
        (7, "Сумма"), (8, "Сумма"), (9, "Сумма"),
    ]  # fmt: skip
    assert refused["created"] == 5
    shares = {r["period"]: r["value"] for r in client.get("/v1/plans").json()["data"]
              if r["metric"] == "conversion"}  # fmt: skip
    assert shares == {"2026-07": 29, "2026-08": 7, "2026-09": 31}
    assert {one for one in listed(client) if one[0] == MONTH} == {
        (MONTH, None, "romashka.7"), (MONTH, None, "romashka.9"),
    }  # fmt: skip
