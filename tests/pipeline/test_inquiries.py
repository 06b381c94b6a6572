"""An inquiry and the deal that it becomes are one, however the news of it come."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import permutations, product

import pytest
from sqlalchemy import select

from service.pipeline import verify
from service.pipeline.office import Office
from service.pipeline.sync import reconcile
from service.portal.book import Change, Deal, Inquiry
from service.store import inbox
from service.store.engine import transaction
from service.store.tables import Contribution
from tests import world
from tests.crm.kit import END
from tests.pipeline.test_reconcile import Stage, connected, opened, settle, subscribe

CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
CAME, ACCEPTED, EDITED = range(3)
LACKING = ("", "updated_at", "lead_id")  # the vendor's own sample of acceptance has no instant
FORM = "application/x-www-form-urlencoded"


@dataclass
class Letters:
    """Writes down the hooks that the portal sends, in place of sending them."""

    stage: Stage
    bodies: list[bytes]

    def of(self, act: Callable[[], object]) -> bytes:
        """The only hook of what somebody does."""
        self.bodies.clear()
        act()
        (body,) = self.bodies
        return body

    def __call__(self, change: Change) -> None:
        self.bodies += [delivery.body for delivery in self.stage.server.dialect.deliveries(change)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened("amocrm", deals=2) as made:
        yield made


@pytest.fixture
def office(stage: Stage, sqlite_url: str) -> Iterator[Office]:
    made = connected(stage, sqlite_url)
    subscribe(stage)
    yield made
    made.close()


def inquire(stage: Stage, letters: Letters, number: int) -> bytes:
    """An inquiry comes; its hook."""
    uid, at = f"{number:040x}", stage.clock.at
    inquiry = Inquiry(uid, number, "forms", "Сайт", "31", at, at, f"Заявка {number}")
    return letters.of(lambda: stage.book.inquire(inquiry))


def accept(stage: Stage, letters: Letters, number: int) -> bytes:
    """The inquiry becomes a deal; its hook."""
    uid, at = f"{number:040x}", stage.clock.at
    deal = Deal(number, "Окна", "31", "3110", 0, 7, at, 7, at, 7, at, inquiry_uid=uid)
    return letters.of(lambda: stage.book.accept_inquiry(uid, deal, at, 7))


def put(office: Office, ids: inbox.Ids, bodies: list[bytes]) -> None:
    """Hooks come, and nobody has worked on them yet."""
    with transaction(office.engine) as connection:
        for body in bodies:
            row = ids.next(office.clock.timestamp())
            inbox.put(connection, world.ACCOUNT, row, office.now(), FORM, body)


def deliver(office: Office, ids: inbox.Ids, bodies: list[bytes]) -> None:
    put(office, ids, bodies)
    settle(office)


def counted(office: Office, metric: str = "inquiries") -> list[tuple[str, str, str, int]]:
    """What of this life adds to a figure."""
    c = CONTRIBUTION.c
    query = (
        select(c.subject_kind, c.subject_id, c.seller, c.value)
        .where(c.account_id == world.ACCOUNT, c.metric == metric, c.at >= END.timestamp())
        .order_by(c.subject_id, c.at)
    )
    with office.engine.connect() as connection:
        return [(kind, key, who, value) for kind, key, who, value in connection.execute(query)]


def without(body: bytes, field: str) -> bytes:
    """The hook as a portal sends it that does not tell a field."""
    found, count = re.subn(rf"&unsorted(%5B\w+%5D)+%5B{field}%5D=\d+".encode(), b"", body)
    assert count == 1
    return found


def test_it_counts_once_in_every_order_of_hooks_and_reconciliations(
    stage: Stage, office: Office
) -> None:
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    ways = dict(enumerate(product(permutations((CAME, ACCEPTED, EDITED)), LACKING), 8001))
    told: dict[int, list[bytes]] = {}
    for number, (_, lacking) in ways.items():
        came = inquire(stage, letters, number)
        told[number] = [without(came, "lead_id") if lacking == "lead_id" else came]
    stage.clock.at += timedelta(minutes=20)
    for number, (_, lacking) in ways.items():
        body = accept(stage, letters, number)
        told[number].append(without(body, "updated_at") if lacking == "updated_at" else body)
    stage.clock.at += timedelta(minutes=10)
    for number in ways:
        edit = partial(stage.book.edit_deal, number, stage.clock.at, 7, amount=5000)
        told[number].append(letters.of(edit))
    ids = inbox.Ids()
    named = {str(number) for number, (_, lacking) in ways.items() if lacking != "lead_id"}
    found: list[tuple[str, str, str, int]] = []
    for step in range(3):
        stage.clock.at += timedelta(minutes=6)
        deliver(office, ids, [told[number][order[step]] for number, (order, _) in ways.items()])
        list(reconcile(office, world.ACCOUNT))
        settle(office)
        found = counted(office)
        assert {row for row in found if row[1] in named} == {("deal", n, "7", 1) for n in named}
    assert found == [("deal", str(number), "7", 1) for number in ways]
    assert verify.verify(office, world.ACCOUNT) == []


def test_one_that_was_refused_unheard_waits_no_longer_and_a_late_hook_says_how(
    stage: Stage, office: Office
) -> None:
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    came = [inquire(stage, letters, number) for number in (8001, 8002)]
    ids = inbox.Ids()
    deliver(office, ids, came)
    stage.clock.at += timedelta(minutes=20)
    refused = letters.of(lambda: stage.book.decline_inquiry(f"{8001:040x}", stage.clock.at, 9))
    stage.clock.at += timedelta(minutes=10)
    list(reconcile(office, world.ACCOUNT))
    settle(office)
    uid, other = f"{8001:040x}", f"{8002:040x}"
    waits = [("lead", uid, "", 1), ("lead", uid, "", -1), ("lead", other, "", 1)]
    assert counted(office, "inquiries_unprocessed") == waits
    assert counted(office, "inquiries_declined") == []
    deliver(office, ids, [refused])
    assert counted(office, "inquiries_unprocessed") == waits
    assert counted(office, "inquiries_declined") == [("lead", uid, "9", 1)]
    assert counted(office) == [("lead", uid, "", 1), ("lead", other, "", 1)]
    assert verify.verify(office, world.ACCOUNT) == []
