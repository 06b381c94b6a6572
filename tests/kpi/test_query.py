"""Figures against a second, plain way of adding up the contributions; golden ones by hand."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import select

from service.domain.facts import Fact, Kind
from service.domain.period import Period, to_date
from service.kpi import query as kpi
from service.kpi.decompose import cumulative, largest_remainder
from service.kpi.metrics import METRICS
from service.kpi.question import Question
from service.kpi.sources import COMPUTED
from service.pipeline.office import Office
from service.store import tables
from service.store.engine import reading
from tests import world

ADDITIVE = [
    slug for slug, metric in METRICS.items()
    if metric.kind == "sum" and COMPUTED.isdisjoint(metric.parts)
]  # fmt: skip


def ask(
    office: Office, metrics: list[str], first: str, last: str, **more: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    as_of = more.pop("as_of", world.moment("2026-03-20 12:00"))
    question = Question(
        tuple(METRICS[m] for m in metrics), more.pop("dimensions", ()), date.fromisoformat(first),
        date.fromisoformat(last), more.pop("grain", None), more.pop("filters", ()), as_of, **more,
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        table = kpi.answer(connection, configs, question)
    return table.rows, table.totals


def test_averages_of_two_accounts_stand_each_in_its_currency(sqlite_url: str) -> None:
    """A row of each currency beside money; the averages of both add up once."""
    office = world.make_office(sqlite_url)
    dollars = replace(world.DIRECTORY, currency="USD")
    world.connect_account(office)
    world.connect_account(office, "vasilek", directory=dollars, token="other")
    world.tell(office, [world.new_deal(n, "2026-02-27 12:00") for n in "12"])
    world.tell(office, [world.new_deal(n, "2026-02-27 12:00") for n in "345"], "vasilek")
    question = Question(
        tuple(METRICS[slug] for slug in ("deals_open_avg", "receipts")), (), date(2026, 3, 2),
        date(2026, 3, 6), None, (), world.moment("2026-03-20 12:00"),
    )  # fmt: skip
    with reading(office.engine) as connection:
        configs = {name: office.config(connection, name) for name in (world.ACCOUNT, "vasilek")}
        table = kpi.answer(connection, configs, question)
    for rows in (table.rows, table.totals):
        told = {row["currency"]: row["values"]["deals_open_avg"] for row in rows}
        assert told == {"RUB": 2.0, "USD": 3.0}
    office.close()


def lived(url: str) -> Office:
    office = world.make_office(url)
    world.connect_account(office)
    d = world.deal
    world.tell(office, [
        world.new_deal("1", "2026-02-27 12:00", responsible="7", amount=10_000_00),
        d("1", "2026-03-02 12:00", stage="142", pipeline="31", author="7"),
        d("1", "2026-03-09 12:00", amount=12_000_00),
        world.new_deal("2", "2026-03-02 12:00", responsible="7", amount=5_000_00),
        d("2", "2026-03-05 12:00", stage="142", pipeline="31", author="7"),
        d("2", "2026-03-06 12:00", responsible="9"),
        d("2", "2026-04-02 12:00", stage="10", pipeline="31", author="9"),
        d("2", "2026-04-03 12:00", stage="142", pipeline="31", author="9"),
        world.new_deal("3", "2026-03-03 12:00", responsible="9"),
        d("3", "2026-03-04 12:00", stage="143", pipeline="31", author="9"),
        d("3", "2026-03-04 12:30", loss_reason="2", author="9"),
        world.new_deal("4", "2026-03-03 12:00", responsible="9"),
        d("4", "2026-03-31 23:59:59", stage="143", pipeline="31", author="9"),
        d("4", "2026-04-01 12:00", loss_reason="1", author="9"),
        world.call("c1", "2026-03-02 12:30", 100, "1"),
        world.call("c2", "2026-03-02 13:30", 0, "1", answered=False),
        world.new_task("11", "2026-03-02 12:00", "2026-03-03 12:00"),
        world.task("11", "2026-03-03 12:00", is_open=False),
        world.new_task("12", "2026-03-02 12:00", "2026-03-03 12:00"),
    ])  # fmt: skip
    return office


def test_golden_figures_of_a_hand_counted_department(database_url: str) -> None:
    office = lived(database_url)
    metrics = [
        "deals_created", "deals_won", "deals_lost", "receipts", "average_check", "conversion",
        "calls", "talk_seconds", "tasks_on_time", "tasks_overdue", "inquiries",
    ]  # fmt: skip
    late = world.moment("2026-05-01 00:00")
    rows, _ = ask(office, metrics, "2026-03-01", "2026-04-30", grain="month", as_of=late)
    march, april = (row["values"] for row in rows)
    assert march == {
        "deals_created": 3, "deals_won": 2, "deals_lost": 2, "receipts": 17_000_00,
        "average_check": 8_500_00, "conversion": round(2 / 3, 6), "calls": 2, "talk_seconds": 100,
        "tasks_on_time": 0.5, "tasks_overdue": 1, "inquiries": 3,
    }  # fmt: skip
    assert april["deals_won"] == 0  # reopened (-1) and won again (+1)
    assert april["receipts"] == 0
    assert april["tasks_overdue"] == 1
    office.close()


def test_reopening_belongs_to_the_seller_of_the_win(sqlite_url: str) -> None:
    office = lived(sqlite_url)
    late = world.moment("2026-05-01 00:00")
    rows, _ = ask(office, ["deals_won", "receipts"], "2026-03-01", "2026-04-30", grain="month",
                  dimensions=("seller",), as_of=late)  # fmt: skip
    won = {(row["period"].month, row["seller"]): row["values"] for row in rows}
    assert won[3, "romashka.7"] == {"deals_won": 2, "receipts": 17_000_00}
    assert won[4, "romashka.7"] == {"deals_won": -1, "receipts": -5_000_00}
    assert won[4, "romashka.9"] == {"deals_won": 1, "receipts": 5_000_00}
    office.close()


def test_last_second_of_a_moscow_month_is_in_it(sqlite_url: str) -> None:
    office = lived(sqlite_url)
    late = world.moment("2026-05-01 00:00")
    rows, _ = ask(office, ["deals_lost"], "2026-03-31", "2026-04-01", grain="day", as_of=late)
    assert [row["values"]["deals_lost"] for row in rows] == [1, 0]
    office.close()


def test_ratio_of_a_team_is_of_sums_not_of_ratios(sqlite_url: str) -> None:
    office = lived(sqlite_url)
    _, totals = ask(office, ["conversion"], "2026-03-01", "2026-03-31", dimensions=("seller",),
                    as_of=world.moment("2026-05-01 00:00"))  # fmt: skip
    assert totals[0]["values"]["conversion"] == round(2 / 3, 6)  # not a mean of 1 and 0
    office.close()


def test_future_deadline_counts_only_once_it_has_passed(sqlite_url: str) -> None:
    office = lived(sqlite_url)
    world.tell(office, [world.new_task("13", "2026-03-20 10:00", "2026-03-20 13:00")])
    for clock, due in (("2026-03-20 12:59", 0), ("2026-03-20 13:00", 1)):
        rows, _ = ask(office, ["tasks_due"], "2026-03-20", "2026-03-20", as_of=world.moment(clock))
        assert rows[0]["values"]["tasks_due"] == due
    office.close()


def test_empty_periods_are_returned(sqlite_url: str) -> None:
    office = lived(sqlite_url)
    rows, _ = ask(office, ["deals_won", "conversion"], "2026-01-01", "2026-03-31", grain="month")
    assert [row["values"]["deals_won"] for row in rows] == [0, 0, 2]
    assert rows[0]["values"]["conversion"] is None
    office.close()


def test_calls_are_null_without_telephony(sqlite_url: str) -> None:
    office = world.make_office(sqlite_url)
    world.connect_account(office, document={"telephony": False})
    rows, _ = ask(office, ["calls", "deals_won"], "2026-03-01", "2026-03-31")
    assert rows[0]["values"] == {"calls": None, "deals_won": 0}
    office.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any) -> Any:
    import random
    import shutil

    path = tmp_path_factory.mktemp("kpi") / "dozor.db"
    shutil.copy(sqlite_template, path)
    office = world.make_office(f"sqlite:///{path}")
    world.connect_account(office)
    chance = random.Random(7)
    facts: list[Fact] = []
    for n in range(120):
        day, hour = chance.randint(1, 28), chance.randint(0, 23)
        at = f"2026-0{chance.randint(1, 3)}-{day:02d} {hour:02d}:15"
        seller = chance.choice(["7", "9", "12"])
        facts.append(world.new_deal(str(n), at, responsible=seller, amount=n * 1000))
        later = world.moment(at) + chance.randint(700, 3_000_000)
        stage = chance.choice(["20", "142", "143"])
        body = {"stage": stage, "pipeline": "31", "author": seller}
        facts.append(Fact(Kind.DEAL, str(n), later, body))
        facts.append(world.call(f"c{n}", at, chance.randint(0, 90), str(n), author=seller))
    world.tell(office, facts)
    yield office
    office.close()


@settings(max_examples=40)
@given(
    slug=st.sampled_from(ADDITIVE),
    grain=st.sampled_from(["day", "week", "month", "quarter", "year", None]),
    first=st.integers(0, 100),
    length=st.integers(0, 90),
    back=st.integers(0, 3_000_000),
    dimension=st.sampled_from([(), ("seller",), ("pipeline",), ("stage",), ("seller", "weekday")]),
)
def test_sums_agree_with_adding_up_the_contributions(
    busy: Office, slug: str, grain: Any, first: int, length: int, back: int, dimension: Any
) -> None:
    begin = date(2025, 12, 20) + timedelta(days=first)
    end = begin + timedelta(days=length)
    as_of = world.moment("2026-04-10 12:00") - back
    rows, totals = ask(busy, [slug], begin.isoformat(), end.isoformat(), grain=grain,
                       dimensions=dimension, as_of=as_of)  # fmt: skip
    table = tables.Contribution.__table__  # type: ignore[attr-defined]
    expected: dict[tuple[Any, ...], int] = defaultdict(int)
    with busy.engine.connect() as connection:
        metric = METRICS[slug]
        for c in connection.execute(select(table).where(table.c.metric.in_(metric.parts))):
            on = to_date(c.day)
            if not begin <= on <= end or c.at + c.age > as_of:
                continue
            period = max(Period.around(on, grain).first, begin) if grain else None
            names = {
                "seller": f"romashka.{c.seller}", "pipeline": f"romashka.{c.pipeline}",
                "stage": f"romashka.{c.pipeline}.{c.stage}" if c.stage else None,
                "weekday": str(on.isoweekday()),
            }  # fmt: skip
            sign = -1 if c.metric in metric.takes else 1
            expected[period, *(names[d] for d in dimension)] += sign * c.value
    found = {
        (row.get("period"), *(row[d] for d in dimension)): row["values"][slug]
        for row in rows
        if row["values"][slug]
    }
    assert found == {key: value for key, value in expected.items() if value}
    assert sum(t["values"][slug] or 0 for t in totals) == sum(expected.values())


# --- decomposition --------------------------------------------------------------------------------


def test_hand_counted_decompositions() -> None:
    names = ["a", "b", "c"]
    assert largest_remainder(1_000_000, [168, 168, 84], names, 1000) == [400_000, 400_000, 200_000]
    assert largest_remainder(100, [168, 168, 84], names) == [40, 40, 20]
    assert largest_remainder(100, [168, 160, 84], names) == [41, 39, 20]
    days = cumulative(10, [1] * 21)
    assert [n + 1 for n, value in enumerate(days) if value] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]


@given(
    total=st.integers(0, 10**12),
    weights=st.lists(st.integers(0, 500), min_size=1, max_size=40),
    step=st.integers(1, 100_000),
)
def test_parts_sum_exactly_and_are_never_negative(
    total: int, weights: list[int], step: int
) -> None:
    names = [str(n) for n in range(len(weights))]
    sellers = largest_remainder(total, weights, names, step)
    days = cumulative(total, weights)
    assert sum(sellers) == sum(days) == total
    assert min(sellers) >= 0
    assert min(days) >= 0
    if any(weights):
        assert all(not value for value, weight in zip(days, weights, strict=True) if not weight)
