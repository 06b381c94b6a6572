"""Hooks get lost, doubled, late and swapped; reconciled, the picture is the portal's own."""

import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy import select

from service import connect
from service.clock import Clock
from service.crm.amocrm.api import HOOKS
from service.demo.stage import EVENTS
from service.domain.named import parse_document
from service.pipeline import drain, fetch, rejudge, sync
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.portal import department
from service.portal.book import Book, Change, Deal, Note
from service.portal.cast import INN
from service.portal.server import PortalServer
from service.store import accounts, inbox
from service.store.engine import transaction
from service.store.schema import migrate
from service.store.tables import Contribution, Task, Violation
from service.store.tables import Deal as DealImage
from tests import world
from tests.crm.kit import END, SECRETS, START

DEAL = DealImage.__table__  # type: ignore[attr-defined]
TASK = Task.__table__  # type: ignore[attr-defined]
VIOLATION = Violation.__table__  # type: ignore[attr-defined]
CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
LIVES = timedelta(days=2)
ROUND = timedelta(hours=6)
Crm = Literal["amocrm", "bitrix24"]
SUMS = (
    "deals_created", "deals_won", "deals_lost", "receipts", "calls", "tasks_set", "tasks_done",
    "messages_in", "messages_out",
)  # fmt: skip


class Hand(Clock):
    """A clock that is set by hand; its portals' limits are never reached."""

    def __init__(self, at: datetime) -> None:
        super().__init__(speed=1e6)
        self.at = at

    def now(self) -> datetime:
        return self.at

    def timestamp(self) -> float:
        return self.at.timestamp()


@dataclass
class Post:
    """Takes what the portal would send, and loses, doubles, delays and swaps shares of it."""

    chance: random.Random
    shares: tuple[float, float, float] = (0.2, 0.1, 0.15)  # lost, doubled, late
    waiting: list[bytes] = field(default_factory=list)
    lost: int = 0

    def deliver(self, office: Office, *, all_of_it: bool = False) -> None:
        late: list[bytes] = []
        arrived: list[bytes] = []
        losing, doubling, delaying = self.shares
        for body in self.waiting:
            fate = self.chance.random()
            if fate < losing:
                self.lost += 1
            elif fate < losing + doubling:
                arrived += [body, body]
            elif fate < losing + doubling + delaying and not all_of_it:
                late.append(body)
            else:
                arrived.append(body)
        self.chance.shuffle(arrived)
        self.waiting = late
        ids = inbox.Ids()
        with transaction(office.engine) as connection:
            for body in arrived:
                row = ids.next(office.clock.timestamp())
                form = "application/x-www-form-urlencoded"
                inbox.put(connection, world.ACCOUNT, row, office.now(), form, body)


@dataclass
class Stage:
    crm: Crm
    book: Book
    clock: Hand
    server: PortalServer


@contextmanager
def opened(crm: Crm, *, seed: int = 3, deals: int = 40) -> Iterator[Stage]:
    """A portal that sends nothing by itself, with a past."""
    book = Book()
    department.populate(book, kind=crm, seed=seed, deals=deals, start=START, end=END)
    clock = Hand(END)
    token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
    server = PortalServer(crm, book, clock, token=token, limits=False).start()
    book.listeners.remove(server._on_change)
    yield Stage(crm, book, clock, server)
    book.listeners.append(server._on_change)
    server.stop()


