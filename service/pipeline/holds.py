"""An account belongs to one thread at a time: among threads by turns, among processes by a lease.

Whoever plans and commits holds the account; nobody holds one while waiting for a portal.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.errors import ConfigError
from service.pipeline.office import LEASE_SECONDS, Office
from service.store import accounts
from service.store.engine import transaction

log = structlog.get_logger()
_LOOK_SECONDS = 0.05
WAIT_SECONDS = 90.0


@contextmanager
def holding(office: Office, account_id: str, patience: float = 0.0) -> Iterator[bool]:
    """Hold the account; False: another process has it and kept it for `patience` seconds."""
    with office.turns(account_id).turn():
        until = time.monotonic() + patience
        taken = _claim(office, account_id)
        if not taken and patience:
            free_the_dead(office)
        while not taken and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            taken = _claim(office, account_id)
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


def free_the_dead(office: Office) -> None:
    """Accounts that a killed process of this machine held are not kept waiting for its lease.

    One that lives after all (a container with our host's name) only loses its batch: every
    transaction asks whether the account is still held.
    """
    with transaction(office.engine) as connection:
        for account_id, worker in accounts.claims(connection):
            if worker != office.worker and is_dead(worker):
                log.info("claim_freed", account=account_id, of=worker)
                accounts.release(connection, account_id, worker, office.real_now())


def is_dead(worker: str) -> bool:
    """Whether a worker (`host:pid:random`) was a process of this machine that is no more."""
    host, _, rest = worker.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _claim(office: Office, account_id: str) -> bool:
    with transaction(office.engine) as connection:
        return accounts.claim(
            connection, account_id, office.worker, office.real_now(), LEASE_SECONDS
        )
