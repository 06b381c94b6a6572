"""Plans over the running service: writing, splitting, states, history (api.md 3.7)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.domain.period import Period
from service.kpi.plantree import WHOLE, PlanBook, Scope
from service.store import accounts, plans
from service.store.engine import reading
from tests.api.conftest import NOW, Api

MONTH = "2026-12"
Client = httpx.Client


def plan(value: int | None, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"account": "romashka", "metric": "deals_won", "period": MONTH}
    return told | {"value": value} | more


def put(client: Client, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.put("/v1/plans", json={"rows": list(rows)} | more)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(client: Client, *rows: dict[str, Any], **more: Any) -> tuple[int, str, str]:
    answer = client.put("/v1/plans", json={"rows": list(rows)} | more)
    document = answer.json()
    pointer = document["errors"][0]["pointer"] if document["errors"] else ""
    return answer.status_code, document["code"], pointer


def listed(client: Client, **query: str) -> dict[tuple[str, str | None, str | None], Any]:
    rows = client.get("/v1/plans", params=query).json()["data"]
    return {(row["period"], row["team"], row["seller"]): row["value"] for row in rows}


def act(client: Client, what: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/plans/{what}", json={"account": "romashka"} | body)


def test_rows_are_written_all_or_nothing_and_the_same_again_is_no_version(both: Api) -> None:
    client = both.client()
    rows = [plan(10, seller="romashka.7"), plan(20), plan(60_000_000, metric="receipts")]
    assert put(client, *rows)["created"] == 3
    again = put(client, *rows)
    assert (again["unchanged"], again["updated"]) == (3, 0)
    assert {row["version"] for row in again["data"]} == {1}
    assert refused(client, plan(11, seller="romashka.7"), plan(1, metric="nonsense"))[:2] == (
        400, "unknown_name",
    )  # fmt: skip
    assert listed(client, metric="deals_won") == {
        (MONTH, None, "romashka.7"): 10, (MONTH, None, None): 20,
    }  # fmt: skip
    assert put(client, plan(None, seller="romashka.7"))["removed"] == 1
    assert listed(client, metric="deals_won") == {(MONTH, None, None): 20}
    assert refused(client, plan(1, metric="receipts", currency="EUR"))[2] == "#/rows/0/currency"
    assert refused(client, plan(1, period="2026-13"))[2] == "#/rows/0/period"
    assert refused(client, plan(1, seller="romashka.77"))[2] == "#/rows/0/seller"
    assert refused(client, plan(1, metric="deals_lost"))[2] == "#/rows/0/metric"
    nobody = both.client("kpi:read").put("/v1/plans", json={"rows": [plan(1)]})
    assert nobody.status_code == 403


def test_parts_never_exceed_a_total_that_is_set(both: Api) -> None:
    client = both.client()
    put(client, plan(60), plan(40, seller="romashka.7"), plan(20, seller="romashka.9"))
    answer = client.put("/v1/plans", json={"rows": [plan(25, seller="romashka.9")]})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "exceed it by 5" in answer.json()["detail"]
    assert listed(client)[MONTH, None, "romashka.9"] == 20  # nothing was written
    put(client, plan(25, seller="romashka.9"), plan(35, seller="romashka.7"))
    put(client, plan(70))
    fact = f"/v1/plan-fact?period={MONTH}&metrics=deals_won"
    lines = client.get(f"{fact}&by=seller&account=romashka").json()["data"]
    by_seller = {row["seller"] and row["seller"]["id"]: row["plan"] for row in lines}
    assert by_seller == {None: 10, "romashka.7": 35, "romashka.9": 25}
    (whole,) = client.get(f"{fact}&account=romashka").json()["data"]
    assert whole["plan"] == 70
    day = plan(50, seller="romashka.7", period="2026-12-10")
    assert refused(client, day)[1] == "conflict"


def test_writers_at_the_same_time_never_break_a_total(both: Api) -> None:
    """Three writers, each within the total, together beyond it."""
    client = both.client()
    put(client, plan(60))

    def write(seller: str) -> int:
        row = plan(25, seller=f"romashka.{seller}")
        return client.put("/v1/plans", json={"rows": [row]}).status_code

    with ThreadPoolExecutor(3) as pool:
        codes = sorted(pool.map(write, ("7", "9", "12")))
    assert codes == [200, 200, 409]
    assert sum(value for (_, _, seller), value in listed(client).items() if seller) == 50


def test_long_periods_are_kept_in_months_and_weeks_in_days(both: Api) -> None:
    client = both.client()
    assert put(client, plan(120, period="2027"))["created"] == 1
    months = listed(client, grain="month")
    assert len(months) == 12
    assert sum(months.values()) == 120
    assert listed(client, period="2027")["2027", None, None] == 120
    quarters = listed(client, period="2027-Q1,2027-Q2,2027-Q3,2027-Q4")
    assert sum(quarters.values()) == 120
    assert put(client, plan(120, period="2027"))["unchanged"] == 1
    assert put(client, plan(10, period="2026-W50", seller="romashka.7"))["created"] == 1
    assert listed(client, period="2026-W50")["2026-W50", None, "romashka.7"] == 10
    days = listed(client, grain="day")
    assert len(days) == 7
    assert listed(client, period="2026-Q4")["2026-Q4", None, "romashka.7"] == 10
    put(client, plan(100, period="2027-01"))  # by hand: it is locked from now on
    put(client, plan(210, period="2027"))
    assert listed(client)["2027-01", None, None] == 100
    assert refused(client, plan(99, period="2027"))[1] == "conflict"


def test_decomposition_over_the_api(both: Api) -> None:
    client = both.client()
    body: dict[str, Any] = {
        "metric": "deals_won", "period": MONTH, "value": 100, "by": ["seller"], "save": True,
    }  # fmt: skip
    answer = act(client, "decompose", **body).json()
    assert answer["total"] == 100
    assert [row["value"] for row in answer["data"]] == [34, 33, 33]
    put(client, plan(40, seller="romashka.9"))  # changed by hand: locked
    again = act(client, "decompose", **body).json()["data"]
    assert {row["seller"]: row["value"] for row in again} == {
        "romashka.7": 30, "romashka.9": 40, "romashka.12": 30,
    }  # fmt: skip
    few = act(client, "decompose", **(body | {"value": 39}))
    assert (few.status_code, few.json()["code"]) == (409, "conflict")
    assert "exceed it by 1" in few.json()["detail"]
    by_day = act(client, "decompose", **(body | {"by": ["seller", "day"], "value": 120})).json()
    assert len(by_day["data"]) == 3 * 31
    assert sum(row["value"] for row in by_day["data"]) == by_day["total"] == 120
    assert listed(client, period=MONTH)[MONTH, None, "romashka.7"] == 40
    money = body | {"metric": "receipts", "value": 100_000_000_00, "save": False}
    parts = [row["value"] for row in act(client, "decompose", **money).json()["data"]]
    assert sum(parts) == 100_000_000_00
    assert all(part % 100_000 == 0 for part in parts)  # thousands of roubles
    norm = body | {"metric": "conversion", "value": 30, "by": ["team"]}
    assert [r["value"] for r in act(client, "decompose", **norm).json()["data"]] == [30, 30]
    for wrong, pointer in (
        ({"metric": "deals_lost"}, "#/metric"), ({"seller": "romashka.0"}, "#/seller"),
        ({"weights": "manual"}, "#/manual"), ({"period": "soon"}, "#/period"),
        ({"seller": "romashka.7"}, "#/by"),
    ):  # fmt: skip
        told = act(client, "decompose", **(body | wrong)).json()
        assert told["errors"][0]["pointer"] == pointer, told


def test_a_saved_split_is_read_back_at_every_level(both: Api) -> None:
    client = both.client()
    put(client, plan(50, period="2027-02"), plan(5, period="2027-02", team="1"))
    for by, weights in ((["team", "seller", "month"], "hours"), (["seller", "day"], "equal")):
        body = {"metric": "deals_won", "period": "2027-Q1", "value": 311, "by": by,
                "weights": weights, "save": True}  # fmt: skip
        answer = act(client, "decompose", **body)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["data"]
        assert sum(row["value"] for row in rows) == 311
        for row in rows[::7]:
            query = {"period": row["period"], "metrics": "deals_won", "by": "seller"}
            lines = client.get("/v1/plan-fact", params=query).json()["data"]
            found = {x["seller"] and x["seller"]["id"]: x["plan"] or 0 for x in lines}
            assert found.get(row["seller"], 0) == row["value"], row
        for by_ in ("account", "team", "seller"):
            query = {"period": "2027-Q1", "metrics": "deals_won", "by": by_}
            lines = client.get("/v1/plan-fact", params=query).json()["data"]
            assert sum(line["plan"] or 0 for line in lines) == 311


def test_finished_days_of_a_running_month_are_frozen(both: Api) -> None:
    """Now: 23 November, 10:00 in Moscow; 15 of 20 working days are over (4 November is off)."""
    client = both.client()
    put(client, plan(20, period="2026-11", seller="romashka.7"))
    days = ",".join(f"2026-11-{n:02d}" for n in range(1, 31))

    def by_day() -> list[int]:
        rows = [
            client.get(f"/v1/plan-fact?period={day}&metrics=deals_won&by=seller").json()["data"]
            for day in days.split(",")
        ]
        return [sum(line["plan"] or 0 for line in lines) for lines in rows]

    before = by_day()
    assert before == [0, 1, 1, 0, 1, 1, 0, 0] + [1, 1, 1, 1, 1, 0, 0] * 3 + [1]
    put(client, plan(32, period="2026-11", seller="romashka.7"))
    after = by_day()
    assert after[:22] == before[:22]
    assert sum(after) == 32
    assert after[22:] == [3, 3, 3, 3, 3, 0, 0, 3]
    assert refused(client, plan(13, period="2026-11", seller="romashka.7"))[1] == "conflict"


def test_an_absence_moves_only_the_days_to_come(both: Api) -> None:
    client = both.client()
    put(client, plan(20, period="2026-11", seller="romashka.7"))

    def by_day() -> list[int]:
        query = {"metrics": "deals_won", "account": "romashka"}
        days = [f"2026-11-{n:02d}" for n in range(1, 31)]
        return [
            client.get("/v1/plan-fact", params=query | {"period": day}).json()["data"][0]["plan"]
            for day in days
        ]

    before = by_day()
    absent = [{"from": "2026-11-05", "to": "2026-11-26"}]
    settings = {"sellers": {"7": {"absent": absent}}}
    answer = client.put("/v1/accounts/romashka/settings", json=settings)
    assert answer.status_code == 200, answer.text
    after = by_day()
    assert after[:22] == before[:22]
    assert after[22:] == [0, 0, 0, 0, 3, 0, 0, 3]  # 6 are left for the 27th and the 30th
    assert sum(after) == 20


def test_an_absence_entered_over_the_api_moves_only_the_days_to_come(both: Api) -> None:
    client = both.client()
    put(client, plan(20, period="2026-11", seller="romashka.7"))
    (before,) = planned(both, ("", "7"))
    body = {"account": "romashka", "seller": "romashka.7", "kind": "sick", "from": "2026-11-05"}
    answer = client.post("/v1/absences", json=body | {"to": "2026-11-26"})
    assert answer.status_code == 201, answer.text
    (after,) = planned(both, ("", "7"))
    assert (after[:22], after[22:]) == (before[:22], [0, 0, 0, 0, 3, 0, 0, 3])
    both.clock.set("2026-11-30T07:00:00Z")
    client.delete(answer.headers["location"])
    assert planned(both, ("", "7")) == [after]  # the 30th alone is left


def planned(api: Api, *scopes: Scope) -> list[list[int]]:
    """The plan of each day of November, of sellers, teams or the account."""
    november = Period.parse("2026-11")
    with reading(api.engine) as connection:
        config = accounts.load_config(connection, "romashka")
        book = PlanBook.of(config, plans.plans(connection, ["romashka"]))
        return [book.day_totals("deals_won", november, scope) or [0] * 30 for scope in scopes]


TEAMS: dict[str, Any] = {"1": [7, 9], "2": [12]}
MOVES: list[tuple[dict[str, Any], int]] = [  # and the first day on which he is in the other team
    ({"1": [7], "2": [12, 9]}, 23),
    ({"1": [7, {"id": 9, "to": "2026-11-25"}], "2": [12, {"id": 9, "from": "2026-11-26"}]}, 26),
    ({"1": [7, {"id": 9, "to": "2026-11-15"}], "2": [12, {"id": 9, "from": "2026-11-16"}]}, 16),
    ({"1": [7], "3": [9], "2": [12]}, 23),
]


@pytest.mark.parametrize(("moved", "first"), MOVES)
def test_who_changes_teams_takes_the_plan_of_his_days_along(
    api: Api, moved: dict[str, Any], first: int
) -> None:
    """What is not distributed, what is set for a day, and next month's plans stay exact too."""
    client, by_seller = api.client(), {"7": 20, "9": 60, "12": 40}
    address = "/v1/accounts/romashka/settings"
    api.clock.set("2026-11-02T07:00:00Z")
    assert client.put(address, json={"teams": TEAMS}).status_code == 200
    for month in ("2026-11", MONTH):
        put(
            client,
            *(plan(v, period=month, seller=f"romashka.{who}") for who, v in by_seller.items()),
            plan(90, period=month, team="1"), plan(47, period=month, team="2"),
            plan(140, period=month),
        )  # fmt: skip
    put(client, plan(6, period="2026-11-27", team="1"))
    api.clock.set(NOW)
    other = next(team for team, members in moved.items() if team != "1" and members != [12])
    scopes = [("", "9"), WHOLE, ("1", ""), (other, "")]
    his, whole, old, new = planned(api, *scopes)
    answer = client.put(address, json={"teams": moved})
    assert answer.status_code == 200, answer.text
    taken = [0 if day < first else his[day - 1] for day in range(1, 31)]
    assert 0 < sum(taken) < 60
    assert planned(api, *scopes) == [
        his, whole,
        [a - b for a, b in zip(old, taken, strict=True)],
        [a + b for a, b in zip(new, taken, strict=True)],
    ]  # fmt: skip
    for month in ("2026-11", MONTH):
        rows = listed(client, period=month, metric="deals_won")
        rest = sum(taken) if month == "2026-11" else 60
        assert rows[month, "1", None] == 90 - rest
        assert rows.get((month, "2", None)) == 47 + (rest if other == "2" else 0)
        assert rows[month, None, None] == 140
    again = client.put(address, json={"teams": TEAMS})
    assert again.status_code == 200, again.text
    back = planned(api, *scopes)
    assert back[1] == whole
    assert sum(back[2]) + sum(back[3]) == sum(old) + sum(new)
    if first != 23:  # what he is said to have been is taken back as a whole
        assert back[2] == old


