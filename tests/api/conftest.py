"""A running API: uvicorn on loopback, a real database, a clock that stands where it is put."""

import asyncio
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, insert

from service import log
from service.clock import Clock
from service.crm import ADAPTERS
from service.domain.directory import Directory, Pipeline, Seller, Stage, StageKind
from service.domain.named import parse_document
from service.main import create_app
from service.pipeline.office import Office
from service.rules.book import RuleBook
from service.rules.loading import load_book
from service.settings import Settings
from service.store import accounts
from service.store.engine import open_engine, transaction
from service.store.keys import create_key
from service.store.tables import Deal, Task, Violation
from tests.world import DIRECTORY

NOW = "2026-11-23T07:00:00Z"
BOOK = load_book()
SECOND = Directory(
    timezone="Asia/Krasnoyarsk",
    currency="USD",
    sellers=(Seller(id="7", name="Смирнова", group="5", group_name="Отдел 5"),),
    pipelines=(
        Pipeline(
            id="0",
            name="Общая",
            stages=(
                Stage(id="NEW", name="Новая", sort=10),
                Stage(id="WON", name="Успех", sort=20, kind=StageKind.WON),
            ),
        ),
    ),
)


def at(text: str) -> int:
    """Seconds of `2026-11-23T07:00:00Z`."""
    return int(datetime.fromisoformat(text).timestamp())


