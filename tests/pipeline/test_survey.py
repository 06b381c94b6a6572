"""The nightly survey: a deletion whose hook was lost is found by comparing ids."""

import json
from datetime import datetime, timedelta

import httpx
import pytest

from service.pipeline import fetch, survey
from service.pipeline.sync import reconcile
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer
from service.store import accounts
from service.store.engine import reading, transaction
from service.store.tables import Deal, Task
from tests import world
from tests.crm.kit import END, SECRETS, START
from tests.pipeline.test_reconcile import Hand

DEAL = Deal.__table__  # type: ignore[attr-defined]
TASK = Task.__table__  # type: ignore[attr-defined]


@pytest.mark.parametrize("deals", [12, 140])  # less than a page; more than a batch of one
def test_lost_deletion_is_found_at_night(sqlite_url: str, deals: int) -> None:
    office = world.make_office(sqlite_url)
    clock = Hand(END)
    office.clock = clock
    book = Book()
    department.populate(book, kind="bitrix24", seed=2, deals=deals, start=START, end=END)
    portal = PortalServer("bitrix24", book, clock, token="1/s3cret", limits=False).start()
    world.connect_account(office)
    with transaction(office.engine) as connection:
        accounts.change(
            connection, world.ACCOUNT, crm="bitrix24", base_url=portal.base_url,
            secrets=office.box.seal(json.dumps(SECRETS["bitrix24"])), claimed_by="",
            claimed_until=0, backfill_state="done", connected_at=office.now(),
        )  # fmt: skip
    list(reconcile(office, world.ACCOUNT))
    with portal.lock:
        alive = [d.id for d in book.deals.values() if d.deleted_at is None]
        gone = alive[-1]
        task = next(t.id for t in book.tasks.values() if t.deleted_at is None and t.deal_id != gone)
        book.delete_deal(gone, END, 1)
        book.delete_task(task, END, 1)
    assert len(held(office.engine)[0]) == len(alive)
    assert survey.survey_due(office, world.ACCOUNT) == 0  # not yet
    clock.at = next_night(clock.at)
    before = len(httpx.get(f"{portal.base_url}/_control/requests").json())
    missing = survey.survey_due(office, world.ACCOUNT)
    asked = len(httpx.get(f"{portal.base_url}/_control/requests").json()) - before
    assert asked <= 9  # up to fifty pages a request
    assert missing == 2
    assert survey.survey_due(office, world.ACCOUNT) == 0  # once a night
    assert fetch.fetch(office, world.ACCOUNT) == missing
    kept, tasks = held(office.engine)
    assert str(gone) not in kept
    assert len(kept) == len(alive) - 1
    assert f"t{task}" not in tasks
    portal.stop()
    office.close()


def held(engine: object) -> tuple[set[str], set[str]]:
    with reading(engine) as connection:  # type: ignore[arg-type]
        rows = connection.execute(DEAL.select().where(~DEAL.c.deleted)).mappings()
        deals = {row["id"] for row in rows}
        tasks = {row["id"] for row in connection.execute(TASK.select()).mappings()}
    return deals, tasks


def next_night(at: datetime) -> datetime:
    return (at + timedelta(days=1)).astimezone(world.MOSCOW).replace(hour=3)
