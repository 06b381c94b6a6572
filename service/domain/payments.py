"""Money received by documents (invoices and their payments), as it stands by their last versions.

A version tells the whole of its document, so a repeated or late one doubles nothing; what is not
paid any more, or is deleted, has never been paid.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.domain.facts import Fact, Kind
from service.domain.story import PaymentSeen
from service.domain.subjects import last_told


def payments_of(told: Mapping[tuple[Kind, str], Sequence[Fact]]) -> list[PaymentSeen]:
    """All payments by instant, from the versions (in order) of each subject."""
    found = [
        payment
        for (kind, document), versions in told.items()
        if kind is Kind.PAYMENT
        for payment in _standing(document, versions)
    ]
    return sorted(found)


def _standing(document: str, versions: Sequence[Fact]) -> Iterator[PaymentSeen]:
    if last_told(versions, "deleted"):
        return
    first = 0
    paid: Sequence[dict[str, Any]] = ()
    for fact in versions:
        if "payments" in fact.body:
            first = first if paid else fact.at
            paid = fact.body["payments"]
    for number, one in enumerate(paid):
        at = first if one["at"] is None else one["at"]
        yield PaymentSeen(at, one["amount"], one["currency"], f"{document}.{number}")
