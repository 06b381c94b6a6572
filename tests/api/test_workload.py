"""Workload over what the pipeline derived: limits, trend, absence, proposals."""

from typing import Any

from msgspec.structs import replace

from service.domain.directory import Pipeline
from tests.api.conftest import Api, Start
from tests.world import (
    DIRECTORY,
    STAGES,
    connect_account,
    deal,
    make_office,
    new_deal,
    new_task,
    task,
    tell,
)

DOCUMENT = {
    "limits": {"open_deals": 5, "overdue_tasks": 1},
    "pipelines": {"Продажи": {"weights": {"Договор": 3}}},
    "sellers": {
        "9": {"limits": {"open_tasks": 1}},
        "12": {"absent": [{"from": "2026-03-16", "to": "2026-03-27", "deputy": "Иванов"}]},
    },
}


def test_load_is_weighted_limited_and_compared_with_the_week_before(
    start: Start, sqlite_url: str
) -> None:
    office = make_office(sqlite_url)
    old = Pipeline(id="32", name="Старая", archived=True, stages=STAGES)
    directory = replace(DIRECTORY, pipelines=(*DIRECTORY.pipelines, old))
    connect_account(office, document=DOCUMENT, directory=directory)
    tell(office, [new_deal("8", "2026-03-18 10:30", pipeline="32", author="0")])
    tell(office, [new_deal(str(n), "2026-03-09 10:00") for n in range(1, 3)])
    tell(office, [new_deal(str(n), "2026-03-18 10:00", author="0") for n in range(3, 6)])
    tell(office, [deal("1", "2026-03-18 11:00", stage="30", amount=100_000, author="7")])
    tell(office, [deal("3", "2026-03-19 15:00", stage="20", author="7")])
    tell(office, [
        new_task("21", "2026-03-18 10:00", "2026-03-19 12:00", "1"),
        new_task("22", "2026-03-18 10:00", "2026-03-19 13:00", "1"),
        new_task("23", "2026-03-18 10:00", "2026-03-25 13:00", "1", responsible="9"),
    ])  # fmt: skip
    api = start.on(office)
    api.clock.set("2026-03-20T09:00:00Z")
    answer = api.client().get("/v1/workload").json()
    rows = {row["seller"]["name"]: row for row in answer["data"]}
    busy = rows["Иванов"]
    assert (busy["open_deals"], busy["weighted"], busy["limit"]) == (5, 7, 5)
    assert (busy["status"], busy["since"], busy["room"]) == ("over", "2026-03-18T08:00:00Z", 0)
    assert busy["trend"] == {"week_ago": 2, "change": 5}
    assert (busy["hot_deals"], busy["open_tasks"], busy["overdue_tasks"]) == (1, 2, 2)
    limits = {one["name"]: one for one in busy["limits"]}
    assert limits["overdue_tasks"]["status"] == "over"
    assert limits["open_tasks"]["status"] == "ok"
    other = {one["name"]: one for one in rows["Петрова"]["limits"]}
    assert (other["open_tasks"]["count"], other["open_tasks"]["status"]) == (1, "warning")
    away = rows["Сидоров"]
    assert (away["absent"], away["absent_until"]) == (True, "2026-03-27T21:00:00Z")
    assert away["deputy"] == {"id": "romashka.7", "name": "Иванов"}
    (move,) = answer["proposals"]
    assert (move["from"]["name"], move["to"]["name"], move["deals"]) == ("Иванов", "Петрова", 3)
    assert "romashka.5" in move["untouched"]
    assert not {"romashka.1", "romashka.3", "romashka.8"} & set(
        move["untouched"]
    )  # touched; archived
    assert answer["totals"]["hot_deals"] == 1
    before = api.client().get("/v1/workload", params={"as_of": "2026-03-18T07:59:59Z"}).json()
    (move,) = before["proposals"]
    assert move["untouched"] == ["romashka.3"]  # not yet
    due = {}
    for moment in ("2026-03-18T20:00:00Z", "2026-03-19T08:00:00Z", "2026-03-25T08:00:00Z"):
        told = api.client().get("/v1/workload", params={"as_of": moment}).json()["data"]
        due[moment[:10]] = {row["seller"]["name"]: row["due_today"] for row in told}
    assert (due["2026-03-18"]["Иванов"], due["2026-03-19"]["Иванов"]) == (0, 2)
    assert due["2026-03-25"]["Петрова"] == 1


