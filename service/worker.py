"""The worker: takes accounts one after another, does a slice of each, tells what has come due.

Any number of workers may run against one PostgreSQL: an account is leased by one at a time. A fault
in one account (its portal, its data) never stops the others.
"""

import threading
import time
from collections.abc import Callable

import structlog

from service.alerts.channels import make_channels
from service.alerts.sender import Sender
from service.pipeline import drain, rejudge
from service.pipeline.care import EVERY_SECONDS
from service.pipeline.drain import LeaseLost
from service.pipeline.errands import Errands
from service.pipeline.fetch import DIRECTORY_EVERY_SECONDS
from service.pipeline.holds import free_the_dead, holding
from service.pipeline.office import Office
from service.pipeline.reference import Reference
from service.pipeline.tick import due_accounts
from service.pipeline.upkeep import Upkeep
from service.store import due, nudges
from service.store.engine import reading
from service.store.handles import Connection

SLICE_SECONDS = 2.0
log = structlog.get_logger()


class Worker:
    """Loops until told to stop; a slice that has begun is finished."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._stop = threading.Event()
        self._errands = Errands(office)
        self._upkeep = Upkeep(office)
        self._reference = Reference(office)
        self._sender = Sender(
            office.engine, office.clock, office.box, make_channels(office.settings), office.config
        )

    def stop(self) -> None:
        """End after the slice at hand."""
        self._stop.set()
        self._office.wake.set()

    def run(self) -> None:
        """Work until stopped."""
        office = self._office
        longest = office.settings.tick_milliseconds / 1000
        self._safely(lambda: free_the_dead(office), "claims_not_freed")
        while not self._stop.is_set():
            office.wake.clear()
            if not self._safely(self.step, "worker_step_failed"):
                office.wake.wait(longest)
        self._errands.close()
        self._sender.close()

    def step(self) -> bool:
        """One round over all accounts that have something to do; whether anything was done."""
        office = self._office
        now = office.now()
        with reading(office.engine) as connection:
            waiting = due.waiting(connection, office.real_now(), office.worker)
            to_read = due.to_read(connection, now, now - DIRECTORY_EVERY_SECONDS)
            to_tell = due_accounts(connection, now)
            to_write = nudges.accounts_due(connection, now)
            to_care = due.to_look_after(connection, now - EVERY_SECONDS)
            to_sync = self._to_sync(connection)
        self._errands.reconcile(to_sync)
        self._errands.start(dict.fromkeys([*to_tell, *to_read, *to_write, *to_care]))
        busy = False
        for account_id in waiting:
            if self._stop.is_set():
                return True
            busy |= self._safely(lambda a=account_id: self._slice(a), "slice_failed")  # type: ignore[misc]
        self._safely(lambda: self._sender.run_once() > 0, "sending_failed")
        self._safely(self._upkeep.run, "upkeep_failed")
        self._safely(self._reference.run, "reference_failed")
        return busy

    def _to_sync(self, connection: Connection) -> list[str]:
        office = self._office
        minutes = office.settings.reconcile_minutes
        before = office.now() - minutes * 60
        return due.to_sync(connection, before, office.real_now()) if minutes else []

    def _slice(self, account_id: str) -> bool:
        """Work on one account for a while."""
        with holding(self._office, account_id) as mine:
            if not mine:
                return False
            try:
                return self._work(account_id)
            except LeaseLost:
                log.warning("lease_lost", account=account_id)
                return False

    def _work(self, account_id: str) -> bool:
        until = time.monotonic() + SLICE_SECONDS
        steps: tuple[Callable[[Office, str], int], ...] = (
            drain.drain,
            rejudge.rejudge,
            rejudge.derive_marked,
            rejudge.judge_dirty,
        )
        busy, done = False, 1
        while done and time.monotonic() < until and not self._stop.is_set():
            done = sum(step(self._office, account_id) for step in steps)
            busy |= done > 0
        return busy

    def _safely(self, work: Callable[[], object], event: str) -> bool:
        """Do a piece of work; a fault is logged and followed by a pause, never by the end."""
        try:
            return bool(work())
        except Exception:
            log.exception(event)
            self._stop.wait(1.0)
            return False


class WorkerThread:
    """A worker in a thread of this process (the embedded default)."""

    def __init__(self, office: Office) -> None:
        self._worker = Worker(office)
        self._thread = threading.Thread(target=self._worker.run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the slice at hand, then end."""
        self._worker.stop()
        self._thread.join(30)
