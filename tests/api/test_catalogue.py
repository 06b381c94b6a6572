"""The catalogue over the running service: companions, variants, drill-down, the funnel."""

from datetime import date
from typing import Any

import pytest

from service.kpi.metrics import METRICS
from tests.api.conftest import Api, Start
from tests.kpi.oracle import deals
from tests.kpi.oracle.facts import day_of, midnight, read, team_of
from tests.kpi.oracle.making import DIRECTORY, DOCUMENT, END, make
from tests.world import connect_account, make_office, tell

SPAN = {"from": "2026-01-01", "to": "2026-04-10"}


@pytest.fixture
def lived(database_url: str, start: Start) -> Api:
    office = make_office(database_url, "2026-04-10 13:00")
    connect_account(office, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01 00:00")
    tell(office, make(9, currencies=["RUB"]))
    api = start.on(office)
    api.clock.set("2026-04-10T10:00:00Z")
    return api


def test_figures_come_with_what_belongs_beside_them(lived: Api) -> None:
    client = lived.client("kpi:read")
    assert {row["slug"] for row in client.get("/v1/kpis").json()["data"]} == set(METRICS)
    told = client.get("/v1/kpis/first_response").json()
    assert (told["kind"], told["percentiles"]) == ("distribution", [50, 90])
    query = SPAN | {"metrics": "cycle,conversion_cohort,average_check,loss_reasons",
                    "dimensions": "reason", "include": "parts"}  # fmt: skip
    body = client.get("/v1/kpis/query", params=query).json()
    columns = [column["name"] for column in body["columns"]]
    assert {"cycle__count", "cycle__p75", "cycle__mean", "cycle__open_age", "average_check__num",
            "conversion_cohort__mature", "average_check__without_amount"} <= {*columns}  # fmt: skip
    for row in body["data"]:
        assert list(row) == columns
    del query["include"]
    bare = client.get("/v1/kpis/query", params=query).json()
    short = [column["name"] for column in bare["columns"]]
    assert {"cycle__p75", "cycle__unknown", "average_check__without_amount"} <= {*short}
    assert {*columns} - {*short} >= {"cycle__open_age", "average_check__num"}
    assert [{n: row[n] for n in short} for row in body["data"]] == bare["data"]
    names = {row["reason"]: row["reason_name"] for row in body["data"]}
    assert names == {None: "Без причины", "romashka.1": "Дорого", "romashka.2": "Спам"}
    assert sum(row["loss_reasons"] or 0 for row in body["data"]) == pytest.approx(1)
    both = {**SPAN, "metrics": ["cycle"], "within": "30d", "reopen": "restate", "strict": True}
    assert client.post("/v1/kpis/query", json=both).status_code == 200
    refused = client.get("/v1/kpis/query", params=SPAN | {"metrics": "cycle", "within": "soon"})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, "within")


