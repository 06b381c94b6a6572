"""Bitrix24's published rows become facts."""

from typing import Any

import pytest

from service.crm.bitrix24 import mapping
from service.domain.clientkeys import client_keys, phone_key
from service.domain.facts import Kind, Rank
from service.domain.homes import told_home
from tests.crm.bitrix24_rows import activity, deal, rest
from tests.crm.kit import sample

# --- images and histories ---------------------------------------------------------------------


def test_published_deal_is_an_image_and_its_stages_instant() -> None:
    image, moved = mapping.deal(rest("crm-deal-get"), ["55"], "RUB")
    row = rest("crm-deal-get")
    assert image.id == row["ID"]
    assert image.at == mapping.instant(row["DATE_MODIFY"])
    assert image.body["stage"] == row["STAGE_ID"]
    assert image.body["contacts"] == ["55"]
    assert moved.at == mapping.instant(row["MOVED_TIME"])
    assert moved.rank is Rank.HISTORY


def test_deal_keeps_kopecks_filled_fields_and_source() -> None:
    image, moved = mapping.deal(deal(), None, "RUB")
    assert image.body["amount"] == 1_999_999
    assert image.body["fields"] == {"UF_CRM_1": "x", "UF_CRM_3": "1, 2"}
    assert (image.body["source"], image.body["company"]) == ("WEB", None)
    assert "contacts" not in image.body
    assert moved.body == {"pipeline": "10", "stage": "C10:LOSE", "author": "7"}


def test_deal_of_an_inquiry_names_it() -> None:
    image, _ = mapping.deal(deal(LEAD_ID="123"), None, "RUB")
    assert image.body["inquiry"] == "123"
    assert image.body["accepted_at"] == image.body["created_at"]


def test_template_of_a_repeating_deal_is_no_deal() -> None:
    assert mapping.deal(deal(IS_RECURRING="Y"), [], "RUB") == []


def test_task_of_the_published_list_has_no_link_if_none_was_selected() -> None:
    (row,) = rest("tasks-task-list")["tasks"]
    (fact,) = mapping.task(row)
    assert (fact.id, fact.body["responsible"]) == ("t8017", "547")
    assert (fact.body["is_open"], fact.body["is_deferred"]) == (True, False)
    assert fact.body["due_at"] == mapping.instant("2025-10-24T19:00:00+03:00")
    assert "deal" not in fact.body


def task(**given: Any) -> dict[str, Any]:
    return {
        "id": "15", "title": "Перезвонить", "status": "2", "deadline": None, "createdBy": "7",
        "createdDate": "2025-09-25T14:00:00+03:00", "changedDate": "2025-09-25T16:00:00+03:00",
        "closedDate": None, "responsibleId": "7", "changedBy": "7",
        "ufCrmTask": ["C_45", "CO_9", "D_123", "SI_3"],
    } | given  # fmt: skip


@pytest.mark.parametrize(
    ("status", "is_open", "is_deferred"),
    [("1", True, False), ("2", True, False), ("3", True, False), ("4", True, True),
     ("5", False, False), ("6", True, True), ("7", True, False)],
)  # fmt: skip
def test_task_status(status: str, is_open: bool, is_deferred: bool) -> None:
    fact = mapping.task(task(status=status))[0]
    assert (fact.body["is_open"], fact.body["is_deferred"]) == (is_open, is_deferred)


@pytest.mark.parametrize(
    ("links", "deal_id", "contact"),
    [
        (["C_45", "CO_9", "D_123"], "123", "45"),
        (["CO_9"], None, "co9"),
        ([], None, None),
        (False, None, None),
        (None, None, None),
        (["D_x"], None, None),
    ],
)
def test_task_links(links: Any, deal_id: str | None, contact: str | None) -> None:
    fact = mapping.task(task(ufCrmTask=links))[0]
    assert (fact.body["deal"], fact.body["contact"]) == (deal_id, contact)


def test_closed_task_that_was_edited_later_keeps_its_closing() -> None:
    given = {"status": "5", "closedDate": "2025-09-25T15:00:00+03:00", "closedBy": "9"}
    _, done = mapping.task(task(**given))
    assert done.at == mapping.instant("2025-09-25T15:00:00+03:00")
    assert done.body == {"is_open": False, "is_deferred": False, "author": "9"}


def change(number: int, minute: int, field: str, before: Any, after: Any) -> dict[str, Any]:
    return {
        "id": number, "createdDate": f"2025-09-25T15:{minute:02}:00+03:00", "field": field,
        "value": {"from": before, "to": after}, "user": {"id": 9},
    }  # fmt: skip


