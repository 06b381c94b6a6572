"""`dozor serve` and `dozor work`: one process, started and stopped in order.

Stopping (SIGTERM, SIGINT): /readyz says so, the listener closes, running requests end, what waits
for the disk is committed, the worker finishes its slice.
"""

import asyncio
import gc
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any, cast

import structlog
import uvicorn
from sqlalchemy import text

from service import metrics
from service.api.forwarded import Forwarded
from service.clock import Clock
from service.door import Door
from service.entrances import Entrances
from service.errors import ConfigError
from service.ingest import Ingest, open_ingest
from service.log import mask
from service.main import create_app, read_book
from service.oauth_pages import OAuthPages
from service.pipeline import proposing, shared_rules, trial
from service.pipeline.office import Office
from service.secrets import load_box
from service.settings import Settings
from service.store import accounts, schema
from service.store.engine import open_engine, reading
from service.store.handles import Engine
from service.worker import WorkerThread

log = structlog.get_logger()


def open_office(settings: Settings) -> Office:
    """Everything a command needs, from settings.

    Raises:
        ConfigError: a setting cannot be used, or the database cannot be reached.
    """
    box = load_box(settings)
    book = read_book(settings)
    engine = _open_database(settings)
    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    clock: Clock = settings.make_clock()
    return Office(engine, settings, clock, box, book, worker)


def _open_database(settings: Settings) -> Engine:
    try:
        if settings.embedded:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"DOZOR_DATA_DIR: cannot make {settings.data_dir}: {reason}") from None
    try:
        engine = open_engine(settings.effective_database_url)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - whatever the driver says, one sentence
        reason = _DRIVER.sub("", mask(str(error).partition("\n")[0]))
        raise ConfigError(f"DOZOR_DATABASE_URL: the database cannot be opened: {reason}") from None
    return engine


_DRIVER = re.compile(r"^\(\w+\.\w+\) ")


def check_key(office: Office) -> None:
    """Stop if the stored credentials were sealed with another key: no hook would be let in.

    Raises:
        ConfigError: names DOZOR_SECRET_KEY.
    """
    with reading(office.engine) as connection:
        for row in accounts.accounts(connection):
            if row.secrets:
                office.box.open(row.secrets)


@dataclass
class Service:
    """A running `dozor serve`."""

    office: Office
    ready_line: Callable[[str], None] = print
    _ingest: Ingest | None = None
    _workers: list[WorkerThread] = field(default_factory=list)

    def run(self) -> None:
        """Serve until a signal comes."""
        settings = self.office.settings
        schema.require(self.office.engine, make_if_empty=settings.embedded)
        check_key(self.office)
        shared_rules.note_change(self.office)
        listener = _listen(settings.host, settings.port)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._serve(listener))
        self.office.close()

    async def _serve(self, listener: socket.socket) -> None:
        office = self.office
        settings = office.settings
        self._ingest = open_ingest(
            settings.effective_database_url, settings.inbox_queue, office.wake
        )
        self._ingest.start()
        app = create_app(settings, office.engine, office.clock, book=office.book, ready=self.ready)
        app.state.services.try_rules = partial(trial.tried, office)
        app.state.services.propose_norms = partial(proposing.proposed, office)
        entrances = Entrances(office)
        await asyncio.to_thread(entrances.refresh)
        pages = OAuthPages(app, office)
        behind: Any = Forwarded(cast("Any", pages), settings.trusted_proxies)  # hooks need none
        door = Door(behind, self._ingest, entrances, office.clock, metrics.HOOKS.add)
        config = uvicorn.Config(
            door,
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=20,
            proxy_headers=False,
        )
        server = _Server(config, on_stop=lambda: setattr(app.state.services, "ending", True))
        in_process = settings.workers_in_process
        if settings.embedded if in_process is None else in_process:
            self._workers = [WorkerThread(office)]
        for worker in self._workers:
            worker.start()
        host, port = listener.getsockname()[:2]
        self.ready_line(f"Dozor listens on http://{host}:{port}")
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 20, 100)
        await server.serve(sockets=[listener])
        await self._ingest.stop()
        for worker in self._workers:
            await asyncio.to_thread(worker.stop)

    def ready(self) -> dict[str, str]:
        """The checks of /readyz: name -> "ok" or what is wrong."""
        checks = {"database": "ok", "schema": "ok", "inbox": "ok"}
        try:
            with reading(self.office.engine) as connection:
                connection.execute(text("SELECT 1"))
            if schema.current(self.office.engine) != schema.head():
                checks["schema"] = "old: run dozor migrate"
        except Exception:  # noqa: BLE001 - whatever it is, the database does not answer
            checks["database"] = checks["schema"] = "does not answer"
        if self._ingest is None or self._ingest.depth >= self.office.settings.inbox_queue:
            checks["inbox"] = "full"
        return checks


class _Server(uvicorn.Server):
    """Says that the end has come before uvicorn closes anything, and ends with code 0."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the service in order; they are not raised again afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in _STOPS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop; a second SIGINT ends at once."""
        self._on_stop()
        super().handle_exit(sig, frame)


_STOPS = (signal.SIGTERM, signal.SIGINT)


def _new_loop() -> asyncio.AbstractEventLoop:
    """The loop: uvloop where it exists (it does not on Windows)."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError, ValueError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"--host/--port (DOZOR_HOST, DOZOR_PORT): cannot listen on {host}:{port}: {reason}"
        ) from None
    return listener


def work(office: Office) -> None:
    """`dozor work`: normalise, store, derive, notify until a signal comes."""
    schema.require(office.engine, make_if_empty=office.settings.embedded)
    check_key(office)
    shared_rules.note_change(office)
    worker = WorkerThread(office)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker.start()
    log.info("worker_started", worker=office.worker)
    ended.wait()
    worker.stop()
    office.close()
