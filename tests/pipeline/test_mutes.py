"""Mutes of a scope: the muted time is part of what is derived, whatever comes between."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from service.pipeline import apply, rejudge, tick, verify
from service.pipeline.office import Office
from service.pipeline.upkeep import Upkeep
from service.store import accounts, dirty, due, mutes, remarks
from service.store.engine import reading, transaction
from service.store.records import Alert
from service.store.tables import Contribution, Violation
from tests.world import (
    ACCOUNT,
    Standing,
    connect_account,
    deal,
    make_office,
    moment,
    new_deal,
    new_task,
    task,
    tell,
)

V = Violation.__table__  # type: ignore[attr-defined]
C = Contribution.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
DOCUMENT = {
    "limits": {"overdue_tasks": 1},
    "alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}, "quiet": None},
}


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = make_office(database_url, "2026-03-03 12:00")
    connect_account(made, document=DOCUMENT)
    tell(made, [
        new_deal("1", "2026-03-02 10:00"),
        new_deal("2", "2026-03-02 10:00", responsible="9"),
        new_task("21", "2026-03-02 10:00", "2026-03-03 10:00"),
        new_task("22", "2026-03-02 10:00", "2026-03-03 11:00"),
        new_task("23", "2026-03-02 10:00", "2026-03-04 11:00"),
        new_task("24", "2026-03-02 10:00", "2026-03-03 11:00", "2", responsible="9"),
    ])  # fmt: skip
    yield made
    made.close()


def mute(
    office: Office, scope: dict[str, str], until: str = "2026-03-05 12:00", now: str = ""
) -> str:
    at = moment(now) if now else office.now()
    with transaction(office.engine) as connection:
        return mutes.add(connection, ACCOUNT, scope, moment(until), ("акция", "key_1"), at)


def end(office: Office, mute_id: str, now: str) -> None:
    with transaction(office.engine) as connection:
        row = mutes.mute(connection, [ACCOUNT], mute_id)
        assert row is not None
        mutes.end(connection, row, "key_2", moment(now))


def work(office: Office) -> None:
    """What the worker does, until nothing is left."""
    steps = (rejudge.rejudge, rejudge.derive_marked, rejudge.judge_dirty)
    while sum(step(office, ACCOUNT) for step in steps):
        pass


def drifts(office: Office) -> list[Any]:
    return verify.verify(office, ACCOUNT)


def muted(office: Office) -> dict[str, list[list[int]]]:
    """Task -> muted pieces of its overdue violation."""
    with reading(office.engine) as connection:
        query = select(V.c.subject_id, V.c.muted).where(V.c.rule == "task-overdue")
        return {row.subject_id: row.muted for row in connection.execute(query)}


def level(office: Office, seller: str = "7") -> list[tuple[int, int]]:
    """Steps of a seller's overdue tasks."""
    with reading(office.engine) as connection:
        query = (
            select(C.c.at, C.c.value)
            .where(C.c.metric == "tasks_overdue", C.c.seller == seller)
            .order_by(C.c.at, C.c.value)
        )
        return [(at, value) for at, value in connection.execute(query)]


def over_limit(office: Office) -> list[tuple[int, int | None]]:
    with reading(office.engine) as connection:
        query = (
            select(V.c.breach_at, V.c.resolved_at)
            .where(V.c.rule == "seller-too-many-overdue", V.c.subject_id == "7")
            .order_by(V.c.breach_at)
        )
        return [(begin, over) for begin, over in connection.execute(query)]


def stored(office: Office) -> list[Any]:
    with reading(office.engine) as connection:
        rows = connection.execute(select(V).order_by(V.c.id)).mappings()
        return [{k: v for k, v in row.items() if k != "due_at"} for row in rows]


def test_a_mute_of_rule_and_seller_is_cut_out_of_the_level_and_comes_back(office: Office) -> None:
    assert over_limit(office) == [(moment("2026-03-03 11:00"), None)]
    mute(office, {"rule": "task-overdue", "seller": "7"})
    start, over = moment("2026-03-03 12:00"), moment("2026-03-05 12:00")
    work(office)
    assert muted(office) == {
        "21": [[start, over]], "22": [[start, over]],
        "23": [[moment("2026-03-04 11:00"), over]], "24": [],
    }  # fmt: skip
    assert level(office) == [
        (moment("2026-03-03 10:00"), 1), (moment("2026-03-03 11:00"), 1),
        (start, -1), (start, -1), (over, 1), (over, 1), (over, 1),
    ]  # fmt: skip
    assert level(office, "9") == [(moment("2026-03-03 11:00"), 1)]
    assert over_limit(office) == [(moment("2026-03-03 11:00"), start), (over, None)]
    assert drifts(office) == []


def test_ended_early_it_is_muted_up_to_then_and_a_rebuild_is_the_same(office: Office) -> None:
    mute_id = mute(office, {"seller": "7"})
    work(office)
    end(office, mute_id, "2026-03-04 12:00")
    assert drifts(office) != []
    work(office)
    assert drifts(office) == []
    assert muted(office)["21"] == [[moment("2026-03-03 12:00"), moment("2026-03-04 12:00")]]
    assert over_limit(office)[-1] == (moment("2026-03-04 12:00"), None)
    before = stored(office)
    verify.rebuild(office, ACCOUNT)
    assert stored(office) == before
    assert drifts(office) == []


