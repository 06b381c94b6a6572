"""Lists and their elements: products (empty) and invoices.

Sources: amoCRM developers "Lists"; codes of an invoice's fields: the vendor's client.
"""

from starlette.responses import Response

from service.portal.amocrm.answers import Json, link, nothing, page
from service.portal.amocrm.query import Ask
from service.portal.invoices import Invoice, InvoiceState
from service.portal.office import Office, unix

INVOICES, PRODUCTS = 6640, 6638
_STATES: dict[InvoiceState, tuple[int, str, str]] = {
    "created": (1371078, "Создан", "created"),
    "sent": (1371078, "Создан", "created"),
    "partial": (1371084, "Частично оплачен", "partially_paid"),
    "paid": (1371080, "Оплачен", "paid"),
    "refused": (1371078, "Создан", "created"),
}


def catalogs(office: Office, ask: Ask) -> Response:
    """GET catalogs."""
    rows = [(PRODUCTS, "Товары", "products"), (INVOICES, "Счета/покупки", "invoices")]

    def shown(row: tuple[int, str, str]) -> Json:
        return {
            "id": row[0], "name": row[1], "created_by": 0, "updated_by": 0, "sort": 10,
            "type": row[2], "can_add_elements": True, "can_show_in_cards": False,
            "can_link_multiple": False, "can_be_deleted": False, "sdk_widget_code": None,
            "account_id": office.account_id, "_links": link(office, f"catalogs/{row[0]}"),
        }  # fmt: skip

    return page(office, ask, "catalogs", rows, shown)


def elements(office: Office, ask: Ask) -> Response:
    """GET catalogs/{id}/elements; filter[id]. Nothing filters by change."""
    if int(ask.parts["id"]) != INVOICES:
        return nothing()
    wanted = ask.numbers("filter", "id")
    rows = [
        one
        for one in office.book.invoices.values()
        if one.deleted_at is None and (wanted is None or one.id in wanted)
    ]
    return page(office, ask, "elements", rows, lambda row: _element(office, row))


def linked(office: Office, deal_id: int) -> list[Json]:
    """What a lead says of its elements (`with=catalog_elements`)."""
    return [
        {"id": one.id, "metadata": {"quantity": 1, "catalog_id": INVOICES, "price_id": None}}
        for one in office.book.invoices.values()
        if one.deal_id == deal_id and one.deleted_at is None
    ]


def _element(office: Office, invoice: Invoice) -> Json:
    number, words, code = _STATES[invoice.state]
    state = {"value": words, "enum_id": number, "enum_code": code}
    fields = [
        _field(701, "BILL_STATUS", "select", state),
        _field(702, "BILL_PRICE", "numeric", {"value": str(invoice.amount)}),
    ]
    if invoice.payments and (paid_at := invoice.payments[0].paid_at) is not None:
        fields.append(_field(703, "BILL_PAYMENT_DATE", "date_time", {"value": unix(paid_at)}))
    return {
        "id": invoice.id, "catalog_id": INVOICES, "name": invoice.name,
        "created_by": invoice.responsible, "updated_by": invoice.updated_by,
        "created_at": unix(invoice.created_at), "updated_at": unix(invoice.updated_at),
        "is_deleted": False, "custom_fields_values": fields, "account_id": office.account_id,
        "_links": link(office, f"catalogs/{INVOICES}/elements/{invoice.id}"),
    }  # fmt: skip


def _field(number: int, code: str, kind: str, value: Json) -> Json:
    return {
        "field_id": number, "field_name": code, "field_code": code, "field_type": kind,
        "values": [value], "is_computed": False,
    }  # fmt: skip
