"""The checks of kpis.md 10, counted by hand."""

from fractions import Fraction
from typing import Any

import pytest

from service.domain.facts import Fact, Kind
from service.domain.named import parse_document
from service.domain.period import Period
from service.kpi.ahead import Pipeline
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading, transaction
from tests import world
from tests.kpi.test_query import ask

LATE = world.moment("2026-05-01 00:00")


def told(url: str, facts: list[Fact], **document: Any) -> Office:
    office = world.make_office(url, "2026-05-01 00:00")
    world.connect_account(office, document=document)
    world.tell(office, facts)
    return office


def by_month(office: Office, slugs: list[str], last: str = "2026-04-30", **more: Any) -> Any:
    rows, _ = ask(office, slugs, "2026-03-01", last, grain="month", as_of=LATE, **more)
    return rows


def moved(deal: str, at: str, stage: str, **body: Any) -> Fact:
    return world.deal(deal, at, stage=stage, pipeline="31", author="7", **body)


def test_3_the_last_second_of_march_in_moscow_is_march(sqlite_url: str) -> None:
    office = told(sqlite_url, [
        world.new_deal("1", "2026-03-02 12:00"), moved("1", "2026-03-31 23:59:59", "142"),
        world.new_deal("2", "2026-03-02 12:00"), moved("2", "2026-04-01 00:00:00", "142"),
    ])  # fmt: skip
    rows = by_month(office, ["deals_won", "cycle"])
    assert [row["values"]["deals_won"] for row in rows] == [1, 1]
    assert [row["notes"]["cycle"]["count"] for row in rows] == [1, 1]
    office.close()


def reopened(url: str) -> Office:
    """Won by 7, handed to 9, reopened by 9, won again by 9 in the next month."""
    return told(url, [
        world.new_deal("1", "2026-03-02 12:00", amount=100_00),
        moved("1", "2026-03-05 12:00", "142"),
        world.deal("1", "2026-03-06 12:00", responsible="9", author="7"),
        moved("1", "2026-04-02 12:00", "20"),
        moved("1", "2026-04-07 12:00", "142"),
    ])  # fmt: skip


@pytest.mark.parametrize(("restate", "expected"), [
    (False, {(3, "7"): 1, (4, "7"): -1, (4, "9"): 1}),
    (True, {(3, "7"): 0, (4, "7"): 0, (4, "9"): 1}),
])  # fmt: skip
def test_4_a_reopening_is_the_winners(
    sqlite_url: str, restate: bool, expected: dict[Any, int]
) -> None:
    office = reopened(sqlite_url)
    rows, _ = ask(office, ["deals_won", "receipts"], "2026-03-01", "2026-04-30", grain="month",
                  dimensions=("seller",), as_of=LATE, restate=restate)  # fmt: skip
    found = {(row["period"].month, row["seller"][-1]): row["values"] for row in rows}
    for place, won in expected.items():
        assert found[place] == {"deals_won": won, "receipts": won * 100_00}
    office.close()


def test_5_a_corrected_amount_counts_when_it_is_corrected(sqlite_url: str) -> None:
    office = told(sqlite_url, [
        world.new_deal("1", "2026-03-02 12:00", amount=100_00),
        moved("1", "2026-03-05 12:00", "142"),
        world.deal("1", "2026-03-06 12:00", responsible="9", author="7"),
        world.deal("1", "2026-03-12 12:00", amount=120_00, author="9"),
    ])  # fmt: skip
    rows, _ = ask(office, ["receipts", "deal_value_won"], "2026-03-05", "2026-03-12", grain="day",
                  dimensions=("seller",), as_of=LATE)  # fmt: skip
    steps = {
        row["period"].day: row["values"]["receipts"] for row in rows if row["values"]["receipts"]
    }
    assert steps == {5: 100_00, 12: 20_00}
    assert {row["seller"] for row in rows} == {"romashka.7"}
    office.close()


def test_6_a_teams_conversion_is_of_sums(sqlite_url: str) -> None:
    facts = []
    for n, (seller, won) in enumerate([("7", 1)] + [("7", 0)] + [("9", 1)] * 9 + [("9", 0)] * 81):
        facts.append(world.new_deal(str(n), "2026-03-02 12:00", responsible=seller))
        facts.append(moved(str(n), "2026-03-10 12:00", "142" if won else "143"))
    office = told(sqlite_url, facts)
    for slug in ("conversion", "conversion_cohort"):
        rows, totals = ask(office, [slug], "2026-03-01", "2026-03-31", dimensions=("seller",),
                           as_of=LATE)  # fmt: skip
        assert [row["values"][slug] for row in rows] == [0.5, 0.1]
        assert totals[0]["values"][slug] == round(10 / 92, 6)
    office.close()


