"""Plans split and read back: golden ones by hand (kpis.md 8.2), the rest by sums and by chance."""

import random
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.config import Config
from service.domain.named import parse_document
from service.domain.period import Period, periods
from service.kpi import gap, planfact
from service.kpi.decompose import Excess, Share, cumulative, fill, over_scope, over_time
from service.kpi.forecast import nearest_rank
from service.kpi.metrics import METRICS
from service.kpi.planning import Piece, Splitter, Unsplittable, ramp_up
from service.kpi.plantree import WHOLE, PlanBook, is_within
from tests import world

MARCH = Period.parse("2026-03")
ABSENT = {"sellers": {"12": {"absent": [{"from": "2026-03-01", "to": "2026-03-15"}]}}}
MOVED = {
    "teams": {"1": [7, {"id": 9, "to": "2026-03-15"}], "2": [12, {"id": 9, "from": "2026-03-16"}]}
}
SELLERS = ("7", "9", "12")


def make_config(document: dict[str, Any] | None = None) -> Config:
    return Config(
        world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", world.DIRECTORY,
        parse_document(document or {}),
    )  # fmt: skip


def row(period: str, value: int, team: str = "", seller: str = "", **more: Any) -> dict[str, Any]:
    told = {
        "account_id": world.ACCOUNT, "metric": "deals_won", "period": period, "team": team,
        "seller": seller, "value": value, "currency": "", "status": "draft", "locked": False,
        "version": 1,
    }  # fmt: skip
    return told | more


def splitter(
    book: PlanBook, by: tuple[Any, ...], now: str = "2026-02-20 12:00", **more: Any
) -> Any:
    past: Any = None  # nothing here asks for the past
    metric = METRICS[more.pop("metric", "deals_won")]
    scope = more.pop("scope", WHOLE)
    return Splitter(book.config, book, past, world.moment(now), metric, scope, by, **more)


def values(pieces: list[Piece]) -> dict[tuple[str, str], int]:
    return {(p.scope[1] or p.scope[0], p.period.name): p.value for p in pieces}


# --- golden ---------------------------------------------------------------------------------------


def test_ten_deals_of_march_fall_on_every_second_working_day() -> None:
    book = PlanBook(make_config())
    pieces = splitter(book, ("day",), scope=("", "7")).split(MARCH, 10)
    working = [p for p, w in zip(pieces, book.weights("7", MARCH), strict=True) if w]
    assert len(working) == 21  # 9 March is off
    ones = [n for n, piece in enumerate(working, 1) if piece.value]
    assert ones == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    assert sum(piece.value for piece in pieces) == 10
    # and the same comes from reading a month's row
    read = PlanBook.of(book.config, [row("2026-03", 10, seller="7")])
    assert read.month_leaves("deals_won", MARCH)["", "7"] == [piece.value for piece in pieces]


def test_shares_by_hours_of_the_page() -> None:
    def shares(*hours: int) -> list[Share]:
        return [Share(name, hour) for name, hour in zip("abc", hours, strict=True)]

    assert over_scope(1_000_000, shares(168, 168, 84), 1000) == [400_000, 400_000, 200_000]
    assert over_scope(100, shares(168, 168, 84)) == [40, 40, 20]
    assert over_scope(100, shares(168, 160, 84)) == [41, 39, 20]


def test_an_absent_seller_gets_less() -> None:
    """March has 168 working hours; who is away until the 15th has 12 of its 21 days: 96 h."""
    pieces = splitter(PlanBook(make_config(ABSENT)), ("seller",)).split(MARCH, 100)
    # weights 168, 168, 96 of 432: exact 38.889, 38.889, 22.222 -> floors 98, two left: 7 and 9
    assert values(pieces) == {("7", "2026-03"): 39, ("9", "2026-03"): 39, ("12", "2026-03"): 22}


def test_beyond_whole_steps_goes_to_the_largest_weight() -> None:
    found = splitter(PlanBook(make_config(ABSENT)), ("seller",), step=10).split(MARCH, 107)
    assert values(found) == {("7", "2026-03"): 47, ("9", "2026-03"): 40, ("12", "2026-03"): 20}


