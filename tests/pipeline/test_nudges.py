"""Writing back: once, however often it is tried; never for what is over; never seen as work."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from service import connect
from service.clock import Clock
from service.domain.facts import Fact, Kind
from service.errors import ConfigError
from service.pipeline import nudges, tick
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import transaction
from service.store.records import NudgeRow
from tests import world

NUDGES = NudgeRow.__table__  # type: ignore[attr-defined]
RULES = {"task-overdue": {"nudge": "task"}, "deal-no-task": {"nudge": "note"}}


@dataclass
class Amo:
    """The part of amoCRM that takes tasks and notes and lists them; loses answers when told."""

    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"tasks": [], "notes": []}
    )
    lost_answers: int = 0
    refuses: bool = False
    is_locked: bool = False
    posts: int = 0

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                name = parts.path.rpartition("/")[2]
                self._answer(200, {"_embedded": {name: outer.rows.get(name, [])}})

            def do_POST(self) -> None:
                outer.posts += 1
                name = self.path.rpartition("/")[2]
                (row,) = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if outer.is_locked:
                    self._answer(401, {"title": "Unauthorized"})
                    return
                if outer.refuses:
                    self._answer(400, {"title": "Bad Request", "detail": "wrong entity"})
                    return
                outer.rows[name].append(row | {"id": 700 + len(outer.rows[name])})
                if outer.lost_answers:
                    outer.lost_answers -= 1
                    self._answer(504, {})
                    return
                self._answer(200, {"_embedded": {name: outer.rows[name][-1:]}})

            def _answer(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/hal+json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def amo() -> Iterator[Amo]:
    made = Amo()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def office(database_url: str, amo: Amo) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-03-10 12:00")
    world.connect_account(made, document={"rules": RULES}, connected="2026-03-10 09:00")
    world.tell(made, [world.new_deal("1", "2026-03-10 10:00", contacts=["5"])])
    world.tell(made, [world.new_task("5", "2026-03-10 10:00", "2026-03-10 11:59", "1")])
    with transaction(made.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0, base_url=amo.url)
    tick.tick(made)  # without secrets: nothing is read again before telling
    with transaction(made.engine) as connection:
        sealed = made.box.seal(json.dumps({"token": "T"}))
        accounts.change(connection, world.ACCOUNT, secrets=sealed)
    yield made
    made.close()


def stored(office: Office) -> dict[str, Any]:
    with office.engine.connect() as connection:
        (row,) = connection.execute(select(NUDGES)).mappings()
        return dict(row)


def later(office: Office, text: str) -> None:
    office.breaker.answered(world.ACCOUNT)  # its pause is over
    office.clock = Clock(datetime.fromisoformat(text).replace(tzinfo=world.MOSCOW), 1.0)


def test_task_is_set_for_the_seller_once(office: Office, amo: Amo) -> None:
    assert nudges.write(office, world.ACCOUNT) == 1
    (task,) = amo.rows["tasks"]
    assert (task["entity_id"], task["entity_type"], task["responsible_user_id"]) == (1, "leads", 7)
    assert task["complete_till"] == world.moment("2026-03-10 14:00")
    assert task["text"].startswith("Просрочена задача: «Перезвонить по КП»")
    row = stored(office)
    assert row["mark"] in task["text"]
    assert (row["state"], row["crm_id"]) == ("done", "700")
    tick.tick(office)
    assert nudges.write(office, world.ACCOUNT) == 0
    assert amo.posts == 1


def test_lost_answer_is_looked_for_before_it_is_tried_again(office: Office, amo: Amo) -> None:
    amo.lost_answers = 1
    nudges.write(office, world.ACCOUNT)
    assert stored(office)["state"] == "pending"
    assert amo.posts == 1
    later(office, "2026-03-10 12:10")
    nudges.write(office, world.ACCOUNT)
    assert (stored(office)["state"], stored(office)["crm_id"]) == ("done", "700")
    assert amo.posts == 1


def test_what_is_over_is_not_written(office: Office, amo: Amo) -> None:
    with transaction(office.engine) as connection:
        assert accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 60)
    world.tell(office, [world.task("5", "2026-03-10 11:59", is_open=False, author="7")])
    nudges.write(office, world.ACCOUNT)
    assert stored(office)["state"] == "dropped"
    assert amo.posts == 0


def test_refusal_is_final_and_told(office: Office, amo: Amo) -> None:
    amo.refuses = True
    nudges.write(office, world.ACCOUNT)
    row = stored(office)
    assert (row["state"], row["next_try_at"]) == ("failed", None)
    assert "wrong entity" in row["reason"]


def test_nudge_waits_for_a_lost_access_to_come_back(office: Office, amo: Amo) -> None:
    amo.is_locked = True
    nudges.write(office, world.ACCOUNT)
    waiting = stored(office)
    assert waiting["state"] == "pending"
    assert "--token" in waiting["reason"]
    assert waiting["next_try_at"] > office.now()
    amo.is_locked = False
    later(office, "2026-03-10 14:00")
    nudges.write(office, world.ACCOUNT)
    assert stored(office)["state"] == "done"


def test_own_task_that_comes_back_is_no_next_step(office: Office, amo: Amo) -> None:
    nudges.write(office, world.ACCOUNT)
    text = amo.rows["tasks"][0]["text"]
    with transaction(office.engine) as connection:
        assert accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 60)
    world.tell(office, [world.task("5", "2026-03-10 12:01", is_open=False, author="7")])
    ours = world.new_task("700", "2026-03-10 12:00", "2026-03-10 14:00", "1", text=text)
    world.tell(office, [ours, Fact(Kind.NOTE, "8", ours.at, {"deal": "1", "text": text})])
    with office.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT rule, subject_id FROM violation WHERE resolved_at IS NULL"
        ).all()
    assert ("deal-no-task", "1") in rows
    assert not [row for row in rows if row[1] == "700"]


def test_settings_name_what_the_crm_does_not_take(office: Office) -> None:
    with pytest.raises(ConfigError, match=r"rules.deal-stuck.nudge: amocrm takes note, task"):
        connect.apply_document(
            office, world.ACCOUNT, {"rules": {"deal-stuck": {"nudge": "chat"}}}, "tests"
        )
