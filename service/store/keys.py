"""API keys: made once, shown once, kept as a hash; scopes and accounts; the installation's secrets.

A key is `dzr_` + 32 random base62 + 6 base62 digits of CRC-32 of the random part (api.md 2), so a
mistyped one is refused without the database.
"""

import hmac
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from service.domain.instant import Instant
from service.errors import ConfigError
from service.store.audit import record
from service.store.ids import new_id
from service.store.records import ApiKey, Setting
from service.store.tables import Account

SCOPES = (
    "crm:read",
    "kpi:read",
    "violations:read",
    "violations:write",
    "plans:write",
    "rules:write",
    "subscriptions:write",
    "alerts:read",
    "alerts:write",
    "metrics:read",
    "admin",
)
ALL_ACCOUNTS = "*"
PREFIX_LENGTH = 12  # dzr_ and eight characters
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"dzr_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
_KEYS: Any = ApiKey.__table__  # type: ignore[attr-defined]
_SETTINGS: Any = Setting.__table__  # type: ignore[attr-defined]
_ACCOUNTS: Any = Account.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is known after its making: without the secret."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    accounts: tuple[str, ...]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None

    def is_alive(self, now: Instant) -> bool:
        """Neither revoked nor expired at `now`."""
        revoked = self.revoked_at is not None and self.revoked_at <= now
        return not revoked and (self.expires_at is None or now < self.expires_at)


def new_secret() -> str:
    """A fresh key in clear."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return f"dzr_{body}{_checksum(body)}"


def is_well_formed(secret: str) -> bool:
    """Whether form and checksum are right; says nothing about the key's existence."""
    match = _FORM.fullmatch(secret)
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def create_key(
    connection: Connection,
    name: str,
    scopes: Sequence[str],
    accounts: Sequence[str],
    now: Instant,
    expires_at: Instant | None = None,
    *,
    author: str = "cli",
) -> tuple[str, str]:
    """Make a key.

    Args:
        connection: a writing transaction.
        name: for people.
        scopes: names of `SCOPES`.
        accounts: account ids, or `*` for all.
        now: the present instant.
        expires_at: dead from this instant on; None = never.
        author: who makes it (audit log).

    Returns:
        The key's id and its secret, which is kept nowhere in clear.

    Raises:
        ConfigError: an unknown scope or account, no scope, no account, expiry in the past.
    """
    _check(connection, name, scopes, accounts)
    if expires_at is not None and expires_at <= now:
        raise ConfigError("expires: must lie in the future")
    secret = new_secret()
    row = {
        "id": new_id("key", now),
        "name": name.strip(),
        "prefix": secret[:PREFIX_LENGTH],
        "hash": _hash(secret),
        "scopes": sorted(set(scopes)),
        "accounts": sorted(set(accounts)),
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(insert(_KEYS).values(row))
    told = {name: row[name] for name in ("id", "name", "prefix", "scopes", "accounts")}
    record(connection, author, "key.created", now, after=told)
    return str(row["id"]), secret


def _check(
    connection: Connection, name: str, scopes: Sequence[str], accounts: Sequence[str]
) -> None:
    from difflib import get_close_matches

    if not name.strip() or len(name) > 100:
        raise ConfigError("name: must have 1 to 100 characters")
    if not scopes:
        raise ConfigError(f"scope: give at least one of {', '.join(SCOPES)}")
    for scope in scopes:
        if scope not in SCOPES:
            near = get_close_matches(scope, SCOPES, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(SCOPES)}"
            raise ConfigError(f"scope: there is no scope {scope!r}{hint}")
    if not accounts:
        raise ConfigError("account: give at least one account id, or * for all")
    known = set(connection.scalars(select(_ACCOUNTS.c.account_id)))
    for account in accounts:
        if account != ALL_ACCOUNTS and account not in known:
            raise ConfigError(f"account: there is no account {account!r}")


def keys(connection: Connection) -> list[KeyRow]:
    """All keys, oldest first."""
    found = connection.execute(select(_KEYS).order_by(_KEYS.c.created_at, _KEYS.c.id))
    return [_row(row) for row in found]


def find_key(connection: Connection, secret: str) -> KeyRow | None:
    """The key of a secret, whatever its state; None = there is none. Index: hash."""
    wanted = _hash(secret)
    row = connection.execute(select(_KEYS).where(_KEYS.c.hash == wanted)).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, wanted):
        return None
    return _row(row)


def revoke_key(connection: Connection, key_id: str, now: Instant, *, author: str = "cli") -> KeyRow:
    """Make a key dead now; a second time changes nothing.

    Raises:
        ConfigError: there is no such key.
    """
    row = connection.execute(select(_KEYS).where(_KEYS.c.id == key_id)).one_or_none()
    if row is None:
        raise ConfigError(f"key: there is no key {key_id!r}")
    found = _row(row)
    if found.revoked_at is None:
        change = update(_KEYS).where(_KEYS.c.id == key_id).values(revoked_at=now)
        connection.execute(change)
        record(connection, author, "key.revoked", now, before={"id": key_id, "name": found.name})
    row = connection.execute(select(_KEYS).where(_KEYS.c.id == key_id)).one()
    return _row(row)


def touch_key(connection: Connection, key_id: str, now: Instant) -> None:
    """Remember that a key was used (to the minute)."""
    older = or_(_KEYS.c.last_used_at.is_(None), _KEYS.c.last_used_at <= now - 60)
    connection.execute(
        update(_KEYS).where(_KEYS.c.id == key_id, older).values(last_used_at=now // 60 * 60)
    )


def installation_secret(connection: Connection, name: str) -> bytes:
    """32 random bytes that all processes of the installation share, made at the first question."""
    from service.store.statements import insert_new

    insert_new(connection, _SETTINGS, {"name": name, "value": secrets.token_hex(32)})
    value = connection.scalar(select(_SETTINGS.c.value).where(_SETTINGS.c.name == name))
    return bytes.fromhex(str(value))


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _row(row: Row[Any]) -> KeyRow:
    return KeyRow(
        row.id,
        row.name,
        row.prefix,
        tuple(row.scopes),
        tuple(row.accounts),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )
