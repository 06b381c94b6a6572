"""The hygiene index over what the pipeline derived: hand-counted."""

from typing import Any

import pytest

from service.domain.named import parse_document
from service.pipeline import rejudge, verify
from service.pipeline.office import Office
from service.store import accounts, mutes, rule_files
from service.store.engine import transaction
from tests.api.conftest import Api, Start
from tests.world import (
    ACCOUNT,
    connect_account,
    deal,
    make_office,
    moment,
    new_deal,
    new_task,
    task,
    tell,
)

ONLY = ["deal-no-task", "task-overdue"]


def document(office: Office) -> dict[str, Any]:
    """Two rules only, so that everything can be counted by hand."""
    return {"rules": {rule: False for rule in office.book.models if rule not in ONLY}}


@pytest.fixture
def api(start: Start, sqlite_url: str) -> Api:
    """Seller 7: five deals from Monday 10:00, each with a task; one task is 2 h late on Tuesday."""
    office = make_office(sqlite_url, "2026-03-20 12:00")
    connect_account(office, document=document(office))
    late_on_tuesday(office)
    return start.on(office)


def late_on_tuesday(office: Office) -> None:
    tell(office, [new_deal(str(n), "2026-03-02 10:00") for n in range(1, 6)])
    tell(office, [
        new_task(f"9{n}", "2026-03-02 10:00", "2026-03-06 18:00", str(n)) for n in range(1, 6)
    ])  # fmt: skip
    tell(office, [task("91", "2026-03-02 10:01", "1", due="2026-03-03 12:00")])
    tell(office, [task("91", "2026-03-03 14:00", "1", due="2026-03-06 18:00")])


