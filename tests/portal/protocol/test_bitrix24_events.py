"""Bitrix24 events: ids only, the form of the captures, five auth keys, no retries."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.portal.bitrix24.events import EVENTS
from service.portal.book import Contact, User
from tests.portal.protocol.conftest import NOW, Open, Portal, Receiver, World

LATER = NOW + timedelta(hours=1)
APPLICATION_TOKEN = "jvh9y1ulvt2m6k5or90v9mg8nn32ozas"
Sample = Callable[[str], Any]


@pytest.fixture
def portal(bitrix: World, receiver: Receiver, open_portal: Open) -> Portal:
    """A portal with an old deal and task, and an outgoing webhook for everything."""
    bitrix.deal(501)
    bitrix.task(601)
    opened = open_portal("bitrix24", bitrix.book)
    made = opened.control(
        "outgoing-webhook",
        {"url": receiver.url, "events": list(EVENTS), "application_token": APPLICATION_TOKEN},
    )
    assert made["application_token"] == APPLICATION_TOKEN
    return opened


def _data(pairs: list[tuple[str, str]]) -> list[str]:
    return [key for key, _ in pairs if key.startswith("data")]


def _one(receiver: Receiver, event: str) -> list[tuple[str, str]]:
    found = [pairs for pairs in receiver.pairs() if dict(pairs)["event"] == event]
    assert len(found) == 1, [dict(pairs)["event"] for pairs in receiver.pairs()]
    return found[0]


def test_deal_update_equals_the_capture_but_for_ids_and_times(
    bitrix: World, portal: Portal, receiver: Receiver, sample: Sample
) -> None:
    with portal.server.lock:
        bitrix.book.move_deal(501, "WON", LATER, 7)
    portal.settle()
    ours = _one(receiver, "ONCRMDEALUPDATE")
    theirs = sample("bitrix24/event-deal-update-outgoing-webhook.form")
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    body = dict(ours)
    assert body["data[FIELDS][ID]"] == "501"
    assert body["auth[application_token]"] == APPLICATION_TOKEN
    assert body["auth[domain]"] == "demo.bitrix24.ru"
    assert re.fullmatch(r"[0-9a-f]{32}", body["auth[member_id]"])
    headers = sample("bitrix24/webhook-headers.json")["headers"]
    for name, value in headers.items():
        assert receiver.headers[0][name.lower()] == value
    assert b"data%5BFIELDS%5D%5BID%5D=501" in receiver.bodies[0]


CASES: list[tuple[str, str, Callable[[World], Any]]] = [
    ("ONCRMDEALADD", "event-deal-update-outgoing-webhook", lambda w: w.deal(502)),
    (
        "ONCRMDEALDELETE",
        "event-deal-update-outgoing-webhook",
        lambda w: w.book.delete_deal(501, LATER, 1),
    ),
    ("ONCRMLEADADD", "event-lead-add", lambda w: w.inquiry()),
    ("ONTASKADD", "event-task-add", lambda w: w.task(602)),
    (
        "ONTASKUPDATE",
        "event-task-update-outgoing-webhook",
        lambda w: w.book.finish_task(601, LATER, 7, None),
    ),
    ("ONTASKDELETE", "event-task-delete", lambda w: w.book.delete_task(601, LATER, 7)),
    ("ONCRMACTIVITYADD", "event-activity-add", lambda w: w.call()),
    ("ONVOXIMPLANTCALLEND", "event-call-end", lambda w: w.call()),
    ("ONCRMTIMELINECOMMENTADD", "event-timeline-comment-add", lambda w: w.note()),
    (
        "ONCRMCONTACTUPDATE",
        "event-contact-update",
        lambda w: w.book.edit_contact(replace(w.book.contacts[301], phone=None), LATER, 7),
    ),
]


@pytest.mark.parametrize(("event", "name", "act"), CASES, ids=[case[0] for case in CASES])
def test_event_has_the_data_of_the_sample(
    event: str,
    name: str,
    act: Callable[[World], Any],
    bitrix: World,
    portal: Portal,
    receiver: Receiver,
    sample: Sample,
) -> None:
    with portal.server.lock:
        act(bitrix)
    portal.settle()
    ours = _one(receiver, event)
    assert _data(ours) == _data(sample(f"bitrix24/{name}.form"))
    assert [key for key, _ in ours if key.startswith("auth")] == [
        "auth[domain]",
        "auth[client_endpoint]",
        "auth[server_endpoint]",
        "auth[member_id]",
        "auth[application_token]",
    ]


def test_task_words_are_those_of_the_samples(
    bitrix: World, portal: Portal, receiver: Receiver, sample: Sample
) -> None:
    with portal.server.lock:
        bitrix.task(602)
        bitrix.book.delete_task(602, LATER, 7)
    portal.settle()
    for event, name in (("ONTASKADD", "event-task-add"), ("ONTASKDELETE", "event-task-delete")):
        ours = dict(_one(receiver, event))
        for key, value in sample(f"bitrix24/{name}.form"):
            if key.startswith("data") and not key.endswith("[ID]"):
                assert ours[key] == value


def test_call_end_is_the_whole_fact(bitrix: World, portal: Portal, receiver: Receiver) -> None:
    with portal.server.lock:
        bitrix.call(701, direction="in", answered=False, seconds=0, contact_id=301)
    portal.settle()
    body = dict(_one(receiver, "ONVOXIMPLANTCALLEND"))
    assert body["data[CALL_TYPE]"] == "2"
    assert body["data[CALL_FAILED_CODE]"] == "304"
    assert body["data[CALL_START_DATE]"] == "2026-03-02T10:00:00+03:00"
    assert body["data[CRM_ACTIVITY_ID]"] == "701"


def test_new_user_is_told_flat_and_a_dismissed_one_not_at_all(
    bitrix: World, portal: Portal, receiver: Receiver, sample: Sample
) -> None:
    with portal.server.lock:
        bitrix.book.edit_user(User(11, "Пётр Новый", 3), LATER, 1)
        bitrix.book.edit_user(User(9, "Анна Смирнова", 3, is_active=False), LATER, 1)
    portal.settle()
    assert len(receiver.bodies) == 1
    ours = _data(_one(receiver, "ONUSERADD"))
    assert set(ours) <= {key for key, _ in sample("bitrix24/event-user-add.form")}
    assert receiver.maps()[0]["data[UF_DEPARTMENT][0]"] == "3"


def test_accepted_inquiry_raises_lead_update_and_deal_add(
    bitrix: World, portal: Portal, receiver: Receiver
) -> None:
    with portal.server.lock:
        bitrix.inquiry()
        deal = replace(bitrix.book.deals[501], id=502, inquiry_uid="u1", created_at=LATER)
        bitrix.book.accept_inquiry("u1", deal, LATER, 7)
    portal.settle()
    events = sorted(body["event"] for body in receiver.maps())
    assert events == ["ONCRMDEALADD", "ONCRMLEADADD", "ONCRMLEADUPDATE"]


def test_lost_event_is_never_sent_again(bitrix: World, receiver: Receiver, portal: Portal) -> None:
    receiver.answer = lambda _number: 500
    with portal.server.lock:
        bitrix.book.move_deal(501, "WON", LATER, 7)
    portal.settle()
    counted = portal.control("stats")["deliveries"]
    assert (counted["sent"], counted["failed"], counted["retried"]) == (1, 1, 0)


def test_only_chosen_events_go_to_a_webhook(
    bitrix: World, receiver: Receiver, open_portal: Open
) -> None:
    portal = open_portal("bitrix24", bitrix.book)
    made = portal.control("outgoing-webhook", {"url": receiver.url, "events": ["onTaskAdd"]})
    assert len(made["application_token"]) == 32
    with portal.server.lock:
        bitrix.deal(501)
        bitrix.task(601)
        bitrix.book.edit_contact(Contact(303, "Новый", None, None, NOW, NOW), NOW, 7)
    portal.settle()
    assert [body["event"] for body in receiver.maps()] == ["ONTASKADD"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"url": "x", "events": []}, "url"),
        ({"url": "http://127.0.0.1:9", "events": "all"}, "events"),
        ({"url": "http://127.0.0.1:9", "events": ["ONCRMDEALMOVETOCATEGORY"]}, "MOVETOCATEGORY"),
        ({"url": "http://127.0.0.1:9", "events": [], "application_token": 5}, "application_token"),
    ],
)
def test_bad_outgoing_webhook_names_what_is_wrong(
    body: dict[str, Any], word: str, bitrix: World, open_portal: Open
) -> None:
    portal = open_portal("bitrix24", bitrix.book)
    answer = portal.http.post("/_control/outgoing-webhook", json=body)
    assert answer.status_code == 400
    assert word in answer.json()["error"]
