"""What speaks against telling now: a history that has not been read, news that waits to be read.

A portal whose history was never read knows of tasks, calls and messages that we do not: until the
first backfill has ended, nothing of it is told. It is waited for a day; who reads no history by
then hears what hooks alone can tell. A portal that cannot be asked has no history to wait for.
"""

from collections.abc import Sequence
from typing import Any

from service.domain.instant import Instant
from service.pipeline import fetch
from service.pipeline.office import Office
from service.store import facts as fact_store
from service.store.accounts import AccountRow
from service.store.engine import reading
from service.store.handles import Connection

UNREAD_SECONDS = 24 * 3600
READINGS = 20  # batches read before telling; what waits behind them is waited for
AGAIN_SECONDS = 10


def is_unread(office: Office, row: AccountRow) -> bool:
    """Whether the history is being read, or is still to be read."""
    if row.backfill_state != "none":
        return row.backfill_state == "running"
    answers = row.directory_at is not None and can_ask(office, row)
    return answers and office.now() < row.connected_at + UNREAD_SECONDS


def can_ask(office: Office, row: AccountRow) -> bool:
    """Whether the account has a portal that answers questions."""
    return bool(row.secrets) and office.adapter(row.crm).has_rest


def read_news(office: Office, row: AccountRow, due: Sequence[dict[str, Any]]) -> None:
    """Read what was touched before these breaches: it may disprove them."""
    newest = max(violation["breach_at"] for violation in due)
    for _ in range(READINGS):
        with reading(office.engine) as connection:
            doubtful = doubtful_from(office, connection, row)
        if doubtful is None or doubtful > newest or not fetch.fetch(office, row.account_id):
            return


def doubtful_from(office: Office, connection: Connection, row: AccountRow) -> Instant | None:
    """Breaches from this instant on wait for news; None: what is known is all there is to know.

    What could not be read at the first try, or of a portal that is down, is not waited for.
    """
    if not can_ask(office, row) or office.breaker.is_open(row.account_id):
        return None
    return fact_store.untried_since(connection, row.account_id)
