"""Which exceptions mean that the database is away (the caller may try again)."""

from psycopg.errors import QueryCanceled
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_OURS = ("no such table", "no such column", "syntax error", "has no column")


def is_too_long(error: BaseException) -> bool:
    """Whether a query was stopped because it took longer than it may."""
    if not isinstance(error, OperationalError):
        return False
    return isinstance(error.orig, QueryCanceled) or str(error.orig) == "interrupted"


def is_unavailable(error: BaseException) -> bool:
    """Whether the database did not answer (gone, locked, full, no free connection)."""
    if isinstance(error, PoolTimeoutError):
        return True
    if is_too_long(error):
        return False
    if isinstance(error, OperationalError | InterfaceError):
        text = str(error.orig)
        return not any(part in text for part in _OURS)
    return isinstance(error, DBAPIError) and error.connection_invalidated
