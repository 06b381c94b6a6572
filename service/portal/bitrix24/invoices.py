"""The methods of invoices: crm.item.* of type 31 and crm.item.payment.*.

Sources: vendor REST documentation of 2026-08-21 (crm/universal/invoice and what it names).
"""

from collections.abc import Mapping
from dataclasses import replace

from service.portal.bitrix24.methods import Method, wanted
from service.portal.bitrix24.params import Params, RestError, Result, mapping, subject, whole
from service.portal.bitrix24.table import Column, Table, Wanted
from service.portal.bitrix24.writing import Writing
from service.portal.book import Stage
from service.portal.invoices import Invoice, InvoiceState, Payment
from service.portal.office import Office

INVOICE = 31
CATEGORY = {"id": 5, "name": "Общая", "sort": 500, "entityTypeId": INVOICE, "isDefault": "Y"}
STAGE_LIST = "SMART_INVOICE_STAGE_5"
STAGES: Mapping[InvoiceState, Stage] = {
    "created": Stage("DT31_5:N", "Новый", 10, "open"),
    "sent": Stage("DT31_5:S", "Отправлен клиенту", 20, "open"),
    "partial": Stage("DT31_5:1", "Оплачен частично", 30, "open"),
    "paid": Stage("DT31_5:P", "Оплачен", 40, "won"),
    "refused": Stage("DT31_5:D", "Не оплачен", 50, "lost"),
}
_STATES = {stage.id: state for state, stage in STAGES.items()}
_COLUMNS: dict[str, Column[Invoice]] = {
    "id": Column("int", lambda row: row.id),
    "title": Column("text", lambda row: row.name),
    "categoryId": Column("int", lambda _row: 5),
    "stageId": Column("text", lambda row: STAGES[row.state].id),
    "opportunity": Column("raw", lambda row: row.amount),
    "currencyId": Column("text", lambda row: row.currency),
    "isManualOpportunity": Column("text", lambda _row: "Y"),
    "assignedById": Column("int", lambda row: row.responsible),
    "updatedBy": Column("int", lambda row: row.updated_by),
    "createdTime": Column("instant", lambda row: row.created_at),
    "updatedTime": Column("instant", lambda row: row.updated_at),
    "movedTime": Column("instant", lambda row: row.moved_at),
    "companyId": Column("int", lambda _row: 0),
    "contactIds": Column("raw", lambda _row: []),
    "parentId2": Column("int", lambda row: row.deal_id),
    "entityTypeId": Column("int", lambda _row: INVOICE),
}


