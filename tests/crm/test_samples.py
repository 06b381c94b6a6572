"""Every published hook body is accepted and understood; what cannot be is parked with a reason."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.crm import ADAPTERS, form
from service.domain.facts import Kind, Rank, Touched
from service.domain.ports import Adapter, Connection, Decoded, RawHook
from service.errors import PayloadNotUnderstood

HERE = Path(__file__).parent
RECEIVED = 1_800_000_000
PORTAL = Connection(
    "romashka", "https://demo.example", "Europe/Moscow", "RUB", secrets={"application_token": "t"}
)


def samples(crm: str) -> list[Path]:
    return sorted((HERE / crm / "samples").glob("*.form"))


def decode(crm: str, name: str) -> Decoded:
    body = (HERE / crm / "samples" / f"{name}.form").read_bytes().strip()
    return ADAPTERS[crm].decode(
        RawHook(body, "application/x-www-form-urlencoded", RECEIVED), PORTAL
    )


@pytest.mark.parametrize(
    ("crm", "path"),
    [(crm, path) for crm in ADAPTERS for path in samples(crm)],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_sample_is_understood(crm: str, path: Path) -> None:
    found = decode(crm, path.stem)
    assert found.facts or found.touched or found.ignored or found.directory_changed
    for fact in found.facts:
        assert fact.at > 1_000_000_000
        assert fact.id
        assert json.loads(fact.packed()) == fact.body


def as_tree(node: Any) -> Any:
    """The sample's JSON as the parser gives it: lists as maps with numeric keys."""
    if isinstance(node, list):
        return {str(i): as_tree(value) for i, value in enumerate(node)}
    if isinstance(node, dict):
        return {key: as_tree(value) for key, value in node.items()}
    if isinstance(node, bool):
        return "1" if node else "0"
    return "" if node is None else str(node)


@pytest.mark.parametrize(
    "path", [p for crm in ADAPTERS for p in samples(crm)], ids=lambda path: path.stem
)
def test_form_parser_agrees_with_the_decoded_sample(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert form.parse(path.read_bytes().strip()) == as_tree(expected)


def test_lead_status_is_an_image_at_its_own_instant() -> None:
    found = decode("amocrm", "lead-status")
    (fact,) = found.facts
    assert (fact.kind, fact.id, fact.at) == (Kind.DEAL, "30267969", 1615985846)
    assert (fact.body["pipeline"], fact.body["stage"]) == ("788512", "16525558")
    assert fact.body["amount"] == 100
    assert fact.body["author"] == "1760815"
    assert fact.body["fields"]["481305"] == "1615845600"
    assert found.touched == [Touched(Kind.DEAL, "30267969")]


def test_stale_old_values_say_nothing() -> None:
    (fact,) = decode("amocrm", "lead-responsible-stale-old-status").facts
    assert fact.body["responsible"] == "1234567"
    assert fact.body["stage"] == "67548619"


def test_task_deadline_is_the_unix_field() -> None:
    (fact,) = decode("amocrm", "task-add").facts
    assert fact.body["due_at"] == 1759438740
    assert fact.body["deal"] == "15320411"
    assert fact.body["is_open"] is True


def test_completed_task_is_closed_at_the_hooks_own_instant() -> None:
    (fact,) = decode("amocrm", "task-update-complete").facts
    assert fact.at == 1726579269
    assert fact.body["is_open"] is False


def test_result_added_later_keeps_the_task_closed() -> None:
    (fact,) = decode("amocrm", "task-update-result").facts
    assert fact.body["is_open"] is False
    assert fact.body["result"] == "client responded"


def test_call_note_is_a_call_with_its_start_and_talker() -> None:
    (fact,) = decode("amocrm", "lead-note-call-out").facts
    assert (fact.kind, fact.id) == (Kind.CALL, "c414283887")
    assert fact.body["direction"] == "out"
    assert fact.body["seconds"] == 15
    assert fact.body["answered"] is True
    assert fact.body["started_at"] == 1685622681
    assert fact.body["author"] == "3821476"


def test_deletion_without_an_instant_is_at_the_receipt() -> None:
    gone, place = decode("amocrm", "lead-delete").facts
    assert (gone.at, gone.body) == (RECEIVED, {"deleted": True})
    assert (place.at, place.rank) == (RECEIVED, Rank.HISTORY)
    assert place.body == {"pipeline": "8572511", "stage": "67548607"}


def test_accepted_inquiry_names_its_deal() -> None:
    facts = decode("amocrm", "unsorted-delete-accept").facts
    inquiry, deal = facts
    assert inquiry.body["state"] == "accepted"
    assert inquiry.body["deal"] == deal.id == "15258873"
    assert deal.body["inquiry"] == inquiry.id


def test_body_of_another_portal_is_foreign() -> None:
    own = Connection("a", "https://x.example", "Europe/Moscow", "RUB", external_id="1")
    body = (HERE / "amocrm" / "samples" / "lead-status.form").read_bytes()
    with pytest.raises(PayloadNotUnderstood) as caught:
        ADAPTERS["amocrm"].decode(RawHook(body, "", RECEIVED), own)
    assert caught.value.reason == "foreign_account"


def test_bitrix_task_comment_with_id_0_is_not_taken_for_the_task() -> None:
    found = decode("bitrix24", "event-task-comment-add-new-card-observed")
    assert found.ignored == "ONTASKCOMMENTADD"
    assert found.touched == []


def test_bitrix_task_update_touches_the_task() -> None:
    found = decode("bitrix24", "event-task-update-outgoing-webhook")
    assert found.touched == [Touched(Kind.TASK, "t2536")]


def test_bitrix_call_end_is_a_whole_fact() -> None:
    found = decode("bitrix24", "event-call-end")
    (fact,) = found.facts
    assert fact.id == "c7953"
    assert fact.body["answered"] is False
    assert fact.body["author"] == "1269"
    assert fact.body["direction"] == "out"


@pytest.mark.parametrize(
    ("token", "body", "answer"),
    [
        ("t", b"event=X&auth[application_token]=t", "yes"),
        ("t", b"event=X&auth[application_token]=u", "no"),
        ("t", b"event=X", "no"),
        ("t", b"", "no"),
        ("", b"event=X&auth[application_token]=t", "hold"),
    ],
)
def test_bitrix_admits_by_application_token(token: str, body: bytes, answer: str) -> None:
    secrets = {"application_token": token} if token else {}
    portal = Connection("b", "https://b.example", "Europe/Moscow", "RUB", secrets=secrets)
    assert ADAPTERS["bitrix24"].admits(RawHook(body, "", 1), portal) == answer


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b'{"leads": 1}', "not_a_form"),
        (b"hello", "not_a_form"),
        (b"leads%5Bstatus%5D%5B0%5D%5Bid", "cut"),
        (b"leads[add][0][name]=%ff%fe", "not_utf8"),
        (b"&".join(b"leads[add][%d][id]=1" % n for n in range(10_000)), "too_many_keys"),
        (b"a" + b"[b]" * 40 + b"=1", "too_deep"),
    ],
)
def test_bad_body_is_parked_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadNotUnderstood) as caught:
        ADAPTERS["amocrm"].decode(RawHook(body, "", RECEIVED), PORTAL)
    assert caught.value.reason == reason