class StandingClock(Clock):
    """Shows what it was set to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.instant = at(text)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.instant, UTC)

    def set(self, text: str) -> None:
        self.instant = at(text)


class Seconds:
    """Real seconds for limits, moved by hand."""

    def __init__(self) -> None:
        self.value = 1000.0

    def __call__(self) -> float:
        return self.value


@dataclass
class Api:
    """One running service."""

    engine: Engine
    app: FastAPI
    clock: StandingClock
    seconds: Seconds
    url: str
    checks: dict[str, str] = field(default_factory=lambda: {"database": "ok", "schema": "ok"})
    clients: list[httpx.Client] = field(default_factory=list)

    def key(self, *scopes: str, accounts: tuple[str, ...] = ("*",), **more: Any) -> str:
        """A fresh key; its secret."""
        with transaction(self.engine) as connection:
            return create_key(
                connection, "test", scopes or ("admin",), accounts, self.clock.instant, **more
            )[1]

    def client(self, *scopes: str, accounts: tuple[str, ...] = ("*",)) -> httpx.Client:
        """A client with a fresh key of these scopes (default admin)."""
        return self.anonymous(self.key(*scopes, accounts=accounts))

    def anonymous(self, secret: str | None = None) -> httpx.Client:
        """A client with this key, or with none."""
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=20)
        self.clients.append(client)
        return client

    def insert(self, table: Any, *rows: dict[str, Any]) -> None:
        """Rows straight into a table."""
        with transaction(self.engine) as connection:
            connection.execute(insert(table.__table__), list(rows))

    def touch(self, account: str = "romashka") -> None:
        """Say that data changed, as the pipeline does."""
        with transaction(self.engine) as connection:
            accounts.bump(connection, account)


def deal_row(deal_id: str, account: str = "romashka", **more: Any) -> dict[str, Any]:
    """A deal as derived."""
    return {
        "account_id": account, "id": deal_id, "name": f"Сделка {deal_id}", "pipeline": "31",
        "stage": "10", "status": "open", "seller": "7", "source": None, "amount": 0,
        "currency": "RUB", "born_at": at("2026-11-02T08:15:00Z"),
        "created_at": at("2026-11-02T08:15:00Z"), "updated_at": at("2026-11-20T12:00:00Z"),
        "stage_since": at("2026-11-02T08:15:00Z"), "closed_at": None, "loss_reason": None,
        "open_tasks": 0, "next_task_at": None, "last_touch_at": None, "has_contact": False,
        "presence": [], "wins": [], "deleted": False,
    } | more  # fmt: skip


def task_row(task_id: str, account: str = "romashka", **more: Any) -> dict[str, Any]:
    """A task as derived."""
    return {
        "account_id": account, "id": task_id, "timeline": "deal:1", "deal": "1", "seller": "7",
        "task_kind": "1", "title": "Перезвонить", "is_open": True, "is_all_day": False,
        "due_at": at("2026-11-23T10:00:00Z"), "created_at": at("2026-11-20T12:00:00Z"),
        "done_at": None, "updated_at": at("2026-11-20T12:00:00Z"), "has_result": False, "moves": 0,
    } | more  # fmt: skip


def violation_row(number: int, account: str = "romashka", **more: Any) -> dict[str, Any]:
    """A violation as derived; times as texts are read."""
    row: dict[str, Any] = {
        "account_id": account, "id": f"vio_{number:026d}", "timeline": "deal:1",
        "rule": "task-overdue", "rule_version": "a1b2c3", "severity": "warning", "notice": False,
        "subject_kind": "task", "subject_id": "9001", "deal": "1", "pipeline": "31", "stage": "10",
        "seller": "7", "owner": "7", "amount": 12_500_000, "currency": "RUB",
        "since": "2026-11-23T06:00:00Z", "held_since": "2026-11-20T12:00:00Z", "effective_from": 0,
        "breach_at": "2026-11-23T06:00:00Z", "resolved_at": None, "resolution": None,
        "values": {
            "attributes": {"task.due_at": at("2026-11-23T06:00:00Z"), "task.is_open": True},
            "for": "0m", "text": {"name": "Перезвонить"},
        },
        "muted": [], "due_at": None,
    } | more  # fmt: skip
    return {k: at(v) if k in _INSTANTS and isinstance(v, str) else v for k, v in row.items()}


_INSTANTS = {"since", "held_since", "effective_from", "breach_at", "resolved_at", "due_at"}


def connect(engine: Engine) -> None:
    """Two accounts: romashka on amoCRM, vasilek on Bitrix24."""
    portals = (
        ("romashka", "Ромашка", "amocrm", "https://romashka.amocrm.ru", DIRECTORY),
        ("vasilek", "Василёк", "bitrix24", "https://vasilek.bitrix24.ru", SECOND),
    )
    with transaction(engine) as connection:
        for account_id, name, crm, base_url, directory in portals:
            new = accounts.NewAccount(
                account_id=account_id, name=name, crm=crm, base_url=base_url,
                token_hash=accounts.hook_hash(account_id), sealed="", document=parse_document({}),
            )  # fmt: skip
            accounts.create(connection, new, "tests", at("2026-03-01T00:00:00Z"))
            accounts.save_directory(connection, account_id, directory, at("2026-03-01T00:00:00Z"))


LINES = io.StringIO()


@pytest.fixture(autouse=True)
def lines() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    LINES.seek(0)
    LINES.truncate()
    log.configure("json", "debug", LINES)
    yield LINES
    log.configure("json", "warning", io.StringIO())


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Start:
    """Starts services. At the end all are stopped, and only then what they work on is closed."""

    def __init__(self) -> None:
        self._running: list[tuple[_Server, threading.Thread, Api]] = []
        self._offices: list[Office] = []

    def __call__(self, engine: Engine, book: RuleBook | None = None, **settings: Any) -> Api:
        """A service on this database."""
        clock, seconds = StandingClock(NOW), Seconds()
        chosen = Settings(_env_file=None, **settings)
        checks = {"database": "ok", "schema": "ok"}
        app = create_app(
            chosen, engine, clock, ready=lambda: checks, book=book or BOOK, adapters=ADAPTERS,
            monotonic=seconds,
        )  # fmt: skip
        config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_keep_alive=60)
        server = _Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        assert server.listening.wait(20)
        port = server.servers[0].sockets[0].getsockname()[1]
        api = Api(engine, app, clock, seconds, f"http://127.0.0.1:{port}", checks)
        self._running.append((server, thread, api))
        return api

    def on(self, office: Office, **settings: Any) -> Api:
        """A service on an office's database; the office is closed after it."""
        self._offices.append(office)
        return self(office.engine, **settings)

    def stop(self) -> None:
        """Stop all, then close."""
        for server, thread, api in self._running:
            for client in api.clients:
                client.close()
            server.should_exit = True
            thread.join(20)
        for office in self._offices:
            office.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start services; all are stopped at the end.

    Who names the engine as a fixture names it first: fixtures end in the opposite order, so the
    service is gone before its connections are closed.
    """
    made = Start()
    yield made
    made.stop()


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """An empty SQLite database."""
    opened = open_engine(sqlite_url)
    yield opened
    opened.dispose()


@pytest.fixture
def api(sqlite_engine: Engine, start: Start) -> Api:
    """The service on SQLite with two accounts and a little data."""
    connect(sqlite_engine)
    made = start(sqlite_engine)
    seed(made)
    return made


@pytest.fixture
def both(engine: Engine, start: Start) -> Api:
    """The same on SQLite and on PostgreSQL."""
    connect(engine)
    made = start(engine)
    seed(made)
    return made


def seed(api: Api) -> None:
    """A deal with a task and some violations in each account."""
    api.insert(
        Deal,
        deal_row("1", name="Окна, ул. Мира 5", amount=12_500_000, source="site", open_tasks=1),
        deal_row("2", seller="9", status="won", stage="142", closed_at=at("2026-11-10T09:00:00Z"),
                 amount=500),
        deal_row("3", seller="12", created_at=at("2026-11-05T00:00:00Z"), deleted=True),
        deal_row("1", "vasilek", pipeline="0", stage="NEW", currency="USD", amount=100),
    )  # fmt: skip
    api.insert(
        Task,
        task_row("9001"),
        task_row("9002", is_open=False, done_at=at("2026-11-22T10:00:00Z"), has_result=True),
        task_row("t15", "vasilek"),
    )
    api.insert(
        Violation,
        violation_row(1),
        violation_row(2, rule="deal-stuck", subject_kind="deal", subject_id="1", seller="9",
                      severity="critical", breach_at="2026-11-20T06:00:00Z"),
        violation_row(3, subject_id="9002", breach_at="2026-11-21T06:00:00Z",
                      resolved_at="2026-11-22T10:00:00Z", resolution="fixed"),
        violation_row(4, rule="deal-no-task", subject_kind="deal", subject_id="2", deal="2",
                      timeline="deal:2", breach_at="2026-11-25T06:00:00Z"),
        violation_row(5, rule="seller-too-many-deals", subject_kind="seller", subject_id="12",
                      timeline="seller:12", deal="", pipeline="", stage="", seller="12", amount=0,
                      currency="", breach_at="2026-11-23T06:30:00Z"),
        violation_row(6, "vasilek", subject_id="t15", currency="USD", amount=100, pipeline="0"),
    )  # fmt: skip