def test_7_a_young_cohort_says_so_and_calls_are_null_without_telephony(sqlite_url: str) -> None:
    office = told(sqlite_url, [
        world.new_deal("1", "2026-04-01 12:00"), moved("1", "2026-04-02 12:00", "142"),
        world.new_deal("2", "2026-04-25 12:00"), world.new_deal("3", "2026-04-26 12:00"),
    ], telephony=False)  # fmt: skip
    (row,), _ = ask(office, ["conversion_cohort", "lead_quality", "calls"], "2026-04-01",
                    "2026-04-30", as_of=LATE)  # fmt: skip
    assert row["values"] == {"conversion_cohort": round(1 / 3, 6), "lead_quality": 1.0,
                             "calls": None}  # fmt: skip
    assert row["notes"]["conversion_cohort"] == {"mature": round(1 / 3, 6)}
    assert row["notes"]["lead_quality"] == {"immature": 2}
    (row,), _ = ask(office, ["conversion_cohort"], "2026-04-01", "2026-04-30", as_of=LATE,
                    within=7 * 86_400)  # fmt: skip
    assert row["values"]["conversion_cohort"] == 1.0
    assert row["notes"]["conversion_cohort"] == {"immature": 2, "mature": 1.0}
    office.close()


def test_8_a_loss_that_was_no_spam_enters_at_the_change(sqlite_url: str) -> None:
    office = told(sqlite_url, [
        world.new_deal("1", "2026-03-02 12:00"),
        moved("1", "2026-03-10 12:00", "143", loss_reason="2"),
        world.deal("1", "2026-04-05 12:00", loss_reason="1", author="7"),
        world.new_deal("2", "2026-03-02 12:00"), moved("2", "2026-03-11 12:00", "142"),
    ])  # fmt: skip
    rows = by_month(office, ["conversion", "deals_lost", "lost_target", "inquiries_target"])
    assert [row["values"]["lost_target"] for row in rows] == [0, 1]
    assert [row["values"]["deals_lost"] for row in rows] == [1, 0]
    assert [row["values"]["conversion"] for row in rows] == [1.0, 0.0]
    assert [row["values"]["inquiries_target"] for row in rows] == [1, 1]  # back with the change
    rows, _ = ask(office, ["loss_reasons", "deals_lost"], "2026-03-01", "2026-04-30",
                  dimensions=("reason",), as_of=LATE)  # fmt: skip
    shares = {row["reason"]: row["values"]["loss_reasons"] for row in rows}
    assert shares == {"romashka.1": 1.0, "romashka.2": 0.0}
    office.close()


def in_teams(office: Office, at: str, **teams: list[Any]) -> None:
    """The settings name these teams from an instant on."""
    document = parse_document({"teams": teams})
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, world.ACCOUNT, document, "tests", world.moment(at))


def test_9_what_a_seller_did_before_he_moved_stays_with_the_old_team(database_url: str) -> None:
    """Seller 9 goes from A to B on 15 March; he has two open deals then, and a sale in each team.

    What he sold in A and what is corrected of it stays with A.
    """
    office = told(database_url, [
        world.new_deal("1", "2026-03-02 12:00", responsible="9", amount=100_00),
        moved("1", "2026-03-14 23:59:59", "142"),
        world.deal("1", "2026-03-20 12:00", amount=120_00, author="9"),
        world.new_deal("2", "2026-03-03 12:00", responsible="9", amount=70_00),
        moved("2", "2026-03-15 00:00:00", "142"),
        world.new_deal("3", "2026-03-04 12:00", responsible="9"),
        world.new_deal("4", "2026-03-14 12:00", responsible="9"),
        world.new_deal("5", "2026-03-03 12:00", responsible="7"),
        moved("1", "2026-04-07 12:00", "20"),
    ], teams={"A": [7, 9], "B": [12]})  # fmt: skip
    in_teams(office, "2026-03-15 18:00", A=[7], B=[9, 12])
    slugs = ["deals_created", "deals_won", "receipts", "deals_open", "median_check"]
    rows = by_month(office, slugs, dimensions=("team",))
    found = {(r["period"].month, r["team"]): tuple(r["values"][s] for s in slugs) for r in rows}
    assert found == {
        (3, "A"): (5, 1, 120_00, 1, None), (3, "B"): (0, 1, 70_00, 2, None),
        (4, "A"): (0, -1, -120_00, 1, None), (4, "B"): (0, 0, 0, 3, None),
    }  # fmt: skip
    days, _ = ask(office, ["deals_open"], "2026-03-14", "2026-03-15", grain="day",
                  dimensions=("team",), as_of=LATE)  # fmt: skip
    assert [(r["period"].day, r["team"], r["values"]["deals_open"]) for r in days] == [
        (14, "A", 4), (14, "B", 0), (15, "A", 1), (15, "B", 2),
    ]  # fmt: skip
    for restate in (False, True):
        for by in ((), ("team",)):
            told_apart = by_month(office, slugs[:4], dimensions=by, restate=restate)
            months = [[r["values"] for r in told_apart if r["period"].month == m] for m in (3, 4)]
            won = [sum(v["deals_won"] for v in month) for month in months]
            assert won == ([1, 0] if restate else [2, -1])
    in_teams(office, "2026-04-20 12:00", A=[7, {"id": 9, "to": "2026-03-02"}], B=[9, 12])
    rows = by_month(office, ["deals_created", "deals_won"], "2026-03-31", dimensions=("team",))
    assert [tuple(r["values"].values()) for r in rows] == [(5, 1), (0, 1)]  # as it was said then
    in_teams(office, "2026-04-21 12:00", A=[7], B=[12, {"id": 9, "from": "2026-03-03"}])
    rows = by_month(office, ["deals_created", "deals_won"], "2026-03-31", dimensions=("team",))
    assert [tuple(r["values"].values()) for r in rows] == [(2, 0), (3, 2)]  # dates tell the past
    office.close()


def test_an_answer_is_in_time_by_the_norm_of_its_source(sqlite_url: str) -> None:
    """The figure and the rule ask the same: Avito may wait 2 hours, all else half of one."""
    norms = {"rules": {"deal-no-first-touch": {"for": {"default": "30wm", "source:Avito": "2wh"}}}}
    office = world.make_office(sqlite_url, "2026-03-20 12:00")
    world.connect_account(office, document=norms)
    world.tell(office, [
        world.new_deal("1", "2026-03-03 10:00", source="Avito"),
        world.call("a", "2026-03-03 11:30", 60, "1"),
        world.new_deal("2", "2026-03-03 10:00", source="site"),
        world.call("b", "2026-03-03 11:30", 60, "2"),
    ])  # fmt: skip
    slugs = ["answered_in_norm"]
    rows, _ = ask(office, slugs, "2026-03-03", "2026-03-03", dimensions=("source",), as_of=LATE)
    found = {row["source"]: row["values"]["answered_in_norm"] for row in rows}
    assert {name: found[name] for name in ("Avito", "site")} == {"Avito": 1, "site": 0}
    office.close()


def test_answers_of_a_morning(sqlite_url: str) -> None:
    """A night form answered at ten past ten; one never; one written down after a call."""
    called = {"deal": "3", "direction": "in", "answered": True, "seconds": 300, "author": "9",
              "started_at": world.moment("2026-03-03 11:00")}  # fmt: skip
    office = told(sqlite_url, [
        world.new_deal("1", "2026-03-02 22:00"), world.call("a", "2026-03-03 10:10", 60, "1"),
        world.new_deal("2", "2026-03-03 10:00"),
        world.new_deal("3", "2026-03-03 11:06"),
        Fact(Kind.CALL, "b", world.moment("2026-03-03 11:05"), called),
    ])  # fmt: skip
    slugs = ["first_response", "first_response_wt", "answered_in_norm", "inquiries_unanswered"]
    (row,), _ = ask(office, slugs, "2026-03-02", "2026-03-04", as_of=LATE)
    notes = {"count": 1, "mean": None, "p90": None, "unanswered": 1}
    assert row["values"] == dict.fromkeys(slugs[:2]) | {
        "answered_in_norm": 0.5, "inquiries_unanswered": 1,
    }  # fmt: skip
    assert row["notes"]["first_response_wt"] == notes
    early = world.moment("2026-03-03 10:29")
    (row,), _ = ask(office, slugs, "2026-03-03", "2026-03-03", as_of=early)
    assert row["values"]["answered_in_norm"] is None  # its norm has not run out
    office.close()


