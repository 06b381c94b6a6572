"""Versions of what the accounts hold, for ETags."""

from typing import Any

from sqlalchemy import Connection, select

from service.store.tables import Account

_ACCOUNTS: Any = Account.__table__  # type: ignore[attr-defined]


def versions(connection: Connection) -> list[tuple[str, int, int, str]]:
    """(account, data version, config version, status) of all accounts, by id."""
    columns = (
        _ACCOUNTS.c.account_id,
        _ACCOUNTS.c.data_version,
        _ACCOUNTS.c.config_version,
        _ACCOUNTS.c.status,
    )
    found = connection.execute(select(*columns).order_by(_ACCOUNTS.c.account_id))
    return [tuple(row) for row in found]
