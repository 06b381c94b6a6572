"""Bitrix24's REST: published answers become facts; batches, errors and odd answers."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from service.crm.bitrix24 import mapping
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.ports import CrmClient
from service.errors import SourceLimited, SourceRefused, SourceUnavailable
from tests.crm.kit import MakeClient, facts_of, sample

BASE = "https://demo.example"
Answer = Callable[[dict[str, Any]], Any]


def rest(name: str) -> Any:
    return sample("bitrix24", f"rest-{name}")["result"]


class RefusalError(Exception):
    """The portal answers with this error."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.body = {"error": code, "error_description": words}
        self.status = status


NOT_FOUND = RefusalError("", "Not found")
ACCESS_DENIED = RefusalError("", "Access denied.")


class Portal:
    """Answers methods, alone or in a batch; the ones that nobody taught it give an empty list."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        params = json.loads(request.content)
        if method == "batch":
            return httpx.Response(200, json={"result": self._batch(params["cmd"])})
        try:
            return httpx.Response(200, json={"result": self._answer(method, params)})
        except RefusalError as error:
            return httpx.Response(error.status, json=error.body)

    def _batch(self, commands: dict[str, str]) -> dict[str, Any]:
        assert len(commands) <= 50
        results, errors = {}, {}
        for key, command in commands.items():
            method, _, query = command.partition("?")
            params = {name: values[0] for name, values in parse_qs(query).items()}
            try:
                results[key] = self._answer(method, params)
            except RefusalError as error:
                errors[key] = error.body
        return {"result": results or [], "result_error": errors or []}

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        self.asked.append((method, params))
        found = self.methods.get(method, [])
        if isinstance(found, RefusalError):
            raise found
        return found(params) if callable(found) else found


@pytest.fixture
def portal() -> Iterator[Portal]:
    with respx.mock:
        answering = Portal()
        respx.post(url__startswith=f"{BASE}/rest/1/s3cret/").mock(side_effect=answering)
        yield answering


@pytest.fixture
def client(crm_client: MakeClient) -> CrmClient:
    return crm_client("bitrix24", BASE)


def deal(**given: Any) -> dict[str, Any]:
    return {
        "ID": "21", "TITLE": "Окна", "CATEGORY_ID": "10", "STAGE_ID": "C10:LOSE",
        "OPPORTUNITY": "19999.99", "CURRENCY_ID": "RUB", "ASSIGNED_BY_ID": "7",
        "CREATED_BY_ID": "7", "MODIFY_BY_ID": "9", "MOVED_BY_ID": "7", "LEAD_ID": None,
        "DATE_CREATE": "2024-04-25T17:59:11+03:00", "DATE_MODIFY": "2024-05-21T10:00:00+03:00",
        "MOVED_TIME": "2024-05-20T19:45:00+03:00", "CONTACT_ID": "55", "COMPANY_ID": "0",
        "SOURCE_ID": "WEB", "UF_CRM_1": "x", "UF_CRM_2": "", "UF_CRM_3": ["1", "2"],
        "UF_CRM_4": False, "UF_CRM_5": [], "IS_RECURRING": "N",
    } | given  # fmt: skip


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


def test_reopened_deal_has_its_whole_history(client: CrmClient, portal: Portal) -> None:
    portal.methods = {
        "crm.deal.list": [deal()],
        "crm.deal.contact.items.get": rest("crm-deal-contact-items-get"),
        "crm.stagehistory.list": rest("crm-stage-history-list-reopened"),
    }
    found = client.fetch([Touched(Kind.DEAL, "21")])
    history = sorted((f for f in found if f.rank is Rank.HISTORY), key=lambda fact: fact.at)
    assert [fact.body["stage"] for fact in history] == [
        "NEW", "EXECUTING", "WON", "FINAL_INVOICE", "C10:LOSE"
    ]  # fmt: skip
    assert history[-1].body["author"] == "7"
    (image,) = (f for f in found if f.kind is Kind.DEAL and f.rank is Rank.FETCHED)
    assert image.body["contacts"] == ["55", "54", "56"]


def test_contacts_that_could_not_be_read_are_not_told_as_none(
    client: CrmClient, portal: Portal
) -> None:
    portal.methods = {"crm.deal.list": [deal()], "crm.deal.contact.items.get": ACCESS_DENIED}
    found = client.fetch([Touched(Kind.DEAL, "21")])
    assert all("contacts" not in fact.body for fact in found)


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


def activity(**given: Any) -> dict[str, Any]:
    return {
        "ID": "10120", "OWNER_ID": "5111", "OWNER_TYPE_ID": "2", "TYPE_ID": "6",
        "PROVIDER_ID": "CRM_TODO", "SUBJECT": "Позвонить клиенту", "DESCRIPTION": "",
        "DEADLINE": "9999-12-31T00:00:00+03:00", "COMPLETED": "N", "RESPONSIBLE_ID": "29",
        "DIRECTION": "0", "CREATED": "2025-08-20T16:00:00+03:00", "AUTHOR_ID": "29",
        "LAST_UPDATED": "2025-08-20T16:00:00+03:00", "EDITOR_ID": "29",
        "START_TIME": "2025-08-21T16:00:00+03:00",
    } | given  # fmt: skip


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


def test_call_belongs_to_the_deal_of_its_activity(client: CrmClient, portal: Portal) -> None:
    row = rest("voximplant-statistic-get")[1]
    bound = [{"entityTypeId": 3, "entityId": 797}, {"entityTypeId": 2, "entityId": 41},
             {"entityTypeId": 2, "entityId": 43}]  # fmt: skip
    portal.methods = {
        "voximplant.statistic.get": [row],
        "crm.activity.list": [activity(ID="7943", OWNER_TYPE_ID="3", OWNER_ID="797")],
        "crm.activity.binding.list": bound,
    }
    (fact,) = client.fetch([Touched(Kind.CALL, "c7943")])
    assert (fact.id, fact.body["deal"], fact.body["answered"]) == ("c7943", "43", True)


def test_lead_is_an_inquiry() -> None:
    (fact,) = mapping.lead(rest("crm-lead-get"), None)
    assert (fact.kind, fact.body["state"]) == (Kind.LEAD, "in_work")
    assert "closed_at" not in fact.body
    won = rest("crm-lead-get") | {
        "STATUS_SEMANTIC_ID": "S", "DATE_CLOSED": "2024-05-23T19:00:00+03:00",
        "DATE_MODIFY": "2024-05-24T19:00:00+03:00",
    }  # fmt: skip
    image, closing = mapping.lead(won, "41")
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


# --- directory --------------------------------------------------------------------------------


def test_directory_of_the_published_answers(client: CrmClient, portal: Portal) -> None:
    portal.methods = {
        "crm.category.list": rest("crm-category-list"),
        "crm.status.list": lambda params: (
            rest("crm-status-list") if params["filter[ENTITY_ID]"] == "DEAL_STAGE" else []
        ),
        "user.get": rest("user-get"),
        "department.get": rest("department-get"),
        "crm.currency.list": rest("crm-currency-list"),
        "crm.deal.fields": {"UF_CRM_1": {"type": "enumeration", "listLabel": "ИНН",
                                         "items": [{"ID": "7", "VALUE": "Да"}]}},
    }  # fmt: skip
    found = client.read_directory()
    assert (found.currency, found.complete_users) == ("RUB", True)
    assert [(s.id, s.name, s.active) for s in found.sellers] == [
        ("1", "Валеев Вадим", True), ("3", "Иванов Иван", True)
    ]  # fmt: skip
    default = found.pipeline("0")
    assert default is not None
    assert default.main
    kinds = {stage.id: stage.kind for stage in default.stages}
    assert kinds["NEW"] is StageKind.OPEN
    assert kinds["WON"] is StageKind.WON
    assert kinds["LOSE"] is StageKind.LOST
    assert found.fields[0].options == {"7": "Да"}


def test_directory_without_the_right_to_users_is_not_complete(
    client: CrmClient, portal: Portal
) -> None:
    refused = RefusalError("insufficient_scope", "The request requires higher privileges", 403)
    portal.methods = {"user.get": refused, "department.get": refused}
    found = client.read_directory()
    assert (found.complete_users, found.sellers) == (False, ())


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "gone"), [(NOT_FOUND, True), (ACCESS_DENIED, False), (deal(), False)]
)
def test_only_not_found_is_a_deletion(
    client: CrmClient, portal: Portal, answer: Any, gone: bool
) -> None:
    portal.methods = {"crm.deal.get": answer}
    found = client.fetch([Touched(Kind.DEAL, "21")])
    expected = [Fact(Kind.DEAL, "21", 0, {"deleted": True}, Rank.FETCHED)]
    assert found == (expected if gone else [])


def test_portal_that_ignores_the_filter_is_not_believed(client: CrmClient, portal: Portal) -> None:
    portal.methods = {"crm.deal.list": [deal(ID="99")], "crm.deal.get": NOT_FOUND}
    found = client.fetch([Touched(Kind.DEAL, "21")])
    assert {fact.id for fact in found} == {"21"}


def test_more_than_fifty_are_asked_for_in_parts(client: CrmClient, portal: Portal) -> None:
    def rows(params: dict[str, Any]) -> list[dict[str, Any]]:
        return [deal(ID=number) for number in params["filter"]["@ID"]]

    portal.methods = {"crm.deal.list": rows}
    ids = [str(number) for number in range(1, 121)]
    found = client.fetch([Touched(Kind.DEAL, number) for number in ids])
    assert {fact.id for fact in found} == set(ids)
    sizes = [len(p["filter"]["@ID"]) for name, p in portal.asked if name == "crm.deal.list"]
    assert sizes == [50, 50, 20]


def test_backfill_goes_by_ids_and_resumes(client: CrmClient, portal: Portal) -> None:
    def rows(params: dict[str, Any]) -> list[dict[str, Any]]:
        after = int(params["filter"][">ID"])
        return [deal(ID=str(n)) for n in range(after + 1, min(after + 51, 71))]

    portal.methods = {"crm.deal.list": rows}
    pages = list(client.backfill(None, None))
    deals = [page for page in pages if page.step == "deals"]
    assert [page.cursor and page.cursor.get("position") for page in deals] == [50, 70, None]
    assert pages[-1].cursor is None
    again = facts_of(list(client.backfill(None, deals[0].cursor)))
    assert {f.id for f in again if f.rank is Rank.FETCHED} == {str(n) for n in range(51, 71)}


def test_portal_that_ignores_the_cursor_does_not_loop(client: CrmClient, portal: Portal) -> None:
    portal.methods = {"crm.deal.list": [deal(ID=str(n)) for n in range(1, 51)]}
    assert sum(page.step == "deals" for page in client.backfill(None, None)) == 2


def test_changes_ask_by_the_mark_of_each_list(client: CrmClient, portal: Portal) -> None:
    portal.methods = {"crm.deal.list": [deal()]}
    marks = {"deals": 1_714_057_151, "calls": 282_700}
    pages = list(client.changes({"marks": marks}))
    asked = dict(portal.asked)
    assert asked["crm.deal.list"]["filter"][">=DATE_MODIFY"] == "2024-04-25T13:59:11+00:00"
    assert asked["voximplant.statistic.get"]["FILTER"] == {">ID": 282_680}
    assert asked["tasks.task.list"]["filter"] == {">ID": 0}
    assert pages[-1].cursor == {
        "marks": {"deals": 1_716_274_800, "tasks": 0, "activities": 0, "inquiries": 0,
                  "calls": 282_700}
    }  # fmt: skip


def test_portal_without_telephony_has_no_calls(client: CrmClient, portal: Portal) -> None:
    portal.methods = {"voximplant.statistic.get": RefusalError("ERROR_METHOD_NOT_FOUND", "no", 404)}
    pages = list(client.backfill(None, None))
    assert (pages[-1].step, pages[-1].cursor) == ("calls", None)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ("rate limit", SourceLimited),
        ("rate limit as some integrators report it", SourceLimited),
        ("operating limit", SourceLimited),
        ("manual block", SourceRefused),
        ("access token too old", SourceRefused),
        ("webhook wrong, expired, deleted", SourceRefused),
        ("scope missing", SourceRefused),
        ("right missing", SourceRefused),
        ("free plan", SourceRefused),
        ("http instead of https", SourceUnavailable),
        ("stage history of an unsupported type", SourceUnavailable),
    ],
)
def test_published_errors_are_told_apart(
    client: CrmClient, when: str, error: type[Exception]
) -> None:
    told = next(e for e in sample("bitrix24", "errors")["answers"] if e["when"] == when)
    with respx.mock:
        respx.post(url__startswith=BASE).respond(told["status"], json=told["body"])
        with pytest.raises(error) as caught:
            client.fetch([Touched(Kind.TASK, "t1")])
    assert type(caught.value) is error
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("code", ["QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"])
def test_limit_inside_a_batch_is_not_taken_for_nothing_found(
    client: CrmClient, portal: Portal, code: str
) -> None:
    portal.methods = {
        "crm.deal.list": [deal()],
        "crm.stagehistory.list": RefusalError(code, "x", 503),
    }
    with pytest.raises(SourceLimited):
        client.fetch([Touched(Kind.DEAL, "21")])


@pytest.mark.parametrize("body", ["<html>", "[]", "1", '{"result": [{"TITLE": "no id"}]}'])
def test_answer_that_is_not_as_expected_is_the_portals_fault(client: CrmClient, body: str) -> None:
    with respx.mock:
        respx.post(url__startswith=BASE).respond(200, text=body)
        with pytest.raises(SourceUnavailable):
            client.fetch([Touched(Kind.DEAL, "1")])


def test_check_names_the_missing_scope(client: CrmClient, portal: Portal) -> None:
    portal.methods = {"profile": {"ADMIN": True}, "scope": ["crm", "task", "user"]}
    found = {finding.check: finding for finding in client.check("")}
    assert found["administrator"].ok
    assert found["scope crm"].ok
    assert not found["scope telephony"].ok
    assert "telephony" in found["scope telephony"].advice
