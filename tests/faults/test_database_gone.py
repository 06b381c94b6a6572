"""The database is away for five seconds while hooks come: 503 in time, then well by itself."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.conftest import PostgresServer
from tests.faults.books import Books, check_alerts, check_answers, check_facts, check_inbox, settle
from tests.faults.load import Crm
from tests.faults.process import Dozor, until
from tests.faults.stand_in import StandIn

AWAY = 5.0
IN_TIME = 2.0  # amoCRM waits no longer


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of one's own that keeps what it has committed when it is killed."""
    found = PostgresServer(["fsync=on", "listen_addresses=", "shared_buffers=32MB"])
    found.initialise()
    found.start()
    yield found
    found.stop()
    found.remove()


@pytest.fixture
def dozor_on_server(tmp_path: Path, stand_in: StandIn, server: PostgresServer) -> Iterator[Dozor]:
    found = Dozor(tmp_path, stand_in, server.url)
    found.command("migrate")
    yield found
    found.close()


def test_postgresql_killed_and_back_after_five_seconds(
    dozor_on_server: Dozor, server: PostgresServer
) -> None:
    dozor = dozor_on_server
    crm = begin(dozor)
    with crm.sending(threads=4, pause=0.02):
        until(lambda: crm.count(200) > 50)
        server.stop(signal.SIGQUIT)  # at once: nothing is finished, as in a crash
        gone = time.monotonic()
        until(lambda: crm.count(503) > 0)
        assert httpx.get(dozor.url + "/healthz", timeout=30).status_code == 200
        ready = httpx.get(dozor.url + "/readyz", timeout=30)
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] != "ok"
        time.sleep(max(0.0, gone + AWAY - time.monotonic()))  # how long it is away
        back = time.monotonic()
        server.start()
        until(lambda: 200 in crm.statuses(since=back))
    until(lambda: httpx.get(dozor.url + "/readyz", timeout=30).status_code == 200)
    end(dozor, crm, faults=1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_locked_by_another_process(dozor: Dozor) -> None:
    crm = begin(dozor)
    other = sqlite3.connect(dozor.folder / "dozor.db", isolation_level=None, timeout=60)
    with closing(other), crm.sending(threads=4, pause=0.02):
        until(lambda: crm.count(200) > 50)
        other.execute("BEGIN EXCLUSIVE")
        gone = time.monotonic()
        until(lambda: crm.count(503) > 0)
        until(lambda: dozor.lines("inbox_unavailable"))
        time.sleep(max(0.0, gone + AWAY - time.monotonic()))  # how long it is away
        assert 200 not in crm.statuses(since=gone)
        back = time.monotonic()
        other.execute("ROLLBACK")
        until(lambda: 200 in crm.statuses(since=back))
    assert httpx.get(dozor.url + "/readyz", timeout=30).status_code == 200
    end(dozor, crm, faults=0)


def begin(dozor: Dozor) -> Crm:
    """A served Dozor, and a CRM that is about to send."""
    dozor.set_up()
    dozor.serve()
    dozor.subscribe()
    return Crm(dozor, random.Random(5))


def end(dozor: Dozor, crm: Crm, faults: int) -> None:
    """All was answered, refusals in time; all that was acknowledged is worked off and told."""
    assert crm.count(503) > 0
    assert crm.statuses() <= {200, 503}
    refused = [answer for answer in crm.answers if answer.status == 503]
    assert [answer for answer in refused if answer.seconds > IN_TIME] == []
    assert {answer.retry_after for answer in refused} == {"30"}
    assert {line["level"] for line in dozor.lines("inbox_unavailable")} == {"error"}
    crm.finish()
    books = Books(dozor)
    try:
        settle(books, crm.hooks)
        check_inbox(books, crm.hooks)
        check_facts(books, dozor, crm.hooks)
        check_answers(dozor, crm.hooks)
        check_alerts(books, dozor.stand_in, crm.hooks, faults)
    finally:
        books.close()
    assert dozor.stop() == 0
