"""Bulk changes: one message, a mark that the order of arrival does not touch."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from sqlalchemy import delete, select

from service.domain.facts import Fact
from service.domain.named import parse_document
from service.pipeline import tick, verify
from service.pipeline.office import Office
from service.store import accounts, bulks
from service.store.engine import reading, transaction
from service.store.records import Alert, BulkChange, DealEdit
from service.store.tables import Violation
from tests import world

V = Violation.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
BULK = BulkChange.__table__  # type: ignore[attr-defined]
EDIT = DealEdit.__table__  # type: ignore[attr-defined]
DOCUMENT = {
    "alerts": {"receivers": {"head": {"telegram": 1, "rules": ["card-incomplete"]}}, "quiet": None},
    "bulk": {"deals": 5, "minutes": 10},
}


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-03-03 10:00")
    world.connect_account(made, document=DOCUMENT)
    yield made
    made.close()


def department() -> list[Fact]:
    """Nine deals with a plan and a note each."""
    facts = []
    for number in range(1, 10):
        facts.append(world.new_deal(str(number), f"2026-03-02 1{number % 6}:0{number}",
                                    created_by="9", author="9"))  # fmt: skip
        facts.append(world.new_task(f"t{number}", "2026-03-02 16:00", "2026-03-20 12:00",
                                    str(number)))  # fmt: skip
    return facts


def moved(number: int, at: str, author: str = "12") -> Fact:
    """Into the stage that asks for a field."""
    return world.deal(str(number), at, pipeline="31", stage="20", author=author)


def marked(office: Office, rule: str = "card-incomplete") -> set[str]:
    """Deals whose violation of a rule is bulk, as lists ask and as messages ask."""
    with reading(office.engine) as connection:
        query = select(V).where(V.c.rule == rule, bulks.is_bulk())
        found = {row["deal"] for row in connection.execute(query).mappings()}
        rows = [dict(r) for r in connection.execute(select(V).where(V.c.rule == rule)).mappings()]
        by_id = bulks.of_violations(connection, world.ACCOUNT, rows)
    assert {row["deal"] for row in rows if row["id"] in by_id} == found
    return found


def stretches(office: Office) -> list[tuple[Any, ...]]:
    with reading(office.engine) as connection:
        columns = (BULK.c.author, BULK.c.since, BULK.c.until, BULK.c.deals)
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]


def go_to(office: Office, at: str) -> None:
    office.clock = world.Standing(datetime.fromtimestamp(world.moment(at), UTC))


def look(office: Office) -> None:
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)
    tick.tick(office)
    with transaction(office.engine) as connection:
        accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 3600)


def messages(office: Office) -> list[tuple[str, str, str, int]]:
    """(kind, state, first line, how many violations)."""
    with office.engine.connect() as connection:
        columns = (ALERT.c.kind, ALERT.c.state, ALERT.c.text, ALERT.c.violations)
        rows = connection.execute(select(*columns).order_by(ALERT.c.id))
        return [
            (kind, state, text.splitlines()[0], len(ids))
            for kind, state, text, ids in rows
            if "Карточка" in text or "Массовое" in text
        ]


def test_what_one_author_began_in_bulk_is_one_message_and_its_ends_are_none(
    office: Office,
) -> None:
    world.tell(office, department())
    for number in range(1, 8):
        world.tell(office, [moved(number, f"2026-03-03 10:0{number}")])
    world.tell(office, [moved(8, "2026-03-03 10:04", author="9")])
    assert marked(office) == {str(number) for number in range(1, 8)}
    go_to(office, "2026-03-03 11:01")  # the first has breached: it waits for the others
    look(office)
    assert messages(office) == []
    go_to(office, "2026-03-03 11:07")
    look(office)
    told = sorted(messages(office), key=lambda message: message[3])
    assert [(kind, state, count) for kind, state, _, count in told] == [
        ("opened", "pending", 1),
        ("opened", "pending", 7),
    ]
    assert told[1][2] == (
        "🟡 Массовое изменение (Сидоров, 03.03 10:01-10:07, 7 сделок): 7 нарушений"
    )
    world.tell(
        office,
        [world.deal(str(n), "2026-03-03 11:10", fields={"501": "77"}, author="7") for n in (1, 8)],
    )
    go_to(office, "2026-03-03 11:11")
    look(office)
    ended = {(count, state) for kind, state, _, count in messages(office) if kind == "resolved"}
    assert ended == {(1, "pending"), (1, "suppressed")}
    assert verify.verify(office, world.ACCOUNT) == []


def test_more_than_one_batch_of_the_tick_is_still_one_message(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick, "BATCH", 2)
    world.tell(office, department())
    world.tell(office, [moved(number, "2026-03-03 10:00") for number in range(1, 8)])
    go_to(office, "2026-03-03 11:00")
    for _ in range(30):  # older breaches of other rules come first
        look(office)
    assert [count for *_, count in messages(office)] == [7]


def test_the_mark_is_the_same_in_any_order_and_a_robot_is_one_author(office: Office) -> None:
    told = department()
    told += [moved(n, f"2026-03-03 10:{10 + n}", author="0") for n in range(1, 10)]
    told += [world.deal(str(n), f"2026-03-03 12:0{n}", amount=n, author="12") for n in range(1, 6)]
    world.tell(office, told)
    span = (world.moment("2026-03-03 10:11"), world.moment("2026-03-03 10:19"))
    right = ([("0", *span, 9)], {str(number) for number in range(1, 10)})
    assert (stretches(office), marked(office)) == right
    for seed in range(5):
        dice = Random(seed)
        dice.shuffle(told)
        pieces = dice.choice([1, 4, 9])
        with transaction(office.engine) as connection:
            limit = office.config(connection, world.ACCOUNT).document.bulk.limit
            connection.execute(delete(BULK))
            connection.execute(delete(EDIT))
            for start in range(0, len(told), pieces):
                bulks.note(connection, world.ACCOUNT, told[start : start + pieces], limit)
        assert (stretches(office), marked(office)) == right
        assert verify.verify(office, world.ACCOUNT) == []


def test_a_threshold_is_a_setting_and_verify_finds_what_is_wrong(office: Office) -> None:
    world.tell(office, department())
    world.tell(office, [moved(n, f"2026-03-03 10:{10 + n}") for n in range(1, 6)])
    assert marked(office) == set()
    with transaction(office.engine) as connection:
        document = parse_document(DOCUMENT | {"bulk": {"deals": 4, "minutes": 10}})
        accounts.save_settings(connection, world.ACCOUNT, document, "tests", office.now())
    assert {d.what for d in verify.verify(office, world.ACCOUNT)} == {"bulk"}
    verify.rebuild(office, world.ACCOUNT)
    assert marked(office) == {"1", "2", "3", "4", "5"}
    with transaction(office.engine) as connection:
        connection.execute(delete(EDIT).where(EDIT.c.deal == "3"))
    drifts = verify.verify(office, world.ACCOUNT)
    assert {(d.what, d.subject) for d in drifts} >= {("bulk", "deal:3")}
    verify.rebuild(office, world.ACCOUNT)
    assert verify.verify(office, world.ACCOUNT) == []
