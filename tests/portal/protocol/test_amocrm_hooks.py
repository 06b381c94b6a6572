"""amoCRM webhooks: bodies in the shape of the samples, subscriptions, retries, switching off."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from service.portal.amocrm.webhooks import SETTINGS
from service.portal.book import Change, Contact, Message
from tests.portal.protocol.conftest import NOW, Open, Portal, Receiver, World

LATER = NOW + timedelta(hours=1)
Shape = Callable[[list[tuple[str, str]]], list[str]]
TAGS = {"leads[status][#][tags][#][id]", "leads[status][#][tags][#][name]"}


def _enum(action: str) -> set[str]:
    return {f"leads[{action}][#][custom_fields][#][values][#][enum]"}


def _bare(action: str) -> set[str]:
    """The sample's date field; this department has text fields only."""
    return {f"leads[{action}][#][custom_fields][#][values][#]"}


@pytest.fixture
def portal(amo: World, receiver: Receiver, open_portal: Open) -> Portal:
    """A portal with an old deal and task, and every hook subscribed."""
    amo.deal(501, fields=((9001, "7707"),))
    amo.task(601)
    opened = open_portal("amocrm", amo.book)
    assert opened.subscribe(receiver.url, *sorted(SETTINGS)).status_code == 201
    return opened


def _restore(world: World) -> None:
    deal = world.book.deals[501]
    world.book._record("deal_restored", LATER, 1, deal, deal)


def _move_and_give(world: World) -> None:
    world.book.move_deal(501, "312", LATER, 7)
    world.book.hand_over_deal(501, 9, LATER, 1)


def _finish(result: str | None) -> Callable[[World], Any]:
    return lambda world: world.book.finish_task(601, LATER, 7, result)


HOME = {
    f"message[add][#][{kind}_{what}]" for kind in ("element", "entity") for what in ("id", "type")
}  # of a chat that has a lead
CASES: list[tuple[str, Callable[[World], Any], set[str], set[str]]] = [
    ("lead-add", lambda w: w.deal(502), set(), set()),
    ("lead-update", lambda w: w.book.edit_deal(501, LATER, 7, amount=9), set(), set()),
    (
        "lead-status",
        lambda w: w.book.move_deal(501, "312", LATER, 7),
        TAGS | _enum("status") | _bare("status"),
        set(),
    ),
    ("lead-delete", lambda w: w.book.delete_deal(501, LATER, 1), set(), set()),
    ("lead-restore", _restore, set(), set()),
    (
        "lead-responsible-stale-old-status",
        _move_and_give,
        _enum("responsible") | _bare("responsible"),
        set(),
    ),
    ("task-add", lambda w: w.task(602), set(), set()),
    ("task-update-text", lambda w: w.book.edit_task(601, LATER, 7, text="x"), set(), set()),
    ("task-update-complete", _finish(None), set(), set()),
    ("task-update-result", _finish("Договорились"), set(), {"task[update][#][old_text]"}),
    ("task-responsible", lambda w: w.book.hand_over_task(601, 9, LATER, 1), set(), set()),
    ("task-delete", lambda w: w.book.delete_task(601, LATER, 1), set(), set()),
    ("lead-note-text", lambda w: w.note(), set(), set()),
    ("lead-note-call-out", lambda w: w.call(), set(), set()),
    ("message-add", lambda w: w.book.message(Message(950, 501, "in", LATER, 0)), set(), HOME),
]


@pytest.mark.parametrize(("name", "act", "missing", "extra"), CASES, ids=[c[0] for c in CASES])
def test_hook_has_the_keys_of_the_sample(  # noqa: PLR0917 - the case and five fixtures
    name: str,
    act: Callable[[World], Any],
    missing: set[str],
    extra: set[str],
    amo: World,
    portal: Portal,
    receiver: Receiver,
    sample: Callable[[str], Any],
    shape: Shape,
) -> None:
    with portal.server.lock:
        act(amo)
    portal.settle()
    bodies = sorted(receiver.pairs(), key=lambda pairs: _rank(pairs, name))
    theirs = shape(sample(f"amocrm/{name}.form"))
    ours = shape(bodies[0])
    assert set(ours) - set(theirs) == extra
    assert set(theirs) - set(ours) == missing


def _rank(pairs: list[tuple[str, str]], name: str) -> int:
    """The delivery that the sample is about goes first."""
    action = {"responsible": "responsible", "status": "status"}.get(name.split("-")[1], "")
    return 0 if any(f"[{action}]" in key for key, _ in pairs) else 1


