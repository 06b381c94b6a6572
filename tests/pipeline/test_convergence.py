"""Any shuffle with duplicates of one stream ends in byte-equal facts, violations, contributions."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from service.domain.facts import Fact, Kind, Rank
from service.pipeline import verify
from service.pipeline.office import Office
from tests import world

DERIVED = (
    "fact",
    "violation",
    "contribution",
    "deal",
    "task",
    "rollup_day",
    "rollup_month",
    "rollup_year",
    "rollup_total",
    "deal_contact",
    "contact_key",
)


Snapshot = dict[str, list[tuple[Any, ...]]]


def snapshot(engine: Engine) -> Snapshot:
    """All rows of what is stored and derived, in the order of their keys."""
    found = {}
    with engine.connect() as connection:
        for name in DERIVED:
            table = SQLModel.metadata.tables[name]
            columns = [
                c
                for c in table.columns
                if c.name != "revision" and (c.name != "due_at" or name == "task")
            ]
            query = select(*columns).order_by(*table.primary_key.columns)
            found[name] = [tuple(map(str, row)) for row in connection.execute(query)]
    return found


def department() -> list[Fact]:
    """Two weeks of three deals, a client of two, hand-overs, a reopening, late news."""
    d, t = world.deal, world.task
    return [
        world.new_deal("1", "2026-03-02 10:00", contacts=["70"]),
        world.new_deal("2", "2026-03-02 11:00", responsible="9", contacts=["71"]),
        world.new_deal("3", "2026-03-03 12:00", contacts=["70"], created_by="7"),
        Fact(Kind.CONTACT, "70", world.moment("2026-03-02 10:00"), {"has_phone": True}),
        Fact(
            Kind.CALL,
            "c5",
            world.moment("2026-03-02 10:06"),
            {
                "deal": None,
                "contact": "70",
                "direction": "in",
                "answered": True,
                "seconds": 300,
                "started_at": world.moment("2026-03-02 10:01"),
                "author": "7",
            },
        ),
        world.new_task("11", "2026-03-02 10:30", "2026-03-03 12:00"),
        t("11", "2026-03-03 15:00", due="2026-03-04 12:00", author="7"),
        t("11", "2026-03-05 10:00", is_open=False, result="клиент просит КП на окна", author="7"),
        world.new_task("12", "2026-03-03 10:30", "2026-03-04 12:00", "2", responsible="9"),
        t("12", "2026-03-04 17:00", "3", responsible="7"),
        d("1", "2026-03-03 12:00", stage="20", pipeline="31", author="7"),
        d("1", "2026-03-03 12:04", stage="30", pipeline="31", author="7"),
        d("1", "2026-03-03 12:08", stage="20", pipeline="31", author="7"),
        d("1", "2026-03-04 12:00", amount=12_000_000, fields={"501": "77"}),
        d("1", "2026-03-05 12:00", stage="142", pipeline="31", author="7"),
        d("1", "2026-03-06 12:00", responsible="9"),
        d("1", "2026-03-10 12:00", stage="30", pipeline="31", author="9"),
        d("1", "2026-03-11 12:00", stage="142", pipeline="31", author="9"),
        d("1", "2026-03-12 12:00", amount=15_000_000),
        d("2", "2026-03-04 12:00", stage="143", pipeline="31", author="9"),
        Fact(
            Kind.DEAL, "2", world.moment("2026-03-04 12:00"), {"loss_reason": None}, Rank.FETCHED, 1
        ),
        d("2", "2026-03-05 12:00", loss_reason="2"),
        d("2", "2026-03-06 12:00", loss_reason="1"),
        d("3", "2026-03-05 12:00", responsible="9"),
        d("3", "2026-03-09 12:00", deleted=True),
        world.call("c6", "2026-03-04 11:00", 120, "1"),
        world.note("n1", "2026-03-04 15:00", "договорились о замере", "1"),
        world.call("c7", "2026-03-04 11:00", 50, "2", author="9", direction="in"),
        Fact(
            Kind.LEAD,
            "u1",
            world.moment("2026-03-04 09:00"),
            {
                "state": "new",
                "created_at": world.moment("2026-03-04 09:00"),
                "pipeline": "31",
            },
        ),
        Fact(Kind.LEAD, "u1", world.moment("2026-03-04 09:30"), {"state": "accepted", "deal": "4"}),
        Fact(
            Kind.DEAL,
            "4",
            world.moment("2026-03-04 09:30"),
            {
                "inquiry": "u1",
                "accepted_at": world.moment("2026-03-04 09:30"),
            },
        ),
        world.new_deal("4", "2026-03-04 09:30", responsible="12"),
    ]


SETTINGS = {"limits": {"open_deals": 1}}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Callable[[], Office]:
    """Makes an office on a new empty database with the account in it."""
    count = iter(range(10_000))
    folder = tmp_path_factory.mktemp("fresh")

    def make() -> Office:
        path = folder / f"{next(count)}.db"
        shutil.copy(sqlite_template, path)
        office = world.make_office(f"sqlite:///{path}")
        world.connect_account(office, document=SETTINGS)
        return office

    return make


@pytest.fixture(scope="module")
def in_order(fresh: Callable[[], Office]) -> Snapshot:
    """What is stored when the facts come one by one as they happened."""
    office = fresh()
    for fact in sorted(department(), key=lambda f: f.at):
        world.tell(office, [fact])
    found = snapshot(office.engine)
    office.close()
    return found


def test_all_at_once_equals_one_by_one(fresh: Callable[[], Office], in_order: Snapshot) -> None:
    office = fresh()
    world.tell(office, department())
    assert snapshot(office.engine) == in_order
    assert len(in_order["violation"]) > 5
    assert len(in_order["contribution"]) > 30
    office.close()


@settings(max_examples=25)
@given(data=st.data())
def test_shuffled_and_repeated_facts_end_equal(
    fresh: Callable[[], Office], in_order: Snapshot, data: Any
) -> None:
    facts = department()
    order = data.draw(st.permutations(facts))
    repeated = data.draw(st.lists(st.sampled_from(facts), max_size=8))
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=60, max_size=60))
    stream = [*order, *repeated]
    office = fresh()
    while stream:
        size = sizes.pop() if sizes else 5
        world.tell(office, stream[:size])
        stream = stream[size:]
    assert snapshot(office.engine) == in_order
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()


def test_incremental_equals_rebuilt(database_url: str) -> None:
    office = world.make_office(database_url)
    world.connect_account(office, document=SETTINGS)
    for fact in department():
        world.tell(office, [fact])
    before = snapshot(office.engine)
    assert verify.verify(office, world.ACCOUNT) == []
    verify.rebuild(office, world.ACCOUNT)
    assert snapshot(office.engine) == before
    office.close()


def test_verify_sees_what_was_tampered_with(database_url: str) -> None:
    office = world.make_office(database_url)
    world.connect_account(office, document=SETTINGS)
    world.tell(office, department())
    with office.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE violation SET breach_at = breach_at + 1")
        connection.exec_driver_sql("UPDATE rollup_day SET value = value + 1 WHERE metric = 'calls'")
        connection.exec_driver_sql("DELETE FROM contribution WHERE metric = 'receipts'")
        connection.commit()
    kinds = {drift.what for drift in verify.verify(office, world.ACCOUNT)}
    assert {"violation", "rollup", "contribution"} <= kinds
    verify.rebuild(office, world.ACCOUNT)
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()