def test_a_mute_of_the_violation_itself_counts_too_and_joins_with_a_wider_one(
    office: Office,
) -> None:
    with transaction(office.engine) as connection:
        row = (
            connection.execute(select(V).where(V.c.rule == "task-overdue", V.c.subject_id == "21"))
            .mappings()
            .one()
        )
        author = remarks.Author("key_1")
        until = moment("2026-03-04 12:00")
        remarks.mute(connection, dict(row), author, until, "клиент в отпуске", office.now())
    mute(office, {"deal": "1"}, now="2026-03-03 15:00")
    work(office)
    wide = [moment("2026-03-03 15:00"), moment("2026-03-05 12:00")]
    assert muted(office)["21"] == [[moment("2026-03-03 12:00"), moment("2026-03-05 12:00")]]
    assert muted(office)["22"] == [wide]
    assert drifts(office) == []
    with transaction(office.engine) as connection:
        remarks.unmute(connection, dict(row), author, moment("2026-03-03 14:00"))
    work(office)
    assert muted(office)["21"] == [[moment("2026-03-03 12:00"), moment("2026-03-03 14:00")], wide]
    assert drifts(office) == []


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"pipeline": "31"}, {"21", "22", "23", "24"}),
        ({"pipeline": "31", "stage": "20"}, set()),
        ({"stage": "10", "seller": "9"}, {"24"}),
        ({"rule": "deal-no-task"}, set()),
        ({"deal": "2"}, {"24"}),
        ({"seller": "12"}, set()),
    ],
)
def test_all_that_is_given_must_be_equal(
    office: Office, scope: dict[str, str], expected: set[str]
) -> None:
    mute(office, scope)
    work(office)
    assert {name for name, pieces in muted(office).items() if pieces} == expected
    assert drifts(office) == []


def test_facts_that_come_later_are_muted_as_well_and_move_the_level_with_the_task(
    office: Office,
) -> None:
    mute(office, {"rule": "task-overdue", "seller": "7"}, "2026-03-04 12:00")
    work(office)
    tell(office, [
        task("21", "2026-03-03 18:00", responsible="9", author="7"),
        task("22", "2026-03-04 10:00", is_open=False),
        new_task("25", "2026-03-03 13:00", "2026-03-03 14:00"),
    ])  # fmt: skip
    work(office)
    over = moment("2026-03-04 12:00")
    assert muted(office)["22"] == [[moment("2026-03-03 12:00"), moment("2026-03-04 10:00")]]
    assert muted(office)["25"] == [[moment("2026-03-03 14:00"), over]]
    assert level(office, "9") == [(moment("2026-03-03 11:00"), 1), (over, 1)]
    assert sum(value for at, value in level(office) if at <= over) == 2  # 23 and 25
    assert drifts(office) == []
    tell(office, [deal("1", "2026-03-03 17:00", stage="143", loss_reason="1", author="7")])
    work(office)
    assert drifts(office) == []


def test_a_mute_said_while_a_batch_is_being_derived_is_not_lost(office: Office) -> None:
    with transaction(office.engine) as connection:
        row = accounts.account(connection, ACCOUNT)
        assert row is not None
        windows = office.windows(connection, row)
        late = new_task("30", "2026-03-02 10:00", "2026-03-03 10:30")
        made = apply.plan(connection, ACCOUNT, [late], windows)
    mute(office, {"rule": "task-overdue"})
    with transaction(office.engine) as connection:
        apply.commit(connection, made, windows, judge_levels=True)
    assert muted(office)["30"] == []
    work(office)
    assert muted(office)["30"] == [[office.now(), moment("2026-03-05 12:00")]]
    assert drifts(office) == []


def test_a_mark_made_while_its_timeline_is_derived_stays(office: Office) -> None:
    with transaction(office.engine) as connection:
        dirty.mark(connection, ACCOUNT, ["deal:1"])
        seen = dirty.marked(connection, ACCOUNT)
        dirty.mark(connection, ACCOUNT, ["deal:1"])
        dirty.unmark(connection, ACCOUNT, seen)
        assert list(dirty.marked(connection, ACCOUNT)) == ["deal:1"]
        dirty.unmark(connection, ACCOUNT, dirty.marked(connection, ACCOUNT))
        assert dirty.marked(connection, ACCOUNT) == {}


def test_the_worker_is_called_and_the_patrol_waits_for_it(office: Office) -> None:
    with reading(office.engine) as connection:
        assert due.waiting(connection, office.real_now(), office.worker) == []
    mute(office, {"deal": "1"})
    with reading(office.engine) as connection:
        assert due.waiting(connection, office.real_now(), office.worker) == [ACCOUNT]
    assert verify.sample(office, ACCOUNT, None, 100)[1] == {}
    work(office)
    assert verify.sample(office, ACCOUNT, None, 100)[1] == {}
    Upkeep(office).patrol()
    with reading(office.engine) as connection:
        row = accounts.account(connection, ACCOUNT)
    assert row is not None
    assert row.drift == 0


def test_what_is_muted_alerts_nobody_neither_task_nor_seller(office: Office) -> None:
    mute(office, {"seller": "7"})
    work(office)
    with transaction(office.engine) as connection:
        accounts.change(connection, ACCOUNT, claimed_by="", claimed_until=0)
    office.clock = Standing(office.clock.now())
    tick.tick(office)
    with reading(office.engine) as connection:
        query = select(ALERT.c.state, ALERT.c.reason, ALERT.c.violations)
        found = connection.execute(query).all()
        of_seven = set(connection.execute(select(V.c.id).where(V.c.seller == "7")).scalars())
    assert any(state == "pending" for state, _, _ in found)  # of seller 9
    told = {one for state, _, ids in found if state == "pending" for one in ids}
    assert told.isdisjoint(of_seven)
    quiet = {one for state, reason, ids in found if reason == "muted" for one in ids}
    assert len(quiet & of_seven) >= 3  # two tasks and the level
