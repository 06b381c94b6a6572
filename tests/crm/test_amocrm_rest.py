"""amoCRM's API v4: published answers become facts; odd answers become clear errors."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from service.crm.amocrm import oauth
from service.domain.directory import StageKind
from service.domain.facts import Kind, Rank, Touched
from service.domain.ports import Connection, CrmClient, HookState
from service.errors import SourceLimited, SourceMoved, SourceRefused, SourceUnavailable
from tests.crm.amocrm_rows import event, lead, rest
from tests.crm.kit import MakeClient, Sleeps, facts_of, patient, sample

BASE = "https://demo.example"
API = f"{BASE}/api/v4"


@pytest.fixture
def client(crm_client: MakeClient) -> CrmClient:
    return crm_client("amocrm", BASE)


@pytest.fixture
def portal() -> Iterator[respx.Router]:
    """A portal in which nothing is found unless a test says so."""
    with respx.mock(assert_all_called=False) as router:
        yield router


def page(name: str, *rows: Any) -> httpx.Response:
    return httpx.Response(200, json={"_embedded": {name: list(rows)}})


def nothing_else(portal: respx.Router) -> None:
    portal.get(url__startswith=API).respond(204)


# --- directory --------------------------------------------------------------------------------


def serve_directory(portal: respx.Router) -> None:
    portal.get(f"{API}/account").respond(json=rest("account"))
    portal.get(f"{API}/leads/pipelines").respond(json=rest("pipelines"))
    portal.get(f"{API}/leads/loss_reasons").respond(json=rest("loss-reasons"))


def test_directory_of_the_published_answers(client: CrmClient, portal: respx.Router) -> None:
    serve_directory(portal)
    portal.get(f"{API}/users").respond(json=rest("users"))
    nothing_else(portal)
    found = client.read_directory()
    account = rest("account")
    assert (found.external_id, found.subdomain) == (str(account["id"]), account["subdomain"])
    assert (found.complete_users, len(found.sellers)) == (True, 2)
    assert len(found.loss_reasons) == len(rest("loss-reasons")["_embedded"]["loss_reasons"])
    stages = {stage.id: stage.kind for stage in found.pipelines[0].stages}
    assert stages["142"] is StageKind.WON
    assert stages["143"] is StageKind.LOST


def test_directory_without_an_administrators_token_has_no_complete_users(
    client: CrmClient, portal: respx.Router
) -> None:
    serve_directory(portal)
    refused = sample("amocrm", "errors")["403_scope"]
    portal.get(f"{API}/users").respond(403, json=refused["body"])
    nothing_else(portal)
    found = client.read_directory()
    assert (found.complete_users, found.sellers) == (False, ())


def test_required_fields_are_told_by_stage(client: CrmClient, portal: respx.Router) -> None:
    serve_directory(portal)
    field = {
        "id": 501, "name": "ИНН", "type": "select", "code": None,
        "enums": [{"id": 7, "value": "Да", "sort": 1}],
        "required_statuses": [{"pipeline_id": 31, "status_id": 142}],
    }  # fmt: skip
    portal.get(f"{API}/leads/custom_fields").mock(return_value=page("custom_fields", field))
    nothing_else(portal)
    (found,) = client.read_directory().fields
    assert found.required == (("31", "142"),)
    assert found.options == {"7": "Да"}


def test_backfill_puts_the_first_stage_at_the_creation(
    client: CrmClient, portal: respx.Router
) -> None:
    portal.get(f"{API}/leads").mock(return_value=page("leads", lead(closed_at=None)))
    changed = event(1, 1_700_004_000, 311, 142)
    portal.get(f"{API}/events").mock(return_value=page("events", changed))
    nothing_else(portal)
    found = facts_of(list(client.backfill(None, None)))
    stages = {(f.at, f.body["stage"]) for f in found if f.rank is Rank.HISTORY}
    assert stages == {(1_700_000_000, "311"), (1_700_004_000, "142")}


# --- reading ----------------------------------------------------------------------------------


def test_window_moves_with_what_it_has_seen(client: CrmClient, portal: respx.Router) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        asked.append((query.get("filter[updated_at][from]"), query["page"]))
        rows = [lead(id=i, closed_at=None, updated_at=1_700_000_000 + i) for i in (1, 2)]
        follow = {"href": "https://evil.example/api/v4/leads?page=2"}
        links = {"next": follow} if len(asked) < 3 else {}
        return httpx.Response(200, json={"_links": links, "_embedded": {"leads": rows}})

    portal.get(f"{API}/leads").mock(side_effect=answer)
    nothing_else(portal)
    list(client.backfill(None, None))
    assert asked == [(None, "1"), ("1700000002", "1"), ("1700000002", "2")]


def test_changes_keep_a_mark_for_each_list(client: CrmClient, portal: respx.Router) -> None:
    portal.get(f"{API}/leads").mock(return_value=page("leads", lead(closed_at=None)))
    nothing_else(portal)
    pages = list(client.changes({"marks": {"deals": 1_700_000_000, "tasks": 1_600_000_000}}))
    asked = {
        call.request.url.path: call.request.url.params.get("filter[updated_at][from]")
        for call in portal.calls
    }
    assert asked["/api/v4/leads"] == str(1_700_000_000 - 600)
    assert asked["/api/v4/tasks"] == str(1_600_000_000 - 600)
    assert asked["/api/v4/leads/notes"] is None
    assert pages[-1].cursor is not None
    assert pages[-1].cursor["marks"]["deals"] == 1_700_009_000
    assert pages[-1].cursor["marks"]["tasks"] == 1_600_000_000
    first = next(page for page in pages if page.facts)
    assert first.cursor is not None
    assert first.cursor["marks"]["deals"] == 1_700_000_000


def test_lead_that_the_filter_lacks_is_asked_for_alone(
    client: CrmClient, portal: respx.Router
) -> None:
    portal.get(f"{API}/leads").mock(return_value=page("leads", lead(id=99)))
    portal.get(f"{API}/leads/5").respond(json=lead())
    portal.get(f"{API}/leads/6").respond(404, json={"status": 404})
    nothing_else(portal)
    found = client.fetch([Touched(Kind.DEAL, "5"), Touched(Kind.DEAL, "6")])
    assert {(f.id, f.body.get("deleted")) for f in found if f.rank is Rank.FETCHED} == {
        ("5", None), ("6", True)
    }  # fmt: skip


def test_fetch_brings_contacts_and_companies(client: CrmClient, portal: respx.Router) -> None:
    linked = {"tags": [{"name": "vip"}], "contacts": [{"id": 70}], "companies": [{"id": 80}]}
    portal.get(f"{API}/leads").mock(return_value=page("leads", lead(_embedded=linked)))
    phone = [{"field_code": "PHONE", "values": [{"value": "+7"}]}]
    person = {"id": 70, "updated_at": 9, "custom_fields_values": phone}
    portal.get(f"{API}/contacts").mock(return_value=page("contacts", person))
    company = {"id": 80, "updated_at": 9, "custom_fields_values": None}
    portal.get(f"{API}/companies").mock(return_value=page("companies", company))
    found = {
        f.id: f.body for f in client.fetch([Touched(Kind.DEAL, "5")]) if f.rank is Rank.FETCHED
    }
    assert found["5"]["contacts"] == ["70"]
    assert (found["5"]["company"], found["5"]["tags"]) == ("co80", ["vip"])
    assert found["70"] == {"has_phone": True, "has_email": False}
    assert found["co80"] == {"has_phone": False, "has_email": False}


# --- errors and hooks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("401", SourceRefused, "--token"),
        ("402", SourceRefused, "not paid"),
        ("403_scope", SourceRefused, "administrator"),
        ("403_blocked_html", SourceLimited, "support"),
        ("404", SourceUnavailable, "--base-url"),
        ("429", SourceLimited, "slow down"),
        ("500", SourceUnavailable, "500"),
    ],
)
def test_published_errors_say_what_to_do(
    client: CrmClient, portal: respx.Router, name: str, error: type[Exception], words: str
) -> None:
    told = sample("amocrm", "errors")[name]
    content = told["body"]
    given = {"text": content} if isinstance(content, str) else {"json": content}
    portal.get(f"{API}/tasks").mock(return_value=httpx.Response(told["status"], **given))
    with pytest.raises(error, match=words):
        client.fetch([Touched(Kind.TASK, "1")])


@pytest.mark.parametrize("body", ["<html>", "[]", '{"_embedded": {"tasks": [{"id": 1}]}}', "1"])
def test_answer_that_is_not_as_expected_is_the_portals_fault(
    client: CrmClient, portal: respx.Router, body: str
) -> None:
    portal.get(f"{API}/tasks").respond(200, text=body)
    with pytest.raises(SourceUnavailable):
        client.fetch([Touched(Kind.TASK, "1")])


def test_subscription_without_the_names_that_the_portal_refuses(
    client: CrmClient, portal: respx.Router
) -> None:
    route = portal.post(f"{API}/webhooks")
    refused = httpx.Response(400)
    route.side_effect = [refused, refused, httpx.Response(201, json={})]
    client.subscribe("https://dozor.example/hooks/amocrm/t")
    asked = [set(json.loads(call.request.content)["settings"]) for call in route.calls]
    assert asked[0] - asked[1] == {"update_talk", "add_outgoing_message"}
    assert {"update_task", "add_message", "add_unsorted"} <= asked[1] - asked[2]
    assert {"status_lead", "add_task", "note_contact"} <= asked[2]


def test_subscription_that_is_refused_says_what_to_do(
    client: CrmClient, portal: respx.Router
) -> None:
    portal.post(f"{API}/webhooks").respond(422, json={})
    with pytest.raises(SourceRefused, match="WebHooks"):
        client.subscribe("https://dozor.example/hooks/amocrm/t")


def test_hook_that_is_switched_off_is_seen(client: CrmClient, portal: respx.Router) -> None:
    url = "https://dozor.example/hooks/amocrm/t"
    hook = {"destination": url, "disabled": True}
    portal.get(f"{API}/webhooks").mock(return_value=page("webhooks", hook))
    assert client.hook_state(url) is HookState.OFF
    assert client.hook_state(url + "x") is HookState.MISSING


def test_check_sees_users_that_are_closed(client: CrmClient, portal: respx.Router) -> None:
    portal.get(f"{API}/account").respond(json=rest("account"))
    portal.get(f"{API}/users").respond(403, json={"title": "Forbidden"})
    found = {finding.check: finding for finding in client.check()}
    assert found["portal"].ok
    assert not found["users"].ok
    assert "администратор" in found["users"].told("ru").advice


def test_token_goes_into_the_header_only(
    client: CrmClient, portal: respx.Router, sleeps: Sleeps
) -> None:
    nothing_else(portal)
    client.fetch([Touched(Kind.TASK, "1")])
    request = portal.calls[0].request
    assert request.headers["authorization"] == "Bearer long-lived-token"
    assert "long-lived-token" not in str(request.url)
    assert sleeps.seconds == []


@pytest.mark.parametrize(
    ("claimed", "told", "moved"),
    [
        ("api-a.amocrm.ru", "nova.amocrm.ru", "https://nova.amocrm.ru"),
        ("api-a.amocrm.ru", "romashka.amocrm.ru", None),
        ("api-a.amocrm.ru", "amocrm.ru.example.com", None),
        ("thief.example.com", "nova.amocrm.ru", None),
        ("amocrm.ru.example.com", "nova.amocrm.ru", None),
        ("", "nova.amocrm.ru", None),
    ],
)
def test_refresh_token_is_shown_to_nobody_but_the_vendor(
    claimed: str, told: str, moved: str | None
) -> None:
    claims = urlsafe_b64encode(json.dumps({"api_domain": claimed}).encode()).decode().rstrip("=")
    tokens = {"access_token": f"h.{claims}.s", "refresh_token": "r3fresh"}
    connection = Connection("a", "https://romashka.amocrm.ru", "Europe/Moscow", "RUB")
    with respx.mock(assert_all_called=False) as router:
        asked = router.get(f"https://{claimed or 'nobody'}/oauth2/account/current/subdomain")
        asked.respond(json={"domain": told})
        router.post(f"{connection.base_url}/oauth2/access_token").respond(401, json={})
        with pytest.raises(SourceUnavailable) as caught:
            oauth.refresh(connection, patient(connection.base_url), tokens)
    found = caught.value.base_url if isinstance(caught.value, SourceMoved) else None
    assert found == moved
    assert asked.called == claimed.endswith("a.amocrm.ru")
    if asked.called:
        assert asked.calls.last.request.headers["x-refresh-token"] == "r3fresh"
