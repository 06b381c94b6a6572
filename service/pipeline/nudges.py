"""Writing back: a nudge of a fresh violation goes into the CRM, once.

The CRM knows no idempotency keys. What was tried before is looked for by its mark before it is
written again; what is over meanwhile is not written at all.
"""

import structlog

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.own import mark, sign
from service.domain.ports import CrmClient, Nudge
from service.domain.span import Span
from service.errors import SourceRefused, SourceRejected, SourceUnavailable
from service.pipeline.office import Office
from service.store import accounts, nudges
from service.store.engine import reading, transaction
from service.store.nudges import Row

BATCH = 20
TIME_TO_ACT = Span.parse("2wh")
ATTEMPT_SECONDS = 120  # real: what died in an attempt is tried again after it
REFUSED_SECONDS = 3600
PAUSES = (30, 120, 600, 1800, 7200)
MOST_TEXT = 300
log = structlog.get_logger()


def wanted(row: Row, text: str, config: Config) -> Row | None:
    """The nudge that an opened violation makes; None: none is wanted."""
    settings = config.document.rules.get(row["rule"])
    if settings is None or settings.nudge is None or not row["deal"] or not row["owner"]:
        return None
    return {
        "account_id": config.account_id, "violation_id": row["id"], "kind": settings.nudge,
        "deal": row["deal"], "seller": row["owner"], "mark": mark(row["id"]),
        "text": sign(text[:MOST_TEXT], row["id"]),
    }  # fmt: skip


def write(office: Office, account_id: str) -> int:
    """Write what is due; how many were looked at."""
    now = office.now()
    with reading(office.engine) as connection:
        waiting = nudges.due(connection, account_id, now, BATCH)
        row = accounts.account(connection, account_id)
        if row is None or not waiting or office.breaker.is_open(account_id):
            return 0
        config = office.config(connection, account_id)
    client = office.client(row, config)
    again = now + int(ATTEMPT_SECONDS * office.clock.speed)
    for nudge in waiting:
        with transaction(office.engine) as connection:
            if not nudges.claim(connection, nudge, again):
                continue
        values = _attempt(office, client, nudge, config, now)
        with transaction(office.engine) as connection:
            nudges.settle(connection, nudge, **values)
    return len(waiting)


def _attempt(
    office: Office, client: CrmClient, row: Row, config: Config, now: Instant
) -> dict[str, object]:
    """What to write down of one attempt."""
    if row["known"] is None or (row["resolved_at"] is not None and row["resolved_at"] <= now):
        return {"state": "dropped", "reason": "resolved", "next_try_at": None}
    due_at = config.calendar(row["seller"]).add(now, TIME_TO_ACT)
    nudge = Nudge(row["kind"], row["deal"], row["seller"], row["text"], due_at, row["mark"])
    try:
        found = client.find_nudge(nudge) if row["attempts"] else None
        crm_id = found or client.nudge(nudge)
    except SourceRejected as error:
        log.warning("nudge_rejected", account=row["account_id"], error=str(error))
        return {"state": "failed", "reason": str(error)[:200], "next_try_at": None}
    except SourceRefused as error:  # no access, no right: it waits for a person to act
        log.warning("nudge_refused", account=row["account_id"], error=str(error))
        return {"reason": str(error)[:200], "next_try_at": now + REFUSED_SECONDS}
    except SourceUnavailable as error:
        office.breaker.failed(row["account_id"], error)
        return _later(row, str(error), now)
    office.breaker.answered(row["account_id"])
    return {"state": "done", "reason": "", "crm_id": crm_id, "next_try_at": None}


def _later(row: Row, error: str, now: Instant) -> dict[str, object]:
    if row["attempts"] >= len(PAUSES):
        return {"state": "failed", "reason": error[:200], "next_try_at": None}
    return {"reason": error[:200], "next_try_at": now + PAUSES[row["attempts"]]}
