"""The sender: takes due messages from the outbox and delivers them, several at once.

A message is claimed before it is sent and settled after: a crash between the two sends it again
under the same key. A receiver that hangs keeps one thread, never the others.
"""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from service import metrics
from service.clock import Clock
from service.domain.config import Config
from service.domain.instant import Instant, from_datetime
from service.domain.ports import Channel, Message
from service.errors import ChannelError
from service.secrets import SecretBox
from service.store import outbox, subscriptions
from service.store.engine import reading, transaction
from service.store.handles import Engine

PAUSES = (5, 60, 300, 1800, 7200, 18000, 36000)
ATTEMPT_SECONDS = 60
DISABLE_AFTER_SECONDS = 3 * 86400
LONGEST_PAUSE = 3600
WORKERS = 8
log = structlog.get_logger()
Row = dict[str, Any]


@dataclass
class Sender:
    """Delivers what is due. `config_of` tells an account's settings (receivers)."""

    engine: Engine
    clock: Clock
    box: SecretBox
    channels: dict[str, Channel]
    config_of: Callable[[Any, str], Config]
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(WORKERS, thread_name_prefix="sender")
    )
    _flying: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> Instant:
        """The present instant."""
        return from_datetime(self.clock.now())

    def run_once(self, limit: int = 50) -> int:
        """Start delivering what is due; how many were started."""
        with reading(self.engine) as connection:
            rows = outbox.due(connection, self.now(), limit)
        started = 0
        for row in rows:
            with self._lock:
                if row["id"] in self._flying or len(self._flying) >= WORKERS * 4:
                    continue
                self._flying.add(row["id"])
            started += 1
            self._pool.submit(self._deliver, row)
        return started

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until nothing is on its way (for an orderly end)."""
        until = time.monotonic() + seconds
        while self._flying and time.monotonic() < until:
            time.sleep(0.01)

    def close(self) -> None:
        """Finish what is on its way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, row: Row) -> None:
        try:
            again = int(ATTEMPT_SECONDS * self.clock.speed)
            with transaction(self.engine) as connection:
                if not outbox.claim(connection, row, self.now() + again):
                    return
            self._attempt(row)
        except Exception:
            log.exception("delivery_failed", alert=row["id"])
        finally:
            with self._lock:
                self._flying.discard(row["id"])

    def _attempt(self, row: Row) -> None:
        began = time.monotonic()
        fault: ChannelError | None = None
        try:
            message = self._message(row)
            self.channels[row["channel"]].send(message, lambda: self.clock.now().timestamp())
        except ChannelError as error:
            fault = error
        latency = int((time.monotonic() - began) * 1000)
        with transaction(self.engine) as connection:
            self._settle(connection, row, fault, latency)

    def _message(self, row: Row) -> Message:
        """The message with its present target: a changed address or secret counts at once."""
        if row["channel"] == "webhook":
            with reading(self.engine) as connection:
                found = subscriptions.subscription(connection, row["receiver"])
            if found is None or found["status"] != "active":
                raise ChannelError("the subscription is gone or disabled", final=True)
            secrets = self.box.open(found["secret"])
            if found["old_secret"] and (found["old_secret_until"] or 0) > self.now():
                secrets += " " + self.box.open(found["old_secret"])
            return Message(row["key"], row["text"], row["body"], found["url"], secrets)
        with reading(self.engine) as connection:
            config = self.config_of(connection, row["account_id"])
        receiver = config.document.alerts.receivers.get(row["receiver"])
        if receiver is None or receiver.telegram is None:
            raise ChannelError("the receiver is gone", final=True)
        return Message(row["key"], row["text"], b"", str(receiver.telegram))

    def _settle(self, connection: Any, row: Row, fault: ChannelError | None, latency: int) -> None:
        attempt = row["attempts"] + 1
        now = self.now()
        outcome = "sent" if fault is None else "failed"
        metrics.ALERTS.labels(row["channel"], outcome).inc()
        outbox.log_delivery(
            connection,
            row,
            {
                "attempt": attempt, "at": now, "outcome": outcome, "latency_ms": latency,
                "http_status": fault.status if fault else None,
                "error": str(fault) if fault else "",
            },
        )  # fmt: skip
        if fault is None:
            outbox.settle(connection, row, state="sent", sent_at=now, next_try_at=None, reason="")
            if row["kind"] != "digest" and row["reason"] != "quiet_hours":
                metrics.ALERT_LATENCY.observe(now - row["event_at"])
            if row["channel"] == "webhook":
                subscriptions.change(connection, row["receiver"], failing_since=None)
            return
        self._failed(connection, row, fault, attempt, now)

    def _failed(
        self, connection: Any, row: Row, fault: ChannelError, attempt: int, now: Instant
    ) -> None:
        if row["channel"] == "webhook":
            self._mark_subscription(connection, row, fault, now)
        if fault.final or attempt > len(PAUSES):
            reason = str(fault)[:200]
            outbox.settle(connection, row, state="failed", next_try_at=None, reason=reason)
            log.warning("alert_failed", alert=row["id"], reason=reason)
            return
        pause = PAUSES[attempt - 1] * random.uniform(0.9, 1.1)  # noqa: S311 - spreads retries
        if fault.retry_after is not None:
            pause = min(max(fault.retry_after, 1.0), LONGEST_PAUSE)
        outbox.settle(connection, row, next_try_at=now + max(1, int(pause)))

    def _mark_subscription(
        self, connection: Any, row: Row, fault: ChannelError, now: Instant
    ) -> None:
        found = subscriptions.subscription(connection, row["receiver"])
        if found is None:
            return
        since = found["failing_since"] or now
        dead = fault.status == 410 or now - since > DISABLE_AFTER_SECONDS
        status = "disabled" if dead else found["status"]
        subscriptions.change(connection, row["receiver"], failing_since=since, status=status)
        if dead:
            log.error("subscription_disabled", subscription=row["receiver"])
