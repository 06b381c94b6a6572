"""Nothing is told before history has been read, nor while news that could disprove it waits."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from service import connect
from service.pipeline import fetch, tick
from service.pipeline.office import Office
from service.portal.book import Call, Deal, Task
from service.portal.truth import open_at
from service.store import accounts, inbox
from service.store import facts as fact_store
from service.store.engine import transaction
from service.store.records import Alert
from service.store.tables import Announcement
from tests import world
from tests.crm.kit import END
from tests.pipeline.test_inquiries import Letters, deliver, put
from tests.pipeline.test_reconcile import Crm, Stage, added, opened, settle, subscribe

SAID = Announcement.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
HEAD = {"alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}, "quiet": None}}
MINUTE = timedelta(minutes=1)
BEGIN = END + timedelta(hours=4)  # 13:00 in Moscow
OLD, NEW, FILLED = 9001, 9002, 9003


@pytest.fixture(params=["amocrm", "bitrix24"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    crm: Crm = request.param
    with opened(crm, deals=2) as made:
        made.clock.at = BEGIN
        begin_deal(made, OLD, BEGIN - 50 * MINUTE)
        made.book.set_task(task(8001, OLD, BEGIN - 49 * MINUTE))
        made.book.call(call(8002, OLD, BEGIN - 48 * MINUTE), BEGIN - 48 * MINUTE)
        yield made


@pytest.fixture
def office(stage: Stage, sqlite_url: str) -> Iterator[Office]:
    made = added(stage, sqlite_url, BEGIN, HEAD)
    fetch.read_directory(made, world.ACCOUNT)
    subscribe(stage)
    yield made
    made.close()


def begin_deal(stage: Stage, number: int, at: datetime) -> None:
    pipeline = next(iter(stage.book.pipelines.values()))
    first = next(s.id for s in pipeline.stages if s.kind == "open")
    stage.book.create_deal(Deal(number, "Окна", pipeline.id, first, 0, 7, at, 7, at, 7, at))


def task(number: int, deal: int, at: datetime) -> Task:
    return Task(number, "Перезвонить по КП", 1, deal, 7, at, 7, at, 7, END + timedelta(days=3))


def call(number: int, deal: int, at: datetime) -> Call:
    return Call(number, deal, None, "out", True, 20, at, 7, f"pbx.{number}", "+79990000000")


def told(office: Office) -> set[tuple[str, str]]:
    """Rule and subject of what was told to have opened, each by itself."""
    query = select(ALERT.c.violations).where(ALERT.c.kind == "opened")
    with office.engine.connect() as connection:
        single = {key for row in connection.execute(query).scalars() for key in row}
        said = connection.execute(select(SAID)).mappings()
        return {(r["rule"], r["subject_id"]) for r in said if r["violation_id"] in single}


def true_at(stage: Stage, at: datetime) -> set[tuple[str, str]]:
    """What the portal's own books say is open, of what began after the connection."""
    return {(v[0], v[2]) for v in open_at(stage.book, at) if v[3] >= BEGIN}


def test_before_the_first_backfill_has_ended_nothing_is_told(stage: Stage, office: Office) -> None:
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    ids = inbox.Ids()
    stage.clock.at = BEGIN + MINUTE
    begin_deal(stage, NEW, stage.clock.at)
    stage.book.edit_deal(OLD, stage.clock.at, 7, amount=5000)  # heard of without task and call
    deliver(office, ids, letters.bodies)
    stage.clock.at = BEGIN + 70 * MINUTE
    assert tick.tick(office) == 0
    for _ in connect.backfill(office, world.ACCOUNT, None):
        assert tick.tick(office) == 0
    settle(office)
    assert tick.tick(office) > 0
    kept = {"deal-no-task", "deal-no-first-touch"}
    said = {(rule, subject) for rule, subject in told(office) if rule in kept}
    assert said == {(rule, str(NEW)) for rule in kept}
    assert said <= true_at(stage, stage.clock.at)