@pytest.fixture(params=["amocrm", "bitrix24"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with opened(request.param) as made:
        yield made


def added(stage: Stage, url: str, at: datetime, document: dict[str, Any]) -> Office:
    """An office with the portal connected at an instant, its history not yet read."""
    office = world.make_office(url)
    migrate(office.engine)
    office.clock = stage.clock
    with transaction(office.engine) as connection:
        new = accounts.NewAccount(
            account_id=world.ACCOUNT, name="Ромашка", crm=stage.crm,
            base_url=stage.server.base_url, token_hash="x", document=parse_document(document),
            sealed=office.box.seal(json.dumps(SECRETS[stage.crm])),
        )  # fmt: skip
        accounts.create(connection, new, "tests", int(at.timestamp()))
    return office


def connected(stage: Stage, url: str) -> Office:
    """An office with the portal connected as of its first day, its history read."""
    office = added(stage, url, START, {})
    for _ in connect.backfill(office, world.ACCOUNT, None):
        pass
    settle(office)
    return office


def settle(office: Office) -> None:
    """What the worker does until nothing is left."""
    for _ in range(100):
        with held(office, world.ACCOUNT):
            done = drain.drain(office, world.ACCOUNT) + rejudge.rejudge(office, world.ACCOUNT)
            done += rejudge.judge_dirty(office, world.ACCOUNT)
        if not done + fetch.fetch(office, world.ACCOUNT):
            return
    raise AssertionError("it never comes to an end")


def picture(office: Office, *, former_owners: bool) -> dict[str, set[tuple[Any, ...]]]:
    """What is stored, as far as REST can tell all of it (Bitrix24 tells no former owners)."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    with office.engine.connect() as connection:
        for name, table in (("deals", DEAL), ("tasks", TASK)):
            images = [dict(row) for row in connection.execute(select(table)).mappings()]
            for image in images:
                del image["revision"]  # how often it has changed here
                if name == "deals" and not former_owners:
                    image["presence"] = without_owners(image["presence"])
                    del image["last_touch_at"]  # who changed an amount or a field is told live only
            found[name] = {tuple(str(value) for value in image.values()) for image in images}
        open_ones = select(VIOLATION).where(VIOLATION.c.resolved_at.is_(None))
        rows = connection.execute(open_ones).mappings()
        found["open"] = {(r["rule"], r["subject_id"], r["owner"]) for r in rows}
        found["cards"] = cards(office)
        summed = select(CONTRIBUTION).where(CONTRIBUTION.c.metric.in_(SUMS))
        rows = connection.execute(summed).mappings()
        found["sums"] = set()
        receipts: dict[str, int] = defaultdict(int)
        for row in rows:
            if row["metric"] == "receipts":  # former amounts are in no REST: only their sum is
                receipts[row["subject_id"]] += row["value"]
            else:
                seller = row["seller"] if former_owners else ""
                found["sums"].add(
                    (row["metric"], row["subject_id"], row["day"], seller, row["value"])
                )
        found["receipts"] = set(receipts.items())
    return found


def cards(office: Office) -> set[tuple[Any, ...]]:
    """When cards were incomplete, by deal."""
    c = VIOLATION.c
    query = select(c.subject_id, c.breach_at, c.resolved_at).where(c.rule == "card-incomplete")
    with office.engine.connect() as connection:
        return {tuple(row) for row in connection.execute(query)}


def without_owners(presence: list[list[Any]]) -> list[list[Any]]:
    """When a deal was open, and where, whoever had it."""
    found: list[list[Any]] = []
    for start, end, pipeline, _ in presence:
        if found and found[-1][1:] == [start, pipeline]:
            found[-1][1] = end
        else:
            found.append([start, end, pipeline])
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_after_reconciliation_the_picture_is_the_portals_own(
    stage: Stage, seed: int, tmp_path: Path
) -> None:
    office = connected(stage, f"sqlite:///{tmp_path / 'lived.db'}")
    post = Post(random.Random(seed))
    live_through(stage, office, post, seed=seed, lives=LIVES)
    assert post.lost > 20
    assert row_of(office).hooks_lost > 0
    equals_the_portal(stage, office, tmp_path)
    office.close()


def live_through(stage: Stage, office: Office, post: Post, *, seed: int, lives: timedelta) -> None:
    """The department lives on; some hooks come; reconciled every six hours and at the end."""
    subscribe(stage)

    def overheard(change: Change) -> None:
        post.waiting += [delivery.body for delivery in stage.server.dialect.deliveries(change)]

    stage.book.listeners.append(overheard)
    following = END + ROUND
    for at, action in department.live(stage.book, kind=stage.crm, seed=seed, start=END):
        if at > END + lives:
            break
        while at > following:
            stage.clock.at = following
            post.deliver(office)
            settle(office)
            list(sync.reconcile(office, world.ACCOUNT))
            settle(office)
            following += ROUND
        stage.clock.at = at
        with stage.server.lock:
            action()
    stage.clock.at = END + lives + timedelta(hours=1)
    post.deliver(office, all_of_it=True)
    settle(office)
    list(sync.reconcile(office, world.ACCOUNT))
    settle(office)


def equals_the_portal(stage: Stage, office: Office, tmp_path: Path) -> None:
    """What is stored equals what somebody who connects now reads."""
    afresh = connected(stage, f"sqlite:///{tmp_path / 'afresh.db'}")
    knows = stage.crm == "amocrm"
    lived, read = (picture(o, former_owners=knows) for o in (office, afresh))
    for name, rows in read.items():
        assert lived[name] - rows == set(), name
        assert rows - lived[name] == set(), name
    afresh.close()


def subscribe(stage: Stage) -> None:
    """As an administrator would; nothing is sent: the post takes it."""
    if stage.crm == "amocrm":
        httpx.post(
            f"{stage.server.base_url}/api/v4/webhooks",
            json={"destination": "http://127.0.0.1:9/x", "settings": list(HOOKS), "sort": 10},
            headers={"authorization": "Bearer long-lived-token"},
        ).raise_for_status()
        return
    httpx.post(
        f"{stage.server.base_url}/_control/outgoing-webhook",
        json={"url": "http://127.0.0.1:9/x", "events": list(EVENTS), "application_token": "app"},
    ).raise_for_status()


def test_card_is_incomplete_until_it_was_filled_before_the_connection_or_unheard(
    tmp_path: Path,
) -> None:
    filled, emptied = START + timedelta(days=2, hours=6), END + timedelta(hours=5)
    with opened("amocrm", deals=2) as stage:
        begun = START + timedelta(days=1, hours=4)  # 13:00 in Moscow
        new = Deal(7001, "Окна", "31", "3120", 0, 7, begun, 7, begun, 7, begun)
        stage.book.create_deal(new)
        stage.book.edit_deal(new.id, filled, 7, fields={INN: "7701234567"})
        office = connected(stage, f"sqlite:///{tmp_path / 'read.db'}")
        hour = timedelta(hours=1)
        told = ("7001", (begun + hour).timestamp(), filled.timestamp())
        assert {row for row in cards(office) if row[0] == "7001"} == {told}
        stage.book.edit_deal(new.id, emptied, 7, fields={})
        stage.book.edit_deal(new.id, emptied + 2 * hour, 7, fields={INN: "7701234567"})
        stage.clock.at = END + timedelta(hours=12)
        list(sync.reconcile(office, world.ACCOUNT))
        settle(office)
        again = ("7001", (emptied + hour).timestamp(), (emptied + 2 * hour).timestamp())
        assert {row for row in cards(office) if row[0] == "7001"} == {told, again}
        office.close()


@pytest.fixture
def office(stage: Stage, tmp_path: Path) -> Iterator[Office]:
    deal = max(stage.book.deals)
    stage.book.note(Note(90_001, deal, "Ждут счёт", END - timedelta(minutes=1), 7))
    made = connected(stage, f"sqlite:///{tmp_path / 'due.db'}")
    stage.clock.at = END + timedelta(minutes=6)
    yield made
    made.close()


def row_of(office: Office) -> accounts.AccountRow:
    with office.engine.connect() as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    return row


def test_it_is_due_every_few_minutes_and_one_at_a_time(office: Office, stage: Stage) -> None:
    go_on = threading.Event()
    assert sync.reconcile_due(office, go_on, world.ACCOUNT) > 0  # the overlap is read again
    assert row_of(office).synced_at == office.now()
    assert sync.reconcile_due(office, go_on, world.ACCOUNT) == 0
    stage.clock.at += timedelta(minutes=6)
    with transaction(office.engine) as connection:
        until = office.real_now() + 60
        accounts.change(connection, world.ACCOUNT, sync_until=until)  # another process is at it
    assert sync.reconcile_due(office, go_on, world.ACCOUNT) == 0
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, sync_until=0)
    assert sync.reconcile_due(office, go_on, world.ACCOUNT) > 0


def test_portal_that_is_down_is_told_and_tried_again(office: Office, stage: Stage) -> None:
    stage.server.office.faults.status = 500
    before = row_of(office).synced_at
    assert sync.reconcile_due(office, threading.Event(), world.ACCOUNT) == 0
    assert "500" in str(row_of(office).sync_error) or "answer" in str(row_of(office).sync_error)
    assert row_of(office).synced_at == before
    stage.server.office.faults.status = 0
    office.breaker.answered(world.ACCOUNT)
    assert sync.reconcile_due(office, threading.Event(), world.ACCOUNT) > 0
    assert row_of(office).sync_error is None


def test_it_ends_after_its_page_when_the_service_stops(office: Office) -> None:
    stop = threading.Event()
    stop.set()
    before = row_of(office).synced_at
    sync.reconcile_due(office, stop, world.ACCOUNT)
    assert row_of(office).synced_at == before
    stop.clear()
    assert sync.reconcile_due(office, stop, world.ACCOUNT) > 0
