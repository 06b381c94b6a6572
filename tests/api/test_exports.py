"""Exports: the same rows as the tables, for the key's accounts only, in every dialect."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from service.domain.named import parse_document
from service.kpi.tables import TABLES
from service.store import accounts
from service.store.engine import transaction
from service.store.records import Plan
from service.store.tables import Contribution, Deal
from tests.api.conftest import Api, at, deal_row


def table(client: httpx.Client, name: str, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/exports/{name}.ndjson", params=query)
    assert answer.status_code == 200, answer.text
    return [json.loads(line, parse_float=Decimal) for line in answer.text.splitlines()]


def contribution(number: int, account: str = "romashka", **more: Any) -> dict[str, Any]:
    return {
        "account_id": account, "timeline": f"deal:{number}", "metric": "receipts",
        "subject_kind": "deal", "subject_id": str(number), "key": "a",
        "at": at("2026-11-10T09:00:00Z"), "day": 20261110, "seller": "7", "pipeline": "31",
        "stage": "142", "source": "site", "value": 150_050, "currency": "RUB", "slot": "",
    } | more  # fmt: skip


CORRECTIONS = [  # a win of 10 November is undone on the 23rd, on which two others come
    contribution(n, metric="deals_won", key=key, at=at("2026-11-22T22:00:00Z"),
                 day=20261123, value=value)
    for n, key, value in ((3, "b<20261110", -1), (6, "a", 1), (7, "a", 1))
]  # fmt: skip
ODD_MONEY = [  # 1.005 dinars, 5 yen; others than the best known ones too
    deal_row(f"m-{currency}", currency=currency, amount=amount)
    for currency, amount in (("KWD", 1_005), ("OMR", -2_345), ("JPY", 5), ("XAF", 7), ("TRY", 105))
]
ODD_TOLD = {"KWD": "1.005", "OMR": "-2.345", "JPY": "5.00", "XAF": "7.00", "TRY": "1.05"}


def moved(api: Api) -> None:
    """Seller 7 of romashka was in one team until 22 November, then in another."""
    teams = {
        "Север": [9, {"id": 7, "to": "2026-11-22"}], "Юг": [12, {"id": 7, "from": "2026-11-23"}],
    }  # fmt: skip
    with transaction(api.engine) as connection:
        document = parse_document({"teams": teams})
        accounts.save_settings(connection, "romashka", document, "tests", api.clock.instant)


def figures(api: Api) -> None:
    api.insert(
        Contribution,
        contribution(1),
        contribution(2, value=49_950),
        contribution(3, metric="deals_won", value=1),
        contribution(4, metric="deals_open", value=1),
        contribution(5, "vasilek", currency="USD", value=99),
    )
    plan = {"metric": "receipts", "period": "2026-11", "team": "", "seller": "7", "value": 12_345}
    more = {"currency": "RUB", "at": at("2026-11-01T00:00:00Z"), "author": "tests"}
    for account in ("romashka", "vasilek"):
        api.insert(Plan, {"account_id": account, **plan, **more})


def test_deals_have_names_money_and_local_days(both: Api) -> None:
    both.insert(
        Deal, deal_row("8", created_at=at("2026-10-31T21:30:00Z"), currency="JPY", amount=7)
    )
    rows = {row["id"]: row for row in table(both.client(), "deals")}
    assert list(rows) == ["romashka.1", "romashka.2", "romashka.8", "vasilek.1"]
    first = rows["romashka.1"]
    assert first["amount"] == Decimal("125000.00")
    assert first["created_at"] == "2026-11-02T08:15:00Z"
    assert first["created_date"] == "2026-11-02"
    assert first["violations_open"] == 2
    assert rows["romashka.8"]["amount"] == Decimal(7)
    assert rows["romashka.8"]["created_date"] == "2026-11-01"  # Moscow
    assert "romashka.amocrm.ru" in first["url"]
    assert rows["vasilek.1"]["seller_name"] == "Смирнова"
    assert rows["vasilek.1"]["stage_name"] == "Новая"
    assert rows["vasilek.1"]["team_name"] == "Отдел 5"
    assert list(first) == [column.name for column in TABLES["deals"].columns]


def test_violations_and_tasks_are_as_the_lists_say(both: Api) -> None:
    moved(both)
    client = both.client()
    client.post(f"/v1/violations/vio_{1:026d}/ack", json={"comment": "a"})
    listed = {
        row["id"]: row
        for row in client.get("/v1/violations?status=open,upcoming,resolved").json()["data"]
    }
    rows = {row["id"]: row for row in table(client, "violations")}
    assert rows.keys() == listed.keys()
    for name, row in rows.items():
        told = listed[name]
        assert row["status"] == told["status"]
        assert row["rule_title"] == told["rule"]["title"]
        assert row["acked"] == (told["ack"] is not None)
        assert row["muted"] == told["muted"]
        assert row["breach_at"] == told["breach_at"]
        assert row["subject_id"] == told["subject"]["id"]
        assert row["team_id"] == told["team"]["id"]
    assert rows[f"vio_{1:026d}"]["acked"]
    tasks = {row["id"]: row for row in client.get("/v1/tasks").json()["data"]}
    for row in table(client, "tasks"):
        told = tasks[row["id"]]
        for name in ("overdue", "due_date", "status", "kind", "title", "has_result"):
            assert row[name] == told[name]


def test_figures_are_additive_parts_and_sums_hold(both: Api) -> None:
    figures(both)
    client = both.client(accounts=("romashka",))
    rows = table(client, "kpi_daily")
    assert [(row["metric"], row["value"]) for row in rows] == [
        ("deals_won", Decimal(1)),
        ("receipts", Decimal("2000.00")),
    ]
    assert rows[1]["date"] == "2026-11-10"
    assert rows[1]["source"] == "site"
    assert rows[1]["team_id"] == "1"
    moved(both)
    assert {row["team_id"] for row in table(client, "kpi_daily")} == {"Север"}
    both.insert(Contribution, *CORRECTIONS)
    undone = table(client, "kpi_daily", **{"from": "2026-11-23"})
    assert [
        (row["id"].split(".", 1)[1], row["date"], row["team_date"], row["team_id"], row["value"])
        for row in undone
    ] == [
        ("20261123.deals_won.7.31.site.RUB.20261110", "2026-11-23", "2026-11-10", "Север",
         Decimal(-1)),
        ("20261123.deals_won.7.31.site.RUB", "2026-11-23", "2026-11-23", "Юг", Decimal(2)),
    ]  # fmt: skip
    stays = [row for row in table(client, "seller_team") if row["seller_id"] == "romashka.7"]
    columns = ("team_name", "first_date", "last_date", "valid_from", "valid_to")
    assert [tuple(row[name] for name in columns) for row in stays] == [
        ("Север", "1970-01-01", "2026-11-22", None, "2026-11-22T21:00:00Z"),
        ("Юг", "2026-11-23", "9999-12-31", "2026-11-22T21:00:00Z", None),
    ]
    parts = {row["part"] for row in table(client, "metrics")}
    assert {row["metric"] for row in rows} <= parts
    plan = table(client, "plans")
    assert [row["value"] for row in plan] == [Decimal("123.45")]
    assert (plan[0]["period_start"], plan[0]["period_end"]) == ("2026-11-01", "2026-11-30")


def test_the_calendar_is_that_of_the_account(both: Api) -> None:
    client = both.client(accounts=("romashka",))
    told = client.get("/v1/accounts/romashka/calendar?year=2026").json()["days"]
    hours = {day["day"]: bool(day["hours"]) for day in told}
    query = {"from": "2026-11-01", "to": "2026-11-30"}
    rows = table(client, "calendar", **query)
    assert len(rows) == 30
    assert all(row["is_working"] == hours[row["date"]] for row in rows)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_foreign_accounts_never_appear_and_scopes_hold(both: Api, name: str) -> None:
    figures(both)
    mine = both.client(accounts=("vasilek",))
    rows = table(mine, name)
    assert rows
    assert {row["account_id"] for row in rows} == {"vasilek"}
    assert "romashka" not in mine.get(f"/v1/exports/{name}.csv").text
    assert table(mine, name, account="romashka") == []
    everything = table(both.client(), name)
    assert [row for row in everything if row["account_id"] == "vasilek"] == rows
    for ending in ("csv", "ndjson"):
        refused = both.client("alerts:read").get(f"/v1/exports/{name}.{ending}")
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        assert refused.json()["required_scope"] == TABLES[name].scope
        nobody = both.anonymous().get(f"/v1/exports/{name}.{ending}")
        assert nobody.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_csv_and_ndjson_hold_the_same(api: Api, name: str) -> None:
    figures(api)
    client = api.client()
    lines = list(csv.DictReader(io.StringIO(client.get(f"/v1/exports/{name}.csv").text)))
    texts = {True: "true", False: "false", None: ""}
    for line, row in zip(lines, table(client, name), strict=True):
        for column, value in row.items():
            shown = texts[value] if value is None or isinstance(value, bool) else str(value)
            guarded = (
                f"'{shown}"
                if isinstance(value, str) and value.startswith(("=", "+", "-", "@"))
                else shown
            )
            assert line[column] == guarded


def test_money_is_exact_in_every_currency(both: Api) -> None:
    both.insert(Deal, *ODD_MONEY)
    client = both.client(accounts=("romashka",))
    query = {"columns": "currency,amount"}
    for dialect, mark in (("rfc4180", "."), ("excel_ru", ",")):
        text = client.get("/v1/exports/deals.csv", params=query | {"dialect": dialect}).text
        lines = [line.replace(";", "/").replace(",", "/", 1) if mark == "." else
                 line.replace(";", "/") for line in text.splitlines()]  # fmt: skip
        told = dict(line.split("/") for line in lines if line[:3] in ODD_TOLD)
        assert told == {name: value.replace(".", mark) for name, value in ODD_TOLD.items()}
    options = {"$filter": "currency ne 'RUB'", "$orderby": "amount", "$select": "currency,amount"}
    text = client.get("/odata/v4/deals", params=options).text
    for name, value in ODD_TOLD.items():
        assert f'{{"currency":"{name}","amount":{value}}}' in text
        only = {"$filter": f"currency ne 'RUB' and amount eq {value}"}
        found = client.get("/odata/v4/deals", params=only).json()["value"]
        assert [row["currency"] for row in found] == [name]
    ordered = [row["currency"] for row in client.get("/odata/v4/deals", params=options).json()[
        "value"]]  # fmt: skip
    assert ordered == ["OMR", "KWD", "TRY", "JPY", "XAF"]


def test_russian_excel_reads_it(api: Api) -> None:
    names = ["=1+1", "@SUM(A1)", 'a;"b"\nc', "обычная", "-5", "+7 900"]
    api.insert(Deal, *(deal_row(f"x{n}", name=name, amount=1999) for n, name in enumerate(names)))
    answer = api.client().get(
        "/v1/exports/deals.csv",
        params={"dialect": "excel_ru", "columns": "name,amount,created_at,created_date"},
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.headers["content-disposition"] == 'attachment; filename="deals.csv"'
    rows = list(
        csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=";")
    )
    assert rows[0] == ["name", "amount", "created_at", "created_date"]
    assert rows[1][1:] == ["125000,00", "02.11.2026 11:15:00", "02.11.2026"]
    found = {row[0] for row in rows}
    assert {"'=1+1", "'@SUM(A1)", 'a;"b"\nc', "обычная", "'-5", "'+7 900"} <= found


def test_cuts_and_columns(both: Api) -> None:
    client = both.client()
    both.insert(Deal, deal_row("8", created_at=at("2026-10-31T21:30:00Z")))
    query = {"from": "2026-11-01", "to": "2026-11-01", "columns": "id,amount"}
    assert table(client, "deals", **query) == [{"id": "romashka.8", "amount": 0}]
    assert [r["id"] for r in table(client, "deals", seller="romashka.9")] == ["romashka.2"]
    assert [r["id"] for r in table(client, "deals", pipeline="vasilek.0")] == ["vasilek.1"]


@pytest.mark.parametrize(
    ("path", "code", "parameter"),
    [
        ("deals.csv?columns=id,amuont", "unknown_name", "columns"),
        ("deals.csv?form=2026-11-01", "unknown_parameter", "form"),
        ("deals.csv?from=yesterday", "invalid_parameter", "from"),
        ("deals.csv?from=2026-11-02&to=2026-11-01", "invalid_parameter", "to"),
        ("sellers.csv?from=2026-11-02", "invalid_parameter", "from"),
        ("calendar.csv?seller=romashka.7", "invalid_parameter", "seller"),
        ("deals.csv?dialect=excel_de", "unknown_name", "dialect"),
    ],
)
def test_bad_wishes_are_refused_by_name(api: Api, path: str, code: str, parameter: str) -> None:
    answer = api.client().get(f"/v1/exports/{path}")
    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["errors"][0]["parameter"]) == (code, parameter)


def test_unknown_tables_are_not_there(api: Api) -> None:
    assert api.client().get("/v1/exports/secrets.csv").status_code == 404
    assert api.client().get("/v1/exports/deals.docx").status_code == 404


def test_a_violation_is_updated_by_what_is_said_of_it(both: Api) -> None:
    client = both.client(accounts=("romashka",))
    vio, ended = f"vio_{1:026d}", f"vio_{3:026d}"

    def told(name: str = vio) -> str:
        rows = {row["id"]: row["updated_at"] for row in table(client, "violations")}
        return str(rows[name])

    assert told() == "2026-11-23T06:00:00Z"  # its breach
    past = told(ended)
    steps = (
        ("post", f"violations/{vio}/ack", {"comment": "a"}),
        ("delete", f"violations/{vio}/ack", None),
        ("post", f"violations/{vio}/mute", {"until": "2026-11-23T07:30:00Z", "reason": "b"}),
        ("post", "mutes", {"account": "romashka", "seller": "romashka.7", "reason": "c",
                           "until": "2026-11-24T07:00:00Z"}),
    )  # fmt: skip
    for minute, (method, path, body) in enumerate(steps, 1):
        both.clock.set(f"2026-11-23T07:0{minute}:00Z")
        answer = client.request(method, f"/v1/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        assert told() == f"2026-11-23T07:0{minute}:00Z"
    for now, updated in (
        ("2026-11-23T07:29:59Z", "2026-11-23T07:04:00Z"),
        ("2026-11-23T07:30:00Z", "2026-11-23T07:30:00Z"),  # its own mute ran out
        ("2026-11-24T08:00:00Z", "2026-11-24T07:00:00Z"),  # so did the wider one
    ):
        both.clock.set(now)
        assert told() == updated
    assert told(ended) == past  # what was over before the mute is not touched by it
    query = {"$filter": "updated_at ge 2026-11-24T07:00:00Z", "$select": "id"}
    rows = client.get("/odata/v4/violations", params=query).json()["value"]
    assert vio in {row["id"] for row in rows}
