"""What the door knows of the accounts, kept in memory and read anew every second or two.

Reading happens in a thread: a database that hangs never holds up the hooks of known accounts. A
token that is not known is looked up at most once a second, so that an account added a moment ago is
let in at once and a guesser costs nothing.
"""

import asyncio
import threading
import time

import structlog

from service.door import Entrance
from service.ingest import InboxUnavailable
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading

log = structlog.get_logger()
REFRESH_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 1.0


class Entrances:
    """Accounts by (CRM, token hash)."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._known: dict[tuple[str, str], Entrance] = {}
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._reading: asyncio.Future[None] | None = None
        self._is_blind = False  # the last reading failed

    async def entrance(self, crm: str, token_hash: str) -> Entrance | None:
        """The account with this hook token, or None.

        Raises:
            InboxUnavailable: the token is not known, and the database could not be asked.
        """
        found = self._known.get((crm, token_hash))
        age = time.monotonic() - self._read_at
        if age > (LOOK_AGAIN_SECONDS if found is None else REFRESH_SECONDS):
            self._read_at = time.monotonic()
            self._reading = asyncio.get_running_loop().run_in_executor(None, self.refresh)
        if found is None and self._reading is not None:
            await asyncio.shield(self._reading)  # all who ask wait for the same reading
            found = self._known.get((crm, token_hash))
            if found is None and self._is_blind:
                raise InboxUnavailable
        return found

    def refresh(self) -> None:
        """Read all accounts; on a fault of the database the known ones stay."""
        with self._lock:
            self._read_at = time.monotonic()
            try:
                self._known = self._read()
            except Exception as error:  # noqa: BLE001 - known accounts stay known
                self._is_blind = True
                log.warning("accounts_unreadable", error=str(error).splitlines()[:1])
            else:
                self._is_blind = False

    def _read(self) -> dict[tuple[str, str], Entrance]:
        office = self._office
        known: dict[tuple[str, str], Entrance] = {}
        with reading(office.engine) as connection:
            for row in accounts.accounts(connection):
                config = office.config(connection, row.account_id)
                known[row.crm, row.hook_hash] = Entrance(
                    row.account_id,
                    row.crm,
                    row.hook_hash,
                    office.adapter(row.crm),
                    office.portal(row, config),
                )
        return known