class Invoices:
    """Writing is in the name of the token's owner; called with the portal's lock held."""

    def __init__(self, office: Office, writing: Writing) -> None:
        self._office = office
        self._book = office.book
        self._writing = writing

    def all(self) -> dict[str, Method]:
        """Methods by their lower-case names."""
        return {
            "crm.item.list": self.items,
            "crm.item.get": self.item,
            "crm.item.add": self._add,
            "crm.item.update": self._update,
            "crm.item.delete": self._delete,
            "crm.item.payment.list": self.payments,
            "crm.item.payment.add": self._add_payment,
            "crm.item.payment.pay": self._pay,
            "crm.item.payment.unpay": self._unpay,
            "crm.item.payment.delete": self._delete_payment,
        }

    def _table(self) -> Table[Invoice]:
        return Table(_COLUMNS, self._office.zone, numbers=True)

    def items(self, params: Params) -> Result:
        """crm.item.list: `result.items`, numbers."""
        _of_invoices(params)
        asked = wanted(params)
        order = asked.order or {"id": "ASC"}
        select = [*asked.select, "id"] if asked.select else ["*"]
        rows = (one for one in self._book.invoices.values() if one.deleted_at is None)
        found = self._table().listing(rows, Wanted(asked.filter, order, select, asked.start))
        return Result({"items": found.value}, total=found.total, next=found.next)

    def item(self, params: Params) -> Result:
        """crm.item.get: `result.item`."""
        _of_invoices(params)
        return Result({"item": self._table().render(self._invoice(params, "id"))})

    def _invoice(self, params: Params, name: str) -> Invoice:
        found = self._book.invoices.get(subject(params, name))
        if found is None or found.deleted_at is not None:
            raise RestError(400, "NOT_FOUND", "Элемент не найден")
        return found

    def _add(self, params: Params) -> Result:
        _of_invoices(params)
        number, now = self._book.next_id(), self._writing.now()
        invoice = Invoice(
            number, f"Счет #{number}", 0, "RUB", None, self._writing.author(), now, now, now,
            self._writing.author(),
        )  # fmt: skip
        return self._put(invoice, mapping(params, "fields"))

    def _update(self, params: Params) -> Result:
        _of_invoices(params)
        return self._put(self._invoice(params, "id"), mapping(params, "fields"))

    def _put(self, invoice: Invoice, given: Params) -> Result:
        now = self._writing.now()
        stage = str(given.get("stageId", STAGES[invoice.state].id))
        if stage not in _STATES:
            raise RestError(400, "INVALID_ARG_VALUE", f"Invalid value of stageId: {stage}")
        moved = _STATES[stage] != invoice.state
        after = replace(
            invoice, name=str(given.get("title", invoice.name)),
            amount=whole(given, "opportunity", invoice.amount),
            currency=str(given.get("currencyId", invoice.currency)),
            deal_id=whole(given, "parentId2", invoice.deal_id or 0) or None, state=_STATES[stage],
            moved_at=now if moved else invoice.moved_at, updated_at=now,
            updated_by=self._writing.author(),
        )  # fmt: skip
        return Result({"item": self._table().render(self._book.put_invoice(after))})

    def _delete(self, params: Params) -> Result:
        _of_invoices(params)
        now = self._writing.now()
        gone = replace(self._invoice(params, "id"), deleted_at=now, updated_at=now)
        self._book.put_invoice(gone)
        return Result([])

    # --- payments ---------------------------------------------------------------------------------

    def payments(self, params: Params) -> Result:
        """crm.item.payment.list: a list of what the vendor's sample shows."""
        if whole(params, "entityTypeId", 0) != INVOICE:
            return Result([])
        invoice = self._invoice(params, "entityId")
        rows = [
            {
                "id": one.id,
                "accountNumber": f"{invoice.id}/{number}",
                "paid": "N" if one.paid_at is None else "Y",
                "datePaid": None if one.paid_at is None else self._office.local_iso(one.paid_at),
                "empPaidId": None if one.paid_at is None else invoice.updated_by,
                "paySystemId": 6,
                "sum": one.amount,
                "currency": one.currency,
                "paySystemName": "Наличные",
            }
            for number, one in enumerate(invoice.payments, 1)
        ]
        return Result(rows)

    def _add_payment(self, params: Params) -> Result:
        """crm.item.payment.add; ours takes `sum`, the vendor's adds products up."""
        invoice = self._invoice(params, "entityId")
        amount = whole(params, "sum", invoice.amount)
        payment = Payment(self._book.next_id(), amount, invoice.currency)
        self._keep(invoice, (*invoice.payments, payment))
        return Result(payment.id)

    def _pay(self, params: Params) -> Result:
        return self._changed(params, paid=True)

    def _unpay(self, params: Params) -> Result:
        return self._changed(params, paid=False)

    def _changed(self, params: Params, *, paid: bool) -> Result:
        invoice, number = self._of_payment(params)
        at = self._writing.now() if paid else None
        after = [replace(p, paid_at=at) if p.id == number else p for p in invoice.payments]
        self._keep(invoice, tuple(after))
        return Result(value=True)

    def _delete_payment(self, params: Params) -> Result:
        invoice, number = self._of_payment(params)
        left = tuple(one for one in invoice.payments if one.id != number)
        self._keep(invoice, left)
        return Result(value=True)

    def _keep(self, invoice: Invoice, payments: tuple[Payment, ...]) -> None:
        """No page of the vendor's says that it changes the invoice, or raises an event."""
        self._book.invoices[invoice.id] = replace(invoice, payments=payments)

    def _of_payment(self, params: Params) -> tuple[Invoice, int]:
        number = subject(params, "id")
        for invoice in self._book.invoices.values():
            if any(payment.id == number for payment in invoice.payments):
                return invoice, number
        raise RestError(400, "0", "Оплата не найдена")


def _of_invoices(params: Params) -> None:
    """This portal has no other items."""
    if whole(params, "entityTypeId", 0) != INVOICE:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
