"""Invoices of a simulated CRM and the payments on them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

InvoiceState = Literal["created", "sent", "partial", "paid", "refused"]


@dataclass(frozen=True)
class Payment:
    """A payment of an invoice; `paid_at` None: it is asked for."""

    id: int
    amount: int
    currency: str
    paid_at: datetime | None = None


@dataclass(frozen=True)
class Invoice:
    """An invoice as it is now. `moved_at`: when it came into its state."""

    id: int
    name: str
    amount: int
    currency: str
    deal_id: int | None
    responsible: int
    created_at: datetime
    updated_at: datetime
    moved_at: datetime
    updated_by: int
    state: InvoiceState = "created"
    payments: tuple[Payment, ...] = ()
    deleted_at: datetime | None = None
