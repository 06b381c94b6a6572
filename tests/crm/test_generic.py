"""The generic adapter: facts in plain words; a wrong one is named, and nothing is applied."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from sqlalchemy import select

from service import connect
from service.crm import ADAPTERS
from service.crm.generic.schema import json_schema
from service.domain.account import AccountDocument
from service.domain.facts import Kind
from service.domain.ports import Connection, Decoded, RawHook
from service.errors import ConfigError, PayloadNotUnderstood, SourceRefused
from service.pipeline import drain, rejudge, tick
from service.pipeline.errands import Errands
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.store import accounts, inbox, plans
from service.store.engine import transaction
from service.store.tables import Inbox, Violation
from tests import world

SAMPLES = sorted((Path(__file__).parent / "generic" / "samples").glob("*.json"))
SCHEMA = Path(__file__).parents[2] / "deploy" / "generic" / "facts.schema.json"
ADDRESS = "https://crm.example/deals/{id}"
PORTAL = Connection("romashka", ADDRESS, "Europe/Moscow", "RUB")
VIOLATION = Violation.__table__  # type: ignore[attr-defined]
INBOX = Inbox.__table__  # type: ignore[attr-defined]


def decode(body: bytes) -> Decoded:
    return ADAPTERS["generic"].decode(RawHook(body, "application/json", 1_800_000_000), PORTAL)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_is_understood_and_fits_the_published_schema(path: Path) -> None:
    found = decode(path.read_bytes())
    assert found.facts or found.directory
    for fact in found.facts:
        assert fact.at > 1_700_000_000
        assert json.loads(fact.packed()) == fact.body
    jsonschema_rs.validator_for(json_schema()).validate(json.loads(path.read_text("utf-8")))


def test_payments_are_facts_of_their_own_instants() -> None:
    body = (SAMPLES[0].parent / "payment.json").read_bytes()
    came, back, gone = decode(body).facts
    assert (came.kind, came.id, came.body["deal"]) == (Kind.PAYMENT, "P-1", "501")
    (paid,) = came.body["payments"]
    assert paid == {"at": 1_795_415_400, "amount": 45_000_00, "currency": "RUB"}
    assert back.body["payments"][0]["amount"] == -5_000_00
    assert gone.body["deleted"]


def test_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == json_schema()


def fact(**members: Any) -> bytes:
    told = {"type": "deal", "id": "1", "at": "2026-11-23T10:00:00Z"} | members
    return json.dumps({"facts": [{"type": "contact", "id": "7", "at": "2026-11-23T10:00:00Z",
                                  "has_phone": True}, told]}).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b" ", "empty"),
        (b"<xml/>", "not_json"),
        (b'{"facts": [', "not_json"),
        (b"[" * 100_000, "bad_fact: Expected `object`"),
        (b"\xff\xfe", "not_json"),
        (b"{}", "bad_fact: Object missing required field `facts`"),
        (b'{"facts": []}', "bad_fact: facts: Expected `array` of length >= 1"),
        (fact(amount="12"), "bad_fact: facts[1].amount: Expected `int`, got `str`"),
        (fact(amount=-1), "bad_fact: facts[1].amount: Expected `int` >= 0"),
        (fact(at="2026-11-23T10:00:00"), "bad_fact: facts[1].at: Expected `datetime` with a tim"),
        (fact(stagee="x"), "bad_fact: facts[1]: Object contains unknown field `stagee`"),
        (fact(type="lamp"), "bad_fact: facts[1].type: Invalid value 'lamp'"),
        (fact(id="a b"), "bad_fact: facts[1].id: Expected `str` matching regex"),
        (fact(currency="рубль"), "bad_fact: facts[1].currency"),
    ],
)
def test_wrong_body_is_named_by_its_place(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadNotUnderstood) as caught:
        decode(body)
    assert caught.value.reason.startswith(reason), caught.value.reason


def test_not_told_and_empty_are_two_things() -> None:
    (_, told), (_, empty) = (decode(fact(**m)).facts for m in ({}, {"seller": None}))
    assert "responsible" not in told.body
    assert empty.body["responsible"] is None


@pytest.mark.parametrize("url", ["crm.example", "ftp://x", "https://", "https://[::1"])
def test_address_must_be_one(url: str) -> None:
    with pytest.raises(ConfigError, match="--base-url"):
        ADAPTERS["generic"].parse_connection(url, {})


def test_deal_has_a_page_if_the_address_says_how() -> None:
    adapter = ADAPTERS["generic"]
    assert adapter.subject_url(PORTAL, "deal", "15") == "https://crm.example/deals/15"
    assert adapter.subject_url(PORTAL, "task", "15") is None
    plain = Connection("a", "https://crm.example", "Europe/Moscow", "RUB")
    assert adapter.subject_url(plain, "deal", "15") is None


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-11-23 12:30")
    connect.add_account(made, "generic", "Ромашка", world.ACCOUNT, ADDRESS, {}, AccountDocument())
    with transaction(made.engine) as connection:
        accounts.change(connection, world.ACCOUNT, connected_at=world.moment("2026-11-23 09:00"))
    yield made
    made.close()


def post(office: Office, *bodies: bytes) -> None:
    ids = inbox.Ids()
    with transaction(office.engine) as connection:
        for body in bodies:
            row = ids.next(office.clock.timestamp())
            inbox.put(connection, world.ACCOUNT, row, office.now(), "application/json", body)
    with held(office, world.ACCOUNT):
        while drain.drain(office, world.ACCOUNT) + rejudge.rejudge(office, world.ACCOUNT):
            pass


def samples(*names: str) -> list[bytes]:
    return [path.read_bytes() for name in names for path in SAMPLES if path.stem == name]


def test_posted_facts_are_judged_and_told(office: Office) -> None:
    head = {"alerts": {"receivers": {"head": {"telegram": 1}}}}
    connect.apply_document(office, world.ACCOUNT, head, "tests")
    post(office, *samples("deal-and-task", "directory"))  # in any order
    with office.engine.connect() as connection:
        rows = {row.rule: row for row in connection.execute(select(VIOLATION))}
    assert rows["task-overdue"].breach_at == world.moment("2026-11-23 12:00")
    assert rows["task-overdue"].seller == "7"
    tick.tick(office)
    with office.engine.connect() as connection:
        texts = list(connection.exec_driver_sql("SELECT text FROM alert").scalars())
    assert any("Перезвонить по КП" in t and "https://crm.example/deals/1" in t for t in texts)


def test_directory_that_comes_again_keeps_former_names(office: Office) -> None:
    post(office, *samples("directory"))
    less = json.loads(samples("directory")[0])
    del less["facts"][0]["sellers"][1]
    post(office, json.dumps(less).encode())
    with office.engine.connect() as connection:
        found = accounts.directory(connection, world.ACCOUNT)
    assert {s.id: (s.name, s.listed, s.active) for s in found.sellers} == {
        "7": ("Иванов", True, True), "9": ("Петрова", False, False),
    }  # fmt: skip


def test_who_is_told_to_be_in_another_team_takes_his_plan_along(office: Office) -> None:
    """It is 23 November, a Monday: 6 of 20 working days are left."""
    post(office, *samples("directory"))
    row = {"account_id": world.ACCOUNT, "metric": "deals_won", "period": "2026-11", "currency": "",
           "status": "approved", "locked": True}  # fmt: skip
    with transaction(office.engine) as connection:
        for team, seller, value in (("", "7", 20), ("Отдел 1", "", 25), ("", "", 30)):
            told = {**row, "team": team, "seller": seller, "value": value}
            plans.put(connection, told, "tests", "", office.now())
    other = json.loads(samples("directory")[0])
    other["facts"][0]["sellers"][0]["team"] = "Отдел 2"
    post(office, json.dumps(other).encode())
    with office.engine.connect() as connection:
        found = {(r["team"], r["seller"]): r for r in plans.plans(connection, [world.ACCOUNT])}
        (*_, last) = plans.history(connection, world.ACCOUNT, 9, team=["Отдел 1"])
    assert {key: r["value"] for key, r in found.items()} == {
        ("", "7"): 20, ("Отдел 1", ""): 19, ("", ""): 30,
    }  # fmt: skip
    assert (last["author"], last["reason"]) == ("dozor", "a seller has moved between teams")


def test_bad_body_is_parked_whole_with_its_place(office: Office) -> None:
    post(office, fact(amount="12"), *samples("deal-and-task"))
    with office.engine.connect() as connection:
        rows = connection.execute(select(INBOX.c.state, INBOX.c.reason).order_by(INBOX.c.id)).all()
    assert rows[0][0] == "parked"
    assert rows[0][1].startswith("bad_fact: facts[1].amount")
    assert rows[1][0] == "done"


def test_nothing_is_ever_asked_of_it(office: Office) -> None:
    post(office, *samples("directory", "deal-and-task"))
    with office.engine.connect() as connection:
        assert accounts.account(connection, world.ACCOUNT) is not None
    Errands(office)._news(world.ACCOUNT)
    with office.engine.connect() as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    assert not row.directory_wanted
    assert row.error is None
    with pytest.raises(SourceRefused, match="post facts"):
        list(connect.backfill(office, world.ACCOUNT, None))
