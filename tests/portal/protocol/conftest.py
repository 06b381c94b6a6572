"""Hand-made books, portals over real HTTP, and a receiver that keeps what it is sent."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest
import requests
from requests.adapters import HTTPAdapter

from service.clock import Clock
from service.portal.book import (
    Book,
    Call,
    Contact,
    Deal,
    Inquiry,
    Note,
    Pipeline,
    Stage,
    Task,
    User,
)
from service.portal.server import PortalServer

NOW = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
SAMPLES = Path(__file__).parent / "samples"
AMO_TOKEN, BITRIX_TOKEN = "long-lived-token", "1/s3cret"


@dataclass
class World:
    """A book with the helpers that tests fill it with."""

    book: Book
    stages: tuple[str, str, str, str]
    pipeline: str

    def deal(self, deal_id: int = 501, *, minutes: int = 0, **given: Any) -> Deal:
        at = NOW + timedelta(minutes=minutes)
        values: dict[str, Any] = {
            "name": f"Сделка {deal_id}",
            "pipeline_id": self.pipeline,
            "stage_id": self.stages[0],
            "amount": 1000,
            "responsible": 7,
            "created_at": at,
            "created_by": 7,
            "updated_at": at,
            "updated_by": 7,
            "stage_entered_at": at,
        }
        return self.book.create_deal(Deal(id=deal_id, **values | given))

    def task(self, task_id: int = 601, *, minutes: int = 0, **given: Any) -> Task:
        at = NOW + timedelta(minutes=minutes)
        values: dict[str, Any] = {
            "text": "Позвонить клиенту",
            "kind_id": 1,
            "deal_id": 501,
            "responsible": 7,
            "created_at": at,
            "created_by": 7,
            "updated_at": at,
            "updated_by": 7,
            "due_at": at + timedelta(hours=3),
        }
        return self.book.set_task(Task(id=task_id, **values | given))

    def call(self, call_id: int = 701, *, minutes: int = 0, **given: Any) -> Call:
        at = NOW + timedelta(minutes=minutes)
        values: dict[str, Any] = {
            "deal_id": 501,
            "contact_id": None,
            "direction": "out",
            "answered": True,
            "seconds": 95,
            "started_at": at,
            "author": 7,
            "uniq": f"uniq.{call_id}",
            "phone": "+79990000001",
        }
        call = Call(id=call_id, **values | given)
        return self.book.call(call, at + timedelta(seconds=call.seconds + 4))

    def note(self, note_id: int = 801, *, minutes: int = 0, text: str = "Договорились") -> Note:
        at = NOW + timedelta(minutes=minutes)
        return self.book.note(Note(note_id, 501, text, at, 7))

    def inquiry(self, uid: str = "u1", *, minutes: int = 0) -> Inquiry:
        at = NOW + timedelta(minutes=minutes)
        return self.book.inquire(
            Inquiry(uid, 901, "forms", "Сайт", self.pipeline, at, at, "Заявка с сайта")
        )


def _world(pipeline: str, stages: tuple[Stage, ...]) -> World:
    book = Book()
    book.pipelines[pipeline] = Pipeline(pipeline, "Продажи", stages)
    book.users = {
        1: User(1, "Ольга Громова", 0, is_admin=True),
        7: User(7, "Иван Петров", 3),
        9: User(9, "Анна Смирнова", 3),
    }
    for number, phone in ((301, "+79990000001"), (302, None)):
        book.contacts[number] = Contact(number, f"Клиент {number}", phone, None, NOW, NOW)
    book.field_names = {9001: "ИНН"}
    named = {stage.kind: stage.id for stage in stages}
    first, second = (stage.id for stage in stages if stage.kind == "open")
    return World(book, (first, second, named["won"], named["lost"]), pipeline)


@pytest.fixture
def amo() -> World:
    """A small amoCRM department."""
    stages = (
        Stage("310", "Неразобранное", 10, "incoming"),
        Stage("311", "Первичный контакт", 20, "open"),
        Stage("312", "КП", 30, "open"),
        Stage("142", "Успешно реализовано", 10000, "won"),
        Stage("143", "Закрыто и не реализовано", 11000, "lost"),
    )
    world = _world("31", stages)
    world.book.loss_reasons = {41: "Дорого", 42: "Спам"}
    world.book.required = {9001: (("31", "312"),)}
    return world


@pytest.fixture
def bitrix() -> World:
    """A small Bitrix24 department."""
    stages = (
        Stage("NEW", "Новая", 10, "open"),
        Stage("PREPARATION", "Подготовка документов", 20, "open"),
        Stage("WON", "Сделка успешна", 60, "won"),
        Stage("LOSE", "Сделка провалена", 70, "lost"),
    )
    return _world("0", stages)


@dataclass
class Portal:
    """A running portal with a client that knows its token."""

    server: PortalServer
    http: httpx.Client

    def get(self, path: str, **params: Any) -> httpx.Response:
        """amoCRM: GET /api/v4/<path>."""
        headers = {"authorization": f"Bearer {AMO_TOKEN}"}
        return self.http.get(f"/api/v4/{path}", params=params, headers=headers)

    def rows(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        """amoCRM: the embedded rows; 204 is an empty list."""
        answer = self.get(path, **params)
        assert answer.status_code in {200, 204}, answer.text
        if answer.status_code == 204:
            return []
        found: list[dict[str, Any]] = answer.json()["_embedded"][name]
        return found

    def subscribe(self, url: str, *settings: str) -> httpx.Response:
        """amoCRM: POST /api/v4/webhooks."""
        headers = {"authorization": f"Bearer {AMO_TOKEN}"}
        body = {"destination": url, "settings": list(settings), "sort": 10}
        return self.http.post("/api/v4/webhooks", json=body, headers=headers)

    def call(self, method: str, params: Any = None) -> Any:
        """Bitrix24: `result` of a method."""
        answer = self.http.post(f"/rest/{BITRIX_TOKEN}/{method}", json=params or {})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def control(self, path: str, body: Any = None) -> Any:
        """The control interface."""
        if body is None:
            return self.http.get(f"/_control/{path}").json()
        return self.http.post(f"/_control/{path}", json=body).json()

    def settle(self) -> None:
        """Wait until no hook is on its way."""
        assert self.server.courier.wait_idle(20)


Open = Callable[..., Portal]


@pytest.fixture
def open_portal() -> Iterator[Open]:
    """Starts portals; all are stopped at the end."""
    opened: list[Portal] = []

    def start(
        kind: Literal["amocrm", "bitrix24"], book: Book, *, speed: float = 1.0, limits: bool = False
    ) -> Portal:
        token = AMO_TOKEN if kind == "amocrm" else BITRIX_TOKEN
        clock = Clock(NOW + timedelta(hours=6), speed)
        server = PortalServer(kind, book, clock, token=token, limits=limits).start()
        http = httpx.Client(base_url=server.base_url, trust_env=False)
        opened.append(Portal(server, http))
        return opened[-1]

    yield start
    for portal in opened:
        portal.http.close()
        portal.server.stop()


def lead_to(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every https request that `requests` makes goes to this portal, whatever host it names."""

    class Loopback(HTTPAdapter):
        def __init__(self, url: str) -> None:
            assert url.startswith("https://"), url
            super().__init__()

        def send(self, request: Any, *given: Any, **named: Any) -> Any:
            host = urlsplit(request.url).netloc
            request.url = portal.server.base_url + request.url.partition(host)[2]
            return super().send(request, *given, **named)

    monkeypatch.setattr(requests.Session, "get_adapter", lambda _self, url: Loopback(url))
    monkeypatch.setenv("NO_PROXY", "*")


