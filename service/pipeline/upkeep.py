"""What nobody waits for: old bodies and answers go; what is derived is proven, bit by bit."""

import time

import structlog

from service import metrics
from service.domain.instant import Instant, to_datetime
from service.kpi.planclose import AUTHOR, close_over
from service.pipeline import verify
from service.pipeline.office import Office
from service.store import accounts, audit, idempotency, inbox, revisions
from service.store.engine import reading, transaction
from service.store.handles import Connection

SWEEP_SECONDS = 3600  # of the account's time
NIGHT_SECONDS = 20 * 3600  # sellers, teams and sums are proven once in so long, and at night
NIGHT_HOURS = range(1, 6)  # of the account's day
PATROL_SECONDS = 60  # real
TIMELINES = 200
_SUMS = "second layer and sums"
log = structlog.get_logger()


class Upkeep:
    """Called often; does something now and then."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._swept_at = 0
        self._patrolled_at = time.monotonic()
        self._account = ""  # the patrol goes round all accounts and all their timelines
        self._timeline: str | None = None
        self._drifting: set[tuple[str, str]] = set()
        self._proven: dict[str, int] = {}  # account -> when its second layer and sums were proven

    def run(self) -> None:
        """Do what is due."""
        if self._office.now() - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = self._office.now()
            self.sweep()
        if time.monotonic() - self._patrolled_at >= PATROL_SECONDS:
            self._patrolled_at = time.monotonic()
            self.patrol()

    def sweep(self) -> None:
        """Raw bodies past their time, and answers kept for repeated requests, are dropped."""
        office = self._office
        now = office.now()
        before = now - office.settings.inbox_keep_days * 86400
        with reading(office.engine) as connection:
            known = [row.account_id for row in accounts.accounts(connection)]
        for account_id in known:
            with transaction(office.engine) as connection:
                inbox.forget(connection, account_id, before)
                revisions.keep_mark(connection, account_id, now)
                self._close_plans(connection, account_id, now)
        with transaction(office.engine) as connection:
            idempotency.prune(connection, now)

    def _close_plans(self, connection: Connection, account_id: str, now: Instant) -> None:
        """Approved plans of a month are closed after the 3rd working day of the next one."""
        closed = close_over(connection, self._office.config(connection, account_id), now)
        if closed:
            audit.record(
                connection, AUTHOR, "plans.closed", now, account_id=account_id,
                after={"periods": closed},
            )  # fmt: skip

    def patrol(self) -> None:
        """Derive the next timelines again and compare; `dozor_derive_drift` counts what differs.

        What differs is put right at once, and counts until the next look finds it right.
        """
        if self._timeline is None:
            self._account = self._next_account()
            if self._is_night(self._account):
                self.prove_sums(self._account)
        keys, drifts = verify.sample(self._office, self._account, self._timeline, TIMELINES)
        self._timeline = keys[-1] if keys else None
        self._drifting -= {(self._account, key) for key in keys}
        for key, found in drifts.items():
            self._drifting.add((self._account, key))
            log.error("derive_drift", account=self._account, timeline=key, what=found[0].detail)
        if drifts:
            verify.mend(self._office, self._account, sorted(drifts))
        metrics.DERIVE_DRIFT.set(len(self._drifting))
        self._note_drift(self._account)

    def _is_night(self, account_id: str) -> bool:
        """Whether the account sleeps and has not been proven as a whole this night."""
        if not account_id:
            return False
        now = self._office.now()
        if now - self._proven.get(account_id, -NIGHT_SECONDS) < NIGHT_SECONDS:
            return False
        with reading(self._office.engine) as connection:
            zone = self._office.config(connection, account_id).timezone
        return to_datetime(now).astimezone(zone).hour in NIGHT_HOURS

    def prove_sums(self, account_id: str) -> None:
        """The second layer and the sums of figures, as a whole: seconds for a large account."""
        self._proven[account_id] = self._office.now()
        found = verify.sums(self._office, account_id)
        self._drifting.discard((account_id, _SUMS))
        if found:
            self._drifting.add((account_id, _SUMS))
            self._proven.pop(account_id)  # look again soon
            log.error("derive_drift", account=account_id, timeline=_SUMS, what=found[0].detail)
            verify.mend_sums(self._office, account_id)

    def _note_drift(self, account_id: str) -> None:
        drift = sum(1 for known, _ in self._drifting if known == account_id)
        with reading(self._office.engine) as connection:
            row = accounts.account(connection, account_id)
        if row is not None and row.drift != drift:
            with transaction(self._office.engine) as connection:
                accounts.change(connection, account_id, drift=drift)

    def _next_account(self) -> str:
        with reading(self._office.engine) as connection:
            known = sorted(row.account_id for row in accounts.accounts(connection))
        later = [account_id for account_id in known if account_id > self._account]
        return (later or known or [""])[0]