def test_task_history_tells_what_was_at_the_beginning() -> None:
    rows = [
        change(3, 30, "STATUS", "2", "5"),
        change(1, 10, "DEADLINE", "1758800000", "1758900000"),
        change(2, 20, "DEADLINE", "1758900000", ""),
        change(4, 40, "RESPONSIBLE_ID", "7", "9"),
        change(5, 50, "COMMENT", None, "3"),
    ]
    found = mapping.task_history("t15", rows, 1_758_790_000)
    told = {(fact.at, *sorted(fact.body.items())) for fact in found}
    start = mapping.instant("2025-09-25T15:00:00+03:00") or 0
    assert told == {
        (start + 600, ("author", "9"), ("due_at", 1_758_900_000)),
        (start + 1200, ("author", "9"), ("due_at", None)),
        (start + 1800, ("author", "9"), ("is_deferred", False), ("is_open", False)),
        (start + 2400, ("author", "9"), ("responsible", "9")),
        (1_758_790_000, ("due_at", 1_758_800_000), ("is_deferred", False), ("is_open", True),
         ("responsible", "7")),
    }  # fmt: skip


def test_published_task_history_has_nothing_for_rules() -> None:
    rows = rest("tasks-task-history-list")["list"]
    assert mapping.task_history("t1", rows, 1) == []


def test_todo_is_a_task_and_9999_is_no_deadline() -> None:
    fact = mapping.activity(activity(), "5111")
    assert fact is not None
    assert (fact.id, fact.body["deal"], fact.body["due_at"]) == ("a10120", "5111", None)
    assert fact.body["is_open"]


@pytest.mark.parametrize(
    "given",
    [
        {"PROVIDER_ID": "CRM_EMAIL", "TYPE_ID": "4"},
        {"PROVIDER_ID": "CRM_TASKS_TASK", "TYPE_ID": "3"},
        {"PROVIDER_ID": "IMOPENLINES_SESSION"},
        {"PROVIDER_ID": "CRM_MEETING", "TYPE_ID": "1", "DIRECTION": "1"},
    ],
)
def test_what_is_no_planned_step_is_no_task(given: dict[str, str]) -> None:
    assert mapping.activity(activity(**given), None) is None


def test_call_that_took_place_is_no_task_but_a_planned_one_is_closed() -> None:
    happened = rest("crm-activity-get")
    assert mapping.activity(happened, None) is None
    planned = activity(TYPE_ID="2", PROVIDER_ID="VOXIMPLANT_CALL", DIRECTION="2", COMPLETED="Y")
    fact = mapping.activity(planned, "5111")
    assert fact is not None
    assert fact.body["is_open"] is False


def test_calls_of_the_published_statistics() -> None:
    rows = sample("bitrix24", "rest-voximplant-statistic-get-observed")["result"]
    missed, talk = (mapping.call(row) for row in rows)
    assert missed is not None
    assert talk is not None
    assert (missed.id, missed.body["answered"], missed.body["contact"]) == (
        "c435798",
        False,
        "26070",
    )
    assert (talk.id, talk.body["seconds"], talk.body["answered"]) == ("c435800", 189, True)
    assert (talk.body["direction"], talk.body["contact"]) == ("out", "co18866")
    assert "client" not in missed.body
    unknown = mapping.call(rows[0] | {"CRM_ENTITY_ID": None}, None, {"client_key": "k"})
    assert unknown is not None
    assert unknown.body["client"] == phone_key({"client_key": "k"}, "+7 900 000-01-01")
    assert told_home(unknown) == f"contact:~{unknown.body['client']}"
    assert b"79000000101" not in unknown.packed()


def test_lead_is_an_inquiry() -> None:
    secrets = {"client_key": "k"}
    (fact,) = mapping.lead(rest("crm-lead-get"), None, secrets)
    assert fact.body["keys"] == client_keys(secrets, ["545 477-77-77"], [])
    assert "keys" not in mapping.lead(rest("crm-lead-get"), None, {})[0].body
    of_person = mapping.lead(rest("crm-lead-get") | {"CONTACT_ID": "9"}, None, secrets)[0]
    assert of_person.body["keys"] == client_keys(secrets, ["5454777777"], [], ["9"])
    assert (fact.kind, fact.body["state"]) == (Kind.LEAD, "in_work")
    assert "closed_at" not in fact.body
    won = rest("crm-lead-get") | {
        "STATUS_SEMANTIC_ID": "S", "DATE_CLOSED": "2024-05-23T19:00:00+03:00",
        "DATE_MODIFY": "2024-05-24T19:00:00+03:00",
    }  # fmt: skip
    image, closing = mapping.lead(won, "41", {})
    assert (image.body["state"], image.body["deal"]) == ("accepted", "41")
    assert closing.at == mapping.instant("2024-05-23T19:00:00+03:00")


def test_comments_of_the_published_list_are_notes() -> None:
    rows = rest("crm-timeline-comment-list")
    fact = mapping.comment(rows[0], "2")
    assert fact is not None
    assert (fact.kind, fact.id, fact.body["author"]) == (Kind.NOTE, "999", "1")
    assert fact.body["text"] == "New comment was added"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-04-25T14:59:11+00:00", 1_714_057_151),
        ("2024-04-25T17:59:11+03:00", 1_714_057_151),
        ("9999-12-31T00:00:00+03:00", None),
        ("2024-04-25T17:59:11", None),
        ("", None),
        (None, None),
        (False, None),
        ("вчера", None),
    ],
)
def test_instants(text: Any, seconds: int | None) -> None:
    assert mapping.instant(text) == seconds
