"""Accounts: connecting, settings, directory, and who works on one now.

One worker at a time works on an account. It holds a lease in real time (`claimed_until`); every
transaction that writes facts checks that the lease is still its own, so a worker that was thought
dead cannot write over its successor.
"""

import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, insert, or_, select, text, update

from service.domain.account import AccountDocument, TeamLines
from service.domain.config import Config
from service.domain.directory import Directory
from service.domain.instant import Instant
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.errors import ConfigError
from service.store.absences import leaves
from service.store.records import LevelDirty
from service.store.tables import (
    IS_OPEN,
    Account,
    AccountSettings,
    DirectoryRow,
    Inbox,
    TouchedRow,
)

TeamVersions = tuple[tuple[Instant, TeamLines], ...]
_ACCOUNT = Account.__table__  # type: ignore[attr-defined]
_SETTINGS = AccountSettings.__table__  # type: ignore[attr-defined]
_DIRECTORY = DirectoryRow.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_TOUCHED = TouchedRow.__table__  # type: ignore[attr-defined]
_DIRTY = LevelDirty.__table__  # type: ignore[attr-defined]


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `account`. `secrets` is sealed text."""

    account_id: str
    name: str
    crm: str
    base_url: str
    status: str
    error: str | None
    hook_hash: str
    secrets: str
    connected_at: Instant
    last_event_at: Instant | None
    data_version: int
    config_version: int
    config_revision: int
    judged_version: int
    judged_cursor: str | None
    judged_done: int
    judged_total: int
    directory_at: Instant | None
    directory_wanted: bool
    backfill_state: str
    backfill_cursor: Any
    changes_cursor: Any
    external_id: str | None
    subdomain: str | None
    synced_at: Instant | None
    sync_error: str | None
    hooks_received: int
    drift: int
    hooks_lost: int
    surveyed_at: Instant | None
    hook_wanted: bool
    hook_state: str
    hook_checked_at: Instant
    access_ends_at: Instant | None
    down_since: Instant | None
    down_until: Instant | None
    down_reason: str | None
    error_told: str | None


_FIELDS = [_ACCOUNT.c[name] for name in AccountRow.__struct_fields__]


def new_hook_token() -> str:
    """A 256-bit random token for the hook's address."""
    return random.token_urlsafe(32)


def hook_hash(token: str) -> str:
    """What is stored of a hook token."""
    return sha256(token.encode()).hexdigest()


def accounts(connection: Connection) -> list[AccountRow]:
    """All accounts, by id."""
    rows = connection.execute(select(*_FIELDS).order_by(_ACCOUNT.c.account_id)).mappings()
    return [AccountRow(**row) for row in rows]


