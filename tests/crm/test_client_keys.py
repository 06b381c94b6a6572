"""Clients are known again by keyed hashes; no phone or e-mail is ever stored."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from service import connect
from service.crm import ADAPTERS
from service.crm.amocrm import rest_facts
from service.crm.bitrix24 import mapping
from service.domain.account import AccountDocument
from service.domain.clientkeys import MOST_KEYS, SECRET, client_keys
from service.domain.facts import Fact, Kind
from service.domain.ports import Connection, RawHook
from service.errors import PayloadNotUnderstood
from service.pipeline import drain, rejudge
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.store import accounts, inbox
from service.store.engine import reading, transaction
from service.store.records import ContactKey
from service.store.tables import FactRow, Violation
from tests import world

HERE = Path(__file__).parent
SECRETS = {SECRET: "k" * 43}
PHONE, OTHER, MAIL = "+7 (912) 345-67-89", "+7 495 000-11-22", "Pyotr@Example.com"
DIGITS = re.compile(r"\+?\d[\d\s()-]{8,}\d")
FACT = FactRow.__table__  # type: ignore[attr-defined]
KEY = ContactKey.__table__  # type: ignore[attr-defined]
VIOLATION = Violation.__table__  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+7 (912) 345-67-89", "89123456789"),
        ("+7 (912) 345-67-89", 79123456789),
        ("9123456789", "tel:+7-912-345-67-89"),
    ],
)
def test_one_number_in_many_writings_has_one_key(one: object, other: object) -> None:
    assert client_keys(SECRETS, [one], []) == client_keys(SECRETS, [other], [])
    assert len(client_keys(SECRETS, [one, other], []) or []) == 1


@pytest.mark.parametrize("phone", ["", None, "112", "123456789", "+7 (000) 000-00-00", "нет"])
def test_what_is_no_number_has_no_key(phone: object) -> None:
    assert client_keys(SECRETS, [phone], []) == []


@pytest.mark.parametrize("mail", ["", None, "@", "a@b", "info", "a@" + "b" * 300 + ".ru"])
def test_what_is_no_address_has_no_key(mail: object) -> None:
    assert client_keys(SECRETS, [], [mail]) == []


def test_keys_of_two_accounts_have_nothing_in_common() -> None:
    others = {SECRET: "another"}
    mine, theirs = (client_keys(s, [PHONE], [MAIL]) or [] for s in (SECRETS, others))
    assert len(mine) == len(theirs) == 2
    assert not set(mine) & set(theirs)
    assert client_keys(SECRETS, [], [MAIL.lower()]) == client_keys(SECRETS, [], [f" {MAIL} "])


def test_without_a_key_of_the_account_nothing_is_told() -> None:
    assert client_keys({}, [PHONE], []) is None
    many = [f"912{n:07d}" for n in range(100)]
    assert len(client_keys(SECRETS, many, []) or []) == MOST_KEYS


# --- the adapters ---------------------------------------------------------------------------------


def amocrm_hook() -> Fact:
    fields = {
        "[id]": "4", "[code]": "PHONE", "[values][0][value]": PHONE, "[values][1][value]": OTHER,
    }  # fmt: skip
    mail = {"[id]": "5", "[code]": "EMAIL", "[values][0][value]": MAIL}
    pairs = [("contacts[update][0][id]", "70"), ("contacts[update][0][updated_at]", "1748289231")]
    for number, field in enumerate((fields, mail)):
        where = f"contacts[update][0][custom_fields][{number}]"
        pairs += [(where + name, value) for name, value in field.items()]
    body = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
    portal = Connection("a", "https://x.example", "Europe/Moscow", "RUB", secrets=SECRETS)
    raw = RawHook(body, "application/x-www-form-urlencoded", 1_800_000_000)
    (found,) = ADAPTERS["amocrm"].decode(raw, portal).facts
    return found


def amocrm_rest() -> Fact:
    told = [
        {"field_code": "PHONE", "values": [{"value": PHONE}, {"value": OTHER}]},
        {"field_code": "EMAIL", "values": [{"value": MAIL}]},
    ]
    return rest_facts.person({"id": 70, "updated_at": 9, "custom_fields_values": told}, SECRETS)


def bitrix24_rest() -> Fact:
    row = {
        "ID": "70", "DATE_MODIFY": "2026-11-23T10:00:00+03:00",
        "PHONE": [{"VALUE": PHONE}, {"VALUE": OTHER}], "EMAIL": [{"VALUE": MAIL}],
    }  # fmt: skip
    found = mapping.person(row, SECRETS)
    assert found is not None
    return found


def generic() -> Fact:
    told = {"type": "contact", "id": "70", "at": "2026-11-23T10:00:00Z",
            "phones": [PHONE, OTHER], "emails": [MAIL]}  # fmt: skip
    portal = Connection("a", "https://x.example", "Europe/Moscow", "RUB", secrets=SECRETS)
    raw = RawHook(json.dumps({"facts": [told]}).encode(), "application/json", 1_800_000_000)
    (found,) = ADAPTERS["generic"].decode(raw, portal).facts
    return found


@pytest.mark.parametrize("told", [amocrm_hook, amocrm_rest, bitrix24_rest, generic])
def test_a_person_is_the_same_in_every_crm_and_every_way(told: Any) -> None:
    found = told()
    assert (found.kind, found.body["has_phone"], found.body["has_email"]) == (
        Kind.CONTACT, True, True
    )  # fmt: skip
    assert found.body["keys"] == client_keys(SECRETS, [PHONE, OTHER], [MAIL])
    assert not DIGITS.search(found.packed().decode())
    assert b"xample" not in found.packed()


def test_flags_alone_tell_no_keys() -> None:
    row = {"ID": "70", "DATE_MODIFY": "2026-11-23T10:00:00+03:00", "HAS_PHONE": "Y"}
    found = mapping.person(row, SECRETS)
    assert found is not None
    assert found.body == {"has_phone": True, "has_email": False}


# --- what is stored -------------------------------------------------------------------------------


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-11-23 12:30")
    connect.add_account(
        made, "generic", "Ромашка", world.ACCOUNT, "https://crm.example", {}, AccountDocument()
    )
    with transaction(made.engine) as connection:
        accounts.change(connection, world.ACCOUNT, connected_at=world.moment("2026-11-23 08:00"))
    yield made
    made.close()


def post(office: Office, *names: str) -> None:
    ids = inbox.Ids()
    with transaction(office.engine) as connection:
        for name in names:
            body = (HERE / "generic" / "samples" / f"{name}.json").read_bytes()
            row = ids.next(office.clock.timestamp())
            inbox.put(connection, world.ACCOUNT, row, office.now(), "application/json", body)
    with held(office, world.ACCOUNT):
        while drain.drain(office, world.ACCOUNT) + rejudge.rejudge(office, world.ACCOUNT):
            pass


def row_of(office: Office) -> accounts.AccountRow:
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    return row


def test_two_clients_with_one_phone_are_a_pair_and_no_digit_is_stored(office: Office) -> None:
    post(office, "directory", "two-clients-one-phone")
    with reading(office.engine) as connection:
        bodies = [
            bytes(body).decode() for body in connection.execute(select(FACT.c.body)).scalars()
        ]
        keys = connection.execute(select(KEY.c.contact_id, KEY.c.key)).all()
        twins = connection.execute(
            select(VIOLATION.c.subject_id).where(VIOLATION.c.rule == "deal-duplicate")
        ).scalars().all()  # fmt: skip
    assert twins == ["2"]
    assert len(keys) == 4
    assert len({key for _, key in keys}) == 3
    for body in bodies:
        assert "345-67" not in body
        assert "9123456789" not in re.sub(r"\D", "", body)
        assert "example" not in body.lower()


@pytest.mark.parametrize("crm", sorted(ADAPTERS))
def test_no_phone_of_any_sample_comes_into_a_fact_about_a_client(crm: str) -> None:
    portal = Connection("a", "https://x.example", "Europe/Moscow", "RUB", secrets=SECRETS)
    folder = HERE / crm / "samples"
    kind, ending = ("json", "json") if crm == "generic" else ("x-www-form-urlencoded", "form")
    seen = 0
    for path in sorted(folder.glob(f"*.{ending}")):
        try:
            found = ADAPTERS[crm].decode(
                RawHook(path.read_bytes().strip(), f"application/{kind}", 1_800_000_000), portal
            )
        except PayloadNotUnderstood:
            continue
        for fact in found.facts:
            seen += 1
            assert fact.body.keys().isdisjoint({"phone", "phones", "email", "emails"})
            if fact.kind is Kind.CONTACT:
                assert fact.body.keys() <= {"has_phone", "has_email", "keys", "deleted"}
                assert not DIGITS.search(fact.packed().decode())
    assert seen or crm == "bitrix24"  # its hooks carry ids alone


# --- the account's key ----------------------------------------------------------------------------


def test_key_is_made_with_the_account_and_stays_when_it_is_added_again(office: Office) -> None:
    made = office.secrets(row_of(office))[SECRET]
    assert len(made) >= 40
    connect.add_account(
        office, "generic", "Ромашка", world.ACCOUNT, "https://crm.example", {}, AccountDocument()
    )
    connect.rotate_hook(office, world.ACCOUNT)
    assert office.secrets(row_of(office))[SECRET] == made


def test_account_without_a_key_gets_one_at_its_next_use(office: Office) -> None:
    row = row_of(office)
    old = {name: value for name, value in office.secrets(row).items() if name != SECRET}
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, secrets=office.box.seal(json.dumps(old)))
    post(office, "directory", "two-clients-one-phone")
    kept = office.secrets(row_of(office))
    assert kept[SECRET]
    assert kept["hook_token"] == old["hook_token"]
    assert office.secrets(office.keyed(row_of(office))) == kept
    with reading(office.engine) as connection:
        found = set(connection.execute(select(KEY.c.key)).scalars())
    assert found >= set(client_keys(kept, [PHONE], []) or ["none"])