def test_teams_then_their_sellers() -> None:
    book = PlanBook(make_config())
    teams = splitter(book, ("team",)).split(MARCH, 100)
    assert values(teams) == {("1", "2026-03"): 67, ("2", "2026-03"): 33}
    both = splitter(book, ("team", "seller")).split(MARCH, 100)
    assert values(both) == {("7", "2026-03"): 34, ("9", "2026-03"): 33, ("12", "2026-03"): 33}


def test_a_year_falls_on_months_and_quarters_by_working_hours() -> None:
    book = PlanBook(make_config())
    year = Period.parse("2026")
    months = splitter(book, ("month",)).split(year, 1000)
    hours = [sum(book.weights("", month)) for month in periods(year.first, year.last, "month")]
    assert [piece.value for piece in months] == cumulative(1000, hours)
    by_quarter = splitter(book, ("quarter",))
    quarters = by_quarter.shown(year, by_quarter.split(year, 1000))
    assert [q.period.name for q in quarters] == ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]
    assert quarters[0].value == sum(piece.value for piece in months[:3])
    assert sum(q.value for q in quarters) == 1000


def test_a_week_shows_its_part_of_the_month() -> None:
    by_week = splitter(PlanBook(make_config()), ("week",), scope=("", "7"))
    weeks = by_week.shown(MARCH, by_week.split(MARCH, 10))
    assert [w.period.name for w in weeks] == [f"2026-W{n:02d}" for n in range(9, 15)]
    # March 2026 begins on a Sunday: W09 has no working day; W10: days 1-5, W11: 6-9, ...
    assert [w.value for w in weeks] == [0, 2, 2, 3, 2, 1]


def test_manual_per_cent_and_their_faults() -> None:
    book = PlanBook(make_config())
    shares = {"romashka.7": Fraction(50), "romashka.9": Fraction("12.5"), "12": Fraction("37.5")}
    found = splitter(book, ("seller",), weights="manual", manual=shares).split(MARCH, 80)
    assert values(found) == {("7", "2026-03"): 40, ("9", "2026-03"): 10, ("12", "2026-03"): 30}
    with pytest.raises(Unsplittable, match="sum to 100"):
        splitter(book, ("seller",), weights="manual", manual={"7": Fraction(99)}).split(MARCH, 1)
    with pytest.raises(Unsplittable, match="names '77'"):
        splitter(book, ("seller",), weights="manual", manual={"77": Fraction(100)}).split(MARCH, 1)


def test_locked_rows_stay_and_the_rest_is_spread_anew() -> None:
    locked = [row("2026-03", 50, seller="9", locked=True), row("2026-03", 1, seller="7")]
    book = PlanBook.of(make_config(), locked)
    found = splitter(book, ("seller",)).split(MARCH, 100)
    assert values(found) == {("7", "2026-03"): 25, ("9", "2026-03"): 50, ("12", "2026-03"): 25}
    with pytest.raises(Unsplittable, match="exceed it by 10"):
        splitter(book, ("seller",)).split(MARCH, 40)
    everyone = [row("2026-03", 10, seller=seller, locked=True) for seller in SELLERS]
    full = PlanBook.of(make_config(), everyone)
    assert sum(p.value for p in splitter(full, ("seller",)).split(MARCH, 30)) == 30
    with pytest.raises(Unsplittable, match="fall short of it by 5"):
        splitter(full, ("seller",)).split(MARCH, 35)


def test_finished_days_are_frozen() -> None:
    """10 deals in March; on the 16th, 9 working days are over: 4 deals are frozen."""
    book = PlanBook.of(make_config(), [row("2026-03", 10, seller="7")])
    by_day = splitter(book, ("day",), "2026-03-16 12:00", scope=("", "7"))
    old = book.month_leaves("deals_won", MARCH)["", "7"]
    new = [piece.value for piece in by_day.split(MARCH, 16)]
    assert sum(old[:15]) == 4
    assert new[:15] == old[:15]
    assert sum(new) == 16
    assert new[15:] == cumulative(12, book.weights("7", MARCH)[15:])
    with pytest.raises(Unsplittable, match="exceed it by 1"):
        by_day.split(MARCH, 3)


