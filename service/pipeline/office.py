"""What the pipeline's modules work with: database, clock, rules, adapters. Made once a process."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from service.clock import Clock
from service.crm import ADAPTERS
from service.domain import clientkeys
from service.domain.config import Config
from service.domain.instant import Instant, from_datetime
from service.domain.ports import Adapter, CrmClient
from service.domain.ports import Connection as Portal
from service.errors import ConfigError
from service.http import limits_of, make_portal_http
from service.pipeline.breaker import Breaker
from service.pipeline.budget import SharedLimiter
from service.pipeline.vault import AccountVault
from service.rules.book import RuleBook, Window
from service.rules.loading import load_book
from service.rules.shelf import Shelf
from service.secrets import SecretBox, new_client_key
from service.settings import Settings
from service.store import accounts, budgets, rule_files
from service.store.accounts import AccountRow
from service.store.engine import transaction
from service.store.handles import Connection, Engine
from service.store.turns import Turns

LEASE_SECONDS = 60


@dataclass
class Office:
    """The tools of one process. `wake` is set by the door when a hook has come in."""

    engine: Engine
    settings: Settings
    clock: Clock
    box: SecretBox
    book: RuleBook
    worker: str
    wake: threading.Event = field(default_factory=threading.Event)
    _clients: dict[str, tuple[tuple[object, ...], CrmClient]] = field(default_factory=dict)
    _windows: dict[tuple[str, int], list[Window]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turns: dict[str, Turns] = field(default_factory=dict)
    _vaults: dict[str, AccountVault] = field(default_factory=dict)
    _vaults_lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def breaker(self) -> Breaker:
        """Which portals are left alone."""
        return Breaker(self.clock, self._portal_told)

    def _portal_told(self, account_id: str, pause: int, why: str) -> None:
        with transaction(self.engine) as connection:
            if pause:
                accounts.note_down(connection, account_id, self.now(), pause, why[:300])
            else:
                accounts.note_well(connection, account_id)

    def turns(self, account_id: str) -> Turns:
        """The turns that threads of this process take to work on an account."""
        with self._lock:
            return self._turns.setdefault(account_id, Turns())

    def now(self) -> Instant:
        """The present instant in whole seconds."""
        return from_datetime(self.clock.now())

    def real_now(self) -> int:
        """Real unix seconds: for leases, which must end when a process has died."""
        return int(time.monotonic() + _MONOTONIC_TO_UNIX)

    def portal(self, row: AccountRow, config: Config) -> Portal:
        """Where and how to reach an account's portal."""
        return Portal(
            row.account_id,
            row.base_url,
            str(config.timezone),
            config.currency,
            row.external_id,
            row.subdomain,
            self.secrets(row),
            self.vault(row.account_id),
        )

    def secrets(self, row: AccountRow) -> dict[str, str]:
        """The credentials of an account, opened."""
        found: dict[str, str] = json.loads(self.box.open(row.secrets)) if row.secrets else {}
        return found

    def with_secrets(self, row: AccountRow, new: dict[str, str]) -> str:
        """The account's credentials with some new ones, sealed."""
        return self.box.seal(json.dumps(self.secrets(row) | new))

    def keyed(self, row: AccountRow) -> AccountRow:
        """The account with a key for its clients' phones and e-mails, made if it has none yet.

        Not inside a writing transaction: it may need one of its own.
        """
        if not row.secrets or clientkeys.SECRET in self.secrets(row):
            return row
        with transaction(self.engine) as connection:
            fresh = accounts.account(connection, row.account_id) or row
            if clientkeys.SECRET not in self.secrets(fresh):
                sealed = self.with_secrets(fresh, {clientkeys.SECRET: new_client_key()})
                accounts.change(connection, row.account_id, secrets=sealed)
                fresh = accounts.account(connection, row.account_id) or row
        return fresh

    def hook_url(self, row: AccountRow) -> str:
        """The address that the CRM has to call; "" if it was made before it was kept."""
        token = self.secrets(row).get("hook_token")
        return f"{self.settings.outside}/hooks/{row.crm}/{token}" if token else ""

    def limiter(self, row: AccountRow) -> SharedLimiter:
        """The rate limit of an account's portal, shared by all processes."""
        rate, burst = limits_of(row.crm)
        key = budgets.portal_key(row.crm, row.base_url)
        return SharedLimiter(self.engine, self.clock, key, rate, burst)

    def vault(self, account_id: str) -> AccountVault:
        """Where the account's rotating tokens are; one for all threads of this process."""
        with self._vaults_lock:
            if account_id not in self._vaults:
                self._vaults[account_id] = AccountVault(
                    self.engine, self.box, self.clock, account_id, self.real_now
                )
            return self._vaults[account_id]

    def adapter(self, crm: str) -> Adapter:
        """The adapter of a CRM.

        Raises:
            ConfigError: there is none of this name.
        """
        if crm not in ADAPTERS:
            known = ", ".join(sorted(ADAPTERS))
            raise ConfigError(f"there is no CRM {crm!r}; known are {known}")
        return ADAPTERS[crm]

    def client(self, row: AccountRow, config: Config) -> CrmClient:
        """REST of an account's portal; kept as long as nothing about the connection changes."""
        key = (row.base_url, row.secrets, str(config.timezone), config.currency, row.external_id)
        with self._lock:
            known = self._clients.get(row.account_id)
            if known is not None and known[0] == key:
                return known[1]
            if known is not None:
                known[1].close()
            adapter = self.adapter(row.crm)
            allowed = self.settings.allow_private_hosts or not adapter.has_rest
            http = make_portal_http(
                row.base_url, self.limiter(row), self.clock, allow_private=allowed
            )
            client = adapter.client(self.portal(row, config), http)
            self._clients[row.account_id] = (key, client)
            return client

    def config(self, connection: Connection, account_id: str) -> Config:
        """The account's config in force."""
        return accounts.load_config(connection, account_id, self.settings.lang)

    @cached_property
    def shelf(self) -> Shelf:
        """The rules of accounts: their own files on top of the installation's book."""
        return Shelf(self.book)

    def book_of(self, connection: Connection, account_id: str) -> RuleBook:
        """The rules in force for an account: the installation's, and its own on top."""
        return self.shelf.book(rule_files.history(connection, account_id))

    def windows(self, connection: Connection, row: AccountRow) -> list[Window]:
        """Stretches of time, each with the settings and rules in force in it."""
        key = (row.account_id, row.config_version)
        known = self._windows.get(key)
        if known is None:
            known = self.shelf.windows(
                accounts.load_configs(connection, row.account_id, self.settings.lang),
                rule_files.history(connection, row.account_id),
            )
            if len(self._windows) > 1000:
                self._windows.clear()
            self._windows[key] = known
        return known

    def close(self) -> None:
        """Give connections back."""
        for _, client in self._clients.values():
            client.close()
        self._clients.clear()
        self.engine.dispose()


_MONOTONIC_TO_UNIX = Clock().now().timestamp() - time.monotonic()


def read_book(path: Path | None) -> RuleBook:
    """The built-in rules with the installation's file of rules, if any.

    Raises:
        ConfigError: the file cannot be read or used; names file, line and column.
    """
    if path is None:
        return load_book()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"DOZOR_RULES_FILE: cannot read {path}: {error}") from None
    return load_book(text, path.name)


Progress = Callable[[int, int | None, str], None]
"""Called with (done, total or None, step)."""
