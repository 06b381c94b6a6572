"""Engine, session, transactions; SQLite's pragmas.

SQLite runs in WAL with `synchronous=FULL`: what was committed is on the disk. Transactions that
write begin with BEGIN IMMEDIATE there, so that two writers queue instead of failing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url

from service.store.turns import turns_of

BUSY_MILLISECONDS = 15_000
STEPS_BETWEEN_LOOKS = 10_000  # a fraction of a millisecond


def open_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine for a `sqlite:///` or `postgresql://` URL (psycopg 3)."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, pool_size=pool_size, max_overflow=20, connect_args={"check_same_thread": False}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, pool_size=pool_size, max_overflow=20, pool_pre_ping=True)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "wal_autocheckpoint=16000",
        "cache_size=-65536",
        "mmap_size=1073741824",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    for name, change in (("dozor_lower", str.lower), ("dozor_upper", str.upper)):
        connection.create_function(name, 1, _of_text(change), deterministic=True)


def _of_text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """SQLite's own lower() and upper() know Latin letters only."""
    return lambda value: change(value) if isinstance(value, str) else value


def is_sqlite(engine_or_connection: Engine | Connection) -> bool:
    """Whether this is the embedded database."""
    return engine_or_connection.dialect.name == "sqlite"


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A writing transaction: committed at the end, rolled back on an exception."""
    with _turn(engine), engine.connect() as connection:
        begin(connection)
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _turn(engine: Engine) -> AbstractContextManager[None]:
    return turns_of(engine.url.database or "").turn() if is_sqlite(engine) else nullcontext()


@contextmanager
def reading(engine: Engine, seconds: float | None = None) -> Iterator[Connection]:
    """One consistent snapshot to read from; nothing is written.

    Args:
        engine: the database.
        seconds: a query that runs longer is stopped (on SQLite: all queries together); the error is
            one of which `reads.faults.is_too_long` is true.
    """
    with engine.connect() as connection:
        if is_sqlite(connection):
            connection.execute(text("BEGIN"))
            if seconds is not None:
                _stop_after(connection, seconds)
        else:
            connection = connection.execution_options(  # noqa: PLW2901 - the same connection
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            if seconds is not None:
                milliseconds = max(1, round(seconds * 1000))
                connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
        try:
            yield connection
        finally:
            if seconds is not None and is_sqlite(connection):
                _stop_after(connection, None)
            connection.rollback()


def _stop_after(connection: Connection, seconds: float | None) -> None:
    """Let SQLite look at the time every so many steps of its machine (None: no more)."""
    driver = connection.connection.driver_connection
    if driver is None:
        return
    if seconds is None:
        driver.set_progress_handler(None, 0)
        return
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: int(time.monotonic() > end), STEPS_BETWEEN_LOOKS)


def begin(connection: Connection) -> None:
    """Start a writing transaction (on SQLite: take the write lock now)."""
    if is_sqlite(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def insert_or_update(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    update: Sequence[str],
    add: Sequence[str] = (),
    grow: Sequence[str] = (),
    larger: Sequence[str] = (),
) -> None:
    """Insert rows; where the primary key is there already, change columns instead.

    `update`: take the new value; `add`: old + new; `grow`: old + 1; `larger` (of `update`): only if
    the new value is larger. Without any of them an existing row stays as it is.
    """
    if not rows:
        return
    make = sqlite.insert if is_sqlite(connection) else postgresql.insert
    statement = make(table)
    keys = [column.name for column in table.primary_key.columns]
    new = statement.excluded
    changes: dict[str, Any] = {name: new[name] for name in update}
    changes |= {name: table.c[name] + new[name] for name in add}
    changes |= {name: table.c[name] + 1 for name in grow}
    if not changes:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    else:
        where = None
        for name in larger:
            where = table.c[name] < new[name]
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=where)
    connection.execute(statement, list(rows))