def test_odd_shapes_survive() -> None:
    body = (
        b"account[id]=1&task[update][0][0][id]=5&task[update][0][0][updated_at]=1700000000"
        b"&leads[update][3][id]=9&leads[update][3][updated_at]=1700000001&leads[update][3][price]="
        b"&leads[update][3][custom_fields][0][id]=7&leads[update][3][custom_fields][0][values][value]=x"
        b"&leads[status][0]["
    )
    found = ADAPTERS["amocrm"].decode(RawHook(body, "", RECEIVED), PORTAL)
    by_kind = {fact.kind: fact for fact in found.facts}
    assert by_kind[Kind.TASK].id == "5"
    assert by_kind[Kind.DEAL].body["amount"] == 0
    assert by_kind[Kind.DEAL].body["fields"] == {"7": "x"}


_piece = st.sampled_from(
    [b"leads", b"task", b"[add]", b"[0]", b"[id]", b"=", b"&", b"1", b"%5B", b"%ff", b"[", b"]",
     b"unsorted", b"[note]", b"[values]", b"account", b"event=ONTASKADD", b"data[FIELDS_AFTER]"]
)  # fmt: skip


def understood(adapter: Adapter, raw: RawHook) -> Decoded | None:
    with suppress(PayloadNotUnderstood):
        return adapter.decode(raw, PORTAL)
    return None


@given(body=st.one_of(st.binary(max_size=300), st.lists(_piece, max_size=40).map(b"".join)))
def test_no_body_raises_anything_but_not_understood(body: bytes) -> None:
    for adapter in ADAPTERS.values():
        raw = RawHook(body, "", RECEIVED)
        assert adapter.admits(raw, PORTAL) in {"yes", "no", "hold"}
        found = understood(adapter, raw)
        if found is None:
            continue
        assert found.facts or found.touched or found.ignored or found.directory_changed
        for fact in found.facts:
            assert fact.id
            assert 0 < fact.at <= form.END_OF_TIME
            assert json.loads(fact.packed()) == fact.body
