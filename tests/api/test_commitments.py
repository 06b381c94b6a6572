"""What sellers have promised to close, beside the forecast."""

from typing import Any

from tests.api.conftest import Start
from tests.api.test_plan_fact import NOON, lines, won
from tests.world import connect_account, deal, make_office, new_deal, tell


def test_commitments_stand_apart_from_the_forecast(database_url: str, start: Start) -> None:
    office = make_office(database_url)
    connect_account(office, document={"test_tags": ["тест"]})
    more: dict[str, Any] = {"amount": 300_00, "expected_close_on": "2026-03-31"}
    tell(office, [
        new_deal("1", "2026-03-10 10:00", responsible="7", **more),
        new_deal("2", "2026-03-10 10:00", responsible="7", **more | {"amount": 50_00}),
        new_deal("3", "2026-03-10 10:00", responsible="12", **more | {"amount": 7_00}),
        new_deal("4", "2026-03-10 10:00", responsible="12", **more | {"currency": "USD"}),
        new_deal("5", "2026-03-10 10:00", **more | {"expected_close_on": "2026-04-01"}),
        new_deal("6", "2026-03-10 10:00", **more, tags=["тест"]),
        *won("7", "2026-03-10 10:00", "2026-03-11 10:00", "7", 100_00),
        deal("7", "2026-03-11 11:00", expected_close_on="2026-03-30"),
        deal("2", "2026-03-12 10:00", expected_close_on="2026-04-02"),
    ])  # fmt: skip
    api = start.on(office)
    api.clock.set(NOON)
    (money, sales) = lines(api, metrics="receipts,deals_won")
    if money["metric"] != "receipts":
        money, sales = sales, money
    assert (money["forecast"]["commitments"], sales["forecast"]["commitments"]) == (307_00, 3)
    assert money["forecast"]["mid"] == money["run_rate"]
    by = {r["seller"]["id"]: r["forecast"]["commitments"]
          for r in lines(api, metrics="receipts", by="seller")}  # fmt: skip
    assert by == {"romashka.7": 300_00, "romashka.12": 7_00}
    teams = lines(api, metrics="deals_won", by="team")
    assert {r["team"]["name"]: r["forecast"]["commitments"] for r in teams} == {
        "Отдел 1": 1, "Отдел 2": 2,
    }  # fmt: skip
    (major,) = lines(api, metrics="receipts", money="major")
    assert major["forecast"]["commitments"] == 307.0
    (april,) = lines(api, metrics="receipts", period="2026-04")
    assert april["forecast"]["commitments"] == 350_00
    (calls,) = lines(api, metrics="calls")
    (then,) = lines(api, metrics="receipts", as_of="2026-03-19T09:00:00Z")
    assert calls["forecast"]["commitments"] is then["forecast"]["commitments"] is None
