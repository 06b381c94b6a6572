"""Money of invoices, from the portal to the figure: history, hooks, what no hook told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from service import connect
from service.pipeline import survey
from service.pipeline.office import Office
from service.pipeline.sync import reconcile
from service.pipeline.verify import verify
from service.portal.book import Deal
from service.portal.invoices import Invoice, Payment
from service.store import accounts, inbox
from service.store.engine import reading
from service.store.tables import Contribution
from tests import world
from tests.crm.kit import END, START
from tests.pipeline.test_inquiries import Letters, deliver
from tests.pipeline.test_reconcile import Stage, added, opened, settle, subscribe
from tests.pipeline.test_survey import next_night

CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
DAY = timedelta(days=1)
Row = tuple[str, int, int, str]


@pytest.fixture(params=["bitrix24"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with opened(request.param, deals=4) as made:
        yield made


def invoice(number: int, deal: Deal, at: datetime, **more: Any) -> Invoice:
    made = Invoice(number, f"Счет {number}", 1000, "RUB", deal.id, 7, at, at, at, 7)
    return replace(made, **more)


@dataclass
class Purse:
    """The money of a portal: what it tells, and what is counted beside the past."""

    stage: Stage
    office: Office
    history: list[Row]
    ids: inbox.Ids

    @classmethod
    def of(cls, stage: Stage, url: str) -> "Purse":
        office = added(stage, url, START, {"receipts_from": "payments"})
        for _ in connect.backfill(office, world.ACCOUNT, None):
            pass
        settle(office)
        made = cls(stage, office, [], inbox.Ids())
        made.history = made.receipts()
        subscribe(stage)
        return made

    def receipts(self) -> list[Row]:
        """(deal, instant, minor units, currency) of all money that came since."""
        c = CONTRIBUTION.c
        query = (
            select(c.subject_id, c.at, c.value, c.currency)
            .where(c.account_id == world.ACCOUNT, c.metric == "receipts")
            .order_by(c.at, c.value)
        )
        with reading(self.office.engine) as connection:
            rows = [(str(d), int(at), int(v), str(u)) for d, at, v, u in connection.execute(query)]
        return [row for row in rows if row not in self.history]

    def told(self, put: Invoice) -> list[Row]:
        """After a hook that came twice."""
        letters = Letters(self.stage, [])
        self.stage.book.listeners.append(letters)
        body = letters.of(lambda: self.stage.book.put_invoice(put))
        self.stage.book.listeners.remove(letters)
        deliver(self.office, self.ids, [body, body])
        return self.receipts()

    def unheard(self, *put: Invoice) -> list[Row]:
        """After a reconciliation, twice."""
        for one in put:
            self.stage.book.put_invoice(one)
        for _ in range(2):
            for _ in reconcile(self.office, world.ACCOUNT):
                pass
            settle(self.office)
        return self.receipts()

    def surveyed(self) -> list[Row]:
        """After a night."""
        with reading(self.office.engine) as connection:
            row = accounts.account(connection, world.ACCOUNT)
        assert row is not None
        assert survey.survey(self.office, row) == 1
        settle(self.office)
        return self.receipts()


def test_money_of_invoices_comes_goes_back_and_is_never_counted_twice(
    stage: Stage, database_url: str
) -> None:
    first, second = [d for d in stage.book.deals.values() if d.deleted_at is None][:2]
    part, moved = START + 2 * DAY, START + 3 * DAY
    payments = Payment(1, 300, "RUB", part), Payment(2, 700, "RUB")
    stage.book.put_invoice(invoice(5001, first, START + DAY, state="paid", updated_at=moved,
                                   moved_at=moved, payments=payments))  # fmt: skip
    stage.book.put_invoice(invoice(5002, second, START + DAY))
    purse = Purse.of(stage, database_url)
    assert purse.history == [
        (str(first.id), int(part.timestamp()), 300_00, "RUB"),
        (str(first.id), int(moved.timestamp()), 700_00, "RUB"),
    ]
    at = stage.clock.at = END + DAY
    paid = invoice(5002, second, at, state="paid", currency="USD", amount=50)
    back = replace(paid, id=5003, currency="RUB", amount=-200)
    come, refund = row(second, at, 50_00, "USD"), row(second, at, -200_00)
    assert purse.told(paid) == [come]
    assert purse.told(back) == [refund, come]
    at = stage.clock.at = at + timedelta(hours=1)
    assert purse.told(replace(paid, state="sent", updated_at=at, moved_at=at)) == [refund]
    # what no hook told: paid again, and the other one deleted
    at = stage.clock.at = at + DAY
    again = replace(paid, updated_at=at, moved_at=at)
    come = row(second, at, 50_00, "USD")
    gone = replace(back, deleted_at=at, updated_at=at)
    assert purse.unheard(again, gone) == [refund, come]
    at = stage.clock.at = next_night(at)
    assert purse.surveyed() == [come]
    final = replace(again, deal_id=first.id, updated_at=at)  # it was the other deal's
    assert purse.told(final) == [(str(first.id), *come[1:])]
    assert verify(purse.office, world.ACCOUNT) == []
    purse.office.close()


def row(deal: Deal, at: datetime, amount: int, currency: str = "RUB") -> Row:
    return str(deal.id), int(at.timestamp()), amount, currency


@pytest.mark.parametrize("stage", ["amocrm"], indirect=True)
def test_invoices_of_amocrm_belong_to_the_deals_that_name_them(
    stage: Stage, sqlite_url: str
) -> None:
    first, second = [d for d in stage.book.deals.values() if d.deleted_at is None][:2]
    paid = START + 2 * DAY
    stage.book.put_invoice(invoice(5001, first, START + DAY, state="paid", updated_at=END,
                                   payments=(Payment(1, 1000, "RUB", paid),)))  # fmt: skip
    part = invoice(5002, second, END, state="partial", amount=400)
    stage.book.put_invoice(part)
    purse = Purse.of(stage, sqlite_url)
    assert purse.history == [row(first, paid, 1000_00)]
    # nobody says when it was paid: when that was first seen; then it is edited
    at = stage.clock.at = END + DAY
    whole = replace(part, state="paid", updated_at=at)
    come = row(second, at, 400_00)
    assert purse.unheard(whole) == [come]
    at = stage.clock.at = at + DAY
    assert purse.unheard(replace(whole, updated_at=at)) == [come]
    # an administrator chose the hooks of lists too
    at = stage.clock.at = at + DAY
    stage.book.put_invoice(replace(whole, deleted_at=at, updated_at=at))
    hook = b"catalogs[delete][0][id]=5002&catalogs[delete][0][catalog_id]=%d"
    deliver(purse.office, purse.ids, [hook % 6638, hook % 6640])
    assert purse.receipts() == []
    # it was the other deal's
    stage.book.put_invoice(replace(whole, id=5003, updated_at=at, deal_id=first.id))
    stage.book.edit_deal(first.id, at, 7, name="Со счётом")
    assert purse.unheard() == [row(first, at, 400_00)]
    stage.clock.at = at + DAY
    stage.book.put_invoice(replace(whole, id=5003, updated_at=at, deal_id=second.id))
    stage.book.edit_deal(second.id, at + DAY, 7, name="Со счётом")
    assert purse.unheard() == [row(second, at, 400_00)]
    assert verify(purse.office, world.ACCOUNT) == []
    purse.office.close()
