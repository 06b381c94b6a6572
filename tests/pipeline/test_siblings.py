"""Two open deals of one client: found over contacts and keyed hashes, in any order of the facts."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from service.domain.facts import Fact, Kind, Rank
from service.domain.siblings import BUSY_CONTACT
from service.pipeline import explaining, rejudge, verify
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading, transaction
from service.store.tables import Contribution, Violation
from tests import world
from tests.pipeline.test_convergence import snapshot

VIOLATION = Violation.__table__  # type: ignore[attr-defined]
CONTRIBUTION = Contribution.__table__  # type: ignore[attr-defined]
NOON = "2026-03-02 12:00"
Twins = list[tuple[str, str, str, str | None]]


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url)
    world.connect_account(made)
    yield made
    made.close()


def person(contact: str, at: str, *keys: str, **body: Any) -> Fact:
    told = {"has_phone": bool(keys), "has_email": False, "keys": list(keys)}
    return Fact(Kind.CONTACT, contact, world.moment(at), told | body)


def twins(office: Office) -> Twins:
    """(deal, severity, its older twin, when it ended) of all violations, told or to come."""
    c = VIOLATION.c
    query = select(c.subject_id, c.severity, c["values"], c.resolved_at).where(
        c.account_id == world.ACCOUNT, c.rule == "deal-duplicate"
    )
    with reading(office.engine) as connection:
        rows = connection.execute(query.order_by(c.subject_id, c.breach_at)).all()
    times = {world.moment(f"2026-03-0{d} 12:00"): f"0{d}" for d in range(1, 9)}
    return [(deal, severity, values["text"]["other"], times.get(end))
            for deal, severity, values, end in rows]  # fmt: skip


def settled(office: Office) -> Twins:
    """The same, after what is stored has been found equal to what the facts give."""
    assert verify.verify(office, world.ACCOUNT) == []
    return twins(office)


def test_the_younger_deal_of_a_contact_is_told_and_names_the_older(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"])])
    world.tell(office, [world.new_deal("2", "2026-03-02 12:04", contacts=["70"])])
    assert settled(office) == [("2", "warning", "1", None)]


def test_news_of_the_older_deal_end_the_violation_of_the_younger(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"])])
    world.tell(office, [world.new_deal("2", NOON, contacts=["70"])])
    world.tell(office, [world.deal("1", "2026-03-04 12:00", stage="143", author="7")])
    assert settled(office) == [("2", "warning", "1", "04")]


def test_older_deal_told_late_makes_the_younger_one_the_twin(office: Office) -> None:
    world.tell(office, [world.new_deal("1", "2026-03-03 12:00", contacts=["70"])])
    world.tell(office, [world.new_deal("2", NOON, contacts=["70"], responsible="9")])
    assert settled(office) == [("1", "critical", "2", None)]


def test_creation_told_otherwise_turns_the_pair_round(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"])])
    world.tell(office, [world.new_deal("2", "2026-03-03 12:00", contacts=["70"])])
    world.tell(office, [world.deal("2", "2026-03-03 12:01", created_at=world.moment(NOON) - 60)])
    assert settled(office) == [("1", "warning", "2", None)]


def test_two_persons_with_one_phone_are_one_client(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"])])
    world.tell(office, [world.new_deal("2", NOON, contacts=["71"], responsible="9")])
    world.tell(office, [person("70", NOON, "k1", "k2")])
    assert settled(office) == []
    world.tell(office, [person("71", NOON, "k2")])
    assert settled(office) == [("2", "critical", "1", None)]
    world.tell(office, [person("70", "2026-03-03 12:00", "k1")])
    assert settled(office) == []


def test_deleted_person_and_relinked_deal_have_nothing_in_common(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"]), person("70", NOON, "k")])
    world.tell(office, [world.new_deal("2", NOON, contacts=["71"]), person("71", NOON, "k")])
    assert len(settled(office)) == 1
    world.tell(office, [world.deal("2", "2026-03-03 12:00", contacts=["72"])])
    assert settled(office) == []
    world.tell(office, [world.deal("2", "2026-03-04 12:00", contacts=["71"])])
    assert len(settled(office)) == 1
    gone = Fact(Kind.CONTACT, "71", world.moment("2026-03-05 12:00"), {"deleted": True})
    world.tell(office, [gone])
    assert settled(office) == []


def inquiries(office: Office) -> list[str]:
    """Deals that count as inquiries, after what is stored has been found right."""
    assert verify.verify(office, world.ACCOUNT) == []
    c = CONTRIBUTION.c
    query = select(c.subject_id).where(c.account_id == world.ACCOUNT, c.metric == "inquiries")
    with reading(office.engine) as connection:
        return sorted(connection.execute(query).scalars())


def test_repeat_deal_made_by_hand_is_no_inquiry(office: Office) -> None:
    world.tell(office, [world.new_deal("2", "2026-03-03 12:00", contacts=["71"], created_by="7")])
    world.tell(office, [world.new_deal("3", "2026-03-10 12:00", contacts=["71"], created_by="0")])
    assert inquiries(office) == ["2", "3"]  # the first one of its client; one that came by itself
    world.tell(office, [world.new_deal("1", NOON, contacts=["71"])])
    assert inquiries(office) == ["1", "3"]
    world.tell(office, [world.deal("1", "2026-03-05 12:00", contacts=["70"])])
    assert inquiries(office) == ["1", "2", "3"]
    world.tell(office, [person("70", NOON, "k"), person("71", NOON, "k")])
    assert inquiries(office) == ["1", "3"]
    born_later = {"created_at": world.moment("2026-03-05 12:00")}
    world.tell(office, [world.deal("1", "2026-03-06 12:00", **born_later)])
    assert inquiries(office) == ["1", "2", "3"]


def test_key_of_more_than_five_clients_is_nobodys(office: Office) -> None:
    for number in range(1, 6):
        deal = world.new_deal(str(number), NOON, contacts=[f"7{number}"])
        world.tell(office, [deal, person(f"7{number}", NOON, "info")])
    assert [deal for deal, _, _, _ in settled(office)] == ["2", "3", "4", "5"]
    world.tell(office, [world.new_deal("6", NOON, contacts=["76"]), person("76", NOON, "info")])
    assert settled(office) == []
    world.tell(office, [person("71", "2026-03-03 12:00")])
    assert [deal for deal, _, _, _ in settled(office)] == ["3", "4", "5", "6"]


def test_switchboard_has_no_twins(office: Office) -> None:
    deals = [world.new_deal(str(n), NOON, contacts=["70"]) for n in range(1, BUSY_CONTACT + 1)]
    world.tell(office, deals)
    assert len(settled(office)) == BUSY_CONTACT - 1
    world.tell(office, [world.new_deal("900", NOON, contacts=["70"])])
    assert settled(office) == []
    world.tell(office, [world.deal("900", "2026-03-03 12:00", contacts=["71"])])
    assert len(settled(office)) == BUSY_CONTACT - 1


def test_company_in_common(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, company="co5", contacts=["70"])])
    world.tell(office, [world.new_deal("2", NOON, company="co5", contacts=["71"])])
    assert settled(office) == [("2", "warning", "1", None)]


def test_older_deal_of_an_excluded_pipeline_is_no_twin_before_and_after(office: Office) -> None:
    """A change of settings is judged piece by piece; pairs across pieces agree in the end."""
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"], tags=["образец"])])
    world.tell(office, [world.new_deal("2", NOON, contacts=["70"])])
    assert len(settled(office)) == 1
    with transaction(office.engine) as connection:
        document = accounts.document(connection, world.ACCOUNT)
        changed = document.model_copy(update={"test_tags": ["образец"]})
        accounts.save_settings(connection, world.ACCOUNT, changed, "tests", office.now())
    while rejudge.rejudge(office, world.ACCOUNT):
        pass
    rejudge.judge_dirty(office, world.ACCOUNT)
    assert settled(office) == []


def test_explanation_and_trial_see_the_pair(office: Office) -> None:
    world.tell(office, [world.new_deal("1", NOON, contacts=["70"])])
    world.tell(office, [world.new_deal("2", NOON, contacts=["70"])])
    told = explaining.explain(office, world.ACCOUNT, "2", "ru").told
    pair = next(one for one in told if one.row["rule"] == "deal-duplicate")
    assert "Похоже на дубль сделки 1" in "\n".join(pair.lines)


def test_deal_without_a_client_asks_nothing_of_siblings(sqlite_url: str) -> None:
    office = world.make_office(sqlite_url)
    world.connect_account(office)
    asked: list[str] = []
    event.listen(office.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    world.tell(office, [world.new_deal("1", NOON)])
    assert asked
    assert not [query for query in asked if "contact_key" in query or "born_at IS NOT" in query]
    world.tell(office, [world.new_deal("2", NOON, contacts=["70"]), person("70", NOON, "k")])
    assert [query for query in asked if "contact_key" in query]
    office.close()


# --- any order, any batches -----------------------------------------------------------------------


def department() -> list[Fact]:
    """Seven deals of clients who overlap by contacts, a company and two phones."""
    d = world.deal
    late = [
        Fact(Kind.DEAL, "1", world.moment("2026-03-06 12:00"), {"responsible": "9"}, Rank.FETCHED),
        Fact(Kind.CONTACT, "74", world.moment("2026-03-05 12:00"), {"deleted": True}),
    ]
    return [
        world.new_deal("1", NOON, contacts=["70"]),
        world.new_deal("2", "2026-03-02 13:00", contacts=["71"], responsible="9"),
        world.new_deal("3", "2026-03-03 12:00", contacts=["70", "72"]),
        world.new_deal("4", "2026-03-03 13:00", contacts=["73"], company="co5"),
        world.new_deal("5", "2026-03-03 14:00", company="co5", responsible="12"),
        world.new_deal("6", "2026-03-03 14:00", contacts=["74"]),
        world.new_deal("7", "2026-03-04 14:00", stage="1", contacts=["74"]),
        person("70", NOON, "a"),
        person("71", NOON, "a", "b"),
        person("72", NOON, "b"),
        person("73", NOON),
        person("73", "2026-03-04 10:00", "b"),
        person("74", "2026-03-04 10:00", "a"),
        *late,
        d("2", "2026-03-04 12:00", stage="143", author="9"),
        d("2", "2026-03-05 12:00", stage="20", author="9"),
        d("3", "2026-03-05 13:00", contacts=["72"]),
        d("4", "2026-03-06 12:00", deleted=True),
        d("5", "2026-03-04 12:00", created_at=world.moment(NOON)),
        d("7", "2026-03-06 14:00", stage="10", author="7", accepted_at=world.moment(NOON)),
    ]


@pytest.fixture
def fresh(tmp_path: Path, sqlite_template: Path) -> Callable[[], Office]:
    """Makes an office on a new empty database with the account in it."""
    count = iter(range(10_000))

    def make() -> Office:
        path = tmp_path / f"{next(count)}.db"
        shutil.copy(sqlite_template, path)
        made = world.make_office(f"sqlite:///{path}")
        world.connect_account(made)
        return made

    return make


def told_in(office: Office, stream: Sequence[Fact], sizes: Sequence[int]) -> Any:
    left = list(stream)
    for size in sizes:
        world.tell(office, left[:size])
        left = left[size:]
    world.tell(office, left)
    return snapshot(office.engine)


def test_all_at_once_equals_one_by_one(database_url: str, fresh: Callable[[], Office]) -> None:
    office, other = world.make_office(database_url), fresh()
    world.connect_account(office)
    facts = department()
    found = told_in(office, facts, [1] * len(facts))
    assert found == told_in(other, facts, [])
    assert len(settled(office)) >= 4
    assert {severity for _, severity, _, _ in twins(office)} == {"warning", "critical"}
    verify.rebuild(office, world.ACCOUNT)
    assert snapshot(office.engine) == found
    office.close()
    other.close()


def test_any_order_in_batches_of_any_size(fresh: Callable[[], Office]) -> None:
    other = fresh()
    expected = told_in(other, department(), [])
    other.close()

    @settings(max_examples=40)
    @given(st.permutations(department()), st.lists(st.integers(1, 5), max_size=20))
    def holds(stream: list[Fact], sizes: list[int]) -> None:
        office = fresh()
        assert told_in(office, stream, sizes) == expected
        assert verify.verify(office, world.ACCOUNT) == []
        office.close()

    holds()
