"""Rows of a KPI query: columns, names, currencies, and the plans beside them."""

import re
from typing import Any

import httpx
import pytest

from service.api import openapi
from service.kpi import compare
from service.kpi.figures.russian import FORMULAS
from service.kpi.metrics import METRICS
from service.kpi.parts import APART
from service.store.tables import Contribution
from tests.api.conftest import Api, at
from tests.api.test_conventions import check_problem
from tests.api.test_exports import contribution, table
from tests.api.test_forms import rows_of, summed
from tests.api.test_schema import answer_fits

SPAN = {"from": "2026-11-01", "to": "2026-11-30"}


def asked(client: httpx.Client, metrics: str, **query: str) -> dict[str, Any]:
    answer = client.get("/v1/kpis/query", params=SPAN | {"metrics": metrics} | query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert [list(row) for row in document["data"]] == [
        [column["name"] for column in document["columns"]]
    ] * len(document["data"])
    return document


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"grain": "week", "dimensions": "seller,pipeline"},
        {"compare": "previous_period", "include": "plan,parts", "totals": "true"},
        {"dimensions": "account,team", "money": "major", "compare": "previous_year"},
    ],
)
def test_rows_have_the_columns_that_are_told_and_fit_the_document(
    api: Api, query: dict[str, str]
) -> None:
    summed(api)
    client = api.client()
    metrics = "receipts,deals_won,average_check,conversion,cycle"
    told = asked(client, metrics, **query)
    operation = openapi.build(api.app)["paths"]["/v1/kpis/query"]
    answer = client.get("/v1/kpis/query", params=SPAN | {"metrics": metrics} | query)
    answer_fits(openapi.build(api.app), operation["get"], answer)
    kinds = {column["name"]: column["type"] for column in told["columns"]}
    for row in told["data"]:
        for name, value in row.items():
            if kinds[name] == "integer":
                assert value is None or type(value) is int, name
            elif kinds[name] == "boolean":
                assert type(value) is bool, name
    head = next(iter(rows_of(client.get("/v1/kpis/query", params=SPAN | query | {
        "metrics": metrics, "format": "csv"}))))  # fmt: skip
    assert list(head) == list(kinds)
    roles = [column["name"] for column in told["columns"] if column["role"] == "time"]
    assert roles == (["period"] if "grain" in query else [])


def test_a_plan_stands_beside_the_figures_of_its_currency_and_account(api: Api) -> None:
    api.insert(Contribution, contribution(9, currency="USD", value=700))
    summed(api)
    client = api.client()
    whole = asked(client, "receipts", include="plan")["data"]
    plans = {row["currency"]: (row["receipts"], row["receipts__plan"]) for row in whole}
    assert plans == {"RUB": (200_000, 12_345), "USD": (799, 12_345)}
    own = asked(client, "receipts", include="plan", account="romashka")["data"]
    assert {row["currency"]: row["receipts__plan"] for row in own} == {"RUB": 12_345, "USD": None}
    rows = asked(client, "receipts", include="plan", dimensions="account,seller")["data"]
    told = {(row["seller"], row["currency"]): row["receipts__plan"] for row in rows}
    assert told == {
        ("romashka.7", "RUB"): 12_345, ("romashka.7", "USD"): None, ("vasilek.7", "USD"): 12_345,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ({"seller": "romashka.7"}, 12_345),
        ({"seller": "romashka.9"}, None),
        ({"seller[ne]": "romashka.7"}, None),
        ({"team": "1"}, 12_345),
        ({"pipeline": "romashka.31"}, None),  # nobody plans by pipeline
        ({"dimensions": "pipeline"}, None),
    ],
)
def test_a_plan_is_cut_as_the_figure_is(api: Api, query: dict[str, str], plan: int | None) -> None:
    summed(api)
    client = api.client(accounts=("romashka",))
    (row,) = asked(client, "receipts", include="plan", **query)["data"]
    assert row["receipts__plan"] == plan


