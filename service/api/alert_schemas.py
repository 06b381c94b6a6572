"""Alerts and subscriptions on the wire (api.md 3.8, 3.9)."""

from pydantic import Field

from service.api.schemas import Instant, Listed, ListEnd, Wire


class Delivery(Wire):
    """One attempt to deliver a message."""

    attempt: int
    at: Instant
    outcome: str = Field(description="sent, failed")
    http_status: int | None
    latency_ms: int | None
    error: str | None


class AlertShown(Wire):
    """One message to one receiver about one or more violations."""

    id: str
    account: str
    kind: str
    receiver: str
    channel: str
    state: str = Field(description="pending, sent, acked, resolved, suppressed, failed")
    reason: str | None
    created_at: Instant
    sent_at: Instant | None
    violations: list[str] = Field(description="their ids")
    text: str
    deliveries: list[Delivery]


class AlertList(Listed):
    """A page of messages, newest first."""

    data: list[AlertShown]


class Subscription(Wire):
    """An outgoing webhook, without its secret."""

    id: str
    url: str
    events: list[str]
    accounts: list[str] | None = Field(description="null: all accounts")
    filters: dict[str, list[str]]
    status: str = Field(description="active, disabled")
    failing_since: Instant | None
    created_at: Instant


class SecretSubscription(Subscription):
    """A subscription with its new secret, shown this once."""

    secret: str = Field(description="whsec_...; signs as Standard Webhooks ask")


class SubscriptionList(ListEnd):
    """All subscriptions that the key may see."""

    data: list[Subscription]


class Tested(Wire):
    """What became of a `ping`."""

    delivered: bool
    http_status: int | None
    latency_ms: int
    error: str | None


class SubscriberMessage(Wire):
    """A message to a subscriber with all attempts."""

    id: str
    account: str
    webhook_id: str = Field(description="the same over retries and replays")
    state: str
    created_at: Instant
    sent_at: Instant | None
    attempts: list[Delivery]


class SubscriberMessages(ListEnd):
    """The newest messages to a subscriber."""

    data: list[SubscriberMessage]
