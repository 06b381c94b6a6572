"""Secrets at rest: CRM credentials and signing secrets are sealed with the installation's key.

Fernet (AES-128-CBC with HMAC-SHA256, `cryptography`). The key is derived from DOZOR_SECRET_KEY; in
the embedded default it is made once and kept in the data folder, readable by its owner only.

Several keys, parted by blanks, are good at once: the first seals, all open. So a key is changed
without a pause: put the new one in front, run `dozor secret rotate`, take the old one away.
"""

import base64
import os
import secrets
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import ConfigError
from service.settings import Settings

KEY_FILE = "secret.key"
LEAST_KEY = 16


class SecretBox:
    """Seals and opens texts; its repr says nothing. `again` reads the keys anew (own key file)."""

    def __init__(self, keys: str, again: Callable[[], str] | None = None) -> None:
        self._keys = keys
        self._fernet = _fernet(keys)
        self._again = again

    def seal(self, text: str) -> str:
        """The text, encrypted with the first key."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text again.

        Raises:
            ConfigError: sealed with another key.
        """
        try:
            return self._opened(sealed)
        except InvalidToken:
            raise ConfigError(
                "DOZOR_SECRET_KEY: the stored credentials were sealed with another key; "
                "set the former one again (with SQLite it is secret.key in DOZOR_DATA_DIR)"
            ) from None

    def reseal(self, sealed: str) -> str:
        """The same text, sealed with the first key; "" stays "".

        Raises:
            ConfigError: sealed with another key.
        """
        return self.seal(self.open(sealed)) if sealed else ""

    def _opened(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            keys = self._again() if self._again is not None else self._keys
            if keys == self._keys:
                raise
            self._keys, self._fernet = keys, _fernet(keys)  # rotated while we ran
            return self._fernet.decrypt(sealed.encode()).decode()

    def __repr__(self) -> str:
        return "SecretBox(***)"


def _fernet(keys: str) -> MultiFernet:
    """The first of the keys seals, all open."""
    digests = [sha256(key.encode()).digest() for key in keys.split()]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def load_box(settings: Settings) -> SecretBox:
    """The box of this installation.

    Raises:
        ConfigError: DOZOR_SECRET_KEY is missing, and this is not the embedded default.
    """
    given = settings.secret_key.get_secret_value()
    if given:
        if not given.split() or min(len(key) for key in given.split()) < LEAST_KEY:
            raise ConfigError(
                f"DOZOR_SECRET_KEY: each key must have at least {LEAST_KEY} characters (several "
                "keys are parted by blanks)"
            )
        return SecretBox(given)
    if not settings.embedded:
        raise ConfigError("DOZOR_SECRET_KEY: is required with PostgreSQL; set a long random text")
    return SecretBox(_own_key(settings), partial(_own_key, settings))


def renew_own_key(settings: Settings) -> SecretBox:
    """A new key in front of the file's present one, of which a running process reads again.

    The former key stays in the file (what that process seals meanwhile must open); older ones go.

    Raises:
        ConfigError: the file cannot be written.
    """
    former = _own_key(settings).split()[0]
    path = settings.data_dir / KEY_FILE
    fresh = path.with_suffix(".new")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(48)} {former}")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"DOZOR_DATA_DIR: cannot keep the key in {path}: {reason}") from None
    return load_box(settings)


def _own_key(settings: Settings) -> str:
    path = settings.data_dir / KEY_FILE
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _kept(path)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            key = secrets.token_urlsafe(48)
            file.write(key)
            return key
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"DOZOR_DATA_DIR: cannot keep the key in {path}: {reason}") from None
    except ValueError:
        raise ConfigError(f"DOZOR_DATA_DIR: the key in {path} cannot be read") from None


def _kept(path: Path) -> str:
    """The key as kept; one cut short by a fault is as bad as none."""
    key = path.read_text(encoding="ascii").strip()
    if len(key) < LEAST_KEY:
        raise ConfigError(f"DOZOR_DATA_DIR: the key in {path} is cut short; restore the file")
    return key


def new_client_key() -> str:
    """A 256-bit random key under which an account hashes its clients' phones and e-mails."""
    return secrets.token_urlsafe(32)
