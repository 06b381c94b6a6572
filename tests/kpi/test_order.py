"""A hand-counted department's activity, tasks, order and load; what a plan of each means."""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from service.domain.directory import Directory, Pipeline
from service.domain.merging import merge
from service.domain.period import Period
from service.kpi import planfact
from service.kpi import query as kpi
from service.kpi.metrics import METRICS
from service.kpi.plantree import PlanBook
from service.kpi.question import Question
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading, transaction
from tests import world
from tests.kpi.oracle.bureau import DIRECTORY
from tests.world import call, deal, new_deal, new_task, note, task, tell

ONLY = {"deal-no-task", "task-overdue"}
FRIDAY = "2026-03-06 18:00"


def lived(url: str) -> Office:
    """Five deals of seller 7 with a task each, from Monday 10:00 on; two tasks are done.

    By amount deal 2 counts twice, and deal 1 three times from Thursday 10:00 on.
    """
    office = world.make_office(url, "2026-03-20 12:00")
    rules = {rule: False for rule in office.book.models if rule not in ONLY}
    world.connect_account(office, directory=DIRECTORY, document={
        "rules": rules, "hygiene": {"amount_classes": [1000, 5000]},
    })  # fmt: skip
    tell(office, [
        new_deal(str(n), "2026-03-02 10:00", amount=100_000 if n == 2 else 99_999)
        for n in range(1, 6)
    ])  # fmt: skip
    tell(office, [new_task(f"9{n}", "2026-03-02 10:00", FRIDAY, str(n)) for n in range(1, 6)])
    tell(office, [
        new_task("96", "2026-03-02 10:00", "2026-03-04 12:00", "1", task_kind="2"),
        task("96", "2026-03-04 11:00", "1", is_open=False, result="Подписали договор", author="7"),
        task("91", "2026-03-02 10:01", "1", due="2026-03-03 12:00", author="7"),
        task("91", "2026-03-03 14:00", "1", is_open=False, result="Ждут счёт", author="7"),
        call("c1", "2026-03-02 11:00", 60, "1"),
        note("n1", "2026-03-02 11:30", "Договорились о встрече", "1"),
        call("c2", "2026-03-02 11:05", 0, "1", answered=False),
        call("c3", "2026-03-02 12:00", 0, "2", answered=False, direction="in"),
        call("c4", "2026-03-02 12:20", 5, "2"),
        call("c5", "2026-03-03 10:00", 0, "3", answered=False, direction="in"),
        deal("1", "2026-03-05 10:00", amount=500_000),
        deal("3", "2026-03-05 12:00", stage="20", pipeline="31", author="7"),
        deal("5", "2026-03-06 18:30", responsible="9", author="7"),
        deal("2", "2026-03-07 12:00", stage="142", pipeline="31", author="7"),
    ])  # fmt: skip
    return office


