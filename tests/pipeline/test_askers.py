"""Inquiries of one client without a person in the CRM: counted once, told of once."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select

from service.domain.facts import Fact, Kind
from service.pipeline import verify
from service.pipeline.office import Office
from service.store.engine import transaction
from service.store.records import LeadKey
from service.store.tables import Contribution, Violation
from tests import world

CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
VIOLATION = Violation.__table__  # type: ignore[attr-defined]
KEY = LeadKey.__table__  # type: ignore[attr-defined]


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url)
    world.connect_account(made)
    yield made
    assert verify.verify(made, world.ACCOUNT) == []
    made.close()


def lead(key: str, at: str, *keys: str, **body: Any) -> Fact:
    first = {"state": "new", "created_at": world.moment(at), "pipeline": "31", "keys": list(keys)}
    return Fact(Kind.LEAD, key, world.moment(at), first | body)


def accepted(key: str, at: str, deal: str, contact: str = "70") -> list[Fact]:
    born = {"inquiry": key, "accepted_at": world.moment(at), "contacts": [contact]}
    return [
        Fact(Kind.LEAD, key, world.moment(at), {"state": "accepted", "deal": deal}),
        world.new_deal(deal, at, **born),
    ]


def inquiries(office: Office) -> set[str]:
    query = select(CONTRIBUTION.c.subject_kind, CONTRIBUTION.c.subject_id).where(
        CONTRIBUTION.c.account_id == world.ACCOUNT, CONTRIBUTION.c.metric == "inquiries"
    )
    with office.engine.connect() as connection:
        return {f"{kind}:{key}" for kind, key in connection.execute(query)}


def waiting(office: Office) -> dict[str, tuple[int, int | None]]:
    """When rule lead-not-processed speaks of each inquiry."""
    query = select(VIOLATION.c.subject_id, VIOLATION.c.breach_at, VIOLATION.c.resolved_at).where(
        VIOLATION.c.account_id == world.ACCOUNT, VIOLATION.c.rule == "lead-not-processed"
    )
    with office.engine.connect() as connection:
        return {key: (breach, end) for key, breach, end in connection.execute(query)}


def test_a_second_form_within_a_day_is_the_same_inquiry(office: Office) -> None:
    told = [
        lead("1", "2026-03-02 12:00", "k"),
        lead("2", "2026-03-03 11:59", "k"),
        lead("3", "2026-03-03 12:00", "z"),
        lead("4", "2026-03-02 13:00", "k", pipeline="32"),
        lead("5", "2026-03-02 14:00"),
        lead("6", "2026-03-05 12:00", "k"),
    ]
    for fact in told[::-1]:  # the older ones are heard of later
        world.tell(office, [fact])
    assert inquiries(office) == {"lead:1", "lead:3", "lead:4", "lead:5", "lead:6"}
    gone = Fact(Kind.LEAD, "1", world.moment("2026-03-06 12:00"), {"deleted": True})
    world.tell(office, [gone])
    assert inquiries(office) == {"lead:2", "lead:3", "lead:4", "lead:5", "lead:6"}


def test_a_key_of_very_many_inquiries_is_nobodys(office: Office) -> None:
    """The number of our own line, a test: twenty within a day are one client, more are none."""
    told = [lead(str(n), f"2026-03-02 {10 + n // 6}:{10 * (n % 6):02d}", "k") for n in range(21)]
    world.tell(office, told[:20])
    assert inquiries(office) == {"lead:0"}
    world.tell(office, told[20:])
    assert len(inquiries(office)) == 21
    world.tell(office, [Fact(Kind.LEAD, "7", world.moment("2026-03-03 12:00"), {"deleted": True})])
    assert inquiries(office) == {"lead:0"}


def test_an_older_inquiry_keeps_its_place_whichever_is_accepted_first(office: Office) -> None:
    world.tell(office, [lead("1", "2026-03-02 12:00", "k"), lead("2", "2026-03-02 13:00", "k")])
    world.tell(office, accepted("2", "2026-03-02 14:00", "20"))
    assert inquiries(office) == {"lead:1"}
    world.tell(office, accepted("1", "2026-03-02 15:00", "10"))
    assert inquiries(office) == {"deal:10"}  # though the other deal is older
    world.tell(office, [world.deal("10", "2026-03-03 12:00", deleted=True)])
    assert inquiries(office) == {"deal:20"}  # a double that was thrown away
    world.tell(office, [world.deal("10", "2026-03-03 13:00", restored=True)])
    assert inquiries(office) == {"deal:10"}


def test_two_inquiries_that_became_one_deal_are_counted_with_it(office: Office) -> None:
    world.tell(office, [lead("1", "2026-03-02 12:00", "k"), lead("2", "2026-03-02 13:00", "k")])
    world.tell(office, accepted("2", "2026-03-02 14:00", "20"))
    merged = {"state": "accepted", "deal": "20"}
    world.tell(office, [Fact(Kind.LEAD, "1", world.moment("2026-03-02 14:00"), merged)])
    assert inquiries(office) == {"deal:20"}


def test_a_client_is_told_of_once_until_his_first_inquiry_is_taken(office: Office) -> None:
    world.tell(office, [
        lead("1", "2026-03-02 12:00", "k"), lead("2", "2026-03-02 12:40", "k"),
        lead("3", "2026-03-02 13:00", "k", "m"), lead("4", "2026-03-02 13:10", "m"),
    ])  # fmt: skip
    # the third came a full hour after the first, and forty minutes after one that waits with it
    assert waiting(office) == {"1": (world.moment("2026-03-02 12:30"), None)}
    taken = {"state": "in_work", "responsible": "7"}
    world.tell(office, [Fact(Kind.LEAD, "1", world.moment("2026-03-02 15:00"), taken)])
    at = world.moment("2026-03-02 15:00")
    assert waiting(office)["2"] == (at, None)
    assert set(waiting(office)) == {"1", "2"}
    world.tell(office, [Fact(Kind.LEAD, "2", world.moment("2026-03-02 16:00"), taken)])
    assert set(waiting(office)) == {"1", "2", "3"}


def test_keys_that_are_not_those_of_the_facts_are_found_and_mended(database_url: str) -> None:
    office = world.make_office(database_url)
    world.connect_account(office)
    world.tell(office, [lead("1", "2026-03-02 12:00", "k"), lead("2", "2026-03-02 13:00", "k")])
    with transaction(office.engine) as connection:
        connection.execute(delete(KEY).where(KEY.c.account_id == world.ACCOUNT))
        stray = {"account_id": world.ACCOUNT, "key": "z", "at": 1, "lead_id": "9"}
        connection.execute(KEY.insert().values(**stray))
    found = {(one.subject, one.detail) for one in verify.verify(office, world.ACCOUNT)}
    assert found == {
        ("lead:1", "missing: a key"), ("lead:2", "missing: a key"),
        ("lead:9", "too many: keys of nobody"),
    }  # fmt: skip
    verify.rebuild(office, world.ACCOUNT)
    assert verify.verify(office, world.ACCOUNT) == []
    assert inquiries(office) == {"lead:1"}
    office.close()
