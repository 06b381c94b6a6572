"""amoCRM's API v4: published answers become facts; odd answers become clear errors."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from service.crm.amocrm import events, rest_facts
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.ports import CrmClient
from service.errors import SourceLimited, SourceRefused, SourceUnavailable
from tests.crm.kit import MakeClient, Sleeps, facts_of, sample

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


def rest(name: str) -> Any:
    return sample("amocrm", f"rest-{name}")


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


# --- images -----------------------------------------------------------------------------------


def test_leads_of_the_published_page() -> None:
    rows = rest("leads-page")["_embedded"]["leads"]
    for row in rows:
        image, *closing = rest_facts.deal(row, "RUB")
        assert (image.id, image.at) == (str(row["id"]), row["updated_at"])
        assert image.body["amount"] == row["price"] * 100
        assert image.body["stage"] == str(row["status_id"])
        assert [fact.at for fact in closing] == (
            [row["closed_at"]] if row["closed_at"] and row["closed_at"] < row["updated_at"] else []
        )


def lead(**given: Any) -> dict[str, Any]:
    return {
        "id": 5, "name": None, "price": None, "pipeline_id": 31, "status_id": 142,
        "responsible_user_id": 7, "created_by": 0, "updated_by": 7, "created_at": 1_700_000_000,
        "updated_at": 1_700_009_000, "closed_at": 1_700_001_000, "custom_fields_values": None,
        "loss_reason_id": None, "_embedded": {"tags": [], "companies": []},
    } | given  # fmt: skip


def test_closed_lead_says_when_it_was_closed() -> None:
    image, closing = rest_facts.deal(lead(), "RUB")
    assert image.body["amount"] == 0
    assert "contacts" not in image.body
    assert closing == Fact(
        Kind.DEAL, "5", 1_700_001_000, {"pipeline": "31", "stage": "142"}, Rank.HISTORY
    )


def test_open_lead_says_nothing_of_a_closing() -> None:
    assert len(rest_facts.deal(lead(status_id=311), "RUB")) == 1


def test_exact_price_wins_and_has_kopecks() -> None:
    (image, _) = rest_facts.deal(lead(price=1000, price_with_minor_units=1000.55), "RUB")
    assert image.body["amount"] == 100_055


def test_field_values_become_texts_and_reach_is_only_a_mark() -> None:
    fields = [
        {"field_id": 1, "field_code": None, "values": [{"value": "а"}, {"value": "б"}]},
        {"field_id": 2, "field_code": None, "values": [{"value": True}]},
        {"field_id": 3, "field_code": None, "values": [{"value": False}]},
        {"field_id": 4, "field_code": "PHONE", "values": [{"value": "+79990000000"}]},
        {"field_id": 5, "field_code": None, "values": [{"value": {"name": "ООО Роза"}}]},
        {"field_id": 6, "field_code": None, "values": [{"value": ""}]},
    ]
    (image, _) = rest_facts.deal(lead(custom_fields_values=fields), "RUB")
    assert image.body["fields"] == {"1": "а, б", "2": "1", "4": "1", "5": "ООО Роза"}


def test_task_of_the_published_page() -> None:
    (row,) = rest("tasks")["_embedded"]["tasks"]
    fact = rest_facts.task(row, "Europe/Moscow")
    assert (fact.id, fact.at) == ("894053", 1702556336)
    assert fact.body["deal"] == "1781381"
    assert (fact.body["is_open"], fact.body["result"]) == (True, None)
    assert (fact.body["due_at"], fact.body["is_all_day"]) == (1702640934, False)


def test_deadline_in_the_last_minute_of_the_local_day_is_all_day() -> None:
    (row,) = rest("tasks")["_embedded"]["tasks"]
    last_minute = 1_740_776_340  # 2025-02-28 23:59:00 in Moscow
    fact = rest_facts.task(row | {"complete_till": last_minute}, "Europe/Moscow")
    assert fact.body["is_all_day"]
    assert not rest_facts.task(row | {"complete_till": last_minute}, "UTC").body["is_all_day"]


def test_notes_of_the_published_page() -> None:
    rows = rest("notes")["_embedded"]["notes"]
    note, ringing, talk = (rest_facts.note(row, "leads") for row in rows)
    assert note is not None
    assert ringing is not None
    assert talk is not None
    assert (note.kind, note.id, note.body["text"]) == (Kind.NOTE, "42709325", "Текст примечания")
    assert (ringing.kind, ringing.id) == (Kind.CALL, "c42709400")
    assert (ringing.body["direction"], ringing.body["answered"]) == ("in", True)
    assert (talk.body["direction"], talk.body["seconds"]) == ("out", 60)
    assert talk.body["deal"] == "26050861"


@pytest.mark.parametrize(
    ("status", "duration", "answered"),
    [(6, 20, False), (4, 0, True), (None, 9, True), (None, 0, False)],
)
def test_call_status_outranks_duration(status: int | None, duration: int, answered: bool) -> None:
    row = rest("notes")["_embedded"]["notes"][1]
    params = {"duration": duration} | ({} if status is None else {"call_status": status})
    fact = rest_facts.note(row | {"params": params}, "contacts")
    assert fact is not None
    assert fact.body["answered"] is answered
    assert (fact.body["deal"], fact.body["contact"]) == (None, "26050861")


def test_unsorted_of_the_published_page() -> None:
    (row,) = rest("unsorted")["_embedded"]["unsorted"]
    fact = rest_facts.inquiry(row)
    assert (fact.kind, fact.at) == (Kind.LEAD, 1590830520)
    assert (fact.body["state"], fact.body["category"]) == ("new", "forms")


# --- events -----------------------------------------------------------------------------------


def test_events_of_the_published_page() -> None:
    rows = rest("events")["_embedded"]["events"]
    read = [event for row in rows if (event := events.read(row, "RUB")) is not None]
    told = {(f.kind, f.at, *sorted(set(f.body) - {"author"})): f.body for f in events.facts(read)}
    assert told[Kind.DEAL, 1588890000, "pipeline", "stage"]["stage"] == "5233227"
    assert told[Kind.DEAL, 1588890000, "responsible"]["responsible"] == "504329"
    assert told[Kind.TASK, 1588890200, "due_at"]["due_at"] == 1573595900
    assert told[Kind.TASK, 1588890300, "is_open"] == {"is_open": False, "author": "939801"}
    assert told[Kind.DEAL, 1588890500, "amount", "currency"]["amount"] == 15500
    assert len(told) == 5


def event(number: int, at: int, before: int, after: int) -> dict[str, Any]:
    def status(stage: int) -> list[Any]:
        return [{"lead_status": {"id": stage, "pipeline_id": 31}}]

    return {
        "id": f"e{number}", "type": "lead_status_changed", "entity_id": 5, "entity_type": "lead",
        "created_by": 7, "created_at": at, "value_before": status(before),
        "value_after": status(after),
    }  # fmt: skip


def read_events(*rows: dict[str, Any]) -> list[events.Event]:
    return [found for row in rows if (found := events.read(row, "RUB")) is not None]


def test_changes_in_one_second_are_a_chain_whatever_their_ids() -> None:
    found = read_events(event(2, 100, 1, 2), event(1, 100, 2, 3))
    (fact,) = events.facts(found)
    assert fact.body["stage"] == "3"
    beginnings = events.Beginnings()
    beginnings.note(reversed(found))
    (first,) = beginnings.facts({(Kind.DEAL, "5"): 50}, 0)
    assert (first.at, first.body["stage"]) == (50, "1")


@pytest.mark.parametrize(("since", "at"), [(0, 50), (80, 80)])
def test_what_was_before_the_first_change_stands_at_the_creation_or_the_readings_start(
    since: int, at: int
) -> None:
    beginnings = events.Beginnings()
    beginnings.note(read_events(event(2, 200, 2, 3), event(1, 100, 1, 2)))
    (fact,) = beginnings.facts({(Kind.DEAL, "5"): 50}, since)
    assert (fact.at, fact.body) == (at, {"pipeline": "31", "stage": "1"})


def test_events_of_other_entities_are_left_alone() -> None:
    rows = rest("events")["_embedded"]["events"]
    other = next(row for row in rows if row["type"] == "entity_responsible_changed")
    assert events.read(other | {"entity_type": "contact"}, "RUB") is None
    fact = events.facts(read_events(other | {"entity_type": "task"}))[0]
    assert (fact.kind, fact.body["responsible"]) == (Kind.TASK, "504329")


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
    route.side_effect = [httpx.Response(400), httpx.Response(201, json={})]
    client.subscribe("https://dozor.example/hooks/amocrm/t")
    assert route.call_count == 2
    assert b"update_task" in route.calls[0].request.content
    assert b"update_task" not in route.calls[1].request.content
    assert b"status_lead" in route.calls[1].request.content


def test_subscription_that_is_refused_says_what_to_do(
    client: CrmClient, portal: respx.Router
) -> None:
    portal.post(f"{API}/webhooks").respond(422, json={})
    with pytest.raises(SourceRefused, match="WebHooks"):
        client.subscribe("https://dozor.example/hooks/amocrm/t")


def test_check_sees_a_hook_that_is_switched_off(client: CrmClient, portal: respx.Router) -> None:
    portal.get(f"{API}/account").respond(json=rest("account"))
    portal.get(f"{API}/users").respond(json=rest("users"))
    hook = {"destination": "https://dozor.example/hooks/amocrm/t", "disabled": True}
    portal.get(f"{API}/webhooks").mock(return_value=page("webhooks", hook))
    found = {finding.check: finding for finding in client.check("")}
    assert found["users readable"].ok
    assert not found["hook registered"].ok
    assert "save it" in found["hook registered"].advice


def test_token_goes_into_the_header_only(
    client: CrmClient, portal: respx.Router, sleeps: Sleeps
) -> None:
    nothing_else(portal)
    client.fetch([Touched(Kind.TASK, "1")])
    request = portal.calls[0].request
    assert request.headers["authorization"] == "Bearer long-lived-token"
    assert "long-lived-token" not in str(request.url)
    assert sleeps.seconds == []
