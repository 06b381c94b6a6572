"""Plans: If-Match, closing by themselves, `plan.approved`, limits and less-is-better."""

import json
from datetime import date
from fractions import Fraction
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from service.kpi.metrics import METRICS
from service.kpi.planclose import closed_until
from service.kpi.planfact import Fact, Plan, Progress, compare
from service.pipeline.upkeep import Upkeep
from service.store import rollups
from service.store.engine import reading, transaction
from service.store.records import Alert, Audit
from service.store.tables import Contribution
from tests.api.conftest import Api, Start, at
from tests.api.test_conventions import check_problem
from tests.api.test_exports import contribution
from tests.world import connect_account, make_office, moment


def row(**more: Any) -> dict[str, Any]:
    return {"account": "romashka", "metric": "receipts", "period": "2026-12", "team": None,
            "seller": None, "value": 100, "currency": "RUB"} | more  # fmt: skip


def put(client: httpx.Client, *rows: dict[str, Any], status: str = "draft", **headers: str) -> Any:
    return client.put("/v1/plans", json={"status": status, "rows": list(rows)}, headers=headers)


def test_if_match_lets_only_the_first_of_two_writers_in(both: Api) -> None:
    client = both.client()
    tag = client.get("/v1/plans?account=romashka&period=2026-12").headers["etag"]
    both_accounts = client.get("/v1/plans").headers["etag"]
    assert put(client, row(), **{"if-match": tag}).json()["created"] == 1
    stale = put(client, row(value=200), **{"if-match": tag})
    assert check_problem(stale, 412, "precondition_failed")["errors"][0]["header"] == "If-Match"
    assert stale.headers["etag"] == client.get("/v1/plans?account=romashka").headers["etag"]
    check_problem(put(client, row(value=200), **{"if-match": both_accounts}), 412,
                  "precondition_failed")  # fmt: skip
    other = row(account="vasilek", currency="USD")
    assert put(client, other, **{"if-match": both_accounts}).status_code == 200
    check_problem(put(client, other, **{"if-match": 'W/"romashka=0-0"'}), 412,
                  "precondition_failed")  # fmt: skip
    data = client.get("/v1/plans?account=romashka").json()["data"]
    assert [one["value"] for one in data] == [100]
    fresh = client.get("/v1/plans?account=romashka").headers["etag"]
    assert put(client, row(value=None), **{"if-match": fresh}).json()["removed"] == 1
    removed = client.get("/v1/plans?account=romashka").headers["etag"]
    assert removed != fresh
    assert put(client, row(), **{"if-match": "*"}).status_code == 200
    same = client.get(
        "/v1/plans", headers={"if-none-match": client.get("/v1/plans").headers["etag"]}
    )
    assert same.status_code == 304


def test_who_subscribes_hears_of_approved_plans(both: Api) -> None:
    client = both.client()
    made = client.post(
        "/v1/subscriptions",
        json={"url": "https://93.184.216.34/hook", "events": ["plan.approved"]},
    )
    assert made.status_code == 201, made.text
    put(client, row(), row(metric="deals_won", currency=None))
    assert events(both) == []
    approve = {"account": "romashka", "period": "2026-12"}
    assert client.post("/v1/plans/approve", json=approve).json()["changed"] == 2
    assert client.post("/v1/plans/approve", json=approve).json()["changed"] == 0
    (first,) = events(both)
    assert first["type"] == "plan.approved"
    assert first["timestamp"] == "2026-11-23T07:00:00Z"
    assert first["data"]["metrics"] == ["deals_won", "receipts"]
    assert (first["data"]["account"], first["data"]["period"]) == ("romashka", "2026-12")
    put(client, row(account="vasilek", currency="USD", period="2027-01"), status="approved")
    later = events(both)[-1]["data"]
    assert (later["account"], later["period"], later["metrics"]) == (
        "vasilek", "2027-01", ["receipts"],
    )  # fmt: skip
    assert len(events(both)) == 2


def test_a_subscription_never_hears_more_than_its_key_sees(api: Api) -> None:
    """`accounts` null means all that the key sees, at its making and at a change."""
    client = api.client(accounts=("romashka",))
    body = {"url": "https://93.184.216.34/hook", "events": ["plan.approved"]}
    made = client.post("/v1/subscriptions", json=body).json()
    assert made["accounts"] == ["romashka"]
    address = f"/v1/subscriptions/{made['id']}"
    for change in ({"accounts": None}, {"url": None, "events": None, "filters": None}):
        changed = client.patch(address, json=change)
        assert changed.status_code == 200, changed.text
        assert changed.json() == {key: made[key] for key in changed.json()}
    everything = api.client()
    everything.patch(address, json={"accounts": None})
    assert everything.get(address).json()["accounts"] is None
    put(everything, row(account="vasilek", currency="USD"), status="approved")
    assert [one["data"]["account"] for one in events(api)] == ["vasilek"]


def events(api: Api) -> list[dict[str, Any]]:
    table = Alert.__table__  # type: ignore[attr-defined]
    with reading(api.engine) as connection:
        found = connection.execute(select(table.c.body).order_by(table.c.id)).scalars()
        return [json.loads(body) for body in found]


