"""amoCRM's REST: shapes of the samples, filters, pages, errors, limits, subscriptions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.portal.protocol.conftest import AMO_TOKEN, NOW, Open, Portal, World

LATER = NOW + timedelta(hours=1)
Sample = Callable[[str], Any]


@pytest.fixture
def portal(amo: World, open_portal: Open) -> Portal:
    """A department with a little history."""
    amo.deal(501, fields=((9001, "7707"),), contact_ids=(302, 301), source_id="77")
    amo.deal(502, minutes=10)
    amo.task(601)
    amo.task(602, minutes=5, due_at=NOW + timedelta(hours=1))
    amo.call(701, minutes=20)
    amo.call(702, minutes=30, deal_id=None, contact_id=301, direction="in", answered=False)
    amo.note(801, minutes=40)
    amo.inquiry()
    return open_portal("amocrm", amo.book)


def test_account_has_the_fields_of_the_sample(portal: Portal, sample: Sample) -> None:
    extras = "users_groups,task_types,datetime_settings,is_api_filter_enabled"
    ours = portal.get("account", **{"with": extras}).json()
    theirs = sample("amocrm/rest-account.json")
    assert set(theirs) - set(ours) == {"mobile_feature_version"}
    assert set(ours["_embedded"]) == set(theirs["_embedded"])
    settings = ours["_embedded"]["datetime_settings"]
    assert set(settings) == set(theirs["_embedded"]["datetime_settings"])
    assert (settings["timezone"], settings["timezone_offset"]) == ("Europe/Moscow", "+03:00")
    assert {group["id"] for group in ours["_embedded"]["users_groups"]} == {0, 3}
    assert "_embedded" not in portal.get("account").json()


def test_users_have_the_fields_of_the_sample(portal: Portal, sample: Sample) -> None:
    answer = portal.get("users", limit=250).json()
    theirs = sample("amocrm/rest-users.json")
    assert set(answer) == set(theirs)
    ours = {user["id"]: user for user in answer["_embedded"]["users"]}
    assert set(ours[7]) == set(theirs["_embedded"]["users"][0])
    assert ours[7]["rights"]["group_id"] == 3
    assert ours[1]["rights"]["is_admin"] is True
    assert ours[1]["rights"]["group_id"] is None


def test_pipelines_have_the_fields_of_the_sample(portal: Portal, sample: Sample) -> None:
    answer = portal.get("leads/pipelines").json()
    theirs = sample("amocrm/rest-pipelines.json")
    ours = answer["_embedded"]["pipelines"][0]
    assert set(answer) == set(theirs)
    assert set(ours) == set(theirs["_embedded"]["pipelines"][0])
    stages = ours["_embedded"]["statuses"]
    assert set(stages[0]) == set(theirs["_embedded"]["pipelines"][0]["_embedded"]["statuses"][0])
    assert (stages[0]["id"], stages[0]["type"]) == (310, 1)
    assert {row["id"] for row in stages} >= {142, 143}
    assert portal.get("leads/pipelines/31").json()["name"] == "Продажи"
    assert portal.get("leads/pipelines/99").status_code == 204


def test_leads_have_the_fields_of_the_sample(amo: World, portal: Portal, sample: Sample) -> None:
    with portal.server.lock:
        amo.book.move_deal(501, "143", LATER, 7, loss_reason_id=41)
    extras = "contacts,loss_reason,source_id,catalog_elements,is_price_modified_by_robot"
    answer = portal.get("leads", **{"with": extras, "filter[id][]": 501}).json()
    theirs = sample("amocrm/rest-leads-page.json")["_embedded"]["leads"][0]
    ours = answer["_embedded"]["leads"][0]
    assert set(ours) == {*theirs, "is_price_computed"}
    assert set(ours["_embedded"]) == set(theirs["_embedded"])
    assert ours["_embedded"]["loss_reason"][0]["name"] == "Дорого"
    assert set(ours["_embedded"]["loss_reason"][0]) == set(theirs["_embedded"]["loss_reason"][0])
    contacts = [(row["id"], row["is_main"]) for row in ours["_embedded"]["contacts"]]
    assert contacts == [(302, True), (301, False)]
    assert ours["closed_at"] == ours["updated_at"] == int(LATER.timestamp())
    assert ours["closest_task_at"] == int((NOW + timedelta(hours=1)).timestamp())
    assert ours["source_id"] == 77
    fields = ours["custom_fields_values"]
    assert (fields[0]["field_id"], fields[0]["values"]) == (9001, [{"value": "7707"}])
    assert "contacts" not in portal.get("leads/501").json()["_embedded"]


def test_pages_follow_next_and_end_with_204(amo: World, portal: Portal) -> None:
    with portal.server.lock:
        for number in range(510, 515):
            amo.deal(number, minutes=number)
    first = portal.get("leads", limit=3, **{"order[updated_at]": "asc"}).json()
    assert [row["id"] for row in first["_embedded"]["leads"]] == [501, 502, 510]
    following = first["_links"]["next"]["href"]
    assert following.startswith(portal.server.base_url)
    headers = {"authorization": f"Bearer {AMO_TOKEN}"}
    second = portal.http.get(following, headers=headers).json()
    third = portal.http.get(second["_links"]["next"]["href"], headers=headers).json()
    assert [row["id"] for row in third["_embedded"]["leads"]] == [514]
    assert "next" not in third["_links"]
    assert portal.get("leads", limit=3, page=4).status_code == 204
    descending = portal.rows("leads", "leads", **{"order[updated_at]": "desc"})
    assert descending[0]["id"] == 514


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"filter[updated_at][from]": int(NOW.timestamp()) + 600}, [502]),
        ({"filter[updated_at][to]": int(NOW.timestamp())}, [501]),
        ({"filter[updated_at]": int(NOW.timestamp()) + 1}, [502]),
        ({"filter[id][0]": 502, "filter[id][1]": 999}, [502]),
        ({"filter[responsible_user_id][]": 9}, []),
        ({"filter[statuses][0][pipeline_id]": 31, "filter[statuses][0][status_id]": 311}, None),
        ({"filter[statuses][0][pipeline_id]": 31, "filter[statuses][0][status_id]": 142}, []),
        ({"filter[closed_at][from]": 1}, []),
    ],
)
def test_lead_filters(given: dict[str, int], found: list[int] | None, portal: Portal) -> None:
    rows = [row["id"] for row in portal.rows("leads", "leads", **given)]
    assert rows == ([501, 502] if found is None else found)


def test_deleted_lead_is_gone_but_listed_as_deleted(amo: World, portal: Portal) -> None:
    with portal.server.lock:
        amo.book.delete_deal(502, LATER, 1)
    assert portal.get("leads/502").status_code == 204
    assert [row["id"] for row in portal.rows("leads", "leads")] == [501]
    gone = portal.rows("leads", "leads", **{"with": "only_deleted"})
    assert [(row["id"], row["is_deleted"], row["updated_by"]) for row in gone] == [(502, True, 1)]


def test_tasks_have_the_fields_of_the_sample(amo: World, portal: Portal, sample: Sample) -> None:
    with portal.server.lock:
        amo.book.finish_task(602, LATER, 7, "Договорились")
    theirs = sample("amocrm/rest-tasks.json")["_embedded"]["tasks"][0]
    ours = {row["id"]: row for row in portal.rows("tasks", "tasks")}
    assert set(ours[601]) == set(theirs)
    assert (ours[601]["entity_type"], ours[601]["result"]) == ("leads", [])
    assert ours[602]["result"] == {"text": "Договорились"}
    assert ours[602]["is_completed"] is True
    undone = portal.rows("tasks", "tasks", **{"filter[is_completed]": 0})
    assert [row["id"] for row in undone] == [601]
    bound = {"filter[entity_type]": "leads", "filter[entity_id]": 501}
    assert len(portal.rows("tasks", "tasks", **bound)) == 2
    nearest = portal.rows("tasks", "tasks", **{"order[complete_till]": "asc"})
    assert [row["id"] for row in nearest] == [602, 601]
    assert portal.get("tasks/601").json()["id"] == 601
    assert portal.get("tasks/999").status_code == 204


def test_notes_and_calls_hang_on_leads_or_contacts(portal: Portal, sample: Sample) -> None:
    kinds = {"filter[note_type][0]": "call_in", "filter[note_type][1]": "call_out"}
    call = portal.rows("leads/notes", "notes", **kinds)[0]
    theirs = sample("amocrm/rest-notes.json")["_embedded"]["notes"][2]
    assert set(call) == set(theirs)
    assert set(call["params"]) == set(theirs["params"])
    assert (call["note_type"], call["params"]["call_status"]) == ("call_out", 4)
    assert call["created_at"] == int(NOW.timestamp()) + 20 * 60
    assert call["updated_at"] == call["created_at"] + 99
    missed = portal.rows("contacts/notes", "notes")[0]
    assert (missed["entity_id"], missed["params"]["call_status"]) == (301, 6)
    texts = portal.rows("leads/501/notes", "notes", **{"filter[note_type][]": "common"})
    assert [row["params"] for row in texts] == [{"text": "Договорились"}]
    since = {"filter[updated_at][from]": int(NOW.timestamp()) + 2400, "order[updated_at]": "asc"}
    assert [row["id"] for row in portal.rows("leads/notes", "notes", **since)] == [801]


def test_events_tell_what_happened_newest_first(amo: World, portal: Portal, sample: Sample) -> None:
    book = amo.book
    with portal.server.lock:
        book.edit_deal(501, LATER, 7, amount=155, fields={9001: "5001"}, contact_ids=(301,))
        book.move_deal(501, "312", LATER + timedelta(minutes=1), 7)
        book.hand_over_deal(501, 9, LATER + timedelta(minutes=2), 1)
        book.edit_task(601, LATER + timedelta(minutes=3), 7, due_at=LATER + timedelta(days=1))
        book.finish_task(601, LATER + timedelta(minutes=4), 7, None)
        book.delete_deal(502, LATER + timedelta(minutes=5), 1)
    rows = portal.rows("events", "events", **{"filter[created_at][from]": int(LATER.timestamp())})
    assert [row["type"] for row in rows[:5]] == [
        "lead_deleted",
        "task_completed",
        "task_deadline_changed",
        "entity_responsible_changed",
        "lead_status_changed",
    ]
    theirs = {row["type"]: row for row in sample("amocrm/rest-events.json")["_embedded"]["events"]}
    for row in rows:
        known = theirs.get(row["type"])
        if known is not None:
            assert set(row) == set(known)
            assert _keys(row["value_after"]) == _keys(known["value_after"]), row["type"]
        assert len(row["id"]) == 26
    moved = next(row for row in rows if row["type"] == "lead_status_changed")
    assert moved["value_before"] == [{"lead_status": {"id": 311, "pipeline_id": 31}}]
    assert moved["value_after"] == [{"lead_status": {"id": 312, "pipeline_id": 31}}]
    sale = next(row for row in rows if row["type"] == "sale_field_changed")
    assert sale["value_after"] == [{"sale_field_value": {"sale": 155}}]


def _keys(values: Any) -> Any:
    if isinstance(values, list):
        return [_keys(value) for value in values]
    return {name: _keys(value) for name, value in values.items()} if isinstance(values, dict) else 0


def test_event_filters(portal: Portal) -> None:
    def kinds(**given: Any) -> list[str]:
        return sorted(row["type"] for row in portal.rows("events", "events", **given))

    assert kinds(**{"filter[type][]": "task_added"}) == ["task_added"] * 2
    assert kinds(**{"filter[type]": "outgoing_call,incoming_call"}) == [
        "incoming_call",
        "outgoing_call",
    ]
    assert kinds(**{"filter[entity]": "lead", "filter[entity_id][]": 502}) == ["lead_added"]
    until = {"filter[created_at]": f"{int(NOW.timestamp())},{int(NOW.timestamp())}"}
    assert kinds(**until) == ["lead_added", "task_added"]
    assert portal.get("events", **{"filter[entity_id]": 501}).status_code == 400
    assert portal.get("events", limit=101).status_code == 422


def test_custom_fields_name_the_stages_that_require_them(portal: Portal) -> None:
    row = portal.rows("leads/custom_fields", "custom_fields")[0]
    assert (row["id"], row["name"], row["type"]) == (9001, "ИНН", "text")
    assert row["required_statuses"] == [{"status_id": 312, "pipeline_id": 31}]


def test_loss_reasons_and_unsorted_have_the_fields_of_the_samples(
    amo: World, portal: Portal, sample: Sample
) -> None:
    reason = portal.rows("leads/loss_reasons", "loss_reasons")[0]
    theirs = sample("amocrm/rest-loss-reasons.json")["_embedded"]["loss_reasons"][0]
    assert set(reason) == set(theirs)
    inquiry = portal.rows("leads/unsorted", "unsorted")[0]
    known = sample("amocrm/rest-unsorted.json")["_embedded"]["unsorted"][0]
    assert set(inquiry) == set(known)
    assert inquiry["uid"] == "u1"
    with portal.server.lock:
        deal = replace(amo.book.deals[501], id=503, inquiry_uid="u1")
        amo.book.accept_inquiry("u1", deal, LATER, 7)
    assert portal.get("leads/unsorted").status_code == 204


def test_contacts_tell_how_to_reach_them(portal: Portal) -> None:
    rows = portal.rows("contacts", "contacts", **{"filter[id][0]": 301, "filter[id][1]": 302})
    with_phone, without = rows
    assert with_phone["custom_fields_values"][0]["field_code"] == "PHONE"
    assert without["custom_fields_values"] is None
    linked = portal.get("contacts/301", **{"with": "leads"}).json()
    assert [lead["id"] for lead in linked["_embedded"]["leads"]] == [501]


def test_wrong_token_is_401(portal: Portal, sample: Sample) -> None:
    answer = portal.http.get("/api/v4/account", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == sample("amocrm/errors.json")["401"]["body"]


def test_errors_are_problems(portal: Portal, sample: Sample) -> None:
    too_many = portal.get("leads", limit=251)
    assert too_many.status_code == 422
    assert too_many.json() == sample("amocrm/errors.json")["422"]["body"]
    assert portal.get("nowhere").json()["title"] == "Not Found"
    assert portal.get("leads", **{"filter[id]": "x"}).status_code == 400
    headers = {"authorization": f"Bearer {AMO_TOKEN}"}
    assert portal.http.post("/api/v4/users", json=[], headers=headers).status_code == 405


def test_eighth_request_of_a_second_is_429(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=0.01, limits=True)
    statuses = [portal.get("account").status_code for _ in range(8)]
    assert statuses == [200] * 7 + [429]
    refused = portal.get("account").json()
    assert (refused["title"], refused["status"]) == ("Too Many Requests", 429)
    assert portal.control("stats")["rest"]["limited"] == 2


def test_accelerated_portal_allows_as_much_more(amo: World, open_portal: Open) -> None:
    portal = open_portal("amocrm", amo.book, speed=100_000, limits=True)
    assert {portal.get("account").status_code for _ in range(30)} == {200}


def test_subscription_is_kept_by_destination(portal: Portal, sample: Sample) -> None:
    url = "http://127.0.0.1:9/hooks/amocrm/secret"
    assert portal.get("webhooks").status_code == 204
    assert portal.subscribe(url, "add_lead").status_code == 201
    changed = portal.subscribe(url, "add_lead", "status_lead")
    assert changed.status_code == 200
    assert portal.subscribe(url + "2", "add_task").status_code == 201
    found = portal.rows("webhooks", "webhooks", **{"filter[destination]": url})
    assert [hook["settings"] for hook in found] == [["add_lead", "status_lead"]]
    theirs = sample("amocrm/rest-webhooks.json")["_embedded"]["webhooks"][0]
    assert set(found[0]) == set(theirs)
    headers = {"authorization": f"Bearer {AMO_TOKEN}"}
    for status in (204, 404):
        answer = portal.http.request(
            "DELETE", "/api/v4/webhooks", json={"destination": url}, headers=headers
        )
        assert answer.status_code == status
    assert len(portal.rows("webhooks", "webhooks")) == 1


def test_unknown_setting_is_refused_with_a_validation_error(portal: Portal) -> None:
    answer = portal.subscribe("http://127.0.0.1:9/x", "add_lead", "add_unicorn")
    assert answer.status_code == 400
    errors = answer.json()["validation-errors"][0]["errors"]
    assert errors[0]["path"] == "settings"
    assert portal.subscribe("ftp://x", "add_lead").status_code == 400


def test_ordered_fault_meets_every_rest_call(portal: Portal) -> None:
    portal.control("faults", {"status": 502})
    assert portal.get("account").status_code == 502
    portal.control("faults", {})
    assert portal.get("account").status_code == 200
