"""Where rotating tokens are kept: sealed in the account's row, renewed by one process at a time.

A refresh token is good once (amocrm.md 3.3, bitrix24.md 2). Whoever renews holds a lease in the
database and a lock in its process, reads again, asks the portal, and stores the new pair before it
is used. A portal that refuses is remembered: nobody asks it again with a dead token.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from service.clock import Clock
from service.domain.instant import Instant, from_datetime
from service.errors import SourceMoved, SourceRefused, SourceUnavailable
from service.secrets import SecretBox
from service.store import accounts
from service.store import tokens as store
from service.store.engine import reading, transaction
from service.store.handles import Engine

LEASE_SECONDS = 45  # real: longer than a request may take
WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.1
DEAD = "refused"  # member of the stored tokens: why the portal does not renew them
log = structlog.get_logger()


@dataclass
class AccountVault:
    """Implements `domain.ports.Vault` for one account."""

    engine: Engine
    box: SecretBox
    clock: Clock
    account_id: str
    real_now: Callable[[], int]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: tuple[str, dict[str, str]] | None = None

    def now(self) -> Instant:
        """The present instant."""
        return from_datetime(self.clock.now())

    def tokens(self) -> dict[str, str]:
        """The tokens in force, as stored."""
        with reading(self.engine) as connection:
            sealed = store.sealed(connection, self.account_id)
        if not sealed:
            return {}
        if self._known is None or self._known[0] != sealed:
            self._known = (sealed, json.loads(self.box.open(sealed)))
        return dict(self._known[1])

    def keep(self, tokens: dict[str, str]) -> None:
        """Store tokens that the portal gave."""
        with transaction(self.engine) as connection:
            store.end(connection, self.account_id, self.box.seal(json.dumps(tokens)))

    def renew(
        self, stale: str, exchange: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """New tokens for the access token `stale`, by whichever process is first."""
        with self._lock:
            if (found := self._take(stale)) is not None:
                return found
            return self._exchange(stale, exchange)

    def _take(self, stale: str) -> dict[str, str] | None:
        """None: it is ours to renew. Else what another process has got meanwhile."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            if (found := self._usable(stale)) is not None:
                return found
            with transaction(self.engine) as connection:
                if store.begin(connection, self.account_id, self.real_now(), LEASE_SECONDS):
                    return None
            time.sleep(_LOOK_SECONDS)
        raise SourceUnavailable("another process is renewing the access to the portal")

    def _usable(self, stale: str) -> dict[str, str] | None:
        known = self.tokens()
        if known.get(DEAD):
            raise SourceRefused(known[DEAD])
        return known if known and known.get("access_token") != stale else None

    def _exchange(
        self, stale: str, exchange: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        new: dict[str, str] | None = None
        try:
            if (found := self._usable(stale)) is not None:
                return found  # renewed between our look and our lease
            known = self.tokens()
            try:
                new = exchange(known)
            except SourceRefused as error:
                new = {**known, DEAD: str(error)}
                log.error("access_lost", account=self.account_id, error=str(error))  # noqa: TRY400
                raise
            except SourceMoved as error:
                self._move(error.base_url)
                raise
            return new
        finally:
            with transaction(self.engine) as connection:
                sealed = None if new is None else self.box.seal(json.dumps(new))
                store.end(connection, self.account_id, sealed)
                if new is not None and new.get(DEAD):
                    accounts.change(connection, self.account_id, status="error", error=new[DEAD])

    def _move(self, base_url: str) -> None:
        """The portal was renamed: from the next call on it is asked at its new address."""
        log.warning("portal_moved", account=self.account_id, base_url=base_url)
        with transaction(self.engine) as connection:
            accounts.change(connection, self.account_id, base_url=base_url)