def test_norms_of_several_accounts_are_not_added_up(api: Api) -> None:
    summed(api)
    client = api.client()
    rows = [
        {"account": account, "metric": "conversion", "period": "2026-11", "value": value}
        for account, value in (("romashka", 25), ("vasilek", 30))
    ]
    assert client.put("/v1/plans", json={"rows": rows}).status_code == 200
    (both,) = asked(client, "conversion", include="plan")["data"]
    assert both["conversion__plan"] is None
    (one,) = asked(client, "conversion", include="plan", account="vasilek")["data"]
    assert one["conversion__plan"] == 30


def test_currency_tells_counts_apart_too(api: Api) -> None:
    api.insert(Contribution, contribution(9, metric="deals_won", currency="USD", value=1))
    summed(api)
    (whole,) = asked(api.client(), "deals_won")["data"]
    assert (whole["currency"], whole["deals_won"]) == (None, 2)
    rows = asked(api.client(), "deals_won,conversion", dimensions="currency")["data"]
    assert {row["currency"]: row["deals_won"] for row in rows} == {"RUB": 1, "USD": 1}
    derived = "deals_won,deals_open_avg,cycle,hygiene_index"
    rows = asked(api.client(), derived, dimensions="currency,seller")["data"]
    places = [(row["seller"], row["currency"]) for row in rows]
    assert len(places) == len(set(places))


def test_digits_of_money_are_those_of_the_currencies_in_the_answer(api: Api) -> None:
    api.insert(Contribution, contribution(9, currency="KWD", value=1_005))
    summed(api)
    client = api.client()

    def digits(account: str) -> int | None:
        columns = asked(client, "receipts", account=account)["columns"]
        found: dict[str, int | None] = {one["name"]: one["exponent"] for one in columns}
        return found["receipts"]

    assert (digits("vasilek"), digits("romashka")) == (2, None)
    rows = asked(client, "receipts", money="major", account="romashka")["data"]
    assert {row["currency"]: row["receipts"] for row in rows} == {"RUB": 2000.0, "KWD": 1.005}


def test_a_figure_says_what_receipts_are(api: Api) -> None:
    client = api.client()

    def sources(*accounts: str) -> dict[str, Any]:
        metrics = "receipts,average_check,deals_won"
        columns = asked(client, metrics, account=",".join(accounts), dimensions="seller")["columns"]
        return {one["name"]: one["source"] for one in columns}

    won = sources("romashka")
    assert (won.pop("receipts"), won.pop("average_check")) == ("won", "won")
    assert set(won.values()) == {None}
    settings = {"receipts_from": "payments"}
    assert client.put("/v1/accounts/romashka/settings", json=settings).status_code == 200
    assert sources("romashka")["receipts"] == "invoices"
    assert sources("romashka", "vasilek")["receipts"] == "mixed"


def test_rules_have_names(api: Api) -> None:
    for lang, name in (("en", "Task overdue"), ("ru", "Просрочена задача")):
        told = asked(api.client(), "violations_opened", dimensions="rule", lang=lang)["data"]
        assert {one["rule"]: one["rule_name"] for one in told}["task-overdue"] == name


def test_what_is_compared_with_is_told(api: Api) -> None:
    client = api.client()

    def compared(first: str, last: str, how: str = "previous_period") -> dict[str, str]:
        query = {"metrics": "deals_won", "from": first, "to": last, "compare": how}
        found: dict[str, str] = client.get("/v1/kpis/query", params=query).json()["meta"]["compare"]
        return found

    assert compared("2026-09-01", "2026-10-31") == {
        "from": "2026-07-01", "to": "2026-08-31", "rule": "whole_periods",
    }  # fmt: skip
    assert compared("2026-10-05", "2026-10-14")["rule"] == "same_days"
    assert compared("2024-02-29", "2024-02-29", "previous_year") == {
        "from": "2023-02-28", "to": "2023-02-28", "rule": "same_dates",
    }  # fmt: skip
    # 23 November is the 15th working day of the month (the 4th is a holiday)
    assert compared("2026-11-01", "2026-11-30") == {
        "from": "2026-10-01", "to": "2026-10-21", "rule": "working_days",
    }  # fmt: skip
    api.clock.instant = at("2027-01-05T09:00:00Z")  # no working day has come yet
    assert compared("2027-01-01", "2027-01-31") == {
        "from": "2026-12-01", "to": "2026-12-05", "rule": "same_days",
    }  # fmt: skip


