"""Looking after a connection: a hook that was switched off is switched on again, ops hear of it.

The CRM is asked now and then whether our hook is registered; so is when our access ends.
"""

import structlog

from service.domain.ports import CrmClient, HookState
from service.errors import SourceUnavailable
from service.metrics import HOOK_ON
from service.pipeline import trouble
from service.pipeline.office import Office
from service.store import accounts
from service.store.accounts import AccountRow
from service.store.engine import reading, transaction

EVERY_SECONDS = 600
WARN_DAYS = 14
DAY = 86400
log = structlog.get_logger()


def look_after(office: Office, account_id: str) -> int:
    """Look if it is time; 1 if something had to be done."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or not _is_due(office, row):
            return 0
        client = office.client(row, office.config(connection, account_id))
    url = office.hook_url(row)
    if not url or not office.adapter(row.crm).has_rest:
        with transaction(office.engine) as connection:
            accounts.change(connection, account_id, hook_checked_at=office.now())
        return 0
    try:
        state = client.hook_state(url)
        news = _mend(client, url) if row.hook_wanted and state in _BROKEN else None
        ends = client.access_ends()
    except SourceUnavailable as error:
        office.breaker.failed(account_id, error)
        log.info("hook_not_looked_at", account=account_id, error=str(error))
        with transaction(office.engine) as connection:
            accounts.change(connection, account_id, hook_checked_at=office.now())
        return 0
    office.breaker.answered(account_id)
    now_state = HookState.ON if news == "" else state
    HOOK_ON.labels(account_id).set(now_state in {HookState.ON, HookState.UNKNOWN})
    with transaction(office.engine) as connection:
        accounts.change(
            connection, account_id, hook_state=str(now_state), hook_checked_at=office.now(),
            access_ends_at=ends,
        )  # fmt: skip
        if news is not None:
            log.warning("hook_was_broken", account=account_id, state=str(state), error=news or None)
            kind = "hook_mended" if news == "" else "hook_broken"
            trouble.tell(office, connection, row, kind, state=str(state), error=news)
        elif state in {*_BROKEN} and row.hook_state == HookState.ON:
            trouble.tell(office, connection, row, "hook_broken", state=str(state), error="")
        if ends is not None and ends - office.now() < WARN_DAYS * DAY:
            days = max(0, (ends - office.now()) // DAY)
            trouble.tell(office, connection, row, "access_ends", days=days)
    return 1 if news == "" else 0


_BROKEN = (HookState.OFF, HookState.MISSING)


def _is_due(office: Office, row: AccountRow) -> bool:
    if row.status == "disabled" or office.breaker.is_open(row.account_id):
        return False
    return office.now() - row.hook_checked_at >= EVERY_SECONDS


def _mend(client: CrmClient, url: str) -> str:
    """Subscribe again; "" if it worked, else what to do by hand."""
    try:
        client.subscribe(url)
    except SourceUnavailable as error:
        return str(error)
    return ""