def test_a_figure_opens_into_its_values(lived: Api) -> None:
    client = lived.client("kpi:read")
    (row,) = client.get("/v1/kpis/query", params=SPAN | {"metrics": "cycle"}).json()["data"]
    path = "/v1/kpis/cycle/subjects"
    first = client.get(path, params=SPAN | {"limit": "3"}).json()
    values = [one["value"] for one in first["data"]]
    while first["next"]:
        first = client.get(first["next"]).json()
        values += [one["value"] for one in first["data"]]
    assert len(values) == row["cycle__count"] == first["meta"]["count"]
    assert sorted(values)[(len(values) + 1) // 2 - 1] == row["cycle"]
    assert sum(values) == first["meta"]["sum"]
    refused = client.get("/v1/kpis/sales_velocity/subjects", params=SPAN)
    assert (refused.status_code, "cycle" in refused.json()["detail"]) == (400, True)
    opened = client.get("/v1/kpis/sales_velocity/subjects", params=SPAN | {"part": "cycle"})
    assert opened.json()["meta"] == first["meta"]


@pytest.mark.parametrize("slug", ["deals_won", "receipts", "deals_open", "open_deal_hours"])
def test_figures_of_a_team_open_into_its_own(lived: Api, slug: str) -> None:
    """Also of a level, and in a span in which a seller moves; all teams together are the whole."""
    client = lived.client("kpi:read")
    span = {"from": "2026-03-01", "to": "2026-03-31"}
    rows = client.get("/v1/kpis/query", params=span | {"metrics": slug, "dimensions": "team"})
    found = {row["team"]: row[slug] for row in rows.json()["data"]}
    (whole,) = client.get("/v1/kpis/query", params=span | {"metrics": slug}).json()["data"]
    assert sum(value or 0 for value in found.values()) == pytest.approx(whole[slug])
    for team in ("1", "2"):
        told = client.get(f"/v1/kpis/{slug}/subjects", params=span | {"team": team}).json()
        assert told["meta"]["sum"] == pytest.approx(found[team])


def test_the_funnel_is_the_oracles_own(lived: Api) -> None:
    client = lived.client("kpi:read")
    told = read(make(9, currencies=["RUB"]), END)
    stages: list[dict[str, Any]] = []
    for strict in (False, True):
        query = SPAN | {"pipeline": "romashka.31", "strict": str(strict).lower()}
        stages = client.get("/v1/funnel", params=query).json()["stages"]
        entered, passed = (
            _by_stage(rows(told, strict=strict)) for rows in (deals.entered, deals.passed)
        )
        assert [s["stage"]["name"] for s in stages] == ["Новая", "КП", "Договор"]
        for stage in stages:
            own = stage["stage"]["id"].rpartition(".")[2]
            assert (stage["entered"], stage["moved_on"]) == (
                entered.get(own, 0),
                passed.get(own, 0),
            )
            assert stage["open_now"] == stage["entered"] - stage["moved_on"] - stage["lost"]
    query = SPAN | {"pipeline": "romashka.31", "team": "1"}
    entries = [s["entered"] for s in client.get("/v1/funnel", params=query).json()["stages"]]
    rows = [r for r in deals.entered(told, strict=False) if team_of(r.seller, day_of(r.at)) == "1"]
    of_team = _by_stage(rows)
    assert entries == [of_team.get(own, 0) for own in ("10", "20", "30")]
    lost = _by_stage(deals.stuck(told, strict=True))
    assert [s["lost"] for s in stages] == [lost.get(own, 0) for own in ("10", "20", "30")]
    assert client.get("/v1/funnel", params=SPAN).status_code == 400


def test_the_funnel_of_a_period_is_the_oracles_own(lived: Api) -> None:
    client = lived.client("kpi:read")
    facts = make(9, currencies=["RUB"])
    told = read(facts, END)
    span = {"from": "2026-03-01", "to": "2026-03-31"}
    start, over = midnight(date(2026, 3, 1)), midnight(date(2026, 4, 1))
    for strict in (False, True):
        query = span | {"pipeline": "romashka.31", "mode": "period", "strict": str(strict).lower()}
        body = client.get("/v1/funnel", params=query).json()
        assert body["mode"] == "period"
        wanted = [
            _by_stage([row for row in rows if start <= row.at < over])
            for rows in (
                deals.entered(told, strict=strict), deals.passings(told, strict=strict),
                deals.lost(told),
            )
        ]  # fmt: skip
        wanted.append(_by_stage(deals.open_now(read(facts, over - 1))))
        for stage in body["stages"]:
            own = stage["stage"]["id"].rpartition(".")[2]
            entered, passed, lost, there = (found.get(own, 0) for found in wanted)
            named = ("entered", "moved_on", "lost", "open_now")
            assert [stage[name] for name in named] == [entered, passed, lost, there]
            decided = passed + lost
            assert stage["conversion"] == (round(passed / decided, 6) if decided else None)
    refused = client.get("/v1/funnel", params=span | {"pipeline": "romashka.31", "mode": "month"})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, "mode")


def _by_stage(rows: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        if row.pipeline == "31":
            found[row.stage] = found.get(row.stage, 0) + row.value
    return found