@dataclass
class Receiver:
    """Keeps each request; `answer` decides the status of the n-th (from 0)."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Callable[[int], int] = lambda _number: 200
    hold: threading.Event = field(default_factory=threading.Event)

    def pairs(self) -> list[list[tuple[str, str]]]:
        """Each body decoded, in the order of arrival."""
        return [parse_qsl(body.decode(), keep_blank_values=True) for body in self.bodies]

    def maps(self) -> list[dict[str, str]]:
        """Each body as a flat map."""
        return [dict(pairs) for pairs in self.pairs()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP receiver of hooks."""
    kept = Receiver()
    kept.hold.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            number = len(kept.bodies)
            kept.headers.append({name.lower(): value for name, value in self.headers.items()})
            kept.bodies.append(body)
            kept.hold.wait(20)
            self.send_response(kept.answer(number))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/hooks/x"
    yield kept
    kept.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sample() -> Callable[[str], Any]:
    """A sample by its path: JSON decoded, a form as decoded pairs."""

    def read(name: str) -> Any:
        text = (SAMPLES / name).read_text()
        if name.endswith(".json"):
            return msgspec.json.decode(text)
        return parse_qsl(text.strip(), keep_blank_values=True)

    return read


@pytest.fixture
def shape() -> Callable[[list[tuple[str, str]]], list[str]]:
    """Keys of a body with `#` for list positions, each once, in order."""

    def keys(pairs: list[tuple[str, str]]) -> list[str]:
        return list(dict.fromkeys(re.sub(r"\[\d+\]", "[#]", key) for key, _ in pairs))

    return keys
