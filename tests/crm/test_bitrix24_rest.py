"""Bitrix24's REST: published answers become facts; batches, errors and odd answers."""

from collections.abc import Iterator
from typing import Any

import pytest
import respx

from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.ports import CrmClient
from service.errors import SourceLimited, SourceRefused, SourceUnavailable
from tests.crm.bitrix24_rows import (
    ACCESS_DENIED,
    NOT_FOUND,
    Portal,
    RefusalError,
    activity,
    deal,
    rest,
)
from tests.crm.kit import MakeClient, facts_of, sample

BASE = "https://demo.example"


@pytest.fixture
def portal() -> Iterator[Portal]:
    with respx.mock:
        answering = Portal()
        respx.post(url__startswith=f"{BASE}/rest/1/s3cret/").mock(side_effect=answering)
        yield answering


@pytest.fixture
def client(crm_client: MakeClient) -> CrmClient:
    return crm_client("bitrix24", BASE)


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
        "marks": {"deals": 1_716_274_800, "comments": 0, "tasks": 0, "activities": 0,
                  "inquiries": 0, "invoices": 0, "calls": 282_700}
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
    found = [finding.told("en") for finding in client.check()]
    bad = {told.title: told.advice for told in found if not told.ok}
    assert bad.keys() == {"scope telephony"}
    assert "telephony" in bad["scope telephony"]
