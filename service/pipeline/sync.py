"""Reconciliation: what changed in the CRM since the last time is read, compared and stored.

Hooks get lost; REST does not forget. A subject that REST shows in a later version than any that is
stored, though no hook is on its way and nothing waits to be fetched, is a hook that was lost.
Waiting for the portal happens outside the account's lease; each page is stored with its cursor, so
what was cut off goes on there.
"""

import threading
from collections.abc import Iterator, Sequence

import structlog

from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant
from service.domain.ports import Page
from service.errors import ConfigError, SourceUnavailable
from service.pipeline import inquiries
from service.pipeline.drain import LeaseLost, drain, store_facts
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.pipeline.rejudge import judge_dirty
from service.pipeline.survey import survey_due
from service.store import accounts, due
from service.store import facts as fact_store
from service.store.engine import reading, transaction
from service.store.handles import Connection

LEASE_SECONDS = 900  # real: what a killed process left is taken up by another one after it
GRACE_SECONDS = 120  # of the account's time: a hook may take so long
_COUNTED = {Kind.DEAL, Kind.TASK, Kind.CALL, Kind.NOTE, Kind.LEAD}
log = structlog.get_logger()


def reconcile_due(office: Office, stop: threading.Event, account_id: str) -> int:
    """Reconcile if it is time and nobody else does; how many facts were read. `stop`: soon."""
    minutes = office.settings.reconcile_minutes
    if not minutes or office.breaker.is_open(account_id):
        return 0
    real, before = office.real_now(), office.now() - minutes * 60
    with transaction(office.engine) as connection:
        if not due.begin_sync(connection, account_id, before, real, LEASE_SECONDS):
            return 0
    error: str | None = None
    done = survey_due(office, account_id)
    try:
        for page in reconcile(office, account_id):
            done += len(page.facts)
            if stop.is_set():
                break
    except SourceUnavailable as fault:
        office.breaker.failed(account_id, fault)
        error = str(fault)
        log.warning("reconcile_failed", account=account_id, error=error)
    except (LeaseLost, ConfigError) as fault:  # somebody else works on it: the next time
        log.info("reconcile_later", account=account_id, reason=str(fault))
    finally:
        with transaction(office.engine) as connection:
            accounts.change(connection, account_id, sync_until=0, sync_error=error)
    return done


def reconcile(office: Office, account_id: str) -> Iterator[Page]:
    """Read what changed since the last time; each page is stored before it is yielded.

    Raises:
        SourceUnavailable: the portal does not answer; the next time goes on here.
        ConfigError: the account is busy, or there is none.
    """
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            raise ConfigError(f"there is no account {account_id!r}")
        client = office.client(office.keyed(row), office.config(connection, account_id))
    began = office.now()
    for page in client.changes(row.changes_cursor):
        store(office, account_id, page)
        yield page
    processed = inquiries.gone(office, account_id, client)
    with held(office, account_id):
        store_facts(office, account_id, processed)
        judge_dirty(office, account_id)
    with transaction(office.engine) as connection:
        accounts.change(connection, account_id, synced_at=began)


def store(office: Office, account_id: str, page: Page) -> None:
    """Store a page of changes with its cursor, after the hooks that came before it."""
    with held(office, account_id):
        while drain(office, account_id):
            pass
        with reading(office.engine) as connection:
            lost = _lost(connection, account_id, page.facts, office.now() - GRACE_SECONDS)

        def also(connection: Connection) -> None:
            accounts.change(connection, account_id, changes_cursor=page.cursor)
            accounts.count(connection, account_id, hooks_lost=lost)

        store_facts(office, account_id, page.facts, also)


def _lost(connection: Connection, account_id: str, facts: Sequence[Fact], before: Instant) -> int:
    """How many subjects REST shows in a version that nothing had told."""
    newest: dict[tuple[str, str], Instant] = {}
    for fact in facts:
        if fact.rank is Rank.FETCHED and fact.kind in _COUNTED and 0 < fact.at < before:
            key = (str(fact.kind), fact.id)
            newest[key] = max(newest.get(key, 0), fact.at)
    known = fact_store.latest(connection, account_id, newest)
    waiting = fact_store.waiting(connection, account_id, newest)
    return sum(known.get(key, 0) < at and key not in waiting for key, at in newest.items())
