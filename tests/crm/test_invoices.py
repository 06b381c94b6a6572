"""Invoices: bodies of the documentation, part payments, what is not paid (any more)."""

from collections.abc import Iterator
from typing import Any

import pytest
import respx

from service.crm import ADAPTERS
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.ports import CrmClient, RawHook
from service.errors import SourceUnavailable
from tests.crm.bitrix24_rows import ACCESS_DENIED, Portal, RefusalError, rest
from tests.crm.kit import MakeClient
from tests.crm.test_samples import PORTAL, RECEIVED, decode

BASE = "https://demo.example"
MOVED, CHANGED, PAID = 1716296806, 1716296809, 1716197522
CATEGORIES = {"categories": [{"id": 5, "name": "Общая", "entityTypeId": 31, "isDefault": "Y"}]}
STAGES = [
    {"ENTITY_ID": "SMART_INVOICE_STAGE_5", "STATUS_ID": stage, "NAME": stage,
     "SEMANTICS": semantics, "EXTRA": {"SEMANTICS": extra}}
    for stage, semantics, extra in (
        ("DT31_5:N", None, "process"), ("DT31_5:P", "S", "success"), ("DT31_5:D", "F", "failure")
    )
]  # fmt: skip


def document(amount: float, currency: str = "RUB", **given: Any) -> dict[str, Any]:
    """A payment as the vendor's page shows it, of some amount."""
    row: dict[str, Any] = rest("crm-item-payment-list")[0]
    return row | {"sum": amount, "currency": currency} | given


def invoice(**given: Any) -> dict[str, Any]:
    row: dict[str, Any] = rest("crm-item-list-invoices")["items"][0]
    return row | given


@pytest.fixture
def portal() -> Iterator[Portal]:
    with respx.mock:
        answering = Portal()
        answering.methods = {"crm.category.list": CATEGORIES, "crm.status.list": STAGES}
        respx.post(url__startswith=f"{BASE}/rest/1/s3cret/").mock(side_effect=answering)
        yield answering


@pytest.fixture
def client(crm_client: MakeClient) -> CrmClient:
    return crm_client("bitrix24", BASE)


def read(client: CrmClient, portal: Portal, row: Any, payments: Any) -> list[Fact]:
    portal.methods["crm.item.get"] = {"item": row} if isinstance(row, dict) else row
    portal.methods["crm.item.payment.list"] = payments
    return client.fetch([Touched(Kind.PAYMENT, "i315")])


WHOLE = {"at": MOVED, "amount": 19_999_99, "currency": "RUB"}
PART = {"at": PAID, "amount": 5_000_00, "currency": "RUB"}


@pytest.mark.parametrize(("row", "payments", "expected"), [
    ({}, [], [WHOLE]),
    ({}, rest("crm-item-payment-list"), [PART | {"amount": 0}, WHOLE]),
    # what was paid in part stands at its date, the rest at the move into the paid stage
    ({}, [document(5000)], [PART, WHOLE | {"amount": 14_999_99}]),
    ({}, [document(19999.99)], [PART | {"amount": 19_999_99}]),
    ({}, [document(30000)], [PART | {"amount": 30_000_00}]),
    # in no paid stage only documents count
    ({"stageId": "DT31_5:N"}, [document(5000)], [PART]),
    ({"stageId": "DT31_5:D"}, [document(5000, paid="N", datePaid=None)], []),
    # another currency stands by itself
    ({"stageId": "DT31_5:N"}, [document(50, "USD")],
     [PART | {"amount": 50_00, "currency": "USD"}]),
    ({"currencyId": "KWD", "opportunity": 1.005}, [],
     [WHOLE | {"amount": 1005, "currency": "KWD"}]),
    # money given back
    ({"opportunity": -700}, [], [WHOLE | {"amount": -700_00}]),
    ({}, ACCESS_DENIED, [WHOLE]),
    ({"stageId": "DT31_9:P"}, [], []),  # nobody knows this stage
])  # fmt: skip
def test_an_invoice_says_what_was_paid(
    client: CrmClient, portal: Portal, row: dict[str, Any], payments: Any, expected: Any
) -> None:
    (fact,) = read(client, portal, invoice(**row), payments)
    assert (fact.kind, fact.id, fact.at) == (Kind.PAYMENT, "i315", CHANGED)
    assert (fact.rank, fact.body["deal"]) == (Rank.FETCHED, "21")
    assert fact.body["payments"] == expected


def test_an_invoice_of_no_deal_says_so(client: CrmClient, portal: Portal) -> None:
    (fact,) = read(client, portal, invoice(parentId2=0), [])
    assert fact.body["deal"] is None


@pytest.mark.parametrize(("answer", "gone"), [
    (RefusalError("NOT_FOUND", "Элемент не найден"), True),
    (RefusalError("ACCESS_DENIED", "Доступ запрещен"), False),
])  # fmt: skip
def test_an_invoice_that_is_gone_is_told_as_deleted(
    client: CrmClient, portal: Portal, answer: RefusalError, gone: bool
) -> None:
    found = read(client, portal, answer, [])
    assert [(fact.id, fact.at, fact.body) for fact in found] == (
        [("i315", 0, {"deleted": True})] if gone else []
    )


def test_payments_that_the_portal_failed_to_tell_are_asked_for_again(
    client: CrmClient, portal: Portal
) -> None:
    with pytest.raises(SourceUnavailable, match="payments"):
        read(client, portal, invoice(), RefusalError("INTERNAL_SERVER_ERROR", "Internal", 500))