def account(connection: Connection, account_id: str) -> AccountRow | None:
    """One account, or None."""
    query = select(*_FIELDS).where(_ACCOUNT.c.account_id == account_id)
    row = connection.execute(query).mappings().first()
    return AccountRow(**row) if row else None


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What an account begins with. `sealed`: encrypted credentials."""

    account_id: str
    name: str
    crm: str
    base_url: str
    token_hash: str
    sealed: str
    document: AccountDocument


def create(connection: Connection, new: NewAccount, author: str, now: Instant) -> None:
    """Add an account with its first settings.

    Raises:
        ConfigError: there is one with this id.
    """
    if account(connection, new.account_id) is not None:
        raise ConfigError(f"--id: there is an account {new.account_id!r} already; choose another")
    connection.execute(
        insert(_ACCOUNT),
        [
            {
                "account_id": new.account_id, "name": new.name, "crm": new.crm,
                "base_url": new.base_url, "hook_hash": new.token_hash, "secrets": new.sealed,
                "connected_at": now,
                "status": "active", "directory_wanted": True, "backfill_state": "none",
                "hook_wanted": False, "hook_state": "unknown", "tokens": "",
            }
        ],
    )  # fmt: skip
    _insert_settings(connection, new.account_id, 1, new.document, author, now)


def change(connection: Connection, account_id: str, **values: Any) -> None:
    """Set columns of an account."""
    where = _ACCOUNT.c.account_id == account_id
    connection.execute(update(_ACCOUNT).where(where).values(**values))


def note_down(connection: Connection, account_id: str, now: Instant, pause: int, why: str) -> None:
    """The portal did not answer and is left alone for `pause` seconds."""
    since = func.coalesce(_ACCOUNT.c.down_since, now)
    change(connection, account_id, down_since=since, down_until=now + pause, down_reason=why)


def note_well(connection: Connection, account_id: str) -> None:
    """The portal answers."""
    where = (_ACCOUNT.c.account_id == account_id) & _ACCOUNT.c.down_since.is_not(None)
    down = {"down_since": None, "down_until": None, "down_reason": None}
    connection.execute(update(_ACCOUNT).where(where).values(**down))


def count(connection: Connection, account_id: str, **more: int) -> None:
    """Add to counters of an account."""
    values = {name: _ACCOUNT.c[name] + n for name, n in more.items() if n}
    if values:
        change(connection, account_id, **values)


def bump(connection: Connection, account_id: str, *, config: bool = False) -> None:
    """Say that answers about an account may differ from now on."""
    values: dict[str, Any] = {"data_version": _ACCOUNT.c.data_version + 1}
    if config:
        values |= {"config_version": _ACCOUNT.c.config_version + 1, "judged_cursor": None}
        values |= {"config_revision": _ACCOUNT.c.data_version + 1}
        values |= {"judged_done": 0, "judged_total": 0}
    change(connection, account_id, **values)


# --- settings and directory -----------------------------------------------------------------------


def document(connection: Connection, account_id: str) -> AccountDocument:
    """The settings in force."""
    history = settings_history(connection, account_id)
    return parse_document(history[-1]["document"]) if history else AccountDocument()


def settings_history(connection: Connection, account_id: str) -> list[dict[str, Any]]:
    """All versions of the settings, oldest first: version, at, author, document."""
    query = (
        select(_SETTINGS).where(_SETTINGS.c.account_id == account_id).order_by(_SETTINGS.c.version)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def save_settings(
    connection: Connection,
    account_id: str,
    new: AccountDocument,
    author: str,
    now: Instant,
) -> int:
    """Store a new version of the settings; re-judging follows in the background.

    Raises:
        ConfigError: a name that the portal does not know.
    """
    row = account(connection, account_id)
    if row is None:
        raise ConfigError(f"there is no account {account_id!r}")
    found = directory(connection, account_id)
    if found.pipelines or found.sellers:
        resolve(account_id, row.crm, found, new).check()
    history = settings_history(connection, account_id)
    if history and parse_document(history[-1]["document"]) == new:
        return int(history[-1]["version"])
    version = int(history[-1]["version"]) + 1 if history else 1
    _insert_settings(connection, account_id, version, new, author, now)
    bump(connection, account_id, config=True)
    return version


def _insert_settings(
    connection: Connection,
    account_id: str,
    version: int,
    new: AccountDocument,
    author: str,
    now: Instant,
) -> None:
    plain = new.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    connection.execute(
        insert(_SETTINGS),
        [{"account_id": account_id, "version": version, "at": now, "author": author,
          "document": plain}],
    )  # fmt: skip


def directory(connection: Connection, account_id: str) -> Directory:
    """What is known of the portal's users, pipelines and fields."""
    query = select(_DIRECTORY.c.document).where(_DIRECTORY.c.account_id == account_id)
    found = connection.execute(query).scalar()
    return msgspec.convert(found, Directory) if found else Directory()


def save_directory(connection: Connection, account_id: str, new: Directory, now: Instant) -> bool:
    """Store the directory; True if it differs from the known one (then all is judged again)."""
    old = directory(connection, account_id)
    where = _DIRECTORY.c.account_id == account_id
    plain = msgspec.to_builtins(new)
    known = connection.execute(select(_DIRECTORY.c.at).where(where)).first()
    if known is None:
        row = {"account_id": account_id, "at": now, "document": plain}
        connection.execute(insert(_DIRECTORY), [row])
    else:
        connection.execute(update(_DIRECTORY).where(where).values(at=now, document=plain))
    values: dict[str, Any] = {"directory_at": now, "directory_wanted": False}
    if new.external_id:
        values["external_id"] = new.external_id
    if new.subdomain:
        values["subdomain"] = new.subdomain
    change(connection, account_id, **values)
    changed = known is None or old != new
    if changed:
        bump(connection, account_id, config=True)
    return changed


def load_config(connection: Connection, account_id: str, lang: str = "ru") -> Config:
    """Settings in force and directory, resolved; the same object as long as neither changes.

    Raises:
        ConfigError: no such account.
    """
    row = account(connection, account_id)
    if row is None:
        raise ConfigError(f"there is no account {account_id!r}")
    key = (str(connection.engine.url), account_id, row.config_version, lang, row.connected_at)
    if key not in _CACHE:
        if len(_CACHE) > 500:
            _CACHE.clear()
        versions = settings_history(connection, account_id)
        doc = parse_document(versions[-1]["document"]) if versions else AccountDocument()
        _CACHE[key] = _config(connection, row, doc, lang, _teams_of(versions))
    return _CACHE[key]


