"""A portal that does not answer delays its own news and nothing else."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select

from service.pipeline import tick
from service.pipeline.breaker import PAUSES, Breaker
from service.pipeline.office import Office
from service.store import accounts, inbox
from service.store.engine import transaction
from service.store.records import Alert
from service.store.tables import Deal
from service.worker import WorkerThread
from tests import world

NUMBERS = count(1)
DEAL = Deal.__table__  # type: ignore[attr-defined]
TEXT = Alert.__table__.c.text  # type: ignore[attr-defined]
HEAD = {"alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}, "quiet": None}}


class Portal:
    """Answers nothing until it is let go; then 204, as amoCRM does when it finds nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.set()
                outer.let_go.wait(60)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def portal() -> Iterator[Portal]:
    made = Portal()
    yield made
    made.close()


@pytest.fixture
def office(database_url: str, portal: Portal) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-03-10 12:00")
    world.connect_account(made, document=HEAD, connected="2026-03-10 09:00")
    with transaction(made.engine) as connection:
        accounts.change(
            connection, world.ACCOUNT, base_url=portal.url, claimed_by="", claimed_until=0,
            secrets=made.box.seal(json.dumps({"token": "T"})), directory_wanted=False,
            directory_at=made.now(),
        )  # fmt: skip
    yield made
    portal.let_go.set()
    made.close()


def hook(office: Office, pairs: dict[str, Any]) -> None:
    body = urlencode(pairs).encode()
    with transaction(office.engine) as connection:
        form = "application/x-www-form-urlencoded"
        inbox.put(connection, world.ACCOUNT, next(NUMBERS), office.now(), form, body)


def lead(office: Office, deal_id: str, at: str) -> None:
    told = {"id": deal_id, "name": "Окна", "status_id": "10", "pipeline_id": "31", "price": "0",
            "responsible_user_id": "7", "date_create": world.moment(at),
            "last_modified": world.moment(at)}  # fmt: skip
    hook(office, {f"leads[add][0][{key}]": value for key, value in told.items()})


def finished(office: Office, task_id: str, at: str) -> None:
    told = {"id": task_id, "element_id": "1", "element_type": "2", "action_close": "1",
            "responsible_user_id": "7", "status": "1", "updated_at": world.moment(at),
            "text": "Перезвонить по КП", "result[text]": "договорились"}  # fmt: skip
    hook(office, {f"task[update][0][{key}]": value for key, value in told.items()})


def deals(office: Office) -> int:
    with office.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(DEAL)).scalar_one())


def told_of_the_task(office: Office) -> int:
    with office.engine.connect() as connection:
        return sum("Перезвонить" in text for text in connection.execute(select(TEXT)).scalars())


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@contextmanager
def working(office: Office, portal: Portal) -> Iterator[None]:
    worker = WorkerThread(office)
    worker.start()
    yield
    portal.let_go.set()
    worker.stop()


def test_hooks_are_judged_while_the_portal_is_silent(office: Office, portal: Portal) -> None:
    with working(office, portal):
        lead(office, "1", "2026-03-10 10:00")
        office.wake.set()
        assert portal.asked.wait(15)
        lead(office, "2", "2026-03-10 10:05")
        office.wake.set()
        until(lambda: deals(office) == 2)
        assert not portal.let_go.is_set()


@pytest.mark.parametrize("done", [False, True])
def test_nothing_is_told_before_what_came_is_known(office: Office, done: bool) -> None:
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, secrets="")  # no REST: only the hook can tell
        assert accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 60)
    world.tell(office, [world.new_deal("1", "2026-03-10 09:30", contacts=["5"])])
    world.tell(office, [world.new_task("5", "2026-03-10 09:30", "2026-03-10 11:59", "1")])
    with transaction(office.engine) as connection:
        accounts.release(connection, world.ACCOUNT, office.worker, office.real_now())
    if done:
        finished(office, "5", "2026-03-10 11:58")
    tick.tick(office)
    assert told_of_the_task(office) == (0 if done else 1)


def test_breaker_leaves_a_dead_portal_alone_longer_each_time() -> None:
    class Stopped:
        at = 0.0

        def monotonic(self) -> float:
            return self.at

    clock = Stopped()
    told: list[tuple[str, int, str]] = []
    breaker = Breaker(clock, lambda *news: told.append(news))  # type: ignore[arg-type]
    assert not breaker.is_open("a")
    for pause in (*PAUSES, PAUSES[-1]):
        breaker.failed("a")
        clock.at += pause - 0.1
        assert breaker.is_open("a")
        assert not breaker.is_open("b")
        clock.at += 0.2
        assert not breaker.is_open("a")
    breaker.failed("a")
    breaker.answered("a")
    assert not breaker.is_open("a")
    breaker.failed("a")
    clock.at += PAUSES[0] + 0.1
    assert not breaker.is_open("a")
    breaker.answered("a")
    breaker.answered("a")
    clock.at += 61
    breaker.answered("a")  # another process may have found it down meanwhile
    pauses = [int(pause) for pause in (*PAUSES, PAUSES[-1])]
    ends = [news[1] for news in told]
    assert ends == [
        *pauses,
        int(PAUSES[-1]),
        0,
        int(PAUSES[0]),
        0,
        0,
    ]  # a good state: once a minute