def test_lead_add_has_the_very_order_of_the_capture(
    amo: World, portal: Portal, receiver: Receiver, sample: Callable[[str], Any]
) -> None:
    with portal.server.lock:
        amo.deal(502)
    portal.settle()
    assert [key for key, _ in receiver.pairs()[0]] == [
        key for key, _ in sample("amocrm/lead-add.form")
    ]


def test_stage_change_is_told_twice_with_headers_of_the_capture(
    amo: World, portal: Portal, receiver: Receiver, sample: Callable[[str], Any]
) -> None:
    with portal.server.lock:
        amo.book.move_deal(501, "142", LATER, 9)
    portal.settle()
    status, update = sorted(receiver.maps(), key=lambda body: "leads[update][0][id]" in body)
    assert status["leads[status][0][old_status_id]"] == "311"
    assert status["leads[status][0][status_id]"] == "142"
    assert update["leads[update][0][status_id]"] == "142"
    assert update["leads[update][0][modified_user_id]"] == "9"
    assert update["leads[update][0][updated_at]"] == str(int(LATER.timestamp()))
    observed = sample("amocrm/webhook-headers.json")["observed"]
    for name in ("User-Agent", "Content-Type", "Accept-Encoding"):
        assert receiver.headers[0][name.lower()] == observed[name]
    ids = {headers["x-amocrm-requestid"] for headers in receiver.headers}
    assert len(ids) == 2
    assert {len(number) for number in ids} == {36}


def test_inquiry_is_told_when_it_comes_and_when_it_is_sorted(
    amo: World,
    portal: Portal,
    receiver: Receiver,
    sample: Callable[[str], Any],
    shape: Shape,
) -> None:
    with portal.server.lock:
        amo.inquiry()
    portal.settle()
    with portal.server.lock:
        deal = replace(amo.book.deals[501], id=502, inquiry_uid="u1", created_at=LATER)
        amo.book.accept_inquiry("u1", deal, LATER, 7)
    portal.settle()
    came, sorted_out = receiver.pairs()
    theirs = shape(sample("amocrm/unsorted-delete-accept.form"))
    assert set(shape(sorted_out)) == {*theirs, "unsorted[delete][#][updated_at]"}
    assert dict(sorted_out)["unsorted[delete][0][accept_result][leads][0]"] == "502"
    assert dict(sorted_out)["unsorted[delete][0][created_at]"] == str(int(NOW.timestamp()))
    core = {"uid", "category", "pipeline_id", "account_id", "lead_id", "created_at", "date_create"}
    assert {f"unsorted[add][#][{name}]" for name in core} <= set(shape(came))
    assert set(shape(came)) <= set(shape(sample("amocrm/unsorted-add-form.form")))


def test_declined_inquiry_says_so(amo: World, portal: Portal, receiver: Receiver) -> None:
    with portal.server.lock:
        amo.inquiry()
        amo.book.decline_inquiry("u1", LATER, 9)
    portal.settle()
    body = next(body for body in receiver.maps() if "unsorted[delete][0][uid]" in body)
    assert body["unsorted[delete][0][action]"] == "decline"
    assert body["unsorted[delete][0][modified_user_id]"] == "9"


def test_completion_closes_and_deadline_is_utc_text(
    amo: World, portal: Portal, receiver: Receiver
) -> None:
    with portal.server.lock:
        amo.book.finish_task(601, LATER, 7, "Договорились")
    portal.settle()
    body = receiver.maps()[0]
    assert body["task[update][0][status]"] == "1"
    assert body["task[update][0][action_close]"] == "1"
    assert body["task[update][0][result][text]"] == "Договорились"
    assert body["task[update][0][complete_till]"] == "2026-03-02 10:00:00"
    assert body["task[update][0][complete_before]"] == "1772445600"


def test_call_without_a_deal_hangs_on_the_contact(
    amo: World, portal: Portal, receiver: Receiver
) -> None:
    with portal.server.lock:
        amo.call(702, deal_id=None, contact_id=301, direction="in", answered=False, seconds=0)
    portal.settle()
    body = receiver.maps()[0]
    assert body["contacts[note][0][type]"] == "contact"
    assert body["contacts[note][0][note][note_type]"] == "10"
    assert body["contacts[note][0][note][element_id]"] == "301"
    text = msgspec.json.decode(body["contacts[note][0][note][text]"])
    assert set(text) == {"UNIQ", "LINK", "PHONE", "DURATION", "SRC"}
    assert text["DURATION"] == 0
    assert text["LINK"] is None


def test_contact_change_names_the_kind(amo: World, portal: Portal, receiver: Receiver) -> None:
    with portal.server.lock:
        amo.book.edit_contact(Contact(303, "Новый", "+7999", None, LATER, LATER), LATER, 7)
    portal.settle()
    body = receiver.maps()[0]
    assert body["contacts[add][0][type]"] == "contact"
    assert body["contacts[add][0][custom_fields][0][code]"] == "PHONE"


