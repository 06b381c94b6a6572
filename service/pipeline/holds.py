"""An account belongs to one thread at a time: among threads by turns, among processes by a lease.

Whoever plans and commits holds the account; nobody holds one while waiting for a portal.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ConfigError
from service.pipeline.office import LEASE_SECONDS, Office
from service.store import accounts
from service.store.engine import transaction

_LOOK_SECONDS = 0.05
WAIT_SECONDS = 90.0


@contextmanager
def holding(office: Office, account_id: str, patience: float = 0.0) -> Iterator[bool]:
    """Hold the account; False: another process has it and kept it for `patience` seconds."""
    with office.turns(account_id).turn():
        until = time.monotonic() + patience
        while not (taken := _claim(office, account_id)) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        if not taken:
            yield False
            return
        try:
            yield True
        finally:
            with transaction(office.engine) as connection:
                accounts.release(connection, account_id, office.worker, office.real_now())


@contextmanager
def held(office: Office, account_id: str) -> Iterator[None]:
    """Hold the account.

    Raises:
        ConfigError: another process kept it all the time.
    """
    with holding(office, account_id, patience=WAIT_SECONDS) as mine:
        if not mine:
            raise ConfigError(f"account {account_id} is busy; try again in a minute")
        yield


def _claim(office: Office, account_id: str) -> bool:
    with transaction(office.engine) as connection:
        return accounts.claim(
            connection, account_id, office.worker, office.real_now(), LEASE_SECONDS
        )
