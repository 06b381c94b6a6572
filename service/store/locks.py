"""What asks first and writes then does so one at a time in an account."""

from typing import Any

from sqlalchemy import Connection, select

from service.store.tables import Account

_ACCOUNT: Any = Account.__table__  # type: ignore[attr-defined]


def lock(connection: Connection, account_id: str) -> None:
    """Wait until nobody else holds the account's row, and hold it until the commit."""
    row = select(_ACCOUNT.c.account_id).where(_ACCOUNT.c.account_id == account_id)
    connection.execute(row.with_for_update())