def row(api: Api, **asked: str) -> dict[str, Any]:
    span = {"from": "2026-03-03", "to": "2026-03-03"}
    answer = api.client().get("/v1/hygiene", params=span | asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"][0]
    return found


def test_two_hours_of_forty_cost_two_points(api: Api) -> None:
    """2 h x 0.4 of 5 deals x 8 h: 0.8 / 40 = 2 points."""
    found = row(api)
    assert (found["seller"]["id"], found["index"], found["open_deals"]) == ("romashka.7", 98.0, 5)
    (cost,) = found["costs"]
    assert (cost["rule"], cost["points"]) == ("task-overdue", 2.0)
    (day,) = found["trend"]
    assert day == {
        "date": "2026-03-03", "index": 98.0, "muted_share": 0.0, "rules_changed": [],
    }  # fmt: skip
    assert (found["muted_seconds"], found["muted_share"]) == (0, 0.0)
    assert (found["previous"], found["change"]) == (100.0, -2.0)


def test_the_trend_says_where_rules_changed(start: Start, sqlite_url: str) -> None:
    """On Wednesday a rule gets another severity, on Saturday one is switched off."""
    office = make_office(sqlite_url, "2026-03-20 12:00")
    connect_account(office, document=document(office))
    late_on_tuesday(office)
    rules: dict[str, Any] = dict(document(office)["rules"])
    for at, more in (
        ("2026-03-04 12:00", {"task-overdue": {"severity": "critical"}}),
        ("2026-03-05 12:00", {}),
        ("2026-03-07 12:00", {"deal-no-task": False}),
    ):
        rules |= more
        settings = parse_document({"rules": rules, "same_inquiry_hours": int(at[9])})
        with transaction(office.engine) as connection:
            accounts.save_settings(connection, ACCOUNT, settings, "tests", moment(at))
    api = start.on(office)
    found = row(api, **{"from": "2026-03-02", "to": "2026-03-10"})
    changed = {day["date"]: day["rules_changed"] for day in found["trend"]}
    assert {day: rules for day, rules in changed.items() if rules} == {
        "2026-03-04": ["task-overdue"], "2026-03-10": ["deal-no-task"],  # 9 March is a holiday
    }  # fmt: skip
    assert len(changed) == 6


def test_by_amount_a_large_deal_counts_more(start: Start, sqlite_url: str) -> None:
    """Deal 1 counts once until Tuesday 13:00, then thrice: 0.4 x (1 + 3) of 46 + 8 h in 5 deals."""
    office = make_office(sqlite_url, "2026-03-20 12:00")
    settings = {"hygiene": {"amount_classes": [1000, 5000]}}
    connect_account(office, document=document(office) | settings)
    late_on_tuesday(office)
    tell(office, [deal("1", "2026-03-03 13:00", amount=500_000)])
    api = start.on(office)
    assert row(api)["index"] == 98.0
    for by in ("seller", "team", "account"):
        found = row(api, weight="amount", by=by)
        assert (found["index"], found["previous"], found["open_deals"]) == (96.8, 100.0, 5)
        (cost,) = found["costs"]
        assert (cost["rule"], cost["points"]) == ("task-overdue", 3.2)
        assert found["trend"] == [
            {"date": "2026-03-03", "index": 96.8, "muted_share": 0.0, "rules_changed": []}
        ]
    assert verify.verify(office, ACCOUNT) == []


def test_without_classes_nothing_weighs_by_amount(api: Api) -> None:
    found = row(api, weight="amount")
    assert (found["index"], found["costs"], found["open_deals"]) == (None, [], 5)


def test_a_rule_of_the_account_has_its_name(start: Start, sqlite_url: str) -> None:
    text = """
rules:
  - {id: a-own, on: deal, form: state, when: deal.is_open, severity: info,
     name: {ru: Своё, en: Own}, title: {ru: а, en: a}, advice: {ru: а, en: a}}
"""
    office = make_office(sqlite_url, "2026-03-20 12:00")
    connect_account(office, document=document(office))
    with transaction(office.engine) as connection:
        new = rule_files.NewFile(text, "tests")
        rule_files.save(connection, ACCOUNT, new, moment("2026-03-01 00:00"))
    late_on_tuesday(office)
    costs = row(start.on(office))["costs"]
    assert [(one["rule"], one["name"], one["points"]) for one in costs] == [
        ("a-own", "Своё", 9.5), ("task-overdue", "Просрочена задача", 2.0),
    ]  # fmt: skip


def test_muted_time_stands_apart_and_costs_nothing(start: Start, database_url: str) -> None:
    """One of the two late hours is muted: 1 h of 40 deal-hours; the other one costs a point."""
    office = make_office(database_url, "2026-03-03 13:00")
    connect_account(office, document=document(office))
    late_on_tuesday(office)
    with transaction(office.engine) as connection:
        scope, until = {"rule": "task-overdue", "seller": "7"}, moment("2026-03-03 16:00")
        mutes.add(connection, ACCOUNT, scope, until, ("акция", "key_1"), office.now())
    while rejudge.derive_marked(office, ACCOUNT):
        pass
    assert verify.verify(office, ACCOUNT) == []
    found = row(start.on(office))
    assert (found["index"], found["costs"][0]["points"]) == (99.0, 1.0)
    assert (found["muted_seconds"], found["muted_share"]) == (3600, 2.5)
    assert found["trend"][0]["muted_share"] == 2.5
    verify.rebuild(office, ACCOUNT)
    assert row(start.on(office), by="account")["muted_seconds"] == 3600


def test_team_and_account_sum_hours_before_dividing(api: Api) -> None:
    assert row(api, by="team")["team"] == {"id": "1", "name": "Отдел 1"}
    assert row(api, by="account")["index"] == 98.0
    week = row(api, **{"from": "2026-03-02", "to": "2026-03-06"})
    assert week["index"] == 99.6  # 0.8 of 200 deal-hours
    assert [day["date"][-2:] for day in week["trend"]] == ["02", "03", "04", "05", "06"]


def test_a_day_is_known_as_far_as_it_has_come(api: Api) -> None:
    found = row(api, as_of="2026-03-03T10:00:00Z")  # 13:00 in Moscow: 1 h of 3 x 5
    assert found["index"] == pytest.approx(100 - 100 * 0.4 / 15, abs=1e-4)


def test_with_few_deals_it_is_not_known(start: Start, sqlite_url: str) -> None:
    office = make_office(sqlite_url)
    connect_account(office)
    tell(office, [new_deal("1", "2026-03-02 10:00"), deal("1", "2026-03-05 10:00", stage="142")])
    assert row(start.on(office))["index"] is None


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"from": "2026-03-03"}, "to"),
        ({"from": "2026-03-04", "to": "2026-03-03"}, "from"),
        ({"from": "2024-01-01", "to": "2026-03-03"}, "to"),
        ({"from": "2026-03-03", "to": "2026-03-03", "by": "stage"}, "by"),
        ({"from": "2026-03-03", "to": "2026-03-03", "weight": "two"}, "weight"),
    ],
)
def test_bad_spans_name_the_parameter(api: Api, asked: dict[str, str], named: str) -> None:
    answer = api.client().get("/v1/hygiene", params=asked)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == named