def test_open_tasks_are_those_of_the_instant_asked_for(start: Start, sqlite_url: str) -> None:
    office = make_office(sqlite_url)
    connect_account(office)
    tell(office, [
        new_deal("1", "2026-03-02 10:00"),
        new_task("9", "2026-03-02 10:00", "2026-03-03 10:00"),
        task("9", "2026-03-03 10:40", is_open=False),
    ])  # fmt: skip
    client = start.on(office).client()
    for moment, count in (("2026-03-03T07:00:00Z", 1), ("2026-03-03T08:00:00Z", 0)):
        rows = client.get("/v1/workload", params={"as_of": moment}).json()["data"]
        found = {row["seller"]["name"]: row for row in rows}
        assert (found["Иванов"]["open_tasks"], found["Иванов"]["due_today"]) == (count, count)


def test_pipelines_near_their_own_limit_are_named(start: Start, sqlite_url: str) -> None:
    office = make_office(sqlite_url)
    document = {
        "pipelines": {"Продажи": {"limits": {"open_deals": 5}}},
        "limits": {"open_deals": 20},
        "sellers": {"9": {"newcomer_until": "2026-03-20"}},
    }
    connect_account(office, document=document)
    for seller, first, count in (("7", 1, 6), ("9", 11, 4), ("12", 21, 3)):
        tell(office, [
            new_deal(str(n), "2026-03-19 10:00", responsible=seller)
            for n in range(first, first + count)
        ])  # fmt: skip
    tell(office, [deal("1", "2026-03-20 11:00", stage="142", author="7")])
    client = start.on(office).client()

    def rows(moment: str) -> dict[str, Any]:
        found = client.get("/v1/workload", params={"as_of": moment}).json()["data"]
        return {row["seller"]["id"]: row for row in found}

    before = rows("2026-03-20T07:59:59Z")
    full = {"pipeline": {"id": "romashka.31", "name": "Продажи"}, "limit": 5}
    assert before["romashka.7"]["pipelines"] == [full | {"open_deals": 6, "status": "over"}]
    assert before["romashka.9"]["pipelines"] == [full | {"open_deals": 4, "status": "warning"}]
    assert before["romashka.12"]["pipelines"] == []
    later = rows("2026-03-20T08:00:00Z")
    assert later["romashka.7"]["pipelines"] == [full | {"open_deals": 5, "status": "warning"}]
    new, old = later["romashka.9"], rows("2026-03-20T21:00:00Z")["romashka.9"]
    assert (new["limit"], new["status"], old["limit"], old["status"]) == (10, "ok", 20, "ok")
    assert {one["name"]: one["limit"] for one in new["limits"]}["open_tasks"] == 50


def test_the_sellers_limit_is_todays(api: Api) -> None:
    told = {"sellers": {"9": {"newcomer_until": "2026-11-23"}}}
    client = api.client()
    assert client.put("/v1/accounts/romashka/settings", json=told).status_code == 200
    listed = client.get("/v1/sellers?account=romashka")
    limits = {row["id"]: row["open_deals_limit"] for row in listed.json()["data"]}
    assert (limits["romashka.9"], limits["romashka.7"]) == (25, 50)
    tag = {"if-none-match": listed.headers["etag"]}
    assert client.get("/v1/sellers?account=romashka", headers=tag).status_code == 304
    api.clock.set("2026-11-23T21:00:00Z")
    assert client.get("/v1/sellers?account=romashka", headers=tag).status_code == 200
    assert client.get("/v1/sellers/romashka.9").json()["open_deals_limit"] == 50
