"""The portal as a server: control interface, driver, its own process."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from service.clock import Clock
from service.portal.book import Book
from service.portal.driver import Actions, Driver
from service.portal.office import Office
from tests.portal.protocol.conftest import NOW, Open, World


def test_stats_and_journal_tell_what_is_there(amo: World, open_portal: Open) -> None:
    amo.deal(501)
    amo.task(601)
    portal = open_portal("amocrm", amo.book)
    stats = portal.control("stats")
    assert (stats["kind"], stats["deals"], stats["tasks"], stats["journal"]) == ("amocrm", 1, 1, 2)
    assert stats["deliveries"]["sent"] == 0
    with portal.server.lock:
        amo.book.move_deal(501, "312", NOW, 7)
    journal = portal.control("journal?since=2")
    assert journal["next"] == 3
    (change,) = journal["changes"]
    assert (change["n"], change["verb"], change["kind"]) == (2, "deal_moved", "deal")
    assert change["before"]["stage_id"] == "311"
    assert change["after"]["stage_id"] == "312"
    assert portal.control("journal?since=3")["changes"] == []
    assert portal.http.get("/_control/journal?since=x").status_code == 400


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"drop": 2}, "between 0 and 1"),
        ({"drop": "much"}, "drop"),
        ({"status": 200}, "400 to 599"),
        ({"explode": 1}, "explode"),
        ([], "JSON object"),
    ],
)
def test_bad_faults_are_refused_in_words(body: Any, word: str, open_portal: Open) -> None:
    portal = open_portal("amocrm", Book())
    answer = portal.http.post("/_control/faults", json=body)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_truth_is_told_from_a_copy_of_the_book(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book)
    assert portal.http.get("/_control/truth?what=kpis").status_code == 501
    seen: list[Book] = []

    def report(book: Book, params: dict[str, str]) -> dict[str, Any]:
        seen.append(book)
        if params["what"] == "nothing":
            raise ValueError(params["what"])
        return {"what": params["what"], "deals": len(book.deals)}

    portal.server.tell(report)
    amo.deal(501)
    assert portal.control("truth?what=kpis") == {"what": "kpis", "deals": 1}
    assert seen[0] is not amo.book
    assert seen[0].deals is not amo.book.deals
    assert portal.http.get("/_control/truth?what=nothing").status_code == 400


def test_driver_runs_each_action_at_its_instant(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=3600)
    clock = portal.server.office.clock
    start = clock.now()
    ran: list[datetime] = []

    def actions() -> Actions:
        for hour in range(4):
            yield start + timedelta(minutes=20 * hour), lambda: ran.append(clock.now())

    driver = portal.server.live(actions())
    assert driver.wait_done(20)
    assert driver.progress.actions == 4
    assert driver.progress.done
    for number, instant in enumerate(ran):
        assert instant >= start + timedelta(minutes=20 * number)
    assert portal.control("stats")["driver"]["actions"] == 4


def test_driver_ends_at_the_given_instant(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=3600)
    start = portal.server.office.clock.now()
    ran = threading.Event()

    def actions() -> Actions:
        yield start, ran.set
        yield start + timedelta(days=365), ran.clear

    driver = portal.server.live(actions())
    assert ran.wait(20)
    until = (start + timedelta(days=1)).isoformat()
    assert "until" in portal.control("driver", {"until": until})
    assert driver.wait_done(20)
    assert ran.is_set()
    assert portal.control("stats")["driver"]["done"] is True


@pytest.mark.parametrize("body", [{}, {"until": "tomorrow"}, {"until": "2026-03-02T07:00:00"}])
def test_bad_end_of_the_driver_is_refused(
    body: dict[str, Any], amo: World, open_portal: Open
) -> None:
    portal = open_portal("amocrm", amo.book)
    assert portal.http.post("/_control/driver", json={"until": None}).status_code == 409
    portal.server.live(iter([]))
    answer = portal.http.post("/_control/driver", json=body)
    assert answer.status_code == 400
    assert "until" in answer.json()["error"]


def test_failing_action_stops_the_driver_and_is_shown(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book)
    now = portal.server.office.clock.now()

    def fail() -> None:
        raise LookupError("no such deal")

    driver = portal.server.live(iter([(now, fail), (now, fail)]))
    assert driver.wait_done(20)
    assert portal.control("stats")["driver"]["failure"] == "LookupError: no such deal"


def test_driver_stops_while_it_waits(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book)
    office: Office = portal.server.office
    far = office.clock.now() + timedelta(days=1)
    driver = Driver(office, iter([(far, lambda: None)]))
    driver.start()
    driver.stop()
    assert driver.wait_done(20)
    assert driver.progress.actions == 0


def test_unknown_path_is_a_problem(open_portal: Open) -> None:
    portal = open_portal("amocrm", Book())
    assert portal.http.get("/nowhere").status_code == 404


def test_taken_port_is_told(open_portal: Open) -> None:
    portal = open_portal("amocrm", Book())
    port = httpx.URL(portal.server.base_url).port
    from service.portal.server import PortalServer

    with pytest.raises(OSError, match="in use"):
        PortalServer("amocrm", Book(), Clock(), port=port or 0).start()


@pytest.fixture(params=["amocrm", "bitrix24"])
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A portal in its own process, with the real department."""
    command = [sys.executable, "-m", "service.portal", request.param]
    options = ["--seed", "5", "--deals", "20", "--clock", "2026-03-02T07:00:00Zx600"]
    started = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    yield started
    if started.poll() is None:
        started.kill()
    started.wait()
    if started.stdout:
        started.stdout.close()


def test_portal_lives_in_its_own_process(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    stats = httpx.get(f"{ready['base_url']}/_control/stats", trust_env=False).json()
    assert stats["kind"] == ready["kind"]
    assert stats["deals"] >= 20
    assert stats["driver"]["failure"] is None
    truth = httpx.get(
        f"{ready['base_url']}/_control/truth",
        params={"what": "workload", "at": "2026-03-02T07:00:00Z"},
        trust_env=False,
    )
    assert truth.status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_wrong_clock_is_told_in_a_sentence() -> None:
    command = [sys.executable, "-m", "service.portal", "amocrm", "--clock", "2026-03-02T07:00:00x5"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "time zone" in ended.stderr
    assert "Traceback" not in ended.stderr