def test_changes_of_shares_and_points_are_differences() -> None:
    assert compare.change(METRICS["hygiene_index"], 84.0, 80.0) == 4
    assert compare.change(METRICS["conversion"], 0.25, 0.2) == 0.05
    assert compare.change(METRICS["average_check"], 120, 100) == 0.2
    assert compare.change(METRICS["hygiene_index"], 84.0, None) is None


def test_who_was_away_is_marked(api: Api) -> None:
    summed(api)
    client = api.client()
    away = {"sellers": {"7": {"absent": [{"from": "2026-11-01", "to": "2026-11-13"},
                                         {"from": "2026-11-16", "to": "2026-11-20"}]}}}  # fmt: skip
    assert client.put("/v1/accounts/romashka/settings", json=away).status_code == 200
    rows = asked(client, "receipts", dimensions="seller", grain="week")["data"]
    told = {row["period"]: row["absent"] for row in rows if row["seller"] == "romashka.7"}
    assert told == {
        "2026-11-01": False,  # a Sunday alone is no absence
        "2026-11-02": True, "2026-11-09": True, "2026-11-16": True, "2026-11-23": False,
        "2026-11-30": False,
    }  # fmt: skip
    whole = asked(client, "receipts", dimensions="seller", to="2026-11-20")["data"]
    assert {row["seller"] for row in whole if row["absent"]} == {"romashka.7"}


def test_the_choice_of_receipts_is_told(api: Api) -> None:
    told = asked(api.client(), "receipts")["meta"]["receipts_from"]
    assert told == {"romashka": "won", "vasilek": "won"}
    paid = {"receipts_from": "payments", "fields": {"paid": "ИНН"}}
    assert api.client().put("/v1/accounts/romashka/settings", json=paid).status_code == 200
    told = asked(api.client(), "receipts")["meta"]["receipts_from"]
    assert told == {"romashka": "payments", "vasilek": "won"}
    (own,) = asked(api.client(accounts=("vasilek",)), "receipts")["meta"]["receipts_from"]
    assert own == "vasilek"


def test_an_answer_as_of_the_future_moves_with_the_clock(api: Api) -> None:
    query = SPAN | {"metrics": "deals_won", "as_of": "2026-11-24T00:00:00Z"}
    tags = []
    for now in ("2026-11-23T07:00:00Z", "2026-11-23T08:00:00Z", "2026-11-25T07:00:00Z",
                "2026-11-25T08:00:00Z"):  # fmt: skip
        api.clock.set(now)
        tags.append(api.client().get("/v1/kpis/query", params=query).headers["etag"])
    assert tags[0] != tags[1]
    assert tags[2] == tags[3]


@pytest.mark.parametrize("name", ["include", "sort"])
def test_unknown_words_are_refused_even_where_there_are_no_rows(api: Api, name: str) -> None:
    query = SPAN | {"metrics": "deals_won", "dimensions": "seller", name: "plam"}
    document = check_problem(api.client().get("/v1/kpis/query", params=query), 400, "unknown_name")
    assert document["errors"][0]["parameter"] == name


def test_a_person_is_one_in_all_portals(both: Api) -> None:
    summed(both)
    client = both.client()
    for account in ("romashka", "vasilek"):
        settings = {"sellers": {"7": {"person": "Иванов И."}}}
        answer = client.put(f"/v1/accounts/{account}/settings", json=settings)
        assert answer.status_code == 200, answer.text
    for number, who in ((9, "9"), (10, "7")):
        part = METRICS["first_response"].parts[0]
        both.insert(Contribution, contribution(number, seller=who, metric=part, slot=APART))
    name = client.get("/v1/sellers/romashka.9").json()["name"]
    ranked = asked(client, "first_response", dimensions="person")["data"]
    assert {(row["person"], row["person_name"]) for row in ranked} == {
        ("Иванов И.", "Иванов И."), ("romashka.9", name),
    }  # fmt: skip
    rows = asked(client, "receipts", dimensions="person")["data"]
    sums = {(row["person"], row["currency"]): row["receipts"] for row in rows}
    assert sums[("Иванов И.", "RUB")] == 200_000
    assert sums[("Иванов И.", "USD")] == 99
    only = asked(client, "receipts", person="Иванов И.")["data"]
    assert {row["currency"]: row["receipts"] for row in only} == {"RUB": 200_000, "USD": 99}
    assert asked(client, "receipts", person="romashka.7", dimensions="person")["data"] == []
    opened = client.get("/v1/kpis/receipts/subjects", params=SPAN | {"person": "Иванов И."}).json()
    assert opened["meta"]["count"] == 3


