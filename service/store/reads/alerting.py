"""Whether people were told of violations, and if not, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from service.domain.instant import Instant
from service.store.chunks import chunks
from service.store.records import Alert
from service.store.tables import Announcement

_ALERT: Any = Alert.__table__  # type: ignore[attr-defined]
_SAID: Any = Announcement.__table__  # type: ignore[attr-defined]
_OUT = ("sent", "acked", "resolved")


@dataclass(frozen=True, slots=True)
class Alerting:
    """`state`: sent, pending, failed, or the reason why nothing leaves (`policy`, `muted`, ...)."""

    state: str
    sent_at: Instant | None


def alertings(
    connection: Connection, account: str, violations: Sequence[str]
) -> dict[str, Alerting]:
    """By violation id, for those that the tick has announced.

    Messages are written in the transaction of the announcement, so both carry the same instant.
    Indexes: announcement's primary key, ix_alert_created.
    """
    claimed: dict[str, Instant] = {}
    for part in chunks(violations):
        query = select(_SAID.c.violation_id, _SAID.c.at).where(
            _SAID.c.account_id == account,
            _SAID.c.violation_id.in_(part),
            _SAID.c.event == "opened",
        )
        claimed |= {row[0]: row[1] for row in connection.execute(query)}
    messages = _messages(connection, account, sorted(set(claimed.values())))
    return {
        violation_id: _alerting([m for m in messages.get(at, ()) if violation_id in m.violations])
        for violation_id, at in claimed.items()
    }


def _messages(
    connection: Connection, account: str, instants: Sequence[Instant]
) -> dict[Instant, list[Any]]:
    found: dict[Instant, list[Any]] = {}
    columns = [
        _ALERT.c[name]
        for name in ("created_at", "state", "reason", "sent_at", "violations", "attempts")
    ]
    for part in chunks(instants):
        query = select(*columns, _ALERT.c.next_try_at).where(
            _ALERT.c.account_id == account, _ALERT.c.created_at.in_(part)
        )
        for row in connection.execute(query):
            found.setdefault(row.created_at, []).append(row)
    return found


def _alerting(messages: Sequence[Any]) -> Alerting:
    """The best that happened to any of the messages."""
    sent = [m.sent_at for m in messages if m.state in _OUT and m.sent_at is not None]
    if sent:
        return Alerting("sent", min(sent))
    states = {m.state: m for m in messages}
    if "pending" in states:
        waiting = states["pending"]
        return Alerting(waiting.reason or "pending", None)
    if "failed" in states:
        return Alerting("failed", None)
    reasons = [m.reason for m in messages if m.reason]
    return Alerting(reasons[0] if reasons else "policy", None)
