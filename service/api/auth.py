"""Who asks: API keys from `Authorization` (Bearer or Basic), scopes, accounts.

The gate (`service.api.gate`) finds the caller before any route; an endpoint names the scope that it
needs with `Depends(require("kpi:read"))`, and the router checks it before it reads the body.
"""

import base64
import binascii
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from fastapi import Request

from service.api.problems import problem
from service.domain.instant import Instant
from service.errors import ApiError
from service.store.engine import reading, transaction
from service.store.handles import Engine
from service.store.keys import ALL_ACCOUNTS, KeyRow, find_key, is_well_formed, touch_key
from service.store.reads.faults import is_unavailable

MEMORY_SECONDS = 3.0  # a revoked key is dead on all replicas within 5 s
TOUCH_SECONDS = 60.0
KEY_PARAMETERS = frozenset({"key", "api_key", "apikey", "token", "access_token"})
_KEY_TEXT = re.compile(r"dzr_[0-9A-Za-z]{38}")
_NO_KEY = "This needs a valid API key: send it as Authorization: Bearer dzr_... (or Basic)."


@dataclass(frozen=True, slots=True)
class Caller:
    """The key behind a request: what it may do and which accounts exist for it."""

    key_id: str
    scopes: tuple[str, ...]
    accounts: tuple[str, ...]
    name: str = ""
    prefix: str = ""
    expires_at: Instant | None = None

    def sees(self, account: str) -> bool:
        """Whether the account exists for this key."""
        return ALL_ACCOUNTS in self.accounts or account in self.accounts

    def allows(self, scope: str) -> bool:
        """Whether the key has the scope (`admin` = all)."""
        return scope in self.scopes or "admin" in self.scopes

    def visible(self, accounts: Sequence[str]) -> list[str]:
        """Those of `accounts` that exist for this key."""
        return [account for account in accounts if self.sees(account)]


def caller_of(row: KeyRow) -> Caller:
    """The caller of a stored key."""
    return Caller(row.id, row.scopes, row.accounts, row.name, row.prefix, row.expires_at)


class Require:
    """A dependency that names the scope an endpoint needs and gives the `Caller`."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        """The caller; the router has checked the scope already."""
        return check_scope(request, self.scope)


def require(scope: str) -> Require:
    """`Depends(require("kpi:read"))`: only keys with this scope come in."""
    return Require(scope)


def check_scope(request: Request, scope: str) -> Caller:
    """The caller of a request if the key has the scope.

    Raises:
        ApiError: unauthenticated, scope_missing.
    """
    caller: Caller | None = request.scope.get("dozor.caller")
    if caller is None:
        raise unauthenticated(request.url.path)
    if not caller.allows(scope):
        detail = f"This key has not the scope {scope}."
        raise problem("scope_missing", detail, required_scope=scope)
    return caller


def unauthenticated(path: str) -> ApiError:
    """401 with the challenge that fits the path: one text whatever was wrong."""
    basic = path.startswith(("/odata", "/v1/exports"))
    challenge = 'Basic realm="Dozor", charset="UTF-8"' if basic else 'Bearer realm="Dozor"'
    return problem("unauthenticated", _NO_KEY, headers={"www-authenticate": challenge})


def secret_of(authorization: str) -> str | None:
    """The key in an `Authorization` header: Bearer, or Basic with the key as password."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return pair.partition(":")[2] or None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def keys_in(text: str) -> list[str]:
    """API keys that stand in clear in a text (an address)."""
    return _KEY_TEXT.findall(text)


@dataclass
class _Known:
    row: KeyRow | None
    read_at: float
    touched_at: float | None = None


class KeyRing:
    """Finds keys, with a memory of a few real seconds so that most requests cost no query."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._known: dict[bytes, _Known] = {}  # by digest: no secret stays in memory
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="key-use")

    def remembered(self, secret: str, now: Instant) -> Caller | None:
        """The caller if the key was looked up a moment ago; no query."""
        known = self._known.get(_digest(secret))
        if known is None or known.row is None:
            return None
        if self._monotonic() - known.read_at > MEMORY_SECONDS or not known.row.is_alive(now):
            return None
        return caller_of(known.row)

    def find(self, secret: str, now: Instant) -> Caller | None:
        """The caller of a living key; None for whatever is wrong with it."""
        if not is_well_formed(secret):
            return None
        with reading(self._engine) as connection:
            row = find_key(connection, secret)
        if row is None or not row.is_alive(now):
            self._known.pop(_digest(secret), None)
            return None
        self._remember(secret, row, now)
        return caller_of(row)

    def owner(self, secret: str) -> KeyRow | None:
        """The stored key of a secret, dead or alive (for the audit log)."""
        if not is_well_formed(secret):
            return None
        with reading(self._engine) as connection:
            return find_key(connection, secret)

    def _remember(self, secret: str, row: KeyRow, now: Instant) -> None:
        moment = self._monotonic()
        with self._lock:
            if len(self._known) > 1000:
                self._known.clear()
            before = self._known.get(_digest(secret))
            touched = before.touched_at if before else None
            due = touched is None or moment - touched >= TOUCH_SECONDS
            self._known[_digest(secret)] = _Known(row, moment, moment if due else touched)
        if due:
            self._background.submit(self._touch, row.id, now)

    def settle(self) -> None:
        """Wait until what was noted so far is written."""
        self._background.submit(lambda: None).result()

    def _touch(self, key_id: str, now: Instant) -> None:
        """`last_used_at`, beside the request: a busy database must neither fail nor delay it."""
        try:
            with transaction(self._engine) as connection:
                touch_key(connection, key_id, now)
        except Exception as error:
            if not is_unavailable(error):
                raise