def test_a_running_month_is_split_over_sellers_on_top_of_what_is_frozen() -> None:
    book = PlanBook.of(make_config(), [row("2026-03", 10, seller="7")])
    found = values(splitter(book, ("seller",), "2026-03-16 12:00").split(MARCH, 35))
    # 4 are frozen; 31 over equal rests: 10 each, and one to the smaller id
    assert found == {("7", "2026-03"): 15, ("9", "2026-03"): 10, ("12", "2026-03"): 10}


def test_newcomers_start_with_less() -> None:
    from msgspec.structs import replace

    sellers = [replace(s, activity=((0, False), (world.moment("2026-02-10 10:00"), True)))
               if s.id == "12" else s for s in world.DIRECTORY.sellers]  # fmt: skip
    directory = replace(world.DIRECTORY, sellers=tuple(sellers))
    config = Config(world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", directory, parse_document({}))
    shares = [ramp_up(config, "12", date(2026, month, 1)) for month in (2, 3, 4)]
    assert shares == [Fraction(3, 10), Fraction(6, 10), 1]
    assert ramp_up(config, "7", date(2026, 2, 1)) == 1
    # weights 1, 1, 0.6: 100 x (1, 1, 0.6) / 2.6 = 38.46, 38.46, 23.08 -> the one left to 7
    found = values(splitter(PlanBook(config), ("seller",)).split(MARCH, 100))
    assert found == {("7", "2026-03"): 39, ("9", "2026-03"): 38, ("12", "2026-03"): 23}


def test_a_norm_is_copied_to_all_children() -> None:
    found = splitter(PlanBook(make_config()), ("seller", "month"), metric="conversion")
    copies = found.copies(Period.parse("2026-Q1"), 30)
    assert len(copies) == 9
    assert {copy.value for copy in copies} == {30}


def test_what_a_total_holds_beyond_its_members_is_a_line_of_its_own() -> None:
    rows = [row("2026-03", 100), row("2026-03", 30, team="1"), row("2026-03", 20, seller="7")]
    book = PlanBook.of(make_config(), rows)
    found = {leaf: sum(days) for leaf, days in book.month_leaves("deals_won", MARCH).items()}
    assert found == {("", "7"): 20, ("1", ""): 10, WHOLE: 70}
    assert book.total("deals_won", MARCH, ("1", "")) == 30
    assert book.total("deals_won", MARCH, WHOLE) == 100


def test_the_norm_of_a_level_is_the_ratio_of_its_planned_parts() -> None:
    check = METRICS["average_check"]
    own = row("2026", 500, metric="average_check")
    book = PlanBook.of(make_config(), [own])
    assert planfact.plan_of(book, check, MARCH, "seller", "romashka.7", 0).value == 500
    for slug, value in (("receipts", 10_000), ("deals_won", 8)):
        book.put(row("2026-03", value, metric=slug, seller="7"))
    assert planfact.plan_of(book, check, MARCH, "seller", "romashka.7", 0).value == 1250
    assert planfact.plan_of(book, check, MARCH, "seller", "romashka.9", 0).value == 500


# --- by chance ------------------------------------------------------------------------------------


def test_ten_thousand_random_plans_sum_exactly_and_no_part_is_negative() -> None:
    chance = random.Random(8)
    refused = 0
    for _ in range(10_000):
        count = chance.randint(1, 31)
        weights: list[Any] = [chance.choice([0, chance.randint(1, 500)]) for _ in range(count)]
        if chance.random() < 0.3:
            weights = [Fraction(w, chance.randint(1, 9)) for w in weights]
        total = chance.choice([chance.randint(0, 50), chance.randint(0, 10**10)])
        most = max(1, 3 * total // count)
        fixed = {n: chance.randint(0, most) for n in range(count) if chance.random() < 0.4}
        step = chance.choice([1, 1, chance.randint(1, 10_000)])
        shares = [Share(str(n), w, fixed.get(n)) for n, w in enumerate(weights)]
        rest = total - sum(fixed.values())
        fits = rest >= 0 and (rest == 0 or len(fixed) < count)
        splits: list[Callable[[], list[int]]] = [
            partial(over_scope, total, shares, step), partial(over_time, total, fixed, weights),
        ]  # fmt: skip
        for split in splits:
            if not fits:
                with pytest.raises(Excess) as caught:
                    split()
                assert caught.value.amount == -rest
                refused += 1
                continue
            parts = split()
            assert sum(parts) == total
            assert min(parts) >= 0
            assert all(parts[n] == value for n, value in fixed.items())
        read = fill(total, fixed, weights)
        assert sum(read) == total
        assert min(read) >= 0
    assert 1_000 < refused < 15_000  # both ways are tried


SCOPES = [("", ""), ("1", ""), ("2", ""), ("", "7"), ("", "9"), ("", "12")]
PERIODS = ["2026-02", "2026-03", "2026-04", "2026-03-01", "2026-03-10", "2026-03-31", "2026-04-02"]
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(SCOPES), st.sampled_from(PERIODS)), st.integers(0, 10**7), max_size=25
)


