"""What deploy/bi tells analysts: each SQL runs as the role it is for, and says what exports say."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.api.router import Route
from service.kpi.tables import TABLES
from tests.api.conftest import Api
from tests.api.test_bi_views import ROLE, ask, filled, give, roles
from tests.api.test_exports import table

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
    workload = {row["name"]: row["open_deals"] for row in found["workload"]}
    assert workload["Иванов"] == 1


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
