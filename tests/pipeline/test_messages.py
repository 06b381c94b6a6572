"""A client's message waits on all his open deals until one of ours answers, in any order."""

from dataclasses import replace
from random import Random

from sqlalchemy import select

from service.domain.facts import Fact, Kind, Rank
from service.pipeline import verify
from service.store.engine import reading
from service.store.tables import Contribution, Violation
from tests import world

V = Violation.__table__  # type: ignore[attr-defined]
C = Contribution.__table__  # type: ignore[attr-defined]


def message(key: str, at: str, direction: str, author: str | None = None) -> Fact:
    body = {"deal": None, "contact": "5", "direction": direction, "created_at": world.moment(at)}
    return Fact(Kind.MESSAGE, key, world.moment(at), body | ({"author": author} if author else {}))


def test_answer_of_which_nobody_says_whose_it_is_counts_until_a_bot_is_named(
    sqlite_url: str,
) -> None:
    office = world.make_office(sqlite_url, "2026-03-03 18:00")
    world.connect_account(office)
    sent = message("m2", "2026-03-03 11:30", "out")
    waits = select(V.c.breach_at).where(V.c.rule == "deal-client-waits")
    first = world.new_deal("1", "2026-03-02 10:00", contacts=["5"])
    world.tell(office, [first, message("m1", "2026-03-03 11:00", "in"), sent])
    with reading(office.engine) as connection:
        assert connection.execute(waits).scalars().all() == []
    named = replace(sent, body={**sent.body, "author": "0"}, rank=Rank.HISTORY)
    world.tell(office, [named])
    with reading(office.engine) as connection:
        assert connection.execute(waits).scalars().all() == [world.moment("2026-03-03 12:00")]
    office.close()


def test_messages_of_the_person_reach_his_deals_in_any_order(database_url: str) -> None:
    office = world.make_office(database_url, "2026-03-03 18:00")
    world.connect_account(office)
    facts = [
        world.new_deal("1", "2026-03-02 10:00", contacts=["5"]),
        world.new_deal("2", "2026-03-02 10:00", contacts=["5"]),
        message("m1", "2026-03-03 11:00", "in"),
        message("m2", "2026-03-03 11:01", "out", "0"),
        message("m3", "2026-03-03 11:30", "in"),
        message("m4", "2026-03-03 13:00", "out"),  # the hook; who wrote it is told by an event
        replace(message("m4", "2026-03-03 13:00", "out", "9"), rank=Rank.HISTORY),
    ]
    Random(3).shuffle(facts)
    for fact in facts:
        world.tell(office, [fact])
        assert verify.verify(office, world.ACCOUNT) == []
    with reading(office.engine) as connection:
        query = select(V.c.deal, V.c.since, V.c.breach_at, V.c.resolved_at).where(
            V.c.rule == "deal-client-waits"
        )
        counted = connection.execute(
            select(C.c.metric, C.c.subject_id, C.c.seller).where(C.c.metric.like("messages%"))
        ).all()
        found = sorted(tuple(row) for row in connection.execute(query))
    assert sorted(map(tuple, counted)) == [
        ("messages_in", "m1", ""), ("messages_in", "m3", ""), ("messages_out", "m4", "9"),
    ]  # fmt: skip
    instants = [world.moment(f"2026-03-03 {at}") for at in ("11:00", "12:00", "13:00")]
    assert found == [("1", *instants), ("2", *instants)]
    office.close()