@settings(max_examples=200)
@given(rows=ROWS, document=st.sampled_from([ABSENT, ABSENT | MOVED]))
def test_levels_agree_whatever_is_set(
    rows: dict[tuple[tuple[str, str], str], int], document: dict[str, Any]
) -> None:
    """Even of rows that contradict each other: leaves are what counts, also of who moves."""
    stored = [row(p, v, *scope) for (scope, p), v in rows.items()]
    book = PlanBook.of(make_config(document), stored)
    quarter = Period(date(2026, 2, 1), date(2026, 4, 30), "quarter")
    months = periods(quarter.first, quarter.last, "month")
    leaves = book.leaves("deals_won", quarter)
    assert all(value >= 0 for days in leaves.values() for value in days.values())
    for scope in SCOPES:
        whole = book.total("deals_won", quarter, scope) or 0
        assert whole == sum(book.total("deals_won", month, scope) or 0 for month in months)
        assert whole == sum(
            value
            for leaf, days in leaves.items()
            for on, value in days.items()
            if is_within(book.config, leaf, scope, on)
        )
    weeks = periods(date(2026, 2, 2), date(2026, 4, 26), "week")
    span = Period(date(2026, 2, 2), date(2026, 4, 26), "day")
    by_week = sum(book.total("deals_won", week, WHOLE) or 0 for week in weeks)
    assert by_week == (book.total("deals_won", span, WHOLE) or 0)
    metric = METRICS["deals_won"]
    totals = {}
    ways: tuple[planfact.By, ...] = ("account", "team", "seller")
    for by in ways:
        groups = planfact.plan_groups(book, quarter, by)
        plans = [planfact.plan_of(book, metric, quarter, by, g, 0).value for g in groups]
        totals[by] = sum(plan or 0 for plan in plans)
    assert totals["account"] == totals["team"] == totals["seller"]


def test_a_seller_who_moves_takes_the_rest_of_his_plan_along() -> None:
    """March has 21 working days (the 9th is off): 9 of them until the 15th, 12 after it."""
    stored = [
        row("2026-03", 21, seller="9"), row("2026-03", 30, team="1"), row("2026-03", 5, team="2"),
    ]  # fmt: skip
    book = PlanBook.of(make_config(MOVED), stored)
    metric = METRICS["deals_won"]

    def plan(by: planfact.By, group: str | None, span: Period = MARCH) -> int | None:
        return planfact.plan_of(book, metric, span, by, group, 0).value

    assert (plan("team", "1"), plan("team", "2"), plan("account", None)) == (30, 12, 42)
    half = Period(date(2026, 3, 1), date(2026, 3, 15), "day")
    assert (plan("seller", "romashka.9", half), plan("team", "2", half)) == (9, 0)
    assert [book.total("deals_won", MARCH, scope) for scope in SCOPES[:3]] == [42, 30, 12]
    assert planfact.plan_groups(book, half, "team") == {"1", "2"}


