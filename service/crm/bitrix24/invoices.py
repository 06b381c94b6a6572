"""Bitrix24's invoices (crm.item of type 31) with their payments, as facts.

An invoice in the stage of success is paid whole: what its payment documents say was paid counts at
their dates, the rest when it came there. In any other stage only the documents count.

Sources: vendor REST documentation of 2026-08-21 (crm/universal/invoice, crm-item-list,
object-fields, payment/crm-item-payment-list, category, how-to-get-stages-with-semantics). Proved by
tests/crm/bitrix24/samples/rest-crm-item-payment-list.json.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from service.crm.bitrix24.mapping import Row, changed_since, entity, instant
from service.crm.bitrix24.rest import PAGE, MethodMissing, Rest, rows_of, words_of
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units
from service.errors import SourceRefused, SourceUnavailable

INVOICE = 31
PREFIX = "i"
_FIELDS = (
    "id", "categoryId", "stageId", "movedTime", "createdTime", "updatedTime", "opportunity",
    "currencyId", "parentId2",
)  # fmt: skip


class Invoices:
    """Invoices of one portal."""

    def __init__(self, rest: Rest, currency: str) -> None:
        self._rest = rest
        self._currency = currency
        self._paid: dict[str, bool] = {}  # stage -> whether it means success

    def read(self, ids: Sequence[str]) -> list[Fact]:
        """Invoices as they are; those not found are gone."""
        given = {key: {"entityTypeId": INVOICE, "id": key} for key in ids}
        results, errors = self._rest.each("crm.item.get", given)
        rows = [found["item"] for found in results.values() if isinstance(found, dict)]
        gone = [key for key in ids if _is_gone(errors.get(key))]
        facts = self.of_rows([row for row in rows if isinstance(row, dict)])
        return facts + [
            Fact(Kind.PAYMENT, f"{PREFIX}{key}", 0, {"deleted": True}, Rank.FETCHED) for key in gone
        ]

    def pages(self, since: Instant, after: int) -> Iterator[list[Row]]:
        """Rows by id, asked for those changed since an instant; none where there are no invoices.

        That filter may be ignored (bitrix24.md 12): see `changed`.
        """
        last = after
        while True:
            asked = {">id": last, **changed_since("updatedTime", since)}
            given = {
                "entityTypeId": INVOICE, "select": list(_FIELDS), "filter": asked,
                "order": {"id": "ASC"}, "start": -1,
            }  # fmt: skip
            try:
                rows = rows_of(self._rest.call("crm.item.list", given))
            except (MethodMissing, SourceRefused):
                return
            fresh = [row for row in rows if int(row["id"]) > last]
            if not fresh:
                return
            last = max(int(row["id"]) for row in fresh)
            yield fresh
            if len(rows) < PAGE:
                return

    @staticmethod
    def changed(rows: Sequence[Row], since: Instant) -> list[Row]:
        """Those of a page that changed, whatever the portal made of the filter."""
        return [row for row in rows if (instant(row.get("updatedTime")) or since) >= since]

    def of_rows(self, rows: Sequence[Row]) -> list[Fact]:
        """Rows of invoices with their payments."""
        given = {
            str(row["id"]): {"entityTypeId": INVOICE, "entityId": str(row["id"])} for row in rows
        }
        payments, errors = self._rest.each("crm.item.payment.list", given)
        if any(_is_broken(error) for error in errors.values()):
            raise SourceUnavailable("the portal did not tell the payments of an invoice")
        facts = [self._fact(row, rows_of(payments.get(str(row["id"])))) for row in rows]
        return [fact for fact in facts if fact is not None]

    def _fact(self, row: Row, documents: Sequence[Row]) -> Fact | None:
        at = instant(row.get("updatedTime")) or instant(row.get("createdTime"))
        if at is None:
            return None
        currency = str(row.get("currencyId") or self._currency)
        paid = [one for found in documents if (one := _payment(found, currency)) is not None]
        if self._is_paid(row):
            whole = minor_units(str(row.get("opportunity") or 0), currency)
            rest = whole - sum(one["amount"] for one in paid if one["currency"] == currency)
            foreign = any(one["currency"] != currency for one in paid)
            if rest and not foreign and (rest > 0 or whole < 0):
                moved = instant(row.get("movedTime"))
                paid.append({"at": moved, "amount": rest, "currency": currency})
        body: Row = {"deal": entity(row.get("parentId2")), "payments": paid, "deleted": False}
        seen = max(at, self._rest.told_at)
        return Fact(Kind.PAYMENT, f"{PREFIX}{row['id']}", at, body, Rank.FETCHED, seen)

    def _is_paid(self, row: Row) -> bool:
        """Whether it stands in a stage that means success; an unknown stage is asked for."""
        stage = str(row.get("stageId"))
        if stage not in self._paid:
            self._paid.update(self._stages())
            self._paid.setdefault(stage, False)
        return self._paid[stage]

    def _stages(self) -> Iterator[tuple[str, bool]]:
        categories = rows_of(self._rest.call("crm.category.list", {"entityTypeId": INVOICE}))
        given = {
            str(row["id"]): {"filter": {"ENTITY_ID": f"SMART_INVOICE_STAGE_{row['id']}"}}
            for row in categories
        }
        lists, _ = self._rest.each("crm.status.list", given)
        for category, rows in lists.items():
            for row in rows_of(rows):
                if row.get("ENTITY_ID") in (None, f"SMART_INVOICE_STAGE_{category}"):
                    yield str(row["STATUS_ID"]), _means_success(row)


def _means_success(row: Row) -> bool:
    extra = row.get("EXTRA")
    inner = extra.get("SEMANTICS") if isinstance(extra, dict) else None
    return row.get("SEMANTICS") == "S" or inner == "success"


def _payment(row: Row, currency: str) -> dict[str, Any] | None:
    """A payment document of which the portal says that it was paid."""
    if row.get("paid") not in ("Y", True):
        return None
    told = str(row.get("currency") or currency)
    amount = minor_units(str(row.get("sum") or 0), told)
    return {"at": instant(row.get("datePaid")), "amount": amount, "currency": told}


def _is_gone(error: Any) -> bool:
    """Not there any more; "access denied" is a blind spot, not that."""
    words = words_of(error)
    return "not_found" in words or "not found" in words


def _is_broken(error: Any) -> bool:
    """A fault that will pass: unlike a missing right or method it says nothing of payments."""
    return "internal" in words_of(error) or "unexpected_answer" in words_of(error)
