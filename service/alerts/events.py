"""What subscribers of outgoing webhooks get: JSON events (api.md 3.9)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.domain.instant import Instant, iso

TYPES = ("ping", "violation.opened", "violation.resolved")
Row = Mapping[str, Any]


def body(kind: str, at: Instant, data: Mapping[str, Any]) -> bytes:
    """The body as sent: type, when it happened, data."""
    return msgspec.json.encode({"type": kind, "timestamp": iso(at), "data": data})


def wants(subscription: Row, kind: str, account_id: str, row: Row) -> bool:
    """Whether a subscription asks for this event of this violation."""
    if kind not in subscription["events"]:
        return False
    accounts: Sequence[str] | None = subscription["accounts"]
    if accounts is not None and "*" not in accounts and account_id not in accounts:
        return False
    filters: Mapping[str, Sequence[str]] = subscription["filters"] or {}
    seller = f"{account_id}.{row['seller']}"
    have = {"severity": row["severity"], "rule": row["rule"], "seller": seller}
    return all(have.get(name) in values for name, values in filters.items())