@settings(max_examples=150)
@given(
    rows=ROWS,
    locked=st.sets(st.tuples(st.sampled_from(SCOPES), st.sampled_from(PERIODS))),
    value=st.integers(0, 10**8),
    by=st.lists(
        st.sampled_from(["team", "seller", "quarter", "month", "week", "day"]),
        min_size=1, unique=True,
    ),
    period=st.sampled_from(["2026-03", "2026-Q1", "2026-Q2", "2026", "2026-W10", "2026-03-10"]),
    way=st.fixed_dictionaries({
        "step": st.integers(1, 5000),
        "now": st.sampled_from(["2026-01-20 12:00", "2026-03-16 12:00", "2026-03-31 18:00"]),
        "weights": st.sampled_from(["hours", "equal"]),
    }),
    document=st.sampled_from([ABSENT, ABSENT | MOVED]),
)  # fmt: skip
def test_decompositions_sum_exactly_or_are_refused(
    rows: dict[tuple[tuple[str, str], str], int],
    locked: set[tuple[tuple[str, str], str]],
    value: int,
    by: list[str],
    period: str,
    way: dict[str, Any],
    document: dict[str, Any],
) -> None:
    stored = [row(p, v, *s, locked=(s, p) in locked) for (s, p), v in rows.items()]
    book = PlanBook.of(make_config(document), stored)
    made = splitter(book, tuple(by), **way)
    span = Period.parse(period)
    try:
        pieces = made.split(span, value)
    except Unsplittable as error:
        assert not error.member  # noqa: PT017 - both ends are right
        return
    assert sum(piece.value for piece in pieces) == value
    assert min(piece.value for piece in pieces) >= 0
    shown = made.shown(span, pieces)
    assert sum(piece.value for piece in shown) == value
    assert len({(p.scope, p.period.name) for p in shown}) == len(shown)


# --- the gap --------------------------------------------------------------------------------------


def test_a_gap_by_hand() -> None:
    """100 inquiries x 0.2 x 50 = 1000 -> 80 x 0.25 x 60 = 1200.

    Shapley of the volume: mean over orders of (-20) x {0.2 x 50, 0.25 x 50, 0.2 x 60, 0.25 x 60}
    with weights 1/3, 1/6, 1/6, 1/3 = -20 x (10/3 + 12.5/6 + 12/6 + 15/3) = -248.33.
    """
    found = gap.explain(gap.of_facts(1000, 100, 20), gap.of_facts(1200, 80, 20))
    assert sum(found.values()) == 200
    assert found["inquiries"] == -248
    # sales per inquiry: 0.05 x (100 x 50/3 + 80 x 50/6 + 100 x 60/6 + 80 x 60/3) = 246.67
    # average check: 10 x (100 x 0.2/3 + 80 x 0.2/6 + 100 x 0.25/6 + 80 x 0.25/3) = 201.67
    assert (found["sales_per_inquiry"], found["average_check"]) == (247, 201)


def test_what_is_not_separable_is_said() -> None:
    none = gap.of_facts(0, 50, 0)
    assert gap.explain(gap.of_facts(1000, 100, 20), none) == {
        "inquiries": -500, "not_separable": -500,
    }  # fmt: skip
    assert gap.explain(gap.of_facts(500, 0, 1), gap.of_facts(700, 3, 2)) == {"not_separable": 200}
    assert gap.explain(gap.of_plan(900, None, None, 50), none) == {"not_separable": -900}


@settings(max_examples=2000)
@given(st.lists(st.integers(0, 10**9), min_size=6, max_size=6))
def test_effects_sum_to_the_difference(n: list[int]) -> None:
    before, after = gap.of_facts(*n[:3]), gap.of_facts(*n[3:])
    assert sum(gap.explain(before, after).values()) == n[3] - n[0]


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [Fraction(n) for n in range(1, 13)]
    assert nearest_rank(values, Fraction(1, 10)) == 2
    assert nearest_rank(values, Fraction(9, 10)) == 11
    assert nearest_rank(values[:6], Fraction(1, 10)) == 1
    assert nearest_rank(values[:6], Fraction(9, 10)) == 6
