"""Group commit: requests hand over a body and wait; one writer commits many at once.

`SqliteIngest` writes in one thread (`BEGIN IMMEDIATE`, executemany, COMMIT with synchronous=FULL);
`PostgresIngest` writes on the event loop with psycopg's async connection and `unnest`. Batches form
by themselves: whatever came in while the last commit ran is the next batch. The future of a hook is
done only after its commit; on any fault of the database all waiting hooks fail (and get 503).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Protocol

import psycopg
import structlog
from sqlalchemy.engine import make_url

from service.metrics import HOOK_SECONDS
from service.store.inbox import Ids
from service.store.turns import turns_of

log = structlog.get_logger()

_SQLITE_INSERT = (
    "INSERT INTO inbox (account_id, id, received_at, content_type, body, state, facts) "
    "VALUES (?, ?, ?, ?, ?, 'pending', 0)"
)
_POSTGRES_INSERT = (
    "INSERT INTO inbox (account_id, id, received_at, content_type, body, state, facts) "
    "SELECT a, i, r, c, b, 'pending', 0 FROM unnest("
    "%b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::bytea[]) AS t(a, i, r, c, b)"
)
BATCH = 1000
COMMIT_SECONDS = 1.5  # amoCRM waits for two
WATCH_SECONDS = 0.1
WRITE_SECONDS = 10  # a server that does not answer: another connection is tried

Entry = tuple[str, int, int, str, bytes]


class Overloaded(Exception):  # noqa: N818 - answered with 503
    """Too many hooks wait for the disk."""


class InboxUnavailable(Exception):  # noqa: N818 - answered with 503
    """The database did not take the hooks."""


class Writer(Protocol):
    """Commits a batch of rows; raises on any fault, then nothing of the batch is stored."""

    async def write(self, rows: Sequence[Entry]) -> None:
        """Insert and commit."""

    async def close(self) -> None:
        """Give the connection back."""


class SqliteWriter:
    """One connection in one thread, handed batches over a queue (cheaper than an executor)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._batches: SimpleQueue[tuple[Sequence[Entry], asyncio.Future[None]] | None]
        self._batches = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def write(self, rows: Sequence[Entry]) -> None:
        """Insert and commit in the writer's thread."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        written: asyncio.Future[None] = self._loop.create_future()
        self._batches.put((rows, written))
        await written

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            rows, written = batch
            fault: Exception | None = None
            try:
                self._write(rows)
            except Exception as error:  # noqa: BLE001 - handed over to the loop
                fault = error
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_settle, written, fault)
        self._forget()

    def _write(self, rows: Sequence[Entry]) -> None:
        with turns_of(self._path).turn(urgent=True):
            connection = self._connection or self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_SQLITE_INSERT, rows)
                connection.execute("COMMIT")
            except BaseException:
                self._forget()
                raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
        self._connection = connection
        return connection

    def _forget(self) -> None:
        """A connection after a fault is not trusted: the next batch opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        """Close the connection and end the thread."""
        if self._loop is not None:
            self._batches.put(None)
            await asyncio.to_thread(self._thread.join)


def _settle(written: "asyncio.Future[None]", fault: Exception | None) -> None:
    if written.done():
        return
    if fault is None:
        written.set_result(None)
    else:
        written.set_exception(fault)


class PostgresWriter:
    """psycopg's async connection on the event loop."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(False)
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None

    async def write(self, rows: Sequence[Entry]) -> None:
        """Insert and commit."""
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=5, prepare_threshold=0
            )
        columns = [list(column) for column in zip(*rows, strict=True)]
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._connection.execute(_POSTGRES_INSERT, columns)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


_Waiting = tuple[Entry, "asyncio.Future[None]", float]  # what, for whom, since when


class Ingest:
    """The queue between the door and the disk. `patience`: seconds until a hook is given up."""

    def __init__(
        self,
        writer: Writer,
        limit: int,
        wake: threading.Event | None = None,
        patience: float = COMMIT_SECONDS,
    ) -> None:
        self._writer = writer
        self._limit = limit
        self._wake = wake
        self._patience = patience
        self._ids = Ids()
        self._queue: list[_Waiting] = []
        self._flying: list[_Waiting] = []
        self._idle: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin writing (on the running loop)."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    @property
    def depth(self) -> int:
        """How many hooks wait for the disk."""
        return len(self._queue)

    def put(
        self, account_id: str, at: float, content_type: str, body: bytes
    ) -> "asyncio.Future[None]":
        """Queue a body; the future is done when it is on the disk, or fails with InboxUnavailable.

        Raises:
            Overloaded: the queue is full, or the service is stopping.
        """
        if self._task is None or self._stopping or len(self._queue) >= self._limit:
            raise Overloaded
        loop = self._loop
        future = loop.create_future()
        row = (account_id, self._ids.next(at), int(at), content_type, body)
        self._queue.append((row, future, loop.time()))
        if self._idle is not None:
            self._begin()
        return future

    def _begin(self) -> None:
        """Wake the writer; look from time to time whether somebody waits too long."""
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)
        if self._watch is None:
            self._watch = self._loop.call_later(WATCH_SECONDS, self._give_up_late)

    def _give_up_late(self) -> None:
        """Hooks that have waited too long are answered now, and not written if not begun."""
        late = self._loop.time() - self._patience
        for _, done, since in (*self._flying, *self._queue):
            if since <= late and not done.done():
                done.set_exception(InboxUnavailable())
        self._queue = [waiting for waiting in self._queue if not waiting[1].done()]
        busy = self._queue or self._flying
        self._watch = self._loop.call_later(WATCH_SECONDS, self._give_up_late) if busy else None

    async def stop(self) -> None:
        """Take nothing new, commit what waits, close."""
        self._stopping = True
        if self._task is not None:
            self._begin()
            await self._task
        if self._watch is not None:
            self._watch.cancel()
        await self._writer.close()

    async def _run(self) -> None:
        while True:
            while self._queue:
                self._flying, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                await self._commit(self._flying)
                self._flying = []
            if self._stopping:
                return
            self._idle = self._loop.create_future()
            await self._idle

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            await self._writer.write([entry for entry, _, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is acknowledged
            log.error(  # noqa: TRY400 - loud, one line; the trace says nothing more
                "inbox_unavailable", rows=len(batch), error=str(error).splitlines()[:1]
            )
            for _, done, _ in batch:
                if not done.done():
                    done.set_exception(InboxUnavailable())
            return
        HOOK_SECONDS.observe(self._loop.time() - batch[0][2])
        for _, done, _ in batch:
            if not done.done():
                done.set_result(None)
        if self._wake is not None and not self._wake.is_set():
            self._wake.set()


def open_ingest(url: str, limit: int, wake: threading.Event | None = None) -> Ingest:
    """The ingest for a database address."""
    parsed = make_url(url)
    writer: Writer
    if parsed.get_backend_name() == "sqlite":
        writer = SqliteWriter(parsed.database or "")
    else:
        writer = PostgresWriter(url)
    return Ingest(writer, limit, wake)
