"""Which database roles read the BI views, and which accounts they see there (PostgreSQL)."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, text

from service.errors import ConfigError
from service.store.engine import is_sqlite
from service.store.served import BiGrant

ALL = "*"
TIMEOUT = "60s"
_GRANT: Any = BiGrant.__table__  # type: ignore[attr-defined]
_ACCOUNT = re.compile(r"[a-z0-9-]{1,32}|\*")
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$.-]{0,62}")


def quoted(role: str) -> str:
    """A role's name as SQL.

    Raises:
        ConfigError: it is no name that a role should have.
    """
    if not _ROLE.fullmatch(role):
        raise ConfigError(f"{role[:80]!r} is no name of a database role; write for example anna_bi")
    return f'"{role}"'


def statements(role: str, accounts: Sequence[str], views: Sequence[str]) -> list[str]:
    """The SQL that lets a role read the views: what it sees there, and nothing else.

    Raises:
        ConfigError: the name cannot be used.
    """
    name = quoted(role)  # what follows is made of checked names only
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(f"{account[:80]!r} is no id of an account")
    rows = ", ".join(f"('{account}', '{role}')" for account in sorted(accounts))
    return [
        f"DELETE FROM bi_grant WHERE role = '{role}'",  # noqa: S608
        f"INSERT INTO bi_grant (account_id, role) VALUES {rows}",  # noqa: S608
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT ON {', '.join(views)} TO {name}",
        f"ALTER ROLE {name} SET default_transaction_read_only = on",
        f"ALTER ROLE {name} SET statement_timeout = '{TIMEOUT}'",
    ]


def grant(connection: Connection, role: str, accounts: Sequence[str], views: Sequence[str]) -> None:
    """Let an existing role read the views.

    Raises:
        ConfigError: no such role, or the database is SQLite.
    """
    _check(connection, role)
    for statement in statements(role, accounts, views):
        connection.exec_driver_sql(statement)


def revoke(connection: Connection, role: str, views: Sequence[str]) -> None:
    """Take the right away.

    Raises:
        ConfigError: no such role, or the database is SQLite.
    """
    _check(connection, role)
    connection.execute(delete(_GRANT).where(_GRANT.c.role == role))
    names = ", ".join(views)
    connection.exec_driver_sql(f"REVOKE SELECT ON {names} FROM {quoted(role)}")  # noqa: S608


def grants(connection: Connection) -> list[tuple[str, str]]:
    """(role, account) pairs, in order."""
    query = select(_GRANT.c.role, _GRANT.c.account_id).order_by(_GRANT.c.role, _GRANT.c.account_id)
    return [(role, account) for role, account in connection.execute(query)]


def living_roles(connection: Connection) -> list[str]:
    """The roles that were granted something and exist."""
    known = {role for role, _ in grants(connection)}
    found = connection.execute(text("SELECT rolname FROM pg_catalog.pg_roles")).scalars()
    return sorted(known & set(found))


def _check(connection: Connection, role: str) -> None:
    quoted(role)
    if is_sqlite(connection):
        raise ConfigError("the views for BI tools are made on PostgreSQL; with SQLite use OData")
    query = text("SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = :role")
    if not connection.scalar(query, {"role": role}):
        hint = f"CREATE ROLE {quoted(role)} LOGIN PASSWORD '...'"
        raise ConfigError(f"there is no database role {role!r}; make it first: {hint}")
