"""amoCRM's invoices: elements of the account's list of type `invoices`, as facts.

The list has no filter by change, and an element does not name its deal: the deal names its
elements (`with=catalog_elements`). A partly paid invoice does not say how much was paid; it counts
nothing until it is paid.

Sources: amoCRM developers "Lists" and "Leads"; codes of fields and states: the vendor's client
(amocrm-api-php, InvoicesCustomFieldsEnums, BillStatusEnumCode).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from service.crm.amocrm.common import linked_id
from service.crm.amocrm.rest import PAGE, Params, PathMissing, Rest, Row
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.money import minor_units
from service.errors import SourceRefused

PREFIX = "b"
_PAID = {"paid", "paid_in_advance"}
_PAID_WORDS = {"оплачен", "оплачен в аванс", "paid"}


class Invoices:
    """Invoices of one portal; their ids are `b<list>.<element>`."""

    def __init__(self, rest: Rest, currency: str) -> None:
        self._rest = rest
        self._currency = currency
        self._catalog: str | None = None  # "" = there is none

    def catalog(self) -> str:
        """The id of the list of invoices; "" = there is none, or no right to it."""
        if self._catalog is None:
            lists = self._rest.allowed("/api/v4/catalogs", "catalogs")
            found = [str(row["id"]) for row in lists if row.get("type") == "invoices"]
            self._catalog = found[0] if found else ""
        return self._catalog

    def of_deals(self, rows: Iterable[Row]) -> list[Fact]:
        """Whose the invoices of these deals are, and the invoices themselves."""
        links: list[Fact] = []
        for row in rows:
            for element in (row.get("_embedded") or {}).get("catalog_elements") or []:
                key, at = str(element["id"]), int(row["updated_at"])
                if _catalog_of(element) == self.catalog():
                    body = {"deal": str(row["id"])}
                    links.append(Fact(Kind.PAYMENT, self._key(key), at, body, Rank.HISTORY))
        elements = sorted({link.id.rpartition(".")[2] for link in links})
        return links + self._images(elements)

    def read(self, keys: Sequence[str]) -> list[Fact]:
        """Invoices by their ids; absent ones are gone; elements of other lists are none."""
        if not keys:
            return []
        ours = f"{PREFIX}{self.catalog()}."
        ids = [key.removeprefix(ours) for key in keys if key.startswith(ours)]
        facts = self._images(ids)
        known = {fact.id for fact in facts}
        gone = [self._key(key) for key in ids if self._key(key) not in known]
        return facts + [Fact(Kind.PAYMENT, k, 0, {"deleted": True}, Rank.FETCHED) for k in gone]

    def _images(self, ids: Sequence[str]) -> list[Fact]:
        if not ids:
            return []
        return self.of_rows(self._rest.by_ids(f"catalogs/{self.catalog()}/elements", ids))

    def pages(self, page: int) -> Iterator[tuple[list[Row], int]]:
        """All elements of the list, page by page."""
        if not self.catalog():
            return
        path, params = f"/api/v4/catalogs/{self.catalog()}/elements", _paged(page)
        try:
            yield from self._rest.pages(path, "elements", params)
        except (PathMissing, SourceRefused):
            return

    def of_rows(self, rows: Iterable[Row]) -> list[Fact]:
        """Elements of the list."""
        return [self._fact(row) for row in rows]

    def _fact(self, row: Row) -> Fact:
        told = {
            str(field.get("field_code")): (field.get("values") or [{}])[0]
            for field in row.get("custom_fields_values") or []
        }
        payments = []
        if _is_paid(told.get("BILL_STATUS", {})):
            amount = minor_units(str(told.get("BILL_PRICE", {}).get("value") or 0), self._currency)
            at = _instant(told.get("BILL_PAYMENT_DATE", {}).get("value"))
            payments = [{"at": at, "amount": amount, "currency": self._currency}] if amount else []
        body = {"payments": payments, "deleted": bool(row.get("is_deleted"))}
        at = int(row["updated_at"])
        return Fact(Kind.PAYMENT, self._key(str(row["id"])), at, body, Rank.FETCHED, at)

    def _key(self, element: str) -> str:
        return f"{PREFIX}{self.catalog()}.{element}"


def _paged(page: int) -> Params:
    return [("limit", PAGE), ("page", page)]


def _catalog_of(element: Row) -> str | None:
    inside = element.get("metadata")
    held = inside if isinstance(inside, dict) else element
    return linked_id(held.get("catalog_id"))


def _is_paid(value: Row) -> bool:
    """By the state's code; a state that people renamed has its code still."""
    code = value.get("enum_code")
    return code in _PAID if code else str(value.get("value")).casefold() in _PAID_WORDS


def _instant(value: Any) -> Instant | None:
    """Seconds since 1970, or a date with an offset; None = it is not told."""
    text = str(value or "")
    if text.isdecimal():
        return int(text) if len(text) <= 10 else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(moment.timestamp()) if moment.tzinfo is not None else None
