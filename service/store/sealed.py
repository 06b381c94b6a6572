"""Everything that is sealed, wherever it is stored."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Table, select, update

from service.store.records import Subscription
from service.store.tables import Account

_ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
_SUBSCRIPTION: Table = Subscription.__table__  # type: ignore[attr-defined]
COLUMNS: tuple[tuple[Table, str, str], ...] = (
    (_ACCOUNT, "account_id", "secrets"),
    (_ACCOUNT, "account_id", "tokens"),
    (_SUBSCRIPTION, "id", "secret"),
    (_SUBSCRIPTION, "id", "old_secret"),
)


def reseal(connection: Connection, again: Callable[[str], str]) -> int:
    """Seal every text again; how many. A row changed meanwhile (already new) is left as it is."""
    count = 0
    for table, key, column in COLUMNS:
        sealed = table.c[column]
        rows: list[Any] = list(connection.execute(select(table.c[key], sealed).where(sealed != "")))
        for found, text in rows:
            query = update(table).where(table.c[key] == found, sealed == text)
            count += connection.execute(query.values({column: again(text)})).rowcount
    return count