def test_what_the_pipeline_is_worth(database_url: str) -> None:
    """Of 30 that entered the first stage in February 6 were won; the others have too few."""
    facts = []
    for n in range(30):
        facts.append(world.new_deal(str(n), "2026-02-03 12:00"))
        facts.append(moved(str(n), "2026-02-10 12:00", "142" if n < 6 else "143"))
    facts += [
        world.new_deal("100", "2026-03-02 12:00", amount=1_000_00),
        world.new_deal("101", "2026-03-02 12:00", amount=500_00, stage="20", responsible="9"),
        moved("101", "2026-03-04 12:00", "30"),
    ]  # fmt: skip
    office = told(database_url, facts)
    rows, totals = ask(office, ["pipeline_weighted", "pipeline_value"], "2026-03-01", "2026-03-10",
                       dimensions=("seller",), as_of=LATE)  # fmt: skip
    found = {row["seller"]: row for row in rows if row["values"]["pipeline_value"]}
    assert found["romashka.7"]["values"] == {
        "pipeline_weighted": 200_00, "pipeline_value": 1_000_00,
    }  # fmt: skip
    assert found["romashka.7"]["notes"]["pipeline_weighted"] == {"stages_by_mean": 0}
    # Stages 20 and 30 saw only the six sales that skipped them: the pipeline's mean, 18 of 42.
    assert found["romashka.9"]["values"]["pipeline_weighted"] == round(500_00 * 18 / 42)
    assert found["romashka.9"]["notes"]["pipeline_weighted"] == {"stages_by_mean": 1}
    assert totals[0]["values"]["pipeline_weighted"] == round(1_000_00 / 5 + 500_00 * 18 / 42)
    office.close()


def test_what_the_pipeline_is_worth_is_unknown_before_any_deal_was_closed(sqlite_url: str) -> None:
    office = told(sqlite_url, [world.new_deal("100", "2026-03-02 12:00", amount=1_000_00)])
    slugs = ["pipeline_value", "pipeline_weighted", "coverage"]
    rows, totals = ask(office, slugs, "2026-03-01", "2026-03-05", as_of=LATE)
    unknown = {"pipeline_value": 1_000_00, "pipeline_weighted": None, "coverage": None}
    assert [row["values"] for row in (*rows, *totals)] == [unknown] * 2
    office.close()


def test_what_is_in_work_comes_as_soon_as_it_used_to(sqlite_url: str) -> None:
    """6 of 30 were won after 48 working hours; with 22 left only what skips stages is in time."""
    facts = []
    for n in range(30):
        facts.append(world.new_deal(str(n), "2026-02-02 12:00"))
        facts.append(moved(str(n), "2026-02-10 12:00", "142" if n < 6 else "143"))
    facts.append(world.new_deal("100", "2026-03-02 12:00", amount=900_00))
    office = told(sqlite_url, facts)
    march = Period.parse("2026-03")
    with reading(office.engine) as connection:
        pipeline = Pipeline(connection, office.config(connection, world.ACCOUNT), "seller")
        at = 0
        for clock, share in (("2026-03-20", Fraction(1)), ("2026-03-27", Fraction(2, 3))):
            at = world.moment(f"{clock} 12:00")
            found = pipeline.to_come("receipts", "romashka.7", march, at)
            assert found == 900_00 * Fraction(1, 5) * share
            assert pipeline.to_come("deals_won", "romashka.7", march, at) == share / 5
        assert pipeline.to_come("receipts", "romashka.9", march, at) == 0
    office.close()


def test_velocity_is_a_product_of_four(sqlite_url: str) -> None:
    facts = []
    for n in range(8):
        facts.append(world.new_deal(str(n), "2026-03-02 10:00", amount=90_00))
        facts.append(moved(str(n), f"2026-03-{10 + n:02d} 10:00", "142" if n < 6 else "143"))
    office = told(sqlite_url, facts)
    (row,), _ = ask(office, ["sales_velocity", "deals_open_avg"], "2026-03-01", "2026-03-31",
                    as_of=LATE)  # fmt: skip
    factors = row["notes"]["sales_velocity"]
    assert factors["conversion"] == 0.75
    assert factors["average_check"] == 90_00
    assert factors["cycle"] == 10 * 86_400  # the third of six
    expected = factors["deals_open_avg"] * 0.75 * 90_00 / 10
    assert row["values"]["sales_velocity"] == round(expected)
    days = [5, 6, 7, 8, 9, 9, 9, 10]  # working days each was open (8 March is off, so is the 9th)
    assert row["values"]["deals_open_avg"] == round(sum(days) / 21, 6)
    office.close()


def test_words_are_unknown_where_no_channel_is_connected(sqlite_url: str) -> None:
    office = told(sqlite_url, [world.new_deal("1", "2026-03-02 12:00")])
    slugs = ["messages_in", "messages_out"]
    assert by_month(office, slugs, "2026-03-31")[0]["values"] == dict.fromkeys(slugs)
    body = {"deal": "1", "direction": "in", "created_at": world.moment("2026-03-03 12:00")}
    world.tell(office, [Fact(Kind.MESSAGE, "m", world.moment("2026-03-03 12:00"), body)])
    march, april = (row["values"] for row in by_month(office, slugs))
    assert (march, april) == ({"messages_in": 1, "messages_out": 0}, dict.fromkeys(slugs, 0))
    office.close()
