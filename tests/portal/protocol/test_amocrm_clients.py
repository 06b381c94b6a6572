"""Two public clients of amoCRM (aioamocrm and amocrm-api, PyPI) work with the simulated portal.

amocrm-api only speaks https to amocrm.ru; its session is led to the loopback.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aioamocrm import (
    AmoCRMClient,
    AuthError,
    LongLivedToken,
    Note,
    NotFoundError,
    OAuth2,
    RetryPolicy,
    ValidationError,
    parse_webhook,
)
from amocrm.v2 import Lead, Pipeline, Task, User
from amocrm.v2.entity.events import EventsInteraction
from amocrm.v2.tokens import default_token_manager

from tests.portal.protocol.conftest import AMO_TOKEN, NOW, Open, Portal, Receiver, World, lead_to

DEALS = 300
Ask = Callable[[AmoCRMClient], Awaitable[Any]]


@pytest.fixture
def portal(amo: World, open_portal: Open) -> Portal:
    """A department with more than one page of leads."""
    for number in range(DEALS):
        amo.deal(501 + number, minutes=number, contact_ids=(301,), fields=((9001, "7701"),))
    for number in range(60):
        amo.task(901 + number, minutes=number)
    amo.call(981)
    amo.note(991)
    amo.book.move_deal(502, amo.stages[3], NOW, 7, 41)
    return open_portal("amocrm", amo.book)


def ask(portal: Portal, question: Ask, token: str = AMO_TOKEN) -> Any:
    """The answer that the client gives."""

    async def answer() -> Any:
        auth = LongLivedToken(token)
        retry = RetryPolicy(max_attempts=1)
        base_url = portal.server.base_url
        async with AmoCRMClient(base_url=base_url, auth=auth, retry=retry) as client:
            return await question(client)

    return asyncio.run(answer())


async def every(rows: AsyncIterator[Any]) -> list[Any]:
    """All rows of all pages."""
    return [row async for row in rows]


@pytest.mark.parametrize(
    ("question", "count"),
    [
        (lambda amo: every(amo.leads.iterate(with_=["contacts", "loss_reason"])), DEALS),
        (lambda amo: every(amo.leads.iterate(filter={"id": [501, 503, 77]})), 2),
        (
            lambda amo: every(
                amo.leads.iterate(filter={"updated_at": {"from": int(NOW.timestamp()) + 290 * 60}})
            ),
            10,
        ),
        (lambda amo: every(amo.tasks.iterate(filter={"is_completed": False})), 60),
        (lambda amo: every(amo.contacts.iterate(with_=["leads"])), 2),
        (lambda amo: every(amo.companies.iterate()), 0),
        (lambda amo: every(amo.users.iterate()), 3),
        (lambda amo: every(amo.leads.notes.iterate()), 2),
        (lambda amo: every(amo.leads.notes.iterate(entity_id=501)), 2),
        (lambda amo: every(amo.leads.custom_fields.iterate()), 1),
        (lambda amo: every(amo.contacts.custom_fields.iterate()), 2),
        (lambda amo: amo.pipelines.list(), 1),
    ],
    ids=[
        "leads", "leads by id", "leads by change", "tasks", "contacts", "companies", "users",
        "notes", "notes of a lead", "lead fields", "contact fields", "pipelines",
    ],
)  # fmt: skip
def test_every_list_is_read_to_its_end(question: Ask, count: int, portal: Portal) -> None:
    assert len(ask(portal, question)) == count


def test_one_of_each_is_understood(portal: Portal) -> None:
    lead = ask(portal, lambda amo: amo.leads.get(501, with_=["contacts"]))
    note = ask(portal, lambda amo: amo.leads.notes.get(991, entity_id=501))
    account = ask(portal, lambda amo: amo.account.get())

    assert (lead.name, lead.price, lead.field_value(9001)) == ("Сделка 501", 1000, "7701")
    assert [contact.id for contact in lead.embedded.contacts] == [301]
    assert (note.note_type, note.params) == ("common", {"text": "Договорились"})
    assert account.subdomain == "demo"


def test_errors_are_the_clients_own(portal: Portal) -> None:
    with pytest.raises(NotFoundError):
        ask(portal, lambda amo: amo.leads.get(9))
    with pytest.raises(AuthError):
        ask(portal, lambda amo: amo.account.get(), token="another")


def test_what_the_client_writes_is_in_the_portal_and_told_by_hooks(
    portal: Portal, receiver: Receiver
) -> None:
    portal.subscribe(receiver.url, "status_lead", "add_task", "update_task", "add_lead")

    async def write(amo: AmoCRMClient) -> Any:
        (made,) = await amo.leads.create([{"name": "Новая", "price": 12}])
        await amo.leads.update([{"id": 501, "price": 5000, "status_id": 142}])
        await amo.leads.notes.create([Note.common(501, "Отгружено")])
        due = int(NOW.timestamp()) + 90_000
        (task,) = await amo.tasks.create(
            [{"text": "Счёт", "complete_till": due, "entity_id": 501, "entity_type": "leads"}]
        )
        assert task.id is not None
        await amo.tasks.complete(task.id, result="Оплачен")
        return made, await amo.leads.get(501), await amo.tasks.get(task.id)

    made, lead, task = ask(portal, write)

    assert (lead.price, lead.status_id) == (5000, 142)
    assert lead.closed_at is not None
    assert (task.is_completed, task.result.text) == (True, "Оплачен")
    assert ask(portal, lambda amo: amo.leads.get(made.id)).name == "Новая"
    portal.settle()
    told = {
        (event.entity, event.action, event.id)
        for body in receiver.bodies
        for event in parse_webhook(body).events
    }
    assert {("leads", "add", made.id), ("leads", "status", 501), ("task", "add", task.id)} <= told


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": 9, "price": 1}, "id"),
        ({"id": 501, "status_id": 9}, "status_id"),
        ({"id": 501, "price": "dear"}, "price"),
        ({"id": 501, "responsible_user_id": 404}, "responsible_user_id"),
        ({"id": 501, "loss_reason_id": 1}, "loss_reason_id"),
    ],
)
def test_refused_change_names_the_field_and_changes_nothing(
    change: dict[str, Any], named: str, portal: Portal
) -> None:
    with pytest.raises(ValidationError) as refused:
        ask(portal, lambda amo: amo.leads.update([change]))

    assert [issue.path for issue in refused.value.errors] == [named]
    assert ask(portal, lambda amo: amo.leads.get(501)).price == 1000


def test_integration_gets_in_by_a_code_and_renews_its_token(portal: Portal) -> None:
    known = ("a1", "s" * 40, "https://dozor.example")
    names = ("client_id", "client_secret", "redirect_uri")
    portal.control("oauth", dict(zip(names, known, strict=True)))
    sent = portal.http.get("/oauth", params={"client_id": "a1"})
    code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]

    async def visit() -> tuple[str, str]:
        auth = OAuth2(*known)
        async with AmoCRMClient(base_url=portal.server.base_url, auth=auth) as amo:
            first = (await amo.exchange_code(code)).access_token
            await amo.account.get()
            portal.control("oauth/expire", {})
            await amo.account.get()
            second = await auth.get_token(amo._endpoint)
            return first, second

    first, second = asyncio.run(visit())

    assert first != second
    assert portal.control("oauth")["exchanges"] == 2


def test_limit_of_requests_is_kept_by_a_client_that_keeps_it(amo: World, open_portal: Open) -> None:
    amo.deal()
    strict = open_portal("amocrm", amo.book, limits=True)

    async def hurry(client: AmoCRMClient) -> None:
        for _ in range(20):
            await client.leads.get(501)

    ask(strict, hurry)

    assert "limited" not in strict.control("stats")["rest"]


@pytest.fixture
def older(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Portal:
    """The portal, to which amocrm-api is led."""

    lead_to(portal, monkeypatch)
    monkeypatch.setattr(default_token_manager, "subdomain", "demo")
    monkeypatch.setattr(default_token_manager, "get_access_token", lambda: AMO_TOKEN)
    return portal


def test_older_client_reads_leads_with_what_belongs_to_them(older: Portal) -> None:
    lead = Lead.objects.get(502)

    assert len(list(Lead.objects.all())) == DEALS
    assert (lead.name, lead.status.name) == ("Сделка 502", "Закрыто и не реализовано")
    assert lead.responsible_user.name == "Иван Петров"
    assert [row.name for row in Pipeline.objects.all()] == ["Продажи"]
    assert [row.name for row in User.objects.all()] == [
        user.name for user in older.server.office.book.users.values()
    ]


def test_older_client_reads_events_and_writes(older: Portal) -> None:
    seen = list(EventsInteraction().get_all())
    lead = Lead.objects.get(503)
    lead.price = 77
    lead.save()
    task = Task.objects.get(901)

    assert {row["type"] for row in seen} >= {"lead_added", "task_added", "lead_status_changed"}
    assert Lead.objects.get(503).price == 77
    assert task.text == "Позвонить клиенту"
