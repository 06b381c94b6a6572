"""What deploy/bi tells analysts: each SQL runs as the role it is for, and says what exports say."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from service.api.router import Route
from service.kpi.tables import TABLES
from service.store import rollups
from service.store.engine import transaction
from service.store.records import Plan
from service.store.tables import Contribution, Deal
from tests.api.conftest import Api, at, deal_row
from tests.api.test_bi_views import ROLE, ask, filled, give, roles
from tests.api.test_exports import contribution, table

FOLDER = Path(__file__).parents[2] / "deploy" / "bi"
SINCE, UNTIL = "'2026-11-01T00:00:00Z'::timestamptz", "now()"
_ = roles  # a fixture


def panels() -> dict[str, str]:
    """Title -> SQL of the Grafana dashboard, its macros filled in as Grafana does."""
    board = json.loads((FOLDER / "grafana" / "dozor.json").read_text(encoding="utf-8"))
    found = {
        panel["title"]: target["rawSql"] for panel in board["panels"] for target in panel["targets"]
    }
    variables = {one["name"]: one["query"] for one in board["templating"]["list"]}
    found["account"] = variables["account"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    return {title: filled_in(text) for title, text in found.items()}


def filled_in(text: str) -> str:
    text = re.sub(r"\$__timeFilter\((.+?)\)(?= )", rf"\1 BETWEEN {SINCE} AND {UNTIL}", text)
    text = text.replace("$__timeFrom()", SINCE).replace("$__timeTo()", UNTIL)
    text = text.replace("${account:sqlstring}", "'romashka','vasilek'")
    assert "$" not in text, text
    return text


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_sql_runs_and_tells_the_truth(
    both: Api, database_url: str, roles: psycopg.Connection
) -> None:
    filled(both, database_url)
    sold(both)
    give(both, ROLE)
    files = sorted((FOLDER / "questions").glob("*.sql"))
    found: dict[str, Any] = {}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("-- ")
        found[path.stem] = ask(database_url, text)
    for title, text in panels().items():
        found[title] = ask(database_url, text)
    assert len(found) > 18
    assert [name for name, rows in found.items() if not rows] == []
    client = both.client()
    figures = [row for row in table(client, "kpi_daily") if row["metric"] == "receipts"]
    total = sum(row["value"] for row in figures)
    assert sum(row["receipts"] for row in found["receipts_by_month"]) == total
    assert sum(row["receipts"] for row in found["Поступления по дням"]) == total
    assert sum(row["receipts"] or 0 for row in found["receipts_by_working_day"]) == total
    opened = client.get("/v1/violations?status=open&muted=false&count=true").json()["total"]
    assert found["Открытые нарушения"] == [{"violations": opened}]
    assert sum(row["violations"] for row in found["open_violations"]) == opened
    plans = [row for row in found["plan_fact_month"] if row["metric"] == "receipts"]
    mine = next(row for row in plans if row["account_id"] == "romashka")
    assert (mine["plan"], mine["fact"]) == (Decimal("123.45"), 2000)
    same_day = [r for r in found["receipts_by_working_day"] if r["account_id"] == "romashka"]
    assert {r["currency"]: r["receipts"] for r in same_day if r["receipts"]} == {
        "RUB": Decimal(2000), "USD": Decimal("1.50"),
    }  # fmt: skip
    counted = {row["id"]: row["counted"] for row in table(client, "deals")}
    assert counted == {"romashka.1": True, "romashka.2": True, "romashka.20": False,
                       "vasilek.1": True}  # fmt: skip
    assert found["Открытые сделки"] == [{"deals": 2}]
    assert sum(row["deals"] for row in found["open_deals_by_stage"]) == 2
    check_ratios(client, found)
    check_plans(client, found, "plan_fact_month", ("metric", "plan", "fact"))
    check_plans(client, found, "План-факт месяца", ("Показатель", "План", "Факт"))
    workload = {row["name"]: row["open_deals"] for row in found["workload"]}
    assert workload["Иванов"] == 1


def sold(api: Api) -> None:
    """Won, lost, lost as spam, receipts in two currencies, talks, and plans of three kinds."""
    deal = contribution(10, metric="deals_won", value=1, currency="")
    api.insert(
        Contribution,
        *({**deal, "metric": "deals_lost", "timeline": f"deal:{n}"} for n in range(11, 15)),
        *({**deal, "metric": "lost_target", "timeline": f"deal:{n}"} for n in range(11, 14)),
        contribution(15, currency="USD", value=150),
        *({**deal, "metric": "calls_answered", "timeline": f"deal:{n}"} for n in range(16, 20)),
        {**deal, "metric": "short_talks", "timeline": "deal:16"},
    )
    api.insert(Deal, deal_row("20", wins=None))  # of an excluded pipeline: it counts nowhere
    more = {"currency": "", "at": at("2026-11-01T00:00:00Z"), "author": "tests"}
    for metric, value in (("talks", 12), ("conversion", 25), ("deals_open", 40)):
        row = {"metric": metric, "period": "2026-11", "team": "", "seller": "7", "value": value}
        api.insert(Plan, {"account_id": "romashka", **row, **more})
    with transaction(api.engine) as connection:
        rollups.rebuild(connection, "romashka")


SPAN = {"from": "2026-11-01", "to": "2026-11-30"}


def check_ratios(client: httpx.Client, found: dict[str, Any]) -> None:
    """The recipe of conversion says what the figure says: spam is no loss."""
    query = {"metrics": "conversion", "dimensions": "seller", **SPAN}
    rows = client.get("/v1/kpis/query", params=query).json()["data"]
    told = {row["seller_name"]: row["conversion"] for row in rows if row["conversion"] is not None}
    assert told == {"Иванов": 0.25}
    asked = {row["seller"]: float(row["conversion"]) for row in found["conversion_by_seller"]}
    assert asked == told
    for page in FOLDER.rglob("*.md"):
        for line in page.read_text(encoding="utf-8").splitlines():
            assert "deals_lost" not in line or page.name == "figures.md", (page.name, line)


def check_plans(
    client: httpx.Client, found: dict[str, Any], name: str, columns: tuple[str, str, str]
) -> None:
    """A recipe of plan-fact says what the API says, and nothing of what it cannot add up."""
    metric, plan, fact = columns
    query = {"period": "2026-11", "by": "seller", "account": "romashka", "money": "major"}
    lines = client.get("/v1/plan-fact", params=query).json()["data"]
    told = {
        line["metric"]: (line["plan"], line["fact"])
        for line in lines
        if line["seller"] and line["seller"]["id"] == "romashka.7" and line["plan"] is not None
    }
    assert told.keys() >= {"talks", "receipts", "conversion", "deals_open"}
    of_sums = {name: told[name] for name in ("talks", "receipts")}
    asked = {
        row[metric]: (float(row[plan]), float(row[fact]))
        for row in found[name]
        if row[metric] in told and row.get("account_id") in (None, "romashka")
        and row.get("seller", row.get("Продавец")) == "Иванов"
    }  # fmt: skip
    assert asked == of_sums


def test_pages_name_only_what_exists(api: Api) -> None:
    views = {"bi_grant", *(f"bi_{name}" for name in TABLES)}
    routes = {r.path for r in api.app.routes if isinstance(r, Route)}
    pages = sorted(FOLDER.rglob("*.md"))
    assert len(pages) >= 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"\bbi_[a-z_]+\b", text.replace("dozor_bi", "")))
        assert named <= views, (page.name, named - views)
        for address in re.findall(r"/v1/[a-z_/-]+(?:\.[a-z]+)?", text):
            assert address.rstrip("/") in routes, (page.name, address)
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (page.parent / target).exists(), (page.name, target)