def ask(office: Office, *slugs: str, last: str = "2026-03-06", by: tuple[str, ...] = ()) -> Any:
    question = Question(
        tuple(METRICS[slug] for slug in slugs), by, date(2026, 3, 2), date.fromisoformat(last),
        None, (), world.moment("2026-03-20 12:00"), live=True,
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        return kpi.answer(connection, configs, question).rows


GOLDEN = {
    "calls": 5, "dials": 2, "reach_rate": 0.666667, "talk_seconds": 65, "talks": 1,
    "average_talk": 60, "missed_calls": 2, "missed_unreturned": 0.5, "talk_documented": 1.0,
    "notes": 1, "meetings": 1, "active_days": 5, "proposals": 1, "selling_time_share": 0.00015,
    "messages_in": None, "messages_out": None,
    "tasks_set": 6, "tasks_set_by_robot": 0, "tasks_done": 2, "tasks_on_time": 0.166667,
    "tasks_on_time_first_deadline": 0.333333, "tasks_quality": 0.333333, "tasks_overdue": 4,
    "became_overdue": 5, "overdue_hours": 2.0, "postponement_rate": 0.0,
    "deals_without_task": 1, "deals_without_task_share": 0.2, "next_step_coverage": 0.885,
    "hygiene_index": 95.2,
    "hygiene_weight_by_amount": 272.0,  # 24 + 3 x 16, 2 x 40, and 40 of three
    "hygiene_index_weighted": 91.764706,  # 0.4 x (8 + 3 x 16) of 272
    "violations_opened": 6, "violations_open": 5, "violation_hours": 24.0,
    "time_to_fix": None, "card_completeness": 0.0, "load": 0.033333, "deals_per_seller": 1.666667,
    "load_spread": 8.0, "overload_hours": 0.0, "deals_stuck": 0, "deals_stuck_value": 0,
    "reassignments": 1, "reassignments_to": 1,
    "tasks_overdue_avg": 0.05, "card_completeness_avg": 0.0,
}  # fmt: skip


def test_golden_week_of_a_hand_counted_department(database_url: str) -> None:
    office = lived(database_url)
    slugs = list(GOLDEN)
    told: dict[str, Any] = {}
    for start in range(0, len(slugs), 15):
        told |= ask(office, *slugs[start : start + 15])[0]["values"]
    assert told == GOLDEN
    (row,) = ask(office, "time_to_fix", "tasks_quality", "load_spread")
    assert row["notes"]["time_to_fix"]["count"] == 1
    assert row["notes"]["tasks_quality"] == {
        "on_time": 0.333333, "with_result": 0.333333, "with_text": 1.0,
    }  # fmt: skip
    assert row["notes"]["load_spread"] == {"highest": 8.0, "lowest": 0.0}
    sales = ask(office, "touches_per_sale", "minutes_per_sale", "calls_per_deal", last="2026-03-07")
    assert sales[0]["values"] == {
        "touches_per_sale": 1.0, "minutes_per_sale": 1.083333, "calls_per_deal": 1.0,
    }  # fmt: skip
    by_rule = ask(office, "violations_opened", "violation_hours", by=("rule", "severity"))
    assert {(r["rule"], r["severity"]): tuple(r["values"].values()) for r in by_rule} == {
        ("deal-no-task", "warning"): (1, 22.0), ("task-overdue", "warning"): (5, 2.0),
    }  # fmt: skip
    team = {row["team"]: row["values"] for row in ask(office, "load_spread", "load", by=("team",))}
    assert team["1"] == {"load_spread": 6.0, "load": 0.05}
    assert team["2"] == {"load_spread": None, "load": 0.0}
    by_seller = {
        row["seller"]: row["values"]
        for row in ask(office, "hygiene_index", "reassignments", "load", by=("seller",))
    }
    assert by_seller["romashka.7"] == {"hygiene_index": None, "reassignments": 1, "load": 0.08}
    office.close()


def test_who_has_left_was_there_until_then(sqlite_url: str) -> None:
    """Seller 9 is out of the CRM's list from Wednesday 12:00 on: he has worked for 18 hours."""
    office = lived(sqlite_url)
    left = world.moment("2026-03-04 12:00")
    others = tuple(seller for seller in DIRECTORY.sellers if seller.id != "9")
    with transaction(office.engine) as connection:
        known = accounts.directory(connection, world.ACCOUNT)
        new = replace(known, sellers=others, complete_users=True)
        accounts.save_directory(connection, world.ACCOUNT, merge(known, new, left), left)
    told = {
        last: ask(office, "working_time", "sellers_present", "load_limit", last=last)[0]["values"]
        for last in ("2026-03-03", "2026-03-06")
    }
    assert [list(values.values()) for values in told.values()] == [
        [48 * 3600, 3, 150], [98 * 3600, 2, 100],
    ]  # fmt: skip
    by_seller = ask(office, "working_time", by=("seller",))
    assert {row["seller"]: row["values"]["working_time"] for row in by_seller} == {
        "romashka.12": 40 * 3600, "romashka.7": 40 * 3600, "romashka.9": 18 * 3600,
    }  # fmt: skip
    office.close()


def test_what_needs_stages_of_proposals_or_classes_of_amounts_is_unknown_without(
    sqlite_url: str,
) -> None:
    office = world.make_office(sqlite_url)
    stages = tuple(s for s in world.STAGES if s.name != "КП")
    pipeline = Pipeline(id="31", name="Продажи", main=True, stages=stages)
    directory = Directory(
        timezone="Europe/Moscow", currency="RUB", sellers=DIRECTORY.sellers, pipelines=(pipeline,)
    )
    world.connect_account(office, directory=directory)
    slugs = ("proposals", "proposals_per_sale", "hygiene_index_weighted", "hygiene_kept_by_amount")
    values = ask(office, *slugs, "tasks_set")[0]["values"]
    assert values == dict.fromkeys(slugs) | {"tasks_set": 0}
    office.close()


def test_a_meeting_with_a_result_is_a_talk(sqlite_url: str) -> None:
    office = world.make_office(sqlite_url, "2026-03-20 12:00")
    world.connect_account(office, directory=DIRECTORY)
    told = {"stage": "142", "pipeline": "31", "author": "7"}
    for number, result in (("1", "Подписали договор"), ("2", None)):
        tell(office, [
            new_deal(number, "2026-03-02 10:00"),
            new_task(f"9{number}", "2026-03-02 10:00", "2026-03-04 12:00", number, task_kind="2"),
            task(f"9{number}", "2026-03-04 11:00", number, is_open=False, result=result,
                 author="7"),
            deal(number, "2026-03-05 12:00", **told),
        ])  # fmt: skip
    assert ask(office, "touches_per_sale")[0]["values"] == {"touches_per_sale": 0.5}
    office.close()


# --- plans ----------------------------------------------------------------------------------------


def planned(office: Office, slug: str, value: int, seller: str = "", team: str = "") -> Any:
    """A plan of March on the account, a team or a seller, and the lines that it makes."""
    row = {
        "account_id": world.ACCOUNT, "metric": slug, "period": "2026-03", "team": team,
        "seller": seller, "value": value, "currency": "", "status": "draft", "locked": False,
        "version": 1,
    }  # fmt: skip
    with reading(office.engine) as connection:
        config = office.config(connection, world.ACCOUNT)
    book, march = PlanBook.of(config, [row]), Period.parse("2026-03")

    def line(by: planfact.By, group: str | None, fact: float | None, cases: int = 9) -> Any:
        plan = planfact.plan_of(book, METRICS[slug], march, by, group, 0)
        at = planfact.progress(config, None, march, world.moment("2026-03-20 12:00"))
        found = planfact.Fact(fact, cases=cases)
        return planfact.compare(METRICS[slug], plan, found, "month", at)

    return line


@pytest.fixture
def bare(sqlite_url: str) -> Any:
    office = world.make_office(sqlite_url)
    world.connect_account(office)
    yield office
    office.close()


def test_a_share_is_planned_in_per_cent(bare: Office) -> None:
    line = planned(bare, "talk_documented", 80)
    for by, group in (("account", None), ("team", "1"), ("seller", "romashka.9")):
        assert line(by, group, 0.8).status == "done"
    late = line("account", None, 0.6)
    assert (late.plan, late.percent, late.gap, late.status) == (80, 0.75, -20.0, "far_behind")
    assert line("account", None, 0.6, cases=4).status == "too_early"


def test_a_limit_is_copied_to_sellers_and_summed_above(bare: Office) -> None:
    line = planned(bare, "tasks_overdue", 3)
    assert (line("seller", "romashka.7", 3).plan, line("team", "1", 0).plan) == (3, 6)
    assert line("account", None, 0).plan == 9
    assert [line("seller", "romashka.7", n).status for n in (3, 4)] == ["ok", "over"]
    load = planned(bare, "load", 90)
    assert [load("team", "1", share, cases=2).status for share in (0.9, 0.91)] == ["ok", "over"]


def test_a_norm_of_hygiene_is_judged_in_points(bare: Office) -> None:
    line = planned(bare, "hygiene_index", 90, team="1")
    assert [line("team", "1", index).status for index in (90.0, 86.0, 80.0, 70.0)] == [
        "done", "on_pace", "behind", "far_behind",
    ]  # fmt: skip
    assert line("team", "2", 90.0).status == "no_plan"
