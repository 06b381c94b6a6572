"""Bitrix24's REST: shapes of the samples, filters, batch, histories, errors, limits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.portal.protocol.conftest import BITRIX_TOKEN, NOW, Open, Portal, World

LATER = NOW + timedelta(hours=1)
Sample = Callable[[str], Any]


@pytest.fixture
def portal(bitrix: World, open_portal: Open) -> Portal:
    """A department with a little history."""
    bitrix.deal(501, fields=((9001, "7707"),), contact_ids=(302, 301), source_id="WEB")
    bitrix.deal(502, minutes=10)
    bitrix.task(601)
    bitrix.task(602, minutes=5, deal_id=None, text="Отчёт")
    bitrix.call(701, minutes=20, contact_id=301)
    bitrix.call(702, minutes=30, direction="in", answered=False, seconds=0)
    bitrix.note(801, minutes=40)
    bitrix.inquiry()
    return open_portal("bitrix24", bitrix.book)


def _error(portal: Portal, method: str, params: Any = None) -> tuple[int, dict[str, Any]]:
    answer = portal.http.post(f"/rest/{BITRIX_TOKEN}/{method}", json=params or {})
    return answer.status_code, answer.json()


def test_deal_has_the_fields_of_the_sample(portal: Portal, sample: Sample) -> None:
    ours = portal.call("crm.deal.get", {"id": 501})
    theirs = sample("bitrix24/rest-crm-deal-get.json")["result"]
    assert {name for name in theirs if not name.startswith(("UF_", "PARENT_"))} <= set(ours)
    assert ours["ID"] == "501"
    assert ours["CATEGORY_ID"] == "0"
    assert ours["OPPORTUNITY"] == "1000.00"
    assert ours["DATE_CREATE"] == "2026-03-02T10:00:00+03:00"
    assert ours["UF_CRM_9001"] == "7707"
    assert (ours["STAGE_ID"], ours["STAGE_SEMANTIC_ID"], ours["CLOSED"]) == ("NEW", "P", "N")
    assert ours["CONTACT_ID"] == "302"
    assert ours["LAST_ACTIVITY_TIME"] == "2026-03-02T10:40:00+03:00"


def test_close_date_is_a_plan_nobody_made_until_the_deal_is_closed(
    bitrix: World, portal: Portal
) -> None:
    assert portal.call("crm.deal.get", {"id": 501})["CLOSEDATE"] == "2026-03-09T03:00:00+03:00"
    with portal.server.lock:
        bitrix.book.move_deal(501, "LOSE", LATER, 9)
    closed = portal.call("crm.deal.get", {"id": 501})
    assert closed["CLOSEDATE"] == "2026-03-02T03:00:00+03:00"
    assert (closed["STAGE_SEMANTIC_ID"], closed["CLOSED"], closed["MOVED_BY_ID"]) == ("F", "Y", "9")
    assert closed["MOVED_TIME"] == "2026-03-02T11:00:00+03:00"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"@ID": [502, "501"]}, ["501", "502"]),
        ({"ID": 502}, ["502"]),
        ({">ID": 501}, ["502"]),
        ({"!ID": 501}, ["502"]),
        ({">=DATE_MODIFY": "2026-03-02T07:10:00+00:00"}, ["502"]),
        ({"<DATE_MODIFY": "2026-03-02 10:10:00"}, ["501"]),
        ({"CONTACT_ID": 302}, ["501"]),
        ({"%TITLE": "сделка"}, ["501", "502"]),
        ({"UF_CRM_9001": "7707"}, ["501"]),
        ({">=OPPORTUNITY": "1000.5"}, []),
        ({"STAGE_SEMANTIC_ID": "P", "ASSIGNED_BY_ID": 9}, []),
        ({"NO_SUCH_FIELD": 1}, ["501", "502"]),
    ],
)
def test_deal_filters(given: dict[str, Any], found: list[str], portal: Portal) -> None:
    rows = portal.call("crm.deal.list", {"filter": given, "select": ["ID"]})
    assert [row["ID"] for row in rows] == found


def test_deal_list_selects_and_counts(bitrix: World, portal: Portal) -> None:
    with portal.server.lock:
        for number in range(510, 560):
            bitrix.deal(number)
    url = f"/rest/{BITRIX_TOKEN}/crm.deal.list.json"
    answer = portal.http.post(url, json={"order": {"ID": "DESC"}, "select": ["ID", "UF_*"]}).json()
    assert (answer["total"], answer["next"], len(answer["result"])) == (52, 50, 50)
    assert answer["result"][0] == {"ID": "559", "UF_CRM_9001": None}
    rest = portal.http.post(url, json={"order": {"ID": "DESC"}, "start": 50}).json()
    assert [row["ID"] for row in rest["result"]] == ["502", "501"]
    assert "next" not in rest
    assert "UF_CRM_9001" not in rest["result"][0]
    quick = portal.http.post(url, json={"filter": {">ID": 0}, "start": -1}).json()
    assert set(quick) == {"result", "time"}
    assert {"start", "finish", "date_start", "operating", "operating_reset_at"} <= set(
        quick["time"]
    )


def test_form_and_query_parameters_are_heard_like_json(portal: Portal) -> None:
    url = f"/rest/{BITRIX_TOKEN}/crm.deal.list"
    query = {"filter[>ID]": "501", "select[]": "ID"}
    by_query = portal.http.get(url, params=query).json()["result"]
    by_form = portal.http.post(url, data=query).json()["result"]
    assert by_query == by_form == [{"ID": "502"}]


def test_deleted_deal_is_not_found(bitrix: World, portal: Portal, sample: Sample) -> None:
    with portal.server.lock:
        bitrix.book.delete_deal(502, LATER, 1)
    known = sample("bitrix24/errors.json")["answers"][0]
    status, body = _error(portal, "crm.deal.get", {"id": 502})
    assert (status, body) == (known["status"], known["body"])
    assert portal.call("crm.deal.list", {"filter": {"@ID": [502]}, "start": -1}) == []


def test_contacts_of_a_deal_and_their_reach(portal: Portal, sample: Sample) -> None:
    rows = portal.call("crm.deal.contact.items.get", {"id": 501})
    assert [(row["CONTACT_ID"], row["IS_PRIMARY"]) for row in rows] == [(302, "Y"), (301, "N")]
    theirs = sample("bitrix24/rest-crm-deal-contact-items-get.json")["result"][0]
    assert set(rows[0]) == set(theirs)
    select = {"select": ["ID", "DATE_MODIFY", "PHONE", "EMAIL"], "filter": {"@ID": ["301", "302"]}}
    with_phone, without = portal.call("crm.contact.list", {**select, "start": -1})
    known = sample("bitrix24/rest-crm-contact-get.json")["result"]["PHONE"][0]
    assert set(with_phone["PHONE"][0]) == set(known)
    assert without["PHONE"] == []
    assert "PHONE" not in portal.call("crm.contact.list")[0]
    assert "PHONE" not in portal.call("crm.contact.get", {"id": 302})
    assert portal.call("crm.company.list", {"filter": {"@ID": [1]}}) == []


def test_stage_history_knows_each_move_by_its_kind(
    bitrix: World, portal: Portal, sample: Sample
) -> None:
    book = bitrix.book
    with portal.server.lock:
        book.move_deal(501, "PREPARATION", LATER, 7)
        book.move_deal(501, "WON", LATER + timedelta(hours=1), 7)
        book.move_deal(501, "PREPARATION", LATER + timedelta(hours=2), 7)
        book.edit_deal(501, LATER + timedelta(hours=3), 7, amount=5)
    params = {"entityTypeId": 2, "filter": {"OWNER_ID": "501"}, "order": {"ID": "ASC"}}
    rows = portal.call("crm.stagehistory.list", params)["items"]
    assert [(row["TYPE_ID"], row["STAGE_ID"], row["STAGE_SEMANTIC_ID"]) for row in rows] == [
        (1, "NEW", "P"),
        (2, "PREPARATION", "P"),
        (3, "WON", "S"),
        (2, "PREPARATION", "P"),
    ]
    theirs = sample("bitrix24/rest-crm-stage-history-list.json")["result"]["items"][0]
    assert set(rows[0]) == set(theirs)
    assert {name: type(value) for name, value in rows[0].items()} == {
        name: type(value) for name, value in theirs.items()
    }
    later = portal.call(
        "crm.stagehistory.list", {"entityTypeId": 2, "filter": {">ID": rows[1]["ID"]}}
    )
    assert [row["STAGE_ID"] for row in later["items"]] == ["WON", "PREPARATION"]
    with portal.server.lock:
        book.delete_deal(501, LATER + timedelta(hours=4), 1)
    assert portal.call("crm.stagehistory.list", params)["items"] == []
    assert _error(portal, "crm.stagehistory.list", {"entityTypeId": 99})[0] == 400


def test_lead_lives_and_is_converted(bitrix: World, portal: Portal, sample: Sample) -> None:
    lead = portal.call("crm.lead.get", {"id": 901})
    theirs = sample("bitrix24/rest-crm-lead-get.json")["result"]
    assert set(lead) <= set(theirs)
    assert (lead["STATUS_ID"], lead["STATUS_SEMANTIC_ID"], lead["DATE_CLOSED"]) == ("NEW", "P", "")
    with portal.server.lock:
        deal = replace(bitrix.book.deals[501], id=503, inquiry_uid="u1")
        bitrix.book.accept_inquiry("u1", deal, LATER, 7)
    done = portal.call("crm.lead.list", {"filter": {"@ID": [901]}, "select": ["*"], "start": -1})[0]
    assert (done["STATUS_ID"], done["STATUS_SEMANTIC_ID"]) == ("CONVERTED", "S")
    assert done["DATE_CLOSED"] == "2026-03-02T11:00:00+03:00"
    became = {"filter": {"@LEAD_ID": ["901"]}, "select": ["ID", "LEAD_ID"], "start": -1}
    assert portal.call("crm.deal.list", became) == [{"ID": "503", "LEAD_ID": "901"}]
    history = portal.call("crm.stagehistory.list", {"entityTypeId": 1})["items"]
    assert [(row["TYPE_ID"], row["STATUS_ID"]) for row in history] == [(1, "NEW"), (3, "CONVERTED")]


def test_tasks_select_upper_case_and_answer_camel_case(portal: Portal, sample: Sample) -> None:
    select = ["ID", "TITLE", "STATUS", "DEADLINE", "RESPONSIBLE_ID", "UF_CRM_TASK"]
    rows = portal.call("tasks.task.list", {"filter": {"ID": ["601", "602"]}, "select": select})
    bound, free = rows["tasks"]
    assert bound["ufCrmTask"] == ["D_501"]
    assert free["ufCrmTask"] == []
    assert bound["id"] == "601"
    assert bound["status"] == "2"
    assert bound["deadline"] == "2026-03-02T13:00:00+03:00"
    theirs = sample("bitrix24/rest-tasks-task-list.json")["result"]["tasks"][0]
    assert set(bound["responsible"]) == set(theirs["responsible"])
    assert "ufCrmTask" not in portal.call("tasks.task.list")["tasks"][0]
    by_deal = portal.call("tasks.task.list", {"filter": {"UF_CRM_TASK": "D_501"}})["tasks"]
    assert [row["id"] for row in by_deal] == ["601"]
    assert by_deal[0]["subStatus"] == "-1"
    assert portal.call("tasks.task.get", {"taskId": 601, "select": select})["task"]["id"] == "601"
    assert portal.call("tasks.task.get", {"taskId": 999}) == {"task": []}
    assert _error(portal, "tasks.task.list", {"order": {"NO": "ASC"}})[1]["error"] == "0"


def test_task_history_tells_deadlines_and_completion(
    bitrix: World, portal: Portal, sample: Sample
) -> None:
    book = bitrix.book
    due = NOW + timedelta(days=1)
    with portal.server.lock:
        book.edit_task(601, LATER, 7, due_at=due)
        book.hand_over_task(601, 9, LATER + timedelta(minutes=1), 1)
        book.finish_task(601, LATER + timedelta(minutes=2), 9, None)
    rows = portal.call("tasks.task.history.list", {"taskId": "601"})["list"]
    was = str(int((NOW + timedelta(hours=3)).timestamp()))
    assert [(row["field"], row["value"]["from"], row["value"]["to"]) for row in rows] == [
        ("NEW", None, None),
        ("DEADLINE", was, str(int(due.timestamp()))),
        ("RESPONSIBLE_ID", "7", "9"),
        ("STATUS", "2", "5"),
    ]
    assert rows[3]["createdDate"] == "2026-03-02T11:02:00+03:00"
    theirs = sample("bitrix24/rest-tasks-task-history-list.json")["result"]["list"][0]
    assert set(rows[0]) == set(theirs)
    assert set(rows[0]["user"]) == set(theirs["user"])
    task = portal.call("tasks.task.list", {"filter": {"ID": 601}})["tasks"][0]
    assert (task["status"], task["closedDate"]) == ("5", "2026-03-02T11:02:00+03:00")


def test_call_statistics_hear_upper_case_only(portal: Portal, sample: Sample) -> None:
    rows = portal.call("voximplant.statistic.get", {"FILTER": {">ID": 0}, "SORT": "ID"})
    theirs = sample("bitrix24/rest-voximplant-statistic-get-observed.json")["result"][0]
    assert set(rows[0]) == set(theirs)
    talk, missed = rows
    assert (talk["CALL_FAILED_CODE"], talk["CALL_TYPE"], talk["CALL_DURATION"]) == (
        "200",
        "1",
        "95",
    )
    assert (talk["CRM_ENTITY_TYPE"], talk["CRM_ENTITY_ID"]) == ("CONTACT", "301")
    assert (missed["CALL_FAILED_CODE"], missed["CRM_ENTITY_TYPE"]) == ("304", "DEAL")
    one = portal.call("voximplant.statistic.get", {"FILTER": {"CRM_ACTIVITY_ID": "702"}})
    assert [row["CALL_ID"] for row in one] == ["uniq.702"]
    unheard = portal.call("voximplant.statistic.get", {"filter": {"CRM_ACTIVITY_ID": "702"}})
    assert len(unheard) == 2
    latest = portal.call("voximplant.statistic.get", {"SORT": "ID", "ORDER": "DESC"})
    assert latest[0]["CRM_ACTIVITY_ID"] == "702"


def test_activities_mirror_calls_and_tasks(portal: Portal, sample: Sample) -> None:
    theirs = sample("bitrix24/rest-crm-activity-get.json")["result"]
    call = portal.call("crm.activity.get", {"id": 701})
    assert set(theirs) <= set(call)
    assert (call["OWNER_TYPE_ID"], call["OWNER_ID"]) == ("2", "501")
    assert (call["PROVIDER_ID"], call["COMPLETED"]) == ("VOXIMPLANT_CALL", "Y")
    linked = portal.call("crm.activity.binding.list", {"activityId": 701})
    assert linked == [
        {"entityTypeId": 2, "entityId": 501},
        {"entityTypeId": 3, "entityId": 301},
    ]
    pairs = [{"OWNER_TYPE_ID": 3, "OWNER_ID": 301}]
    rows = portal.call("crm.activity.list", {"filter": {"BINDINGS": pairs}})
    assert [row["ID"] for row in rows] == ["701"]
    mirror = portal.call("crm.activity.list", {"filter": {"PROVIDER_ID": "CRM_TASKS_TASK"}})
    assert [(row["ASSOCIATED_ENTITY_ID"], row["COMPLETED"]) for row in mirror] == [("601", "N")]
    status, body = _error(portal, "crm.activity.get", {"id": 1})
    assert (status, body["error_description"]) == (400, "Activity is not found")


def test_comments_want_their_entity(portal: Portal, sample: Sample) -> None:
    given = {"filter": {"ENTITY_TYPE": "deal", "ENTITY_ID": "501"}}
    rows = portal.call("crm.timeline.comment.list", given)
    theirs = sample("bitrix24/rest-crm-timeline-comment-list.json")["result"][0]
    assert set(rows[0]) == set(theirs)
    assert (rows[0]["COMMENT"], rows[0]["AUTHOR_ID"]) == ("Договорились", "7")
    assert _error(portal, "crm.timeline.comment.list")[0] == 400
    assert portal.call("crm.timeline.comment.get", {"id": 801})["ENTITY_ID"] == "501"


def test_batch_answers_each_command_on_its_own(portal: Portal, sample: Sample) -> None:
    commands = {
        "deals": "crm.deal.list?filter[@ID][0]=501&select[]=ID&start=-1",
        "gone": "crm.deal.get?id=999",
        "all": "crm.deal.list?select[]=ID",
        "nested": "batch?cmd[a]=profile",
    }
    result = portal.call("batch", {"halt": 0, "cmd": commands})
    theirs = sample("bitrix24/rest-batch-partial-error.json")["result"]
    assert set(result) == set(theirs)
    assert result["result"]["deals"] == [{"ID": "501"}]
    assert result["result_error"]["gone"] == theirs["result_error"]["gone"]
    assert result["result_error"]["nested"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert result["result_total"] == {"all": 2}
    assert result["result_next"] == []
    halted = portal.call("batch", {"halt": 1, "cmd": {"a": "crm.deal.get?id=9", "b": "profile"}})
    assert halted["result"] == []
    too_long = {str(number): "profile" for number in range(51)}
    assert _error(portal, "batch", {"cmd": too_long})[1]["error"] == "ERROR_BATCH_LENGTH_EXCEEDED"


def test_directory(portal: Portal, sample: Sample) -> None:
    categories = portal.call("crm.category.list", {"entityTypeId": 2})["categories"]
    assert categories == [
        {"id": 0, "name": "Продажи", "sort": 1, "entityTypeId": 2, "isDefault": "Y"}
    ]
    stages = portal.call(
        "crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}, "order": {"SORT": "ASC"}}
    )
    theirs = sample("bitrix24/rest-crm-status-list.json")["result"][0]
    assert set(stages[0]) == set(theirs)
    assert [(row["STATUS_ID"], row["SEMANTICS"]) for row in stages] == [
        ("NEW", None),
        ("PREPARATION", None),
        ("WON", "S"),
        ("LOSE", "F"),
    ]
    users = portal.call("user.get", {"FILTER": {"USER_TYPE": "employee", "ACTIVE": "true"}})
    known = sample("bitrix24/rest-user-get.json")["result"][1]
    assert set(known) <= set(users[0])
    assert [(user["ID"], user["UF_DEPARTMENT"]) for user in users] == [
        ("1", [1]),
        ("7", [3]),
        ("9", [3]),
    ]
    assert users[0]["ACTIVE"] is True
    assert [row["ID"] for row in portal.call("department.get")] == ["1", "3"]
    fields = portal.call("crm.deal.fields")
    assert (fields["UF_CRM_9001"]["isDynamic"], fields["UF_CRM_9001"]["listLabel"]) == (True, "ИНН")
    assert fields["OPPORTUNITY"]["type"] == "double"
    assert portal.call("profile")["ADMIN"] is True
    assert {"crm", "task", "user", "telephony"} <= set(portal.call("scope"))
    assert portal.call("server.time").endswith("+03:00")
    assert portal.call("crm.settings.mode.get") == 1
    assert portal.call("crm.currency.base.get") == "RUB"
    assert set(portal.call("app.info")) == set(sample("bitrix24/rest-app-info.json")["result"])


def test_a_webhook_may_not_subscribe(portal: Portal) -> None:
    for method in ("event.bind", "event.get"):
        status, body = _error(portal, method, {"event": "ONTASKADD", "handler": "http://x"})
        assert (status, body["error"]) == (403, "WRONG_AUTH_TYPE")


def test_errors_have_the_vendor_s_bodies(portal: Portal, sample: Sample) -> None:
    known = {row["when"]: row for row in sample("bitrix24/errors.json")["answers"]}
    answer = portal.http.post("/rest/1/wrong/profile", json={})
    no_auth = known["webhook wrong, expired, deleted"]
    assert (answer.status_code, answer.json()) == (no_auth["status"], no_auth["body"])
    assert _error(portal, "crm.no.such")[1]["error"] == "ERROR_METHOD_NOT_FOUND"
    bad = {"filter": {">=DATE_MODIFY": "yesterday"}}
    assert _error(portal, "crm.deal.list", bad)[0] == 400
    body = portal.http.post(f"/rest/{BITRIX_TOKEN}/profile", content=b"{oops")
    assert body.status_code == 400


def test_bucket_of_fifty_then_503(bitrix: World, open_portal: Open, sample: Sample) -> None:
    portal = open_portal("bitrix24", bitrix.book, speed=0.01, limits=True)
    statuses = [_error(portal, "profile")[0] for _ in range(51)]
    assert statuses == [200] * 50 + [503]
    known = next(
        row for row in sample("bitrix24/errors.json")["answers"] if row["when"] == "rate limit"
    )
    assert _error(portal, "profile") == (known["status"], known["body"])


def test_ordered_fault_meets_every_rest_call(portal: Portal) -> None:
    portal.control("faults", {"status": 500})
    assert _error(portal, "profile")[0] == 500
    portal.control("faults", {})
    assert _error(portal, "profile")[0] == 200
