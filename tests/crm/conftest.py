"""Portals as the adapters' tests meet them: a client without waiting, and real simulated ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from service.clock import Clock
from service.crm import ADAPTERS
from service.domain.ports import Connection, CrmClient
from service.http import Limiter, PortalClient
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
END = START + timedelta(days=14)
SECRETS = {
    "amocrm": {"token": "long-lived-token"},
    "bitrix24": {"user": "1", "token": "s3cret", "application_token": "app"},
}


@dataclass
class Sleeps:
    """Remembers how long somebody wanted to wait, and does not."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        if seconds > 0:
            self.seconds.append(seconds)


def patient(base_url: str, sleeps: Sleeps) -> PortalClient:
    """A portal client whose limit is never reached and which never really waits."""
    return PortalClient(base_url, Limiter(1e9, 1e9, Clock()), sleeps)


MakeClient = Callable[[str, str], CrmClient]


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def crm_client(sleeps: Sleeps) -> Iterator[MakeClient]:
    """(crm, base URL) -> the adapter's client; all are closed at the end."""
    made: list[CrmClient] = []

    def make(crm: str, base_url: str) -> CrmClient:
        connection = Connection(
            "romashka", base_url, "Europe/Moscow", "RUB", secrets=dict(SECRETS[crm])
        )
        made.append(ADAPTERS[crm].client(connection, patient(base_url, sleeps)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@dataclass
class Played:
    """A running simulated portal with two weeks of history."""

    crm: str
    book: Book
    server: PortalServer


@pytest.fixture(scope="session", params=["amocrm", "bitrix24"])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Each CRM in turn, played by the simulated portal over real HTTP."""
    crm, book = str(request.param), Book()
    department.populate(book, kind=crm, seed=7, deals=60, start=START, end=END)
    token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
    clock = Clock(END, 1e-9)
    server = PortalServer(crm, book, clock, token=token, limits=False).start()  # type: ignore[arg-type]
    yield Played(crm, book, server)
    server.stop()