def test_a_split_after_a_move_leaves_finished_days_with_the_team_they_were_in(api: Api) -> None:
    """Seller 9 has 42 on the days over, all in team 1; a plan of a team is what counts in it."""
    client, by_seller = api.client(), {"7": 20, "9": 60, "12": 40}
    address = "/v1/accounts/romashka/settings"
    api.clock.set("2026-11-02T07:00:00Z")
    assert client.put(address, json={"teams": TEAMS}).status_code == 200
    rows = [plan(v, period="2026-11", seller=f"romashka.{who}") for who, v in by_seller.items()]
    put(client, *rows, plan(80, period="2026-11", team="1"), plan(40, period="2026-11", team="2"))
    api.clock.set(NOW)
    assert client.put(address, json={"teams": {"1": [7], "2": [12, 9]}}).status_code == 200
    scopes = [WHOLE, ("1", ""), ("2", ""), ("", "7"), ("", "9"), ("", "12")]
    before = planned(api, *scopes)
    assert [sum(days) for days in before] == [120, 62, 58, 20, 60, 40]
    for body, sums in (
        ({"team": "2", "by": ["seller"], "value": 80}, (142, 62, 80)),
        ({"team": "1", "by": ["seller", "day"], "value": 70}, (150, 70, 80)),
        ({"by": ["team", "seller"], "value": 170, "weights": "equal"}, (170, None, None)),
        ({"by": ["seller"], "value": 180}, (180, None, None)),
        ({"team": "2", "by": ["seller", "day"], "value": 90}, (None, None, 90)),
    ):  # fmt: skip
        answer = act(client, "decompose", metric="deals_won", period="2026-11", save=True, **body)
        assert answer.status_code == 200, answer.text
        after = planned(api, *scopes)
        assert [days[:22] for days in after] == [days[:22] for days in before]
        told = [sum(days) for days in after]
        assert [n for n, known in zip(told[:3], sums, strict=True) if known] == [
            known for known in sums if known
        ]
        assert told[0] == told[1] + told[2] == sum(told[3:])
        stored = listed(client, period="2026-11", metric="deals_won")
        assert [stored["2026-11", team, None] for team in "12"] == told[1:3]
    few = {"team": "1", "by": ["seller"], "value": 50}
    answer = act(client, "decompose", metric="deals_won", period="2026-11", save=True, **few)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_states_and_history(both: Api) -> None:
    client = both.client()
    nothing = act(client, "approve", period=MONTH)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "conflict")
    put(client, plan(10, seller="romashka.7"), plan(500, metric="receipts"))
    assert act(client, "close", period=MONTH).json()["code"] == "conflict"
    assert act(client, "approve", period="2026-Q4").json()["changed"] == 2
    assert act(client, "approve", period=MONTH).json()["changed"] == 0
    changed = plan(12, seller="romashka.7")
    assert refused(client, changed) == (400, "invalid_body", "#/reason")
    assert put(client, changed, reason="больше заявок")["data"][0]["status"] == "approved"
    assert act(client, "close", period=MONTH, metrics=["deals_won"]).json()["changed"] == 1
    assert refused(client, plan(13, seller="romashka.7"), reason="x")[:2] == (409, "plan_closed")
    assert refused(client, plan(1, seller="romashka.9"))[:2] == (409, "plan_closed")
    assert put(client, changed)["unchanged"] == 1
    assert act(client, "approve", period=MONTH).json()["code"] == "plan_closed"
    assert act(client, "reopen", period=MONTH).status_code == 400
    assert act(client, "reopen", period=MONTH, reason=" ").json()["code"] == "invalid_body"
    assert act(client, "reopen", period=MONTH, reason="ошибка").json()["changed"] == 2
    assert act(client, "approve", period=MONTH, metrics=["x"]).json()["code"] == "unknown_name"
    put(client, plan(None, seller="romashka.7"))
    query = {"account": "romashka", "metric": "deals_won", "period": MONTH}
    rows = client.get("/v1/plans/history", params=query).json()["data"]
    assert [(r["version"], r["value"], r["status"], r["reason"]) for r in rows] == [
        (1, 10, "draft", None),
        (2, 10, "approved", None),
        (3, 12, "approved", "больше заявок"),
        (4, 12, "closed", None),
        (5, 12, "draft", "ошибка"),
        (6, None, "draft", None),
    ]
    assert all(r["who"].startswith("key_") and r["at"] == "2026-11-23T07:00:00Z" for r in rows)
    put(client, plan(7, seller="romashka.7"))
    assert client.get("/v1/plans", params=query).json()["data"][0]["version"] == 7
    stranger = both.client(accounts=("vasilek",))
    assert stranger.get("/v1/plans/history", params=query).json()["data"] == []
    assert act(stranger, "approve", period=MONTH).json()["errors"][0]["pointer"] == "#/account"


@pytest.mark.parametrize(
    ("path", "name"),
    [("plans?metric=calls,nope", "metric"), ("plans?status=opne", "status"),
     ("plans/history?metric=nope", "metric"), ("plans?grain=decade", "grain")],
)  # fmt: skip
def test_unknown_names_are_refused_and_unknown_ids_find_nothing(
    api: Api, path: str, name: str
) -> None:
    client = api.client()
    refused = client.get(f"/v1/{path}").json()
    assert (refused["code"], refused["errors"][0]["parameter"]) == ("unknown_name", name)
    assert client.get("/v1/plans?seller=romashka.99&account=nobody").json()["data"] == []
