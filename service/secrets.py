"""Secrets at rest: CRM credentials and signing secrets are sealed with the installation's key.

Fernet (AES-128-CBC with HMAC-SHA256, `cryptography`). The key is derived from DOZOR_SECRET_KEY; in
the embedded default it is made once and kept in the data folder, readable by its owner only.
"""

import base64
import os
import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from service.errors import ConfigError
from service.settings import Settings

KEY_FILE = "secret.key"
LEAST_KEY = 16


class SecretBox:
    """Seals and opens texts; its repr says nothing."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(sha256(key.encode()).digest()))

    def seal(self, text: str) -> str:
        """The text, encrypted."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text again.

        Raises:
            ConfigError: sealed with another key.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ConfigError(
                "DOZOR_SECRET_KEY: the stored credentials were sealed with another key; "
                "set the former one again (with SQLite it is secret.key in DOZOR_DATA_DIR)"
            ) from None

    def __repr__(self) -> str:
        return "SecretBox(***)"


def load_box(settings: Settings) -> SecretBox:
    """The box of this installation.

    Raises:
        ConfigError: DOZOR_SECRET_KEY is missing, and this is not the embedded default.
    """
    given = settings.secret_key.get_secret_value()
    if given:
        if len(given) < LEAST_KEY:
            raise ConfigError(f"DOZOR_SECRET_KEY: must have at least {LEAST_KEY} characters")
        return SecretBox(given)
    if not settings.embedded:
        raise ConfigError("DOZOR_SECRET_KEY: is required with PostgreSQL; set a long random text")
    return SecretBox(_own_key(settings))


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
