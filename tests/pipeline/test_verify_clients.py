"""`verify` proves who is whose client; `rebuild` makes it right."""

from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from service.domain.facts import Fact, Kind
from service.pipeline import verify
from service.store.engine import transaction
from service.store.records import ContactKey
from service.store.tables import DealContact, Violation
from tests import world

KEY = ContactKey.__table__  # type: ignore[attr-defined]
VIOLATION = Violation.__table__  # type: ignore[attr-defined]
LINK = DealContact.__table__  # type: ignore[attr-defined]


def person(contact: str, *keys: str) -> Fact:
    body = {"has_phone": True, "has_email": False, "keys": list(keys)}
    return Fact(Kind.CONTACT, contact, world.moment("2026-03-02 10:00"), body)


def missed(call: str, when: str, **body: Any) -> Fact:
    at = world.moment(when)
    told = {"direction": "in", "answered": False, "seconds": 9, "author": "7", "started_at": at}
    return Fact(Kind.CALL, call, at, told | body)


CALLS = [
    missed("c1", "2026-03-03 12:00", contact="5", deal=None),
    missed("c2", "2026-03-03 13:00", direction="out", deal="1"),
    world.deal("1", "2026-03-04 10:00", stage="143", author="7"),
    missed("c3", "2026-03-05 12:00", contact="5", deal=None),
    missed("c4", "2026-03-05 13:00", direction="out", deal="1"),
    missed("c5", "2026-03-06 12:00", client="k"),
    missed("c6", "2026-03-06 12:00", contact="6", deal=None),
    world.new_deal("2", "2026-03-06 13:00", contacts=["6"]),
    missed("c7", "2026-03-10 12:00", client="k"),
    missed("c7", "2026-03-10 12:40", contact="6", deal=None),
]


@pytest.mark.parametrize("step", [1, -1, 3])
def test_missed_calls_without_a_deal_are_told_in_any_order(sqlite_url: str, step: int) -> None:
    office = world.make_office(sqlite_url)
    world.connect_account(office)
    world.tell(office, [world.new_deal("1", "2026-03-02 10:00", contacts=["5"])])
    for number in range(len(CALLS)):
        world.tell(office, [CALLS[number * step % len(CALLS)]])
    query = select(VIOLATION.c.subject_id, VIOLATION.c.breach_at, VIOLATION.c.resolved_at).where(
        VIOLATION.c.rule.in_(["call-missed-no-deal", "call-missed-unknown"])
    )
    with transaction(office.engine) as connection:
        found = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
    assert found == {
        subject: (world.moment(begun), world.moment(ended))
        for subject, begun, ended in (
            ("c3", "2026-03-05 12:30", "2026-03-05 13:00"),
            ("c5", "2026-03-06 12:30", "2026-03-10 12:30"),  # shown for a working day
            ("c6", "2026-03-06 12:30", "2026-03-06 13:00"),
        )
    }
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()


def test_keys_and_links_of_clients_are_proven(database_url: str) -> None:
    office = world.make_office(database_url)
    world.connect_account(office)
    world.tell(office, [
        world.new_deal("1", "2026-03-02 10:00", contacts=["5"]),
        world.new_deal("2", "2026-03-02 11:00", contacts=["6"]),
        person("5", "a", "b"), person("6", "b"),
    ])  # fmt: skip
    assert verify.verify(office, world.ACCOUNT) == []
    stranger = {"account_id": world.ACCOUNT, "key": "b", "contact_id": "99"}
    spoilt = [
        (delete(KEY).where(KEY.c.contact_id == "6"), ("contact:6", "missing: a key")),
        (update(KEY).where(KEY.c.key == "a").values(key="z"), ("contact:5", "too many: a key")),
        (insert(KEY).values(stranger), ("contact:99", "too many: keys of nobody")),
        (delete(LINK).where(LINK.c.deal_id == "2"), ("deal:2", "missing: its client")),
    ]
    for spoil, told in spoilt:
        with transaction(office.engine) as connection:
            connection.execute(spoil)
        found = {(d.subject, d.detail) for d in verify.verify(office, world.ACCOUNT)
                 if d.what == "client"}  # fmt: skip
        assert told in found
        verify.rebuild(office, world.ACCOUNT)
        assert verify.verify(office, world.ACCOUNT) == []
    office.close()
