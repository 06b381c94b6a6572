"""`plan.approved` for subscribers of outgoing webhooks (api.md 3.9)."""

from collections.abc import Sequence

from service.alerts import events
from service.domain.instant import Instant
from service.store import outbox, subscriptions
from service.store.handles import Connection

KIND = "plan.approved"


def tell_approved(
    connection: Connection,
    account_id: str,
    period: str,
    metrics: Sequence[str],
    version: int,
    by: str,
    now: Instant,
) -> None:
    """Put the event into the outbox, in the transaction that approves.

    Args:
        connection: the writing transaction.
        account_id: whose plans.
        period: as it was approved, `2026-12`.
        metrics: the figures that were approved.
        version: grows with each change of the account's plans; the event's key.
        by: the API key.
        now: the present instant.
    """
    data = {"account": account_id, "version": version, "period": period,
            "metrics": sorted(metrics), "by": by}  # fmt: skip
    rows = [
        {
            "account_id": account_id, "kind": "event", "violations": [], "event_at": now,
            "key": f"{found['id']}.{KIND}.{period}.{version}", "channel": "webhook",
            "receiver": found["id"], "text": f"{KIND} {period}",
            "body": events.body(KIND, now, data),
        }
        for found in subscriptions.subscriptions(connection, active=True)
        if events.wants_account(found, KIND, account_id)
    ]  # fmt: skip
    outbox.put(connection, rows, now)