def test_only_what_is_subscribed_is_sent(amo: World, receiver: Receiver, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book)
    portal.subscribe(receiver.url, "status_lead")
    with portal.server.lock:
        amo.deal(501)
        amo.book.move_deal(501, "312", LATER, 7)
        amo.task(601)
    portal.settle()
    assert len(receiver.bodies) == 1
    assert "leads[status][0][id]" in receiver.maps()[0]


@pytest.mark.parametrize(("status", "tries"), [(500, 5), (404, 3), (302, 3), (499, 5), (200, 1)])
def test_bad_answers_are_tried_again_as_the_table_says(
    status: int, tries: int, amo: World, receiver: Receiver, open_portal: Open
) -> None:
    receiver.answer = lambda _number: status
    portal = open_portal("amocrm", amo.book, speed=50_000)
    portal.subscribe(receiver.url, "add_task")
    with portal.server.lock:
        amo.task(601)
    portal.settle()
    counted = portal.server.courier.stats()
    assert len(receiver.bodies) == tries
    assert counted["sent"] == tries
    assert counted["retried"] == tries - 1
    assert counted["failed"] == (0 if status == 200 else tries)


def test_retry_ends_with_the_first_good_answer(
    amo: World, receiver: Receiver, open_portal: Open
) -> None:
    receiver.answer = lambda number: 200 if number == 1 else 503
    portal = open_portal("amocrm", amo.book, speed=50_000)
    portal.subscribe(receiver.url, "add_task")
    with portal.server.lock:
        amo.task(601)
    portal.settle()
    assert len(receiver.bodies) == 2
    assert receiver.bodies[0] == receiver.bodies[1]


def test_slow_answer_is_a_bad_one(amo: World, receiver: Receiver, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=50_000)
    assert portal.server.dialect.answer_seconds == 2
    portal.server.dialect.answer_seconds = 0.05
    portal.subscribe(receiver.url, "add_task")
    receiver.hold.clear()
    with portal.server.lock:
        amo.task(601)
    portal.settle()
    counted = portal.server.courier.stats()
    assert (counted["failed"], counted["retried"], counted["answered"]) == (3, 2, 0)


def test_more_than_a_hundred_bad_answers_switch_the_hook_off(
    amo: World, receiver: Receiver, open_portal: Open
) -> None:
    receiver.answer = lambda _number: 403
    portal = open_portal("amocrm", amo.book)
    portal.subscribe(receiver.url, "add_task")
    for number in range(100):
        portal.server.dialect.note_answer(receiver.url, 403)
        assert portal.server.dialect.is_on(receiver.url), number
    portal.server.dialect.note_answer(receiver.url, 403)
    shown = portal.rows("webhooks", "webhooks")
    assert [hook["disabled"] for hook in shown] == [True]
    with portal.server.lock:
        amo.task(601)
    portal.settle()
    assert receiver.bodies == []
    assert portal.subscribe(receiver.url, "add_task").status_code == 200
    assert portal.rows("webhooks", "webhooks")[0]["disabled"] is False


def test_dropped_and_doubled_hooks_are_counted(
    amo: World, receiver: Receiver, open_portal: Open
) -> None:
    portal = open_portal("amocrm", amo.book)
    portal.subscribe(receiver.url, "add_task")
    portal.control("faults", {"duplicate": 1})
    with portal.server.lock:
        amo.task(601)
    portal.settle()
    assert receiver.bodies[0] == receiver.bodies[1]
    portal.control("faults", {"drop": 1.0})
    with portal.server.lock:
        amo.task(602)
    portal.settle()
    counted = portal.control("stats")["deliveries"]
    assert (counted["sent"], counted["duplicated"], counted["dropped"]) == (2, 1, 1)


def test_delayed_hooks_still_arrive(amo: World, receiver: Receiver, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=10_000)
    portal.subscribe(receiver.url, "add_task")
    portal.control("faults", {"delay_seconds": 600.0})
    with portal.server.lock:
        for number in range(601, 611):
            amo.task(number)
    portal.settle()
    ids = {body["task[add][0][id]"] for body in receiver.maps()}
    assert ids == {str(number) for number in range(601, 611)}


def test_change_without_an_image_sends_nothing(
    amo: World, receiver: Receiver, open_portal: Open
) -> None:
    portal = open_portal("amocrm", amo.book)
    portal.subscribe(receiver.url, *sorted(SETTINGS))
    user = amo.book.users[7]
    change = Change("user_edited", LATER, 1, user, user)
    assert list(portal.server.dialect.deliveries(change)) == []
