"""Names of deals and tasks, for answers that refer to them."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from service.store.chunks import chunks
from service.store.tables import Deal, Task

_DEAL: Any = Deal.__table__  # type: ignore[attr-defined]
_TASK: Any = Task.__table__  # type: ignore[attr-defined]


def deal_names(
    connection: Connection, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Names by (account, deal)."""
    return _names(connection, _DEAL, _DEAL.c.name, ids)


def task_titles(
    connection: Connection, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Titles by (account, task)."""
    return _names(connection, _TASK, _TASK.c.title, ids)


def _names(
    connection: Connection, table: Any, column: Any, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    by_account: dict[str, set[str]] = {}
    for account, subject in ids:
        if subject:
            by_account.setdefault(account, set()).add(subject)
    found: dict[tuple[str, str], str] = {}
    for account, wanted in by_account.items():
        for part in chunks(sorted(wanted)):
            query = select(table.c.id, column).where(
                table.c.account_id == account, table.c.id.in_(part)
            )
            found |= {(account, row[0]): row[1] for row in connection.execute(query)}
    return found
