"""Which accounts have something to do: hooks, subjects to read, a reconciliation."""

from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, or_, select, text, update

from service.domain.instant import Instant
from service.store.records import LevelDirty, TimelineDirty
from service.store.tables import IS_OPEN, Account, Inbox, TouchedRow

_ACCOUNT = Account.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_TOUCHED = TouchedRow.__table__  # type: ignore[attr-defined]
_MARKED = TimelineDirty.__table__  # type: ignore[attr-defined]
_DIRTY = LevelDirty.__table__  # type: ignore[attr-defined]


def waiting(connection: Connection, real: int, worker: str) -> list[str]:
    """Accounts that nobody else works on and that have something to do, longest waiting first."""
    pending = exists().where(
        and_(
            _INBOX.c.account_id == _ACCOUNT.c.account_id,
            _INBOX.c.state == "pending",
            text(f"inbox.{IS_OPEN}"),
        )
    )
    dirty = exists().where(_DIRTY.c.account_id == _ACCOUNT.c.account_id)
    marked = exists().where(_MARKED.c.account_id == _ACCOUNT.c.account_id)
    query = (
        select(_ACCOUNT.c.account_id)
        .where(_ACCOUNT.c.status != "disabled")
        .where(or_(_ACCOUNT.c.claimed_until < real, _ACCOUNT.c.claimed_by == worker))
        .where(
            or_(
                pending,
                marked,
                and_(dirty, _ACCOUNT.c.backfill_state != "running"),
                _ACCOUNT.c.judged_version < _ACCOUNT.c.config_version,
            )
        )
        .order_by(_ACCOUNT.c.claimed_until)
    )
    return list(connection.execute(query).scalars())


def to_sync(connection: Connection, before: Instant, real: int) -> list[str]:
    """Accounts whose last reconciliation began before an instant."""
    return list(
        connection.execute(select(_ACCOUNT.c.account_id).where(_is_to_sync(before, real))).scalars()
    )


def begin_sync(
    connection: Connection, account_id: str, before: Instant, real: int, seconds: int
) -> bool:
    """Take an account's reconciliation for `seconds` of real time (compare-and-set)."""
    query = update(_ACCOUNT).where(_ACCOUNT.c.account_id == account_id, _is_to_sync(before, real))
    return connection.execute(query.values(sync_until=real + seconds)).rowcount == 1


def _is_to_sync(before: Instant, real: int) -> Any:
    return and_(
        _ACCOUNT.c.status == "active",
        _ACCOUNT.c.backfill_state == "done",
        _ACCOUNT.c.secrets != "",
        func.coalesce(_ACCOUNT.c.synced_at, 0) <= before,
        _ACCOUNT.c.sync_until < real,
    )


def to_read(connection: Connection, now: Instant, directory_before: Instant) -> list[str]:
    """Accounts of whose portals something is to be read: touched subjects, or the directory."""
    touched = exists().where(
        and_(_TOUCHED.c.account_id == _ACCOUNT.c.account_id, _TOUCHED.c.next_try_at <= now)
    )
    query = (
        select(_ACCOUNT.c.account_id)
        .where(_ACCOUNT.c.status != "disabled")
        .where(
            or_(
                touched,
                _ACCOUNT.c.directory_wanted,
                func.coalesce(_ACCOUNT.c.directory_at, 0) < directory_before,
            )
        )
    )
    return list(connection.execute(query).scalars())


def to_look_after(connection: Connection, before: Instant) -> list[str]:
    """Accounts whose hook was last looked at before an instant, or with an error not told."""
    error = case((_ACCOUNT.c.status == "error", func.coalesce(_ACCOUNT.c.error, "")), else_="")
    query = (
        select(_ACCOUNT.c.account_id)
        .where(_ACCOUNT.c.status != "disabled", _ACCOUNT.c.secrets != "")
        .where(
            or_(
                _ACCOUNT.c.hook_checked_at <= before,
                error != func.coalesce(_ACCOUNT.c.error_told, ""),
            )
        )
    )
    return list(connection.execute(query).scalars())
