"""`verify` proves who is whose client; `rebuild` makes it right."""

from sqlalchemy import delete, insert, update

from service.domain.facts import Fact, Kind
from service.pipeline import verify
from service.store.engine import transaction
from service.store.records import ContactKey
from service.store.tables import DealContact
from tests import world

KEY = ContactKey.__table__  # type: ignore[attr-defined]
LINK = DealContact.__table__  # type: ignore[attr-defined]


def person(contact: str, *keys: str) -> Fact:
    body = {"has_phone": True, "has_email": False, "keys": list(keys)}
    return Fact(Kind.CONTACT, contact, world.moment("2026-03-02 10:00"), body)


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
