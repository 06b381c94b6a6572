"""The vendor's own client (b24pysdk, PyPI) works with the simulated Bitrix24 as with a real one.

It only speaks https to host names; at the network's edge its requests are led to the loopback.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from b24pysdk import BitrixApp, BitrixToken, BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIBadRequest, BitrixAPIError, BitrixAPINotFound

from tests.portal.protocol.conftest import BITRIX_TOKEN, Open, Portal, Receiver, World, lead_to

DEALS = 120


@pytest.fixture
def portal(bitrix: World, open_portal: Open, monkeypatch: pytest.MonkeyPatch) -> Portal:
    """A department with more than two pages of deals, reached by every https address."""
    for number in range(DEALS):
        bitrix.deal(501 + number, minutes=number, contact_ids=(301,))
    for number in range(60):
        bitrix.task(701 + number, minutes=number)
    bitrix.call(901)
    bitrix.note(951)
    opened = open_portal("bitrix24", bitrix.book)
    lead_to(opened, monkeypatch)
    return opened


@pytest.fixture
def client(portal: Portal) -> Any:
    return Client(BitrixWebhook(domain="demo.bitrix24.ru", webhook_token=BITRIX_TOKEN))


@pytest.mark.parametrize(
    "read",
    [
        lambda client: client.crm.deal.list(select=["ID"]).as_list(),
        lambda client: client.crm.deal.list(select=["ID"]).as_list_fast(),
        lambda client: client.crm.deal.list(select=["ID"]).as_list_fast(descending=True),
    ],
    ids=["by pages in batches", "by rising ids", "by falling ids"],
)
def test_each_way_to_list_finds_every_deal_once(read: Callable[[Any], Any], client: Any) -> None:
    found = [int(row["ID"]) for row in read(client).result]

    assert sorted(found) == list(range(501, 501 + DEALS))


def test_filter_and_order_are_those_of_the_client(client: Any) -> None:
    listed = client.crm.deal.list(
        select=["ID", "TITLE"], filter={">=ID": 503, "<ID": 506}, order={"ID": "DESC"}
    )

    assert [row["TITLE"] for row in listed.result] == ["Сделка 505", "Сделка 504", "Сделка 503"]


@pytest.mark.parametrize(
    ("read", "count"),
    [
        (lambda client: client.user.get().as_list().result, 3),
        (lambda client: client.tasks.task.list().as_list().result, 60),
        (lambda client: client.crm.activity.list().as_list().result, 61),
        (lambda client: client.crm.stagehistory.list(entity_type_id=2).as_list().result, DEALS),
        (lambda client: client.voximplant.statistic.get().as_list().result, 1),
        (lambda client: client.crm.contact.list(select=["ID", "PHONE"]).as_list().result, 2),
        (lambda client: client.crm.status.list(filter={"ENTITY_ID": "DEAL_STAGE"}).result, 4),
        (lambda client: client.crm.category.list(entity_type_id=2).result["categories"], 1),
        (
            lambda client: client.crm.timeline.comment.list(
                filter={"ENTITY_ID": 501, "ENTITY_TYPE": "deal"}
            ).result,
            1,
        ),
    ],
    ids=[
        "users", "tasks", "activities", "stage history", "calls", "contacts", "stages",
        "pipelines", "comments",
    ],
)  # fmt: skip
def test_every_list_is_read_to_its_end(read: Callable[[Any], Any], count: int, client: Any) -> None:
    assert len(list(read(client))) == count


def test_batch_answers_what_it_can_and_names_what_it_cannot(client: Any) -> None:
    asked = {"here": client.crm.deal.get(bitrix_id=501), "gone": client.crm.deal.get(bitrix_id=9)}

    answer = client.call_batch(asked).result

    assert answer.result["here"]["TITLE"] == "Сделка 501"
    assert set(answer.result_error) == {"gone"}


def test_commands_without_names_are_answered_as_a_list(client: Any) -> None:
    asked = [client.crm.deal.get(bitrix_id=501 + number) for number in range(3)]

    answer = client.call_batch(asked).result

    assert [row["ID"] for row in answer.result] == ["501", "502", "503"]


def test_more_than_fifty_commands_are_parted_into_batches(client: Any) -> None:
    asked = {f"d{number}": client.crm.deal.get(bitrix_id=501 + number) for number in range(DEALS)}

    answer = client.call_batches(asked).result

    found = {name: row["ID"] for name, row in answer.result.items()}
    assert found == {f"d{number}": str(501 + number) for number in range(DEALS)}


def test_errors_are_the_clients_own(client: Any, portal: Portal) -> None:
    with pytest.raises(BitrixAPIBadRequest, match="Not found"):
        client.crm.deal.get(bitrix_id=9).call()
    with pytest.raises(BitrixAPINotFound):
        client.crm.quote.list().call()
    stranger = Client(BitrixWebhook(domain="demo.bitrix24.ru", webhook_token="1/wrong"))
    with pytest.raises(BitrixAPIError, match="Wrong authorization data"):
        stranger.profile().call()


def test_time_of_an_answer_is_understood(client: Any) -> None:
    time = client.crm.deal.list(select=["ID"]).time

    assert time.date_finish.utcoffset().total_seconds() == 3 * 3600
    assert time.operating > 0


def test_what_the_client_writes_is_in_the_portal_and_told_by_events(
    client: Any, portal: Portal, receiver: Receiver
) -> None:
    portal.control("outgoing-webhook", {"url": receiver.url, "events": ["ONCRMDEALUPDATE"]})
    client.crm.deal.update(
        bitrix_id=501, fields={"OPPORTUNITY": 5000, "STAGE_ID": "WON", "ASSIGNED_BY_ID": 9}
    ).call()
    comment = client.crm.timeline.comment.add(
        fields={"ENTITY_ID": 501, "ENTITY_TYPE": "deal", "COMMENT": "Отгружено"}
    ).result
    made = client.crm.deal.add(fields={"TITLE": "Новая", "OPPORTUNITY": "12.00"}).result
    client.crm.deal.delete(bitrix_id=502).call()
    client.tasks.task.complete(task_id=701).call()

    deal = client.crm.deal.get(bitrix_id=501).result
    assert (deal["OPPORTUNITY"], deal["STAGE_ID"], deal["ASSIGNED_BY_ID"], deal["CLOSED"]) == (
        "5000.00", "WON", "9", "Y",
    )  # fmt: skip
    assert client.crm.timeline.comment.get(bitrix_id=comment).result["COMMENT"] == "Отгружено"
    assert client.crm.deal.get(bitrix_id=made).result["TITLE"] == "Новая"
    with pytest.raises(BitrixAPIBadRequest):
        client.crm.deal.get(bitrix_id=502).call()
    assert client.tasks.task.get(task_id=701).result["task"]["status"] == "5"
    portal.settle()
    assert {body["event"] for body in receiver.maps()} == {"ONCRMDEALUPDATE"}


def test_application_gets_in_by_a_code_and_renews_its_token(
    client: Any, portal: Portal, bitrix: World
) -> None:
    known = {"client_id": "local.1", "client_secret": "s" * 40}
    portal.control("oauth", {**known, "redirect_uri": "https://dozor.example/oauth/bitrix24"})
    sent = portal.http.get("/oauth/authorize/", params={"client_id": "local.1"})
    code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]
    app = BitrixApp(**known)
    granted = app.get_oauth_token(code=code).oauth_token
    token = BitrixToken(
        domain="demo.bitrix24.ru",
        auth_token=granted.access_token,
        refresh_token=granted.refresh_token,
        bitrix_app=app,
    )
    assert Client(token).profile().result["ID"] == "1"

    portal.control("oauth/expire", {})

    assert Client(token).crm.deal.get(bitrix_id=501).result["TITLE"] == "Сделка 501"
    assert token.auth_token != granted.access_token
    assert portal.control("oauth")["exchanges"] == 2


def test_limit_of_requests_is_met_and_waited_out(
    bitrix: World, open_portal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    bitrix.deal()
    strict = open_portal("bitrix24", bitrix.book, limits=True)
    lead_to(strict, monkeypatch)
    client = Client(
        BitrixWebhook(domain="demo.bitrix24.ru", webhook_token=BITRIX_TOKEN),
        max_retries=3,
        initial_retry_delay=0.6,
    )

    found = [client.crm.deal.get(bitrix_id=501).result["ID"] for _ in range(55)]

    assert found == ["501"] * 55
    assert portal_limited(strict) > 0


def portal_limited(portal: Portal) -> int:
    """How many requests the portal refused."""
    counted: int = portal.control("stats")["rest"].get("limited", 0)
    return counted


def test_deadline_reaches_the_task(client: Any, portal: Portal) -> None:
    client.tasks.task.update(task_id=702, fields={"DEADLINE": "2026-03-05T18:00:00+03:00"}).call()

    task = client.tasks.task.get(task_id=702, select=["ID", "DEADLINE"]).result["task"]
    assert task["deadline"] == "2026-03-05T18:00:00+03:00"
