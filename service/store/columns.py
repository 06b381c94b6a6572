"""How columns are declared: one function per kind of column."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, String
from sqlalchemy import text as sql
from sqlmodel import Field

from service.store.types import Json


def instant(*, nullable: bool = False, index: bool = False) -> Any:
    """Whole seconds since 1970."""
    return Field(sa_column=Column(BigInteger, nullable=nullable, index=index))


def number(*, default: int | None = None) -> Any:
    """A 64-bit number: money, counts, versions."""
    server = None if default is None else sql(str(default))
    return Field(
        default=default, sa_column=Column(BigInteger, nullable=False, server_default=server)
    )


def small() -> Any:
    """A number of 32 bits, 0 unless told: a local day, seconds of a day."""
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default=sql("0")))


def json_column(*, nullable: bool = False) -> Any:
    """A JSON document as text with sorted keys."""
    return Field(sa_column=Column(Json, nullable=nullable))


def account_column() -> Any:
    """The account: first column of each primary key of tenant data."""
    return Field(sa_column=Column(String(32), primary_key=True))


def key_column(length: int = 64) -> Any:
    """A text that is part of the primary key."""
    return Field(sa_column=Column(String(length), primary_key=True))


def number_key() -> Any:
    """A number that is part of the primary key, given by us, never by the database."""
    return Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


def where(condition: str) -> dict[str, Any]:
    """Arguments of an index on only those rows for which a condition holds."""
    return {"sqlite_where": sql(condition), "postgresql_where": sql(condition)}
