"""Money in one currency by the rates of the account, counted by hand (kpis.md 1.6)."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.facts import Fact
from service.domain.rates import Exchange, converted
from service.pipeline.office import Office
from tests import world
from tests.kpi.test_query import ask

RATES = {"rates": {"USD": {"2026-03-01": 90, "2026-03-05": "100.505"}}}
SPAN = ("2026-02-27", "2026-03-31")


def won(number: str, at: str, seller: str, amount: int, currency: str) -> list[Fact]:
    born = world.new_deal(
        number, f"{at} 10:00", responsible=seller, amount=amount, currency=currency
    )
    return [born, world.deal(number, f"{at} 12:00", stage="142", pipeline="31", author=seller)]


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    office = world.make_office(database_url)
    world.connect_account(office, document=RATES)
    world.tell(office, [
        *won("1", "2026-03-02", "7", 1_000_00, "RUB"),
        *won("2", "2026-03-04", "7", 10_00, "USD"),
        *won("3", "2026-03-05", "9", 3_33, "USD"),
        world.deal("3", "2026-03-06 12:00", amount=5_33),
        *won("4", "2026-02-27", "9", 7_00, "USD"),  # older than the first rate
        *won("5", "2026-03-05", "9", 1_00, "EUR"),  # no rate
        world.new_deal("6", "2026-03-03 12:00", responsible="9", amount=20_00, currency="USD"),
    ])  # fmt: skip
    yield office
    office.close()


def test_each_day_has_its_rate(office: Office) -> None:
    metrics = ["receipts", "average_check", "won_with_amount", "pipeline_value"]
    rows, totals = ask(office, metrics, *SPAN, convert="RUB")
    found = {row["currency"]: (row["converted"], row["values"]) for row in rows}
    # 1000.00 + 10.00 x 90 + 3.33 x 100.505 + 2.00 x 100.505, each rounded on its day
    assert found["RUB"] == (True, {
        "receipts": 1_000_00 + 900_00 + 334_68 + 201_01, "won_with_amount": 3,
        "average_check": 811_90, "pipeline_value": 2010_10,
    })  # fmt: skip
    assert found["USD"][0] is found["EUR"][0] is False
    assert (found["USD"][1]["receipts"], found["USD"][1]["average_check"]) == (7_00, 7_00)
    assert found["EUR"][1]["receipts"] == 1_00
    assert {t["currency"]: t["values"]["receipts"] for t in totals} == {
        "RUB": 2_435_69, "USD": 7_00, "EUR": 1_00,
    }  # fmt: skip
    assert {t["currency"]: t["converted"] for t in totals}["RUB"]
    (earlier,) = ask(office, ["pipeline_value"], "2026-03-04", "2026-03-04", convert="RUB")[0]
    assert earlier["values"]["pipeline_value"] == 1800_00
    plain = {r["currency"]: r["values"]["receipts"] for r in ask(office, ["receipts"], *SPAN)[0]}
    assert plain == {"RUB": 1_000_00, "USD": 22_33, "EUR": 1_00}


def test_it_adds_up_whatever_is_told_apart(office: Office) -> None:
    for grain in (None, "day", "week", "month"):
        for by in ((), ("seller",), ("team",), ("pipeline",), ("source", "weekday"), ("stage",)):
            rows = ask(office, ["receipts"], *SPAN, convert="RUB", grain=grain, dimensions=by)[0]
            told = [row for row in rows if row["currency"] == "RUB"]
            assert sum(row["values"]["receipts"] for row in told) == 2_435_69, (grain, by)


def test_into_another_currency_of_the_rates(office: Office) -> None:
    rows = ask(office, ["receipts", "deals_won"], *SPAN, convert="USD")[0]
    found = {row["currency"]: row for row in rows}
    assert found["USD"]["values"]["receipts"] == 22_33 + 11_11  # 1000.00 / 90
    assert (found["USD"]["converted"], found["EUR"]["converted"]) == (True, False)


@given(st.integers(-(10**12), 10**12), st.fractions(Fraction(1, 1000), 1000))
def test_what_is_taken_back_takes_back_the_same(value: int, factor: Fraction) -> None:
    assert converted(-value, factor) == -converted(value, factor)
    assert abs(converted(value, factor) - value * factor) <= Fraction(1, 2)


def test_minor_units_of_both_currencies_count() -> None:
    exchange = Exchange("RUB", {"JPY": {date(2026, 1, 1): Decimal("0.6")}})
    on = date(2026, 3, 1)
    assert exchange.factor("JPY", "RUB", on) == 60  # a yen has no minor units: 60 kopecks
    assert exchange.factor("RUB", "JPY", on) == Fraction(1, 60)
    assert exchange.factor("JPY", "RUB", date(2025, 12, 31)) is None
    assert exchange.factor("JPY", "JPY", date(2025, 12, 31)) == 1
