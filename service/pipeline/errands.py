"""Errands: what waits for a portal (reading it, re-reading before an alert), apart from judging.

At most one errand of a kind an account, several accounts at once: a portal that is slow or down
delays its own account's news and nothing else; a long reconciliation delays no news.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from service.errors import SourceUnavailable
from service.pipeline import care, fetch, nudges, sync, tick, trouble
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading, transaction

THREADS = 8
SYNC_THREADS = 3
DIRECTORY_AGAIN_SECONDS = 60
log = structlog.get_logger()


class Errands:
    """Runs errands in threads of its own."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="errand")
        self._syncs = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync")
        self._running: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._directory_tried: dict[str, float] = {}

    def start(self, account_ids: Iterable[str]) -> None:
        """Begin to read and to tell for each account that is not on that errand."""
        self._begin(self._pool, "news", self._news, account_ids)

    def reconcile(self, account_ids: Iterable[str]) -> None:
        """Begin to reconcile each account that is not on that errand."""
        self._begin(
            self._syncs, "sync", partial(sync.reconcile_due, self._office, self._stop), account_ids
        )

    def _begin(
        self,
        pool: ThreadPoolExecutor,
        kind: str,
        work: Callable[[str], int],
        account_ids: Iterable[str],
    ) -> None:
        for account_id in account_ids:
            with self._lock:
                if (kind, account_id) in self._running:
                    continue
                self._running.add((kind, account_id))
            pool.submit(self._run, kind, work, account_id)

    def close(self) -> None:
        """Let what has begun come to its end; a reconciliation ends after its page."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._syncs.shutdown(wait=True, cancel_futures=True)

    def _news(self, account_id: str) -> int:
        done = self._read_directory(account_id)
        done += fetch.fetch(self._office, account_id)
        done += care.look_after(self._office, account_id)
        done += trouble.tell_error(self._office, account_id)
        done += tick.tick_account(self._office, account_id)
        return done + nudges.write(self._office, account_id)

    def _run(self, kind: str, work: Callable[[str], int], account_id: str) -> None:
        done = 0
        try:
            done = work(account_id)
        except Exception:
            log.exception("errand_failed", account=account_id)
            self._stop.wait(1.0)  # a fault that lasts does not spin; an end does not wait for it
        finally:
            with self._lock:
                self._running.discard((kind, account_id))
        if done:
            self._office.wake.set()  # there may be more

    def _read_directory(self, account_id: str) -> int:
        """Read users, pipelines and fields when asked for or a day old; tried once a minute."""
        office = self._office
        with reading(office.engine) as connection:
            row = accounts.account(connection, account_id)
        if row is None or row.status == "disabled" or office.breaker.is_open(account_id):
            return 0
        if not office.adapter(row.crm).has_rest:
            with transaction(office.engine) as connection:
                values = {"directory_wanted": False, "directory_at": office.now()}
                accounts.change(connection, account_id, **values)
            return 0
        age = office.now() - (row.directory_at or 0)
        if not row.directory_wanted and age < fetch.DIRECTORY_EVERY_SECONDS:
            return 0
        tried = self._directory_tried.get(account_id, -1e9)
        if office.clock.monotonic() - tried < DIRECTORY_AGAIN_SECONDS:
            return 0
        self._directory_tried[account_id] = office.clock.monotonic()
        try:
            return int(fetch.read_directory(office, account_id))
        except SourceUnavailable as error:
            office.breaker.failed(account_id, error)
            log.warning("directory_unreadable", account=account_id, error=str(error))
            return 0
