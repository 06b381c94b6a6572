"""What the adapters' tests share: clients that never wait, connections, samples."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.clock import Clock
from service.crm import ADAPTERS
from service.domain.facts import Fact
from service.domain.ports import Connection, CrmClient, Page
from service.http import OwnLimiter, PortalClient
from service.portal.book import Book
from service.portal.server import PortalServer

HERE = Path(__file__).parent
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


def patient(base_url: str, sleeps: Sleeps | None = None) -> PortalClient:
    """A portal client whose limit is never reached and which never really waits."""
    return PortalClient(base_url, OwnLimiter(1e9, 1e9, Clock()), sleep=sleeps or Sleeps())


def connect(crm: str, base_url: str, sleeps: Sleeps | None = None) -> CrmClient:
    """The adapter's client of a portal."""
    connection = Connection(
        "romashka", base_url, "Europe/Moscow", "RUB", secrets=dict(SECRETS[crm])
    )
    return ADAPTERS[crm].client(connection, patient(base_url, sleeps))


MakeClient = Callable[..., CrmClient]


@dataclass
class Played:
    """A running simulated portal with two weeks of history."""

    crm: str
    book: Book
    server: PortalServer


def sample(crm: str, name: str) -> Any:
    """A published answer of a portal's REST."""
    return json.loads((HERE / crm / "samples" / f"{name}.json").read_text(encoding="utf-8"))


def facts_of(pages: list[Page]) -> list[Fact]:
    """All facts of a reading."""
    return [fact for page in pages for fact in page.facts]