def test_invoices_are_read_since_their_change_whatever_the_filter_does(
    client: CrmClient, portal: Portal
) -> None:
    """Some portals ignore an instant in the filter of crm.item.list."""
    rows = [invoice(id=1, updatedTime="2024-01-01T10:00:00+03:00"), invoice(id=2)]
    portal.methods["crm.item.list"] = lambda params: (
        {"items": rows if params["filter"][">id"] == 0 else []}
    )
    portal.methods["crm.item.payment.list"] = []
    marks = {"marks": {"invoices": CHANGED}}
    told = [fact for page in client.changes(marks) for fact in page.facts]
    assert [fact.id for fact in told if fact.kind is Kind.PAYMENT] == ["i2"]
    told = [fact for page in client.backfill(None, None) for fact in page.facts]
    assert [fact.id for fact in told if fact.kind is Kind.PAYMENT] == ["i1", "i2"]


def test_a_portal_without_invoices_has_none(client: CrmClient, portal: Portal) -> None:
    portal.methods["crm.item.list"] = RefusalError("ACCESS_DENIED", "Доступ запрещен")
    pages = list(client.changes(None))
    assert [page.step for page in pages if page.step == "invoices"] == ["invoices"]
    assert pages[-1].step == "calls"


# --- amoCRM ---------------------------------------------------------------------------------------


def field(code: str, **value: Any) -> dict[str, Any]:
    return {"field_id": 1, "field_code": code, "values": [value]}


@pytest.mark.parametrize(("fields", "expected"), [
    ([field("BILL_STATUS", value="Оплачен", enum_code="paid"), field("BILL_PRICE", value=1000.5),
      field("BILL_PAYMENT_DATE", value=1_700_000_000)], (1_700_000_000, 1000_50)),
    ([field("BILL_STATUS", value="Аванс", enum_code="paid_in_advance"),
      field("BILL_PRICE", value="1000")], (None, 1000_00)),
    ([field("BILL_STATUS", value="Оплачен", enum_code=None), field("BILL_PRICE", value="7"),
      field("BILL_PAYMENT_DATE", value="2023-11-15T01:13:20+03:00")], (1_700_000_000, 7_00)),
    ([field("BILL_STATUS", value="Оплачен", enum_code="partially_paid"),
      field("BILL_PRICE", value="7")], None),
    ([field("BILL_STATUS", value="Оплачен", enum_code="paid")], None),
    (None, None),  # people may delete these fields
])  # fmt: skip
def test_an_invoice_of_amocrm_is_read_by_the_codes_of_its_fields(
    crm_client: MakeClient, fields: Any, expected: tuple[int | None, int] | None
) -> None:
    lists = [{"id": 6638, "type": "products"}, {"id": 6640, "type": "invoices"}]
    element = {"id": 77, "catalog_id": 6640, "updated_at": CHANGED, "is_deleted": False,
               "custom_fields_values": fields}  # fmt: skip
    with respx.mock:
        for path, name, rows in (
            ("catalogs", "catalogs", lists), ("catalogs/6640/elements", "elements", [element])
        ):  # fmt: skip
            answer = {"_embedded": {name: rows}}
            respx.get(f"{BASE}/api/v4/{path}").respond(200, json=answer)
        asked = ["b6640.77", "b6638.77", "b6640.78"]
        image, gone = crm_client("amocrm", BASE).fetch([Touched(Kind.PAYMENT, k) for k in asked])
    assert (image.id, image.at, "deal" in image.body) == ("b6640.77", CHANGED, False)
    paid = [(one["at"], one["amount"]) for one in image.body["payments"]]
    assert paid == ([] if expected is None else [expected])
    assert (gone.id, gone.body) == ("b6640.78", {"deleted": True})


def test_hooks_of_lists_touch_their_elements() -> None:
    """The body of a capture (index file 24292121904); settings of such hooks are not documented."""
    body = (
        "account[subdomain]=demo&account[id]=31&catalogs[update][0][id]=1445&"
        "catalogs[update][0][catalog_id]=6640&catalogs[update][0][custom_fields][0][code]="
        "BILL_STATUS&catalogs[update][0][custom_fields][0][values][0][value]=Оплачен&"
        "catalogs[update][0][custom_fields][0][values][0][enum]=1371080"
    )
    raw = RawHook(body.encode(), "application/x-www-form-urlencoded", RECEIVED)
    found = ADAPTERS["amocrm"].decode(raw, PORTAL)
    assert (found.facts, found.touched) == ([], [Touched(Kind.PAYMENT, "b6640.1445")])


# --- Bitrix24's events ----------------------------------------------------------------------------


def test_events_of_invoices_touch_and_delete_them() -> None:
    touched = decode("bitrix24", "event-invoice-update-outgoing-webhook")
    assert (touched.facts, touched.touched) == ([], [Touched(Kind.PAYMENT, "i315")])
    (gone,) = decode("bitrix24", "event-invoice-delete-outgoing-webhook").facts
    assert (gone.kind, gone.id, gone.at, gone.body) == (
        Kind.PAYMENT, "i315", RECEIVED, {"deleted": True},
    )  # fmt: skip
    for verb in ("update", "delete"):  # of another smart process
        other = decode("bitrix24", f"event-dynamic-item-{verb}")
        assert other.ignored == f"ONCRMDYNAMICITEM{verb.upper()}"
