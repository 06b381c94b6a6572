"""Rule files of accounts: versions with who, when and why; the newest is in force."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from service.domain.instant import Instant
from service.store.accounts import bump
from service.store.records import RuleFileRow
from service.store.tables import Account

_FILE: Any = RuleFileRow.__table__  # type: ignore[attr-defined]
_ACCOUNT: Any = Account.__table__  # type: ignore[attr-defined]


class FileVersion(NamedTuple):
    """A version of an account's rule file.

    `effective_from`: None = rules that are new hold since ever, changed ones from `at` on.
    """

    version: int
    at: Instant
    author: str
    reason: str
    effective_from: Instant | None
    text: str


class NewFile(NamedTuple):
    """What is put in force: who did it, why, and from when on if not as usual."""

    text: str
    author: str
    reason: str = ""
    effective_from: Instant | None = None


_COLUMNS = [_FILE.c[name] for name in FileVersion._fields]


def history(connection: Connection, account_id: str) -> list[FileVersion]:
    """All versions, oldest first; none = the account has no rules of its own."""
    query = select(*_COLUMNS).where(_FILE.c.account_id == account_id).order_by(_FILE.c.version)
    return [FileVersion(*row) for row in connection.execute(query)]


def save(connection: Connection, account_id: str, new: NewFile, now: Instant) -> int:
    """Put a file in force; the version. The same text again is no new one.

    Re-judging follows in the background.
    """
    lock = select(_ACCOUNT.c.account_id).where(_ACCOUNT.c.account_id == account_id)
    connection.execute(lock.with_for_update())  # two at a time would make the same version
    known = history(connection, account_id)
    if known and known[-1].text == new.text and new.effective_from is None:
        return known[-1].version
    version = known[-1].version + 1 if known else 1
    row = new._asdict() | {"account_id": account_id, "version": version, "at": now}
    connection.execute(insert(_FILE), [row])
    bump(connection, account_id, config=True)
    return version
