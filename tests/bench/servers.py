"""Processes to measure: Dozor, a plain ASGI no-op, the naive way; each alone on the first core."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.directory import Directory
from service.store.engine import open_engine
from service.store.schema import migrate
from tests import world
from tests.bench import stored
from tests.conftest import PostgresServer

TOKEN = "bench-token"
SECRET = "0123456789abcdef0123"
PATH = f"/hooks/amocrm/{TOKEN}"


@contextmanager
def postgres(*more: str) -> Iterator[PostgresServer]:
    """A durable PostgreSQL on the second core. `more`: settings beside or instead of these."""
    server = PostgresServer([
        "fsync=on", "synchronous_commit=on", "listen_addresses=", "max_connections=100",
        "shared_buffers=1GB", "autovacuum_vacuum_insert_scale_factor=0.01", "max_wal_size=4GB",
        *more,
    ])  # fmt: skip
    server.initialise()
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
    server.start()
    os.sched_setaffinity(0, mine)
    try:
        yield server
    finally:
        server.stop()
        server.remove()


def prepare(url: str, directory: Directory = stored.DIRECTORY) -> None:
    """A database with one account, whose hook token is `TOKEN`."""
    office = world.make_office(url, stored.NOW)
    migrate(office.engine)
    world.connect_account(office, directory=directory, token=TOKEN)
    stored.let_go(office)
    office.close()


@contextmanager
def dozor(url: str, **settings: str) -> Iterator[int]:
    """`dozor serve` on a prepared database; its port."""
    with served(url, **settings) as (port, _):
        yield port


@contextmanager
def served(url: str, **settings: str) -> Iterator[tuple[int, int]]:
    """The same; port and process id."""
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        environment = {
            "DOZOR_DATABASE_URL": url, "DOZOR_DATA_DIR": folder, "DOZOR_SECRET_KEY": SECRET,
            "DOZOR_LOG_LEVEL": "error", "DOZOR_ALLOW_PRIVATE_HOSTS": "1",
            "DOZOR_RATE_LIMIT_PER_MINUTE": "1000000", **settings,
        }  # fmt: skip
        command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
        port = free_port()
        with running([*command, "--port", str(port)], port, environment) as process:
            yield port, process


@contextmanager
def plain(kind: str, *rest: str) -> Iterator[int]:
    """A server of `tests.bench.plain`; its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.plain", kind, str(port), *rest]
    with running(command, port, {}):
        yield port


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """The id of a process on the first core that listens; it is ended afterwards."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 - no threads yet
    )  # fmt: skip
    try:
        _wait(process, port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server does not listen")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sqlite(folder: Path, name: str) -> str:
    """A fresh prepared SQLite database."""
    url = f"sqlite:///{folder / name}.db"
    prepare(url)
    return url


def database(server: PostgresServer, name: str) -> str:
    """A fresh empty PostgreSQL database."""
    engine = open_engine(server.url)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            f"CREATE DATABASE {name}"
        )
    engine.dispose()
    return server.database(name)
