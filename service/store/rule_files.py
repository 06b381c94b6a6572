"""Rule files of accounts: versions with who, when and why; the newest is in force."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from service.domain.instant import Instant
from service.store.accounts import bump
from service.store.engine import insert_or_update
from service.store.locks import lock
from service.store.records import RuleFileRow, Setting

_FILE: Any = RuleFileRow.__table__  # type: ignore[attr-defined]
_SETTING: Any = Setting.__table__  # type: ignore[attr-defined]


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
    shared: Sequence[str] = ()  # rules that the installation's own file changed then


class NewFile(NamedTuple):
    """What is put in force: who did it, why, and from when on if not as usual."""

    text: str
    author: str
    reason: str = ""
    effective_from: Instant | None = None
    shared: Sequence[str] = ()


NONE = "rules: []\n"  # what an account without rules of its own has
_COLUMNS = [_FILE.c[name] for name in FileVersion._fields]


def history(connection: Connection, account_id: str) -> list[FileVersion]:
    """All versions, oldest first; none = the account has no rules of its own."""
    query = select(*_COLUMNS).where(_FILE.c.account_id == account_id).order_by(_FILE.c.version)
    return [FileVersion(*row) for row in connection.execute(query)]


def save(connection: Connection, account_id: str, new: NewFile, now: Instant) -> int:
    """Put a file in force; the version. The same text again is no new one.

    Re-judging follows in the background.
    """
    lock(connection, account_id)  # two at a time would make the same version
    known = history(connection, account_id)
    same = known and known[-1].text == new.text and not new.shared
    if same and new.effective_from is None:
        return known[-1].version
    version = known[-1].version + 1 if known else 1
    row = new._asdict() | {"shared": list(new.shared)}
    row |= {"account_id": account_id, "version": version, "at": now}
    connection.execute(insert(_FILE), [row])
    bump(connection, account_id, config=True)
    return version


# --- the installation's own file ------------------------------------------------------------------

_SHARED = "rules_file"


def shared_text(connection: Connection) -> str:
    """The installation's file as it was last in force, locked; "" = there was none."""
    insert_or_update(connection, _SETTING, [{"name": _SHARED, "value": ""}], update=())
    query = select(_SETTING.c.value).where(_SETTING.c.name == _SHARED)
    return str(connection.execute(query.with_for_update()).scalar_one())


def keep_shared(connection: Connection, text: str) -> None:
    """This is in force now."""
    row = {"name": _SHARED, "value": text}
    insert_or_update(connection, _SETTING, [row], update=("value",))