def test_money_is_converted_only_with_rates(api: Api) -> None:
    summed(api)
    client = api.client()
    path = "/v1/kpis/query"
    refused = {
        "rub": "'rub' is no currency", "GBP": "No account has a rate of GBP",
    }  # fmt: skip
    for wish, why in refused.items():
        query = SPAN | {"metrics": "receipts", "convert": wish}
        told = check_problem(client.get(path, params=query), 400, "invalid_parameter")
        assert told["errors"][0]["parameter"] == "convert"
        assert why in told["errors"][0]["detail"]
    body = SPAN | {"metrics": ["receipts", "median_check"], "convert": "RUB"}
    told = check_problem(client.post(path, json=body), 400, "invalid_body")
    assert told["errors"][0]["pointer"] == "#/convert"
    assert "median_check" in told["errors"][0]["detail"]
    before = asked(client, "receipts", totals="true", convert="RUB")
    assert {row["currency"]: row["converted"] for row in before["data"]} == {
        "RUB": False, "USD": False,
    }  # fmt: skip
    settings = "/v1/accounts/vasilek/settings"
    for rates, place in (
        ({"rub": {"2026-01-01": 1}}, "#/rates"), ({"RUB": {}}, "#/rates"),
        ({"RUB": {"2026-01-01": 0}}, "#/rates/RUB/2026-01-01"),
        ({"RUB": {"soon": 1}}, "#/rates/RUB/soon"),
    ):  # fmt: skip
        told = check_problem(client.put(settings, json={"rates": rates}), 400, "invalid_body")
        assert told["errors"][0]["pointer"].startswith(place), told
    put = client.put(settings, json={"rates": {"RUB": {"2026-01-01": "0.0125"}}})
    assert put.status_code == 200, put.text
    assert client.put(settings, json=put.json()).json() == put.json()
    after = asked(client, "receipts", totals="true", convert="RUB")
    by = {row["currency"]: row["receipts"] for row in before["data"]}
    (row,) = after["data"]
    assert (row["currency"], row["converted"]) == ("RUB", True)
    assert row["receipts"] == by["RUB"] + by["USD"] * 80
    assert after["totals"] == [{"currency": "RUB", "converted": True, "receipts": row["receipts"]}]
    same = client.post(path, json=SPAN | {
        "metrics": ["receipts"], "convert": "RUB", "totals": True,
    })  # fmt: skip
    assert same.json() == after
    assert "converted" not in asked(client, "receipts")["data"][0]


def test_a_figure_is_told_in_the_language_that_is_asked_for(api: Api) -> None:
    client = api.client()
    russian = {row["slug"]: row for row in client.get("/v1/kpis?lang=ru").json()["data"]}
    english = {row["slug"]: row for row in client.get("/v1/kpis?lang=en").json()["data"]}
    assert russian.keys() == english.keys() == FORMULAS.keys()
    for slug, row in russian.items():
        assert re.search("[а-яё]", row["formula"]), slug
        assert not re.search("[А-Яа-яЁё]", english[slug]["description"].split("(КП")[0]), slug
        assert row["description"] == f"{row['title']}: {row['formula']}"
        for name in re.findall(r"`(\w+)", row["formula"]):  # settings and parameters keep theirs
            assert name in english[slug]["formula"], (slug, name)
    for lang, rows in (("ru", russian), ("en", english)):
        told = table(client, "metrics", lang=lang)
        assert {row["metric"]: row["formula"] for row in told} == {
            slug: row["formula"] for slug, row in rows.items()
        }
