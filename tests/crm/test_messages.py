"""Messages of clients and answers to them, as both CRMs tell them; never their texts."""

from typing import Any

import pytest

from service.crm.amocrm import events, rest_facts
from service.crm.bitrix24 import mapping
from service.domain.facts import Fact, Kind
from tests.crm.bitrix24_rows import activity
from tests.crm.test_amocrm_hooks import decode, entity, only

HOME = {"entity_type": "lead", "entity_id": "77"}


def told(fact: Fact) -> tuple[Any, ...]:
    body = fact.body
    return fact.kind, fact.id, body["direction"], body["deal"], body.get("contact"), fact.at


def test_chat_hook_is_a_message_of_the_deal_else_of_the_person() -> None:
    given = {"id": "u-1", "created_at": 1700000000, "text": "когда?", "contact_id": 5}
    fact = only(decode(entity("message[add][0]", **given, **HOME)))
    assert told(fact) == (Kind.MESSAGE, "u-1", "in", "77", None, 1700000000)
    assert "когда" not in str(fact.body)
    fact = only(decode(entity("message[add][0]", **given)))
    assert told(fact) == (Kind.MESSAGE, "u-1", "in", None, "5", 1700000000)
    fact = only(decode(entity("outgoing_message[add][0]", **given, **HOME)))
    assert fact.body["direction"] == "out"
    assert "author" not in fact.body  # the hook does not say; events do


@pytest.mark.parametrize(("in_work", "closed"), [("0", True), ("1", False)])
def test_closed_talk_needs_no_answer(in_work: str, closed: bool) -> None:
    given = {"talk_id": 9, "is_in_work": in_work, "updated_at": 1700000100}
    found = decode(entity("talk[update][0]", **given, **HOME))
    expected = [(Kind.MESSAGE, "t9.1700000100", "closed", "77", None, 1700000100)]
    assert [told(fact) for fact in found.facts] == (expected if closed else [])


def test_event_of_a_chat_names_who_answered_under_the_same_id() -> None:
    row = {
        "id": "e1", "type": "outgoing_chat_message", "entity_type": "lead", "entity_id": 77,
        "created_by": 12, "created_at": 1700000200,
        "value_after": [{"message": {"id": "u-2"}}],
    }  # fmt: skip
    fact = events.message(row)
    assert fact is not None
    assert (told(fact), fact.body["author"]) == (
        (Kind.MESSAGE, "u-2", "out", "77", None, 1700000200), "12",
    )  # fmt: skip
    came = events.message(row | {"type": "incoming_chat_message", "created_by": 0})
    assert came is not None
    assert "author" not in came.body
    assert events.message(row | {"type": "lead_status_changed"}) is None
    assert events.read(row, "RUB") is None


@pytest.mark.parametrize(
    ("kind", "params", "direction"),
    [
        ("sms_in", {}, "in"),
        ("sms_out", {}, "out"),
        ("amomail_message", {"income": True}, "in"),
        ("amomail_message", {"income": False}, "out"),
        ("amomail_message", {}, None),
        ("service_message", {}, None),
    ],
)
def test_sms_and_mail_notes(kind: str, params: dict[str, Any], direction: str | None) -> None:
    row = {
        "id": 5, "note_type": kind, "entity_id": 77, "created_by": 12, "params": params,
        "created_at": 1700000000, "updated_at": 1700000009,
    }  # fmt: skip
    fact = rest_facts.note(row, "leads")
    if direction is None:
        assert fact is None
        return
    assert fact is not None
    assert told(fact) == (Kind.MESSAGE, "n5", direction, "77", None, 1700000000)
    assert fact.body.get("author") == ("12" if direction == "out" else None)


def test_bitrix_mail_and_chat() -> None:
    given = {"PROVIDER_ID": "CRM_EMAIL", "DIRECTION": "1", "COMPLETED": "N"}
    (came,) = mapping.message(activity(**given), "77")
    assert told(came)[:4] == (Kind.MESSAGE, f"a{activity()['ID']}", "in", "77")
    done = given | {"COMPLETED": "Y", "LAST_UPDATED": "2026-03-05T12:00:00+03:00"}
    came, over = mapping.message(activity(**done), "77")
    assert (over.body["direction"], over.id) == ("closed", f"{came.id}e")
    (sent,) = mapping.message(activity(**given | {"DIRECTION": "2", "AUTHOR_ID": "12"}), None)
    assert (sent.body["direction"], sent.body["author"]) == ("out", "12")
    assert mapping.is_message(activity(PROVIDER_ID="IMOPENLINES_SESSION"))
    assert not mapping.is_message(activity())
    assert mapping.activity(activity(**given), "77") is None