_CACHE: dict[tuple[str, str, int, str, int], Config] = {}


def _config(
    connection: Connection, row: AccountRow, doc: AccountDocument, lang: str, teams: TeamVersions
) -> Config:
    known = directory(connection, row.account_id)
    config = resolve(row.account_id, row.crm, known, doc, connected_at=row.connected_at, lang=lang)
    return replace(config, leaves=leaves(connection, row.account_id), team_versions=teams)


def _teams_of(versions: Sequence[Mapping[str, Any]]) -> TeamVersions:
    """What each version of the settings says of teams, where it says something new."""
    found: list[tuple[Instant, TeamLines]] = []
    before: Any = None
    for version in versions:
        raw = version["document"].get("teams", {})
        if raw != before:
            found.append((version["at"], parse_document({"teams": raw}).teams))
        before = raw
    return tuple(found)


def load_configs(
    connection: Connection, account_id: str, lang: str = "ru"
) -> list[tuple[Instant, Config]]:
    """(in force from, config) for each version of the settings; the first holds since ever."""
    row = account(connection, account_id)
    if row is None:
        raise ConfigError(f"there is no account {account_id!r}")
    found: list[tuple[Instant, Config]] = []
    versions = settings_history(connection, account_id)
    teams = _teams_of(versions)
    for version in versions:
        doc = parse_document(version["document"])
        config = _config(connection, row, doc, lang, teams)
        if found and found[-1][1].judging_digest == config.judging_digest:
            found[-1] = (found[-1][0], config)
            continue
        found.append((version["at"] if found else 0, config))
    return found or [(0, _config(connection, row, AccountDocument(), lang, teams))]


# --- claims ---------------------------------------------------------------------------------------


def claim(connection: Connection, account_id: str, worker: str, real: int, seconds: int) -> bool:
    """Take the account for `seconds` of real time (compare-and-set); False: somebody has it."""
    query = (
        update(_ACCOUNT)
        .where(_ACCOUNT.c.account_id == account_id)
        .where(or_(_ACCOUNT.c.claimed_until < real, _ACCOUNT.c.claimed_by == worker))
        .values(claimed_by=worker, claimed_until=real + seconds)
    )
    return connection.execute(query).rowcount == 1


def hold(connection: Connection, account_id: str, worker: str) -> bool:
    """Inside a writing transaction: is the account still ours? Locks the row until commit."""
    query = (
        update(_ACCOUNT)
        .where(_ACCOUNT.c.account_id == account_id, _ACCOUNT.c.claimed_by == worker)
        .values(data_version=_ACCOUNT.c.data_version + 1)
    )
    return connection.execute(query).rowcount == 1


def release(connection: Connection, account_id: str, worker: str, real: int) -> None:
    """Give the account back; it goes to the end of the queue."""
    query = (
        update(_ACCOUNT)
        .where(_ACCOUNT.c.account_id == account_id, _ACCOUNT.c.claimed_by == worker)
        .values(claimed_by="", claimed_until=real - 1)
    )
    connection.execute(query)


def claimed_by(connection: Connection, account_id: str) -> str:
    """Who has the account ("" = nobody)."""
    query = select(_ACCOUNT.c.claimed_by).where(_ACCOUNT.c.account_id == account_id)
    return connection.execute(query).scalar() or ""


def claims(connection: Connection) -> list[tuple[str, str]]:
    """Accounts that are taken, by whom."""
    query = select(_ACCOUNT.c.account_id, _ACCOUNT.c.claimed_by).where(_ACCOUNT.c.claimed_by != "")
    return [(account_id, worker) for account_id, worker in connection.execute(query)]


def pending_counts(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How much has been received and not worked on: inbox rows and subjects to fetch."""
    found = dict.fromkeys(ids, 0)
    for table, where in (
        (_INBOX, and_(_INBOX.c.state == "pending", text(IS_OPEN))),
        (_TOUCHED, _TOUCHED.c.attempts < 5),
    ):
        query = (
            select(table.c.account_id, func.count())
            .where(table.c.account_id.in_(ids), where)
            .group_by(table.c.account_id)
        )
        for account_id, count in connection.execute(query):
            found[account_id] += count
    return found
