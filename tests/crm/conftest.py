"""Fixtures of the adapters' tests."""

from collections.abc import Iterator
from typing import Literal, get_args

import pytest

from service.clock import Clock
from service.domain.ports import CrmClient
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer
from tests.crm.kit import END, START, MakeClient, Played, Sleeps, connect

Crm = Literal["amocrm", "bitrix24"]


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def crm_client(sleeps: Sleeps) -> Iterator[MakeClient]:
    """(crm, base URL) -> the adapter's client; all are closed at the end."""
    made: list[CrmClient] = []

    def make(crm: str, base_url: str) -> CrmClient:
        made.append(connect(crm, base_url, sleeps))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session", params=get_args(Crm))
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Each CRM in turn, played by the simulated portal over real HTTP."""
    crm: Crm = request.param
    book = Book()
    department.populate(book, kind=crm, seed=7, deals=60, start=START, end=END)
    token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
    server = PortalServer(crm, book, Clock(END, 1e-9), token=token, limits=False).start()
    yield Played(crm, book, server)
    server.stop()
