"""Writing into the simulated portals: what was written is there, is found again, and is told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

import pytest

from service.clock import Clock
from service.domain import own
from service.domain.facts import Kind, Touched
from service.domain.ports import CrmClient, Nudge
from service.errors import SourceRejected
from service.portal import department
from service.portal.book import Book, Change
from service.portal.server import PortalServer
from tests.crm.kit import END, START, MakeClient

MARK = own.mark("vio_01hq3k9z8a7b")
TEXT = own.sign("Просрочена задача", "vio_01hq3k9z8a7b")
DUE = int((END + timedelta(hours=3)).timestamp())
Crm = Literal["amocrm", "bitrix24"]
WAYS = [("amocrm", "task"), ("amocrm", "note"), ("bitrix24", "task"), ("bitrix24", "note")]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PortalServer]:
    crm: Crm = request.param
    book = Book()
    department.populate(book, kind=crm, seed=5, deals=10, start=START, end=END)
    token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
    made = PortalServer(crm, book, Clock(END, 1e-9), token=token, limits=False).start()
    yield made
    made.stop()


def nudge(server: PortalServer, kind: str, **other: str) -> Nudge:
    deal = next(d for d in server.office.book.deals.values() if d.deleted_at is None)
    given = {"deal": str(deal.id), "seller": str(deal.responsible), **other}
    return Nudge(kind, text=TEXT, due_at=DUE, mark=MARK, **given)


def client_of(server: PortalServer, make: MakeClient) -> CrmClient:
    return make(server.office.kind, server.base_url)


@pytest.mark.parametrize(("server", "kind"), WAYS, indirect=["server"])
def test_what_was_written_is_found_again_and_told(
    server: PortalServer, kind: str, crm_client: MakeClient
) -> None:
    client, wanted = client_of(server, crm_client), nudge(server, kind)
    heard: list[Change] = []
    server.office.book.listeners.append(heard.append)
    assert client.find_nudge(wanted) is None
    made = client.nudge(wanted)
    assert client.find_nudge(wanted) == made
    [change] = heard
    assert change.verb == ("task_set" if kind == "task" else "noted")
    assert server.dialect.deliveries(change) == []  # nobody has subscribed
    if kind == "task":
        subject = made if server.office.kind == "amocrm" else f"a{made}"
        [fact] = [
            fact for fact in client.fetch([Touched(Kind.TASK, subject)]) if fact.id == subject
        ]
        assert fact.body["due_at"] == DUE
        assert fact.body["is_open"] is True
        assert fact.body["deal"] == wanted.deal
        assert own.is_own(fact.body["text"])


@pytest.mark.parametrize("server", ["bitrix24"], indirect=True)
def test_notification_takes_the_place_of_the_former(
    server: PortalServer, crm_client: MakeClient
) -> None:
    client, wanted = client_of(server, crm_client), nudge(server, "chat")
    client.nudge(wanted)
    client.nudge(wanted)  # the answer to the first was lost
    told = server.dialect.stats()["notifications"]
    assert isinstance(told, list)
    [seen] = told
    assert (seen["user"], seen["tag"]) == (int(wanted.seller), MARK)
    assert seen["message"] == wanted.text


@pytest.mark.parametrize(("server", "kind"), WAYS, indirect=["server"])
@pytest.mark.parametrize("wrong", [{"deal": "999999999"}, {"seller": "999999999"}])
def test_what_the_crm_will_never_take_is_a_refusal(
    server: PortalServer, kind: str, wrong: dict[str, str], crm_client: MakeClient
) -> None:
    if kind == "note" and "seller" in wrong:
        wrong = {"deal": "999999998"}  # a note is for nobody
    before = len(server.office.book.journal)
    with pytest.raises(SourceRejected, match="does not take it"):
        client_of(server, crm_client).nudge(nudge(server, kind, **wrong))
    assert len(server.office.book.journal) == before
