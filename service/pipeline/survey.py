"""The nightly survey: what we hold and the portal does not list any more is asked for by its id.

Bitrix24 keeps no log of deletions: a deal or task that was deleted while its hook got lost would
stay open for ever. "Not found" then makes a deletion; "access denied" is a blind spot and changes
nothing (bitrix24.md 2.1, 10).
"""

import structlog

from service.domain.facts import Kind
from service.domain.instant import to_datetime
from service.errors import SourceUnavailable
from service.pipeline.office import Office
from service.store import accounts
from service.store import facts as fact_store
from service.store.accounts import AccountRow
from service.store.engine import reading, transaction

DAY = 86400
LATEST = 36 * 3600  # a portal that was never reached at night is surveyed by day
NIGHT = range(1, 6)  # hours of the account's zone
log = structlog.get_logger()


def survey_due(office: Office, account_id: str) -> int:
    """Survey if it is time; how many subjects were not listed."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or row.backfill_state != "done":
            return 0
        config = office.config(connection, account_id)
    age = office.now() - (row.surveyed_at or row.connected_at)
    hour = to_datetime(office.now()).astimezone(config.timezone).hour
    if not (age >= LATEST or (age >= DAY / 2 and hour in NIGHT)):
        return 0
    try:
        return survey(office, row)
    except SourceUnavailable as error:
        office.breaker.failed(account_id, error)
        log.warning("survey_failed", account=account_id, error=str(error))
        return 0


def survey(office: Office, row: AccountRow) -> int:
    """Compare ids; what is not listed waits to be fetched. How many that are.

    Raises:
        SourceUnavailable: the portal does not answer.
    """
    account_id = row.account_id
    with reading(office.engine) as connection:
        client = office.client(row, office.config(connection, account_id))
        held = {
            Kind.DEAL: fact_store.deals_held(connection, account_id),
            Kind.TASK: fact_store.tasks_held(connection, account_id),
            Kind.PAYMENT: fact_store.payments_held(connection, account_id),
        }
    missing: list[tuple[str, str]] = []
    for kind, ids in held.items():
        pages = client.listed(kind)
        if pages is None:
            continue
        for page in pages:
            ids.difference_update(page)
        missing += [(str(kind), subject) for subject in sorted(ids)]
    with transaction(office.engine) as connection:
        fact_store.touch(connection, account_id, missing, office.now())
        accounts.change(connection, account_id, surveyed_at=office.now())
    if missing:
        log.info("survey_missing", account=account_id, subjects=len(missing))
    return len(missing)
