"""A tiny named sales department: account `romashka` on amoCRM, made by functions."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.clock import Clock
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
)
from service.domain.facts import Fact, Kind
from service.domain.instant import Instant
from service.domain.named import parse_document
from service.pipeline import apply
from service.pipeline.office import Office
from service.rules.loading import load_book
from service.secrets import SecretBox
from service.settings import Settings
from service.store import accounts
from service.store.engine import open_engine, transaction

MOSCOW = ZoneInfo("Europe/Moscow")
ACCOUNT = "romashka"
STAGES = (
    Stage(id="1", name="Неразобранное", sort=1, kind=StageKind.INCOMING),
    Stage(id="10", name="Новая", sort=10),
    Stage(id="20", name="КП", sort=20),
    Stage(id="30", name="Договор", sort=30),
    Stage(id="142", name="Успешно", sort=10000, kind=StageKind.WON),
    Stage(id="143", name="Отказ", sort=11000, kind=StageKind.LOST),
)
DIRECTORY = Directory(
    external_id="31000001",
    subdomain="romashka",
    timezone="Europe/Moscow",
    currency="RUB",
    telephony=True,
    complete_users=True,
    sellers=(
        Seller(id="7", name="Иванов", group="1", group_name="Отдел 1"),
        Seller(id="9", name="Петрова", group="1", group_name="Отдел 1"),
        Seller(id="12", name="Сидоров", group="2", group_name="Отдел 2"),
    ),
    pipelines=(Pipeline(id="31", name="Продажи", main=True, stages=STAGES),),
    loss_reasons=(LossReason(id="1", name="Дорого"), LossReason(id="2", name="Спам")),
    fields=(CustomField(id="501", name="ИНН", required=(("31", "20"),)),),
)


def moment(text: str) -> Instant:
    """An instant from Moscow's wall clock: `2026-03-02 12:00`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC).timestamp())


class Standing(Clock):
    """A clock that stands; waiting in its time takes no time."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at, 1e6, 0.0)
        self._at = at

    def now(self) -> datetime:
        return self._at

    def timestamp(self) -> float:
        return self._at.timestamp()


def make_office(url: str, now: str = "2026-03-20 12:00", **settings: Any) -> Office:
    """An office on a migrated database, its clock standing (nearly) still at `now`."""
    start = datetime.fromisoformat(now).replace(tzinfo=MOSCOW)
    clock = Standing(start.astimezone(UTC))
    chosen = Settings(
        database_url=url, secret_key="0123456789abcdef0123", demo=True, allow_private_hosts=True,
        _env_file=None, **settings,
    )  # fmt: skip
    return Office(open_engine(url), chosen, clock, SecretBox("x" * 20), load_book(), "tests")


def connect_account(
    office: Office,
    account_id: str = ACCOUNT,
    directory: Directory = DIRECTORY,
    document: dict[str, Any] | None = None,
    connected: str = "2026-03-01 00:00",
    token: str = "secret-token",
) -> None:
    """Add an account with its directory, claimed by this office."""
    with transaction(office.engine) as connection:
        new = accounts.NewAccount(
            account_id=account_id, name="Ромашка", crm="amocrm", base_url="http://127.0.0.1:9",
            token_hash=accounts.hook_hash(token), sealed="",
            document=parse_document(document or {}),
        )  # fmt: skip
        accounts.create(connection, new, "tests", moment(connected))
        accounts.save_directory(connection, account_id, directory, moment(connected))
        row = accounts.account(connection, account_id)
        assert row is not None
        accounts.change(connection, account_id, judged_version=row.config_version)
        accounts.claim(connection, account_id, office.worker, office.real_now(), 3600)


def tell(office: Office, facts: list[Fact], account_id: str = ACCOUNT) -> None:
    """Apply facts as the pipeline does, in one transaction."""
    with transaction(office.engine) as connection:
        row = accounts.account(connection, account_id)
        assert row is not None
        windows = office.windows(connection, row)
        made = apply.plan(connection, account_id, facts, windows)
        apply.commit(connection, made, windows, judge_levels=True)


def deal(deal_id: str, at: str, **body: Any) -> Fact:
    """A deal fact: whatever is told, at Moscow's time `at`."""
    return Fact(Kind.DEAL, deal_id, moment(at), body)


def new_deal(deal_id: str, at: str, **body: Any) -> Fact:
    """A deal's first image."""
    first: dict[str, Any] = {
        "name": f"Сделка {deal_id}", "pipeline": "31", "stage": "10", "responsible": "7",
        "created_at": moment(at), "created_by": "0", "author": "0", "amount": 0,
        "currency": "RUB", "fields": {},
    }  # fmt: skip
    return Fact(Kind.DEAL, deal_id, moment(at), first | body)


def task(task_id: str, at: str, deal_id: str | None = "1", **body: Any) -> Fact:
    """A task fact; `due` is Moscow's wall clock."""
    if "due" in body:
        body["due_at"] = moment(body.pop("due"))
    return Fact(Kind.TASK, task_id, moment(at), {"deal": deal_id} | body)


def new_task(task_id: str, at: str, due: str, deal_id: str | None = "1", **body: Any) -> Fact:
    """A task's first image."""
    first: dict[str, Any] = {
        "text": "Перезвонить по КП", "task_kind": "1", "responsible": "7",
        "created_at": moment(at), "created_by": "7", "author": "7", "is_open": True,
    }  # fmt: skip
    return task(task_id, at, deal_id, due=due, **(first | body))


def call(call_id: str, at: str, seconds: int = 60, deal_id: str | None = "1", **body: Any) -> Fact:
    """A call that was answered (unless told otherwise)."""
    told: dict[str, Any] = {
        "deal": deal_id, "direction": "out", "answered": True, "seconds": seconds,
        "started_at": moment(at), "author": "7",
    }  # fmt: skip
    return Fact(Kind.CALL, call_id, moment(at) + seconds, told | body)


def note(note_id: str, at: str, text: str, deal_id: str | None = "1", **body: Any) -> Fact:
    """A note by seller 7."""
    told = {"deal": deal_id, "text": text, "author": "7", "created_at": moment(at)}
    return Fact(Kind.NOTE, note_id, moment(at), told | body)
