"""What receipts are: won amounts, a field of what was paid, invoices; counted by hand."""

from typing import Any

import pytest

from service.domain.facts import Fact, Kind
from service.pipeline.verify import verify
from tests import world
from tests.kpi.test_golden import LATE, by_month, moved, told
from tests.kpi.test_query import ask


def test_payments_are_receipts_where_the_settings_say_so(database_url: str) -> None:
    """A prepayment, the rest after the win, a refund; what was won stays what was won."""
    document = {"receipts_from": "payments", "fields": {"paid": "ИНН"}}
    office = told(database_url, [
        world.new_deal("1", "2026-03-02 12:00", amount=100_00),
        world.deal("1", "2026-03-03 12:00", fields={"501": "30"}, author="7"),
        moved("1", "2026-03-05 12:00", "142"),
        world.deal("1", "2026-03-06 12:00", responsible="9", author="7"),
        world.deal("1", "2026-04-02 12:00", fields={"501": "100,00"}, author="9"),
        world.deal("1", "2026-04-03 12:00", fields={"501": "90"}, author="9"),
    ], **document)  # fmt: skip
    rows, totals = ask(office, ["receipts", "deal_value_won"], "2026-03-01", "2026-04-30",
                       grain="month", dimensions=("seller",), as_of=LATE)  # fmt: skip
    found = {(row["period"].month, row["seller"][-1]): row["values"] for row in rows}
    assert found[3, "7"] == {"receipts": 30_00, "deal_value_won": 100_00}
    assert found[4, "9"] == {"receipts": 60_00, "deal_value_won": 0}
    assert totals[0]["values"] == {"receipts": 90_00, "deal_value_won": 100_00}
    office.close()


def invoice(key: str, at: str, *paid: tuple[str | None, int, str], **body: Any) -> Fact:
    payments = [
        {"at": when and world.moment(when), "amount": amount, "currency": currency}
        for when, amount, currency in paid
    ]
    return Fact(Kind.PAYMENT, key, world.moment(at), {"deal": "1", "payments": payments} | body)


INVOICES = [
    world.new_deal("1", "2026-03-02 12:00", amount=100_00),
    world.new_deal("2", "2026-03-02 12:00", responsible="12"),
    # part payments, the second one in another currency and for the next seller
    invoice("i1", "2026-03-03 12:00", ("2026-03-03 12:00", 30_00, "RUB")),
    invoice("i1", "2026-04-02 12:00", ("2026-03-03 12:00", 30_00, "RUB"),
            ("2026-04-02 12:00", 5_00, "USD")),
    moved("1", "2026-03-05 12:00", "142"),
    world.deal("1", "2026-03-06 12:00", responsible="9", author="7"),
    # paid, nobody says when, edited since; given back
    invoice("i2", "2026-04-03 12:00", (None, 50_00, "RUB")),
    invoice("i2", "2026-05-03 12:00", (None, 50_00, "RUB")),
    invoice("i3", "2026-04-04 12:00", ("2026-04-04 12:00", -20_00, "RUB")),
    # paid and not paid after all; deleted; moved to another deal
    invoice("i4", "2026-03-04 12:00", ("2026-03-04 12:00", 7_00, "RUB")),
    invoice("i4", "2026-04-04 12:00"),
    invoice("i5", "2026-03-04 12:00", ("2026-03-04 12:00", 9_00, "RUB")),
    Fact(Kind.PAYMENT, "i5", world.moment("2026-04-04 12:00"), {"deleted": True}),
    invoice("i6", "2026-03-04 12:00", ("2026-03-04 12:00", 11_00, "RUB")),
    invoice("i6", "2026-04-04 12:00", ("2026-03-04 12:00", 11_00, "RUB"), deal="2"),
]  # fmt: skip


@pytest.mark.parametrize("turn", [1, -1])
def test_invoices_are_receipts_where_no_field_holds_what_was_paid(
    database_url: str, turn: int
) -> None:
    """Each payment at its own instant, in any order of arrival, told twice."""
    office = told(database_url, INVOICES[::turn], receipts_from="payments")
    world.tell(office, INVOICES)
    rows, totals = ask(office, ["receipts", "deal_value_won"], "2026-03-01", "2026-04-30",
                       grain="month", dimensions=("seller",), as_of=LATE)  # fmt: skip
    found = {
        (row["period"].month, row["seller"].partition(".")[2], row["currency"]): row["values"]
        for row in rows
    }
    assert found[3, "7", "RUB"] == {"receipts": 30_00, "deal_value_won": 100_00}
    assert found[4, "9", "RUB"] == {"receipts": 30_00, "deal_value_won": 0}
    assert found[4, "9", "USD"] == {"receipts": 5_00, "deal_value_won": 0}
    assert found[3, "12", "RUB"] == {"receipts": 11_00, "deal_value_won": 0}
    assert {row["currency"]: row["values"]["receipts"] for row in totals} == {
        "RUB": 71_00, "USD": 5_00
    }  # fmt: skip
    assert verify(office, world.ACCOUNT) == []
    office.close()


def test_an_amount_may_stand_in_a_field_of_its_own(sqlite_url: str) -> None:
    office = told(sqlite_url, [
        world.new_deal("1", "2026-03-02 12:00", amount=100_00, fields={"501": "1 250.50"}),
        moved("1", "2026-03-05 12:00", "142"),
    ], fields={"budget": "ИНН"})  # fmt: skip
    rows = by_month(office, ["receipts"], "2026-03-31")
    assert rows[0]["values"]["receipts"] == 1_250_50
    office.close()
