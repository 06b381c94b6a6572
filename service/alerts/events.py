"""What subscribers of outgoing webhooks get: JSON events (api.md 3.9)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.domain.instant import Instant, iso

TYPES = ("ping", "violation.opened", "violation.resolved", "plan.approved", "account.error")
Row = Mapping[str, Any]


def body(kind: str, at: Instant, data: Mapping[str, Any]) -> bytes:
    """The body as sent: type, when it happened, data."""
    return msgspec.json.encode({"type": kind, "timestamp": iso(at), "data": data})


def wants(subscription: Row, kind: str, account_id: str, row: Row) -> bool:
    """Whether a subscription asks for this event of this violation."""
    if not wants_account(subscription, kind, account_id):
        return False
    filters: Mapping[str, Sequence[str]] = subscription["filters"] or {}
    seller = f"{account_id}.{row['seller']}"
    have = {"severity": row["severity"], "rule": row["rule"], "seller": seller}
    return all(have.get(name) in values for name, values in filters.items())


def wants_account(subscription: Row, kind: str, account_id: str) -> bool:
    """Whether a subscription asks for this event of this account."""
    accounts: Sequence[str] | None = subscription["accounts"]
    mine = accounts is None or "*" in accounts or account_id in accounts
    return kind in subscription["events"] and mine
