"""The worker: takes accounts one after another, does a slice of each, tells what has come due.

Any number of workers may run against one PostgreSQL: an account is leased by one at a time. A fault
in one account (its portal, its data) never stops the others.
"""

import os
import socket
import threading
import time
from collections.abc import Callable

import structlog

from service.alerts.channels import make_channels
from service.alerts.sender import Sender
from service.errors import SourceUnavailable
from service.pipeline import drain, fetch, rejudge, tick
from service.pipeline.drain import LeaseLost
from service.pipeline.office import LEASE_SECONDS, Office
from service.store import accounts, inbox
from service.store.engine import reading, transaction

SLICE_SECONDS = 2.0
SWEEP_SECONDS = 3600
log = structlog.get_logger()


class Worker:
    """Loops until told to stop; a slice that has begun is finished."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._stop = threading.Event()
        self._directory_tried: dict[str, float] = {}
        self._sender = Sender(
            office.engine, office.clock, office.box, make_channels(office.settings), office.config
        )
        self._swept_at = 0

    def stop(self) -> None:
        """End after the slice at hand."""
        self._stop.set()
        self._office.wake.set()

    def run(self) -> None:
        """Work until stopped."""
        office = self._office
        longest = office.settings.tick_milliseconds / 1000
        self._safely(self._free_the_dead, "claims_not_freed")
        while not self._stop.is_set():
            office.wake.clear()
            if not self._safely(self.step, "worker_step_failed"):
                office.wake.wait(longest)
        self._sender.close()

    def step(self) -> bool:
        """One round over all accounts that have something to do; whether anything was done."""
        office = self._office
        with reading(office.engine) as connection:
            waiting = accounts.waiting(connection, office.now(), office.real_now(), office.worker)
        busy = False
        for account_id in waiting:
            if self._stop.is_set():
                return True
            busy |= self._safely(lambda a=account_id: self._slice(a), "slice_failed")  # type: ignore[misc]
        busy |= self._safely(lambda: tick.tick(office) > 0, "tick_failed")
        self._safely(lambda: self._sender.run_once() > 0, "sending_failed")
        self._sweep()
        return busy

    def _free_the_dead(self) -> bool:
        """Accounts that a killed process of this machine held are not kept waiting for its lease.

        One that lives after all (a container with our host's name) only loses its batch: every
        transaction asks whether the account is still held.
        """
        office = self._office
        with transaction(office.engine) as connection:
            for account_id, worker in accounts.claims(connection):
                if worker != office.worker and is_dead(worker):
                    log.info("claim_freed", account=account_id, of=worker)
                    accounts.release(connection, account_id, worker, office.real_now())
        return True

    def _slice(self, account_id: str) -> bool:
        """Work on one account for a while."""
        office = self._office
        real = office.real_now()
        with transaction(office.engine) as connection:
            if not accounts.claim(connection, account_id, office.worker, real, LEASE_SECONDS):
                return False
        try:
            return self._work(account_id)
        except LeaseLost:
            log.warning("lease_lost", account=account_id)
            return False
        finally:
            with transaction(office.engine) as connection:
                accounts.release(connection, account_id, office.worker, real)

    def _work(self, account_id: str) -> bool:
        office = self._office
        busy = self._read_directory(account_id)
        until = time.monotonic() + SLICE_SECONDS
        steps: tuple[Callable[[Office, str], int], ...] = (
            drain.drain,
            fetch.fetch,
            rejudge.rejudge,
            rejudge.judge_dirty,
        )
        done = 1
        while done and time.monotonic() < until and not self._stop.is_set():
            done = sum(step(office, account_id) for step in steps)
            busy |= done > 0
        return busy

    def _read_directory(self, account_id: str) -> bool:
        """Read users, pipelines and fields when asked for or a day old; tried once a minute."""
        office = self._office
        with reading(office.engine) as connection:
            row = accounts.account(connection, account_id)
        if row is None or row.status == "disabled":
            return False
        age = office.now() - (row.directory_at or 0)
        if not row.directory_wanted and age < fetch.DIRECTORY_EVERY_SECONDS:
            return False
        tried = self._directory_tried.get(account_id, -1e9)
        if office.clock.monotonic() - tried < 60:
            return False
        self._directory_tried[account_id] = office.clock.monotonic()
        try:
            return fetch.read_directory(office, account_id)
        except SourceUnavailable as error:
            log.warning("directory_unreadable", account=account_id, error=str(error))
            return False

    def _sweep(self) -> None:
        """Now and then: raw bodies past their time are dropped."""
        office = self._office
        now = office.now()
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        before = now - office.settings.inbox_keep_days * 86400
        with reading(office.engine) as connection:
            known = [row.account_id for row in accounts.accounts(connection)]
        for account_id in known:
            with transaction(office.engine) as connection:
                inbox.forget(connection, account_id, before)

    def _safely(self, work: Callable[[], bool], event: str) -> bool:
        """Do a piece of work; a fault is logged and followed by a pause, never by the end."""
        try:
            return work()
        except Exception:
            log.exception(event)
            self._stop.wait(1.0)
            return False


def is_dead(worker: str) -> bool:
    """Whether a worker (`host:pid:random`) was a process of this machine that is no more."""
    host, _, rest = worker.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
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
