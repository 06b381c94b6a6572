"""Touched subjects are read from the CRM, in batches, outside any transaction."""

from collections.abc import Sequence
from dataclasses import replace as replace_fact

import structlog

from service.domain.facts import Kind, Touched
from service.errors import SourceLimited, SourceRefused, SourceUnavailable
from service.pipeline.drain import keep_directory, store_facts
from service.pipeline.holds import holding
from service.pipeline.office import Office
from service.store import accounts
from service.store import facts as fact_store
from service.store.engine import reading, transaction

BATCH = 50
AGAIN_SECONDS = 60  # real: what a process took to read and did not, another one reads
PATIENCE_SECONDS = 5
DIRECTORY_EVERY_SECONDS = 24 * 3600
_PAUSES = (5, 30, 120, 600, 1800)
log = structlog.get_logger()


def fetch(office: Office, account_id: str) -> int:
    """Read one batch of touched subjects; how many there were. A failure is tried again later."""
    if office.breaker.is_open(account_id):
        return 0
    now = office.now()
    with transaction(office.engine) as connection:
        row = accounts.account(connection, account_id)
        waiting = fact_store.touched(connection, account_id, now, BATCH)
        if row is None or not waiting:
            return 0
        client = office.client(row, office.config(connection, account_id))
        again = now + int(AGAIN_SECONDS * office.clock.speed)
        fact_store.take(connection, account_id, waiting, again)
    touched = [Touched(Kind(kind), subject) for kind, subject, _, _ in waiting]
    try:
        facts = client.fetch(touched)
    except SourceUnavailable as error:
        office.breaker.failed(account_id, error)
        _postpone(office, account_id, waiting, error)
        return 0
    office.breaker.answered(account_id)
    facts = [replace_fact(fact, at=now) if fact.at == 0 else fact for fact in facts]
    seen = [(kind, subject, generation) for kind, subject, generation, _ in waiting]
    with holding(office, account_id, patience=PATIENCE_SECONDS) as mine:
        if not mine:
            with transaction(office.engine) as connection:
                soon = now + int(PATIENCE_SECONDS * office.clock.speed)
                fact_store.take(connection, account_id, waiting, soon)  # given back
            return 0
        store_facts(
            office, account_id, facts, lambda c: fact_store.fetched(c, account_id, seen, now)
        )
    _mark_good(office, account_id)
    return len(waiting)


def _postpone(
    office: Office,
    account_id: str,
    waiting: Sequence[tuple[str, str, int, int]],
    error: SourceUnavailable,
) -> None:
    """Nothing touched is lost: it waits, longer each time; a refusal shows on the account."""
    attempts = max(attempts for _, _, _, attempts in waiting)
    pause = float(_PAUSES[min(attempts, len(_PAUSES) - 1)])
    if isinstance(error, SourceLimited):
        pause = max(pause, error.retry_after)
    log.warning("fetch_postponed", account=account_id, error=str(error), pause_seconds=pause)
    with transaction(office.engine) as connection:
        subjects = [(kind, subject) for kind, subject, _, _ in waiting]
        fact_store.postpone(connection, account_id, subjects, office.now() + int(pause))
        if isinstance(error, SourceRefused):
            accounts.change(connection, account_id, status="error", error=str(error))


def _mark_good(office: Office, account_id: str) -> None:
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
    if row is not None and row.status == "error":
        with transaction(office.engine) as connection:
            accounts.change(connection, account_id, status="active", error=None)


def read_directory(office: Office, account_id: str) -> bool:
    """Read users, pipelines and fields anew; True if it was read. Raises SourceUnavailable."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return False
        client = office.client(row, office.config(connection, account_id))
    new = client.read_directory()
    with transaction(office.engine) as connection:
        keep_directory(office, connection, account_id, new)
    _mark_good(office, account_id)
    return True