def test_plans_close_after_the_third_working_day(engine: Engine, database_url: str) -> None:
    """March 2026: 2, 3, 4 are working days in Russia; February closes when the 4th is over."""
    office = make_office(database_url, "2026-03-04 23:59")
    connect_account(office)
    with reading(engine) as connection:
        config = office.config(connection, "romashka")
    for now, until in (
        ("2026-03-04 23:59", date(2026, 1, 31)),
        ("2026-03-05 00:00", date(2026, 2, 28)),
        ("2026-01-14 12:00", date(2025, 11, 30)),  # holidays until the 11th: 12, 13, 14
        ("2026-01-15 00:00", date(2025, 12, 31)),
    ):
        assert closed_until(config, moment(now)) == until, now
    office.close()


def test_the_worker_closes_them(engine: Engine, database_url: str, start: Start) -> None:
    office = make_office(database_url, "2026-03-04 12:00")
    connect_account(office)
    api = start(engine)
    api.clock.set("2026-02-10T00:00:00Z")
    client = api.client()
    made = put(client, row(period="2026-02"), row(period="2026-03"), status="approved")
    assert made.status_code == 200, made.text
    put(client, row(metric="calls", period="2026-02", currency=None))

    def states() -> dict[tuple[str, str], str]:
        data = client.get("/v1/plans").json()["data"]
        return {
            (one["metric"], one["period"]): one["status"] for one in data if len(one["period"]) == 7
        }

    before = states()
    Upkeep(office).sweep()
    assert states() == before
    later = make_office(database_url, "2026-03-05 00:30")
    Upkeep(later).sweep()
    Upkeep(later).sweep()
    assert states() == before | {("receipts", "2026-02"): "closed"}
    check_problem(put(client, row(period="2026-02", value=5)), 409, "plan_closed")
    told = client.get("/v1/plans/history?period=2026-02&metric=receipts").json()["data"][-1]
    assert (told["status"], told["who"]) == ("closed", "dozor")
    audit = Audit.__table__  # type: ignore[attr-defined]
    with reading(engine) as connection:
        lines = connection.execute(select(audit.c.what).where(audit.c.who == "dozor")).scalars()
        assert list(lines) == ["plans.closed"]
    for one in (office, later):
        one.close()


def progress(today: int, passed: int) -> Progress:
    days = tuple(date(2026, 3, day) for day in range(2, 22))
    return Progress(days, (8,) * 20, passed, Fraction(0), today)


@pytest.mark.parametrize(
    ("plan", "expected", "fact", "today", "status"),
    [
        (20, 10, 10, 10, "on_pace"), (20, 10, 9, 10, "ahead"), (20, 10, 11, 10, "behind"),
        (20, 10, 13, 10, "far_behind"), (20, 10, 21, 10, "missed"), (20, 20, 20, 20, "done"),
        (20, 20, 21, 20, "missed"), (20, 1, 5, 10, "too_early"), (None, None, 5, 10, "no_plan"),
        (0, 0, 5, 10, "no_plan"),
    ],
)  # fmt: skip
def test_less_is_better(
    plan: int | None, expected: int | None, fact: int, today: int, status: str
) -> None:
    told = Plan(plan, None if expected is None else Fraction(expected))
    found = compare(METRICS["became_overdue"], told, Fact(fact), "month", progress(today, today))
    assert found.status == status


@pytest.mark.parametrize(
    ("limit", "fact", "status"),
    [(5, 5, "ok"), (5, 6, "over"), (0, 1, "over"), (None, 6, "no_plan")],
)
def test_a_level_has_a_limit(limit: int | None, fact: int, status: str) -> None:
    found = compare(METRICS["tasks_overdue"], Plan(limit), Fact(fact), "month", progress(5, 5))
    assert found.status == status


def got(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_limits_are_copied_to_sellers_and_summed_above(both: Api) -> None:
    client = both.client(accounts=("romashka",))
    given = {"metric": "deals_open", "currency": None, "period": "2026-11"}
    answer = put(client, row(**given, value=2), row(**given, value=0, seller="romashka.7"))
    assert answer.status_code == 200, answer.text
    opened: dict[str, Any] = {"metric": "deals_open", "at": at("2026-11-10T09:00:00Z"), "value": 1}
    both.insert(Contribution, contribution(1, **opened), contribution(2, seller="9", **opened))
    with transaction(both.engine) as connection:
        rollups.rebuild(connection, "romashka")
    path = "/v1/plan-fact?period=2026-11&metrics=deals_open&by="
    sellers = {
        line["seller"]["id"]: (line["plan"], line["status"])
        for line in got(client, path + "seller")
        if line["seller"]
    }
    assert sellers["romashka.7"] == (0, "over")
    assert sellers["romashka.9"] == (2, "ok")
    active = [one["id"] for one in client.get("/v1/sellers?active=true").json()["data"]]
    (whole,) = got(client, path + "account")
    assert whole["plan"] == 2 * (len(active) - 1)