@pytest.mark.parametrize("stage", ["amocrm"], indirect=True)
def test_who_reads_no_history_hears_after_a_day_what_hooks_told(
    stage: Stage, office: Office
) -> None:
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    stage.clock.at = BEGIN + MINUTE
    begin_deal(stage, NEW, stage.clock.at)
    deliver(office, inbox.Ids(), letters.bodies)
    stage.clock.at = BEGIN + timedelta(hours=23, minutes=30)
    assert tick.tick(office) == 0
    stage.clock.at = BEGIN + timedelta(hours=24, minutes=1)
    assert tick.tick(office) > 0
    assert ("deal-no-task", str(NEW)) in told(office)


def test_breach_waits_for_what_was_touched_before_it_and_for_nothing_else(
    stage: Stage, office: Office
) -> None:
    for _ in connect.backfill(office, world.ACCOUNT, None):
        pass
    settle(office)
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    ids = inbox.Ids()
    stage.clock.at = BEGIN + MINUTE
    for number in (NEW, FILLED):
        begin_deal(stage, number, stage.clock.at)
    deliver(office, ids, letters.bodies)
    stage.clock.at = BEGIN + 11 * MINUTE
    with transaction(office.engine) as connection:  # another process reads the news of a deal
        touched = [("deal", str(FILLED))]
        fact_store.touch(connection, world.ACCOUNT, touched, office.now())
        later = office.now() + 3600
        fact_store.take(connection, world.ACCOUNT, [("deal", str(FILLED), 1, 0)], later)
    stage.clock.at = BEGIN + 70 * MINUTE
    tick.tick(office)
    waits = {("deal-no-task", str(NEW)), ("deal-no-task", str(FILLED))}
    assert told(office) & waits == set()
    stage.book.set_task(task(8003, FILLED, BEGIN + 12 * MINUTE))
    with transaction(office.engine) as connection:
        fact_store.touch(connection, world.ACCOUNT, touched, office.now())  # after the breaches
        fact_store.take(connection, world.ACCOUNT, [("deal", str(FILLED), 2, 0)], 0)
        task_id = "8003" if stage.crm == "amocrm" else "t8003"
        since = int((BEGIN + 12 * MINUTE).timestamp())
        fact_store.touch(connection, world.ACCOUNT, [("task", task_id)], since)
    stage.clock.at += MINUTE
    tick.tick(office)
    assert told(office) & waits == {("deal-no-task", str(NEW))}


@pytest.mark.parametrize("stage", ["bitrix24"], indirect=True)
def test_breach_waits_for_the_news_of_a_hook_that_came_before_it_and_lay_in_the_inbox(
    stage: Stage, office: Office
) -> None:
    for _ in connect.backfill(office, world.ACCOUNT, None):
        pass
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    ids = inbox.Ids()
    stage.clock.at = BEGIN + MINUTE
    begin_deal(stage, NEW, stage.clock.at)
    deliver(office, ids, letters.bodies)
    stage.clock.at = BEGIN + 20 * MINUTE
    letters.bodies.clear()
    stage.book.set_task(task(8004, NEW, stage.clock.at))
    put(office, ids, letters.bodies)
    for minutes in (70, 71, 72):
        stage.clock.at = BEGIN + minutes * MINUTE
        tick.tick(office)
    assert ("deal-no-first-touch", str(NEW)) in told(office)
    assert ("deal-no-task", str(NEW)) not in told(office)


@pytest.mark.parametrize("stage", ["amocrm"], indirect=True)
def test_portal_that_does_not_answer_is_not_waited_for(stage: Stage, office: Office) -> None:
    for _ in connect.backfill(office, world.ACCOUNT, None):
        pass
    letters = Letters(stage, [])
    stage.book.listeners.append(letters)
    stage.clock.at = BEGIN + MINUTE
    begin_deal(stage, NEW, stage.clock.at)
    deliver(office, inbox.Ids(), letters.bodies)
    stage.server.office.faults.status = 500
    with transaction(office.engine) as connection:
        fact_store.touch(connection, world.ACCOUNT, [("deal", str(NEW))], office.now())
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)
    stage.clock.at = BEGIN + 70 * MINUTE
    assert tick.tick(office) > 0
    assert ("deal-no-task", str(NEW)) in told(office)
