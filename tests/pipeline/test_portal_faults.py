"""A portal that is down or talks nonsense stalls nobody else; nothing touched is lost."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy import func, select

from service.errors import SourceUnavailable
from service.pipeline import care, fetch, sync
from service.pipeline.office import Office
from service.portal import department
from service.portal.book import Book
from service.portal.mischief import BROKEN
from service.portal.server import PortalServer
from service.store import accounts
from service.store import facts as fact_store
from service.store.engine import reading, transaction
from service.store.tables import Deal, TouchedRow
from tests import world
from tests.crm.kit import END, SECRETS, START
from tests.pipeline.test_reconcile import Hand

DEAL = Deal.__table__  # type: ignore[attr-defined]
TOUCHED = TouchedRow.__table__  # type: ignore[attr-defined]
Crm = Literal["amocrm", "bitrix24"]
FAULTS: list[dict[str, Any]] = [
    *({"broken": kind} for kind in sorted(BROKEN)),
    {"errors": 1.0}, {"status": 500}, {"status": 403}, {"status": 401}, {"status": 429},
]  # fmt: skip


@dataclass
class Two:
    """Two accounts of one Dozor; `ill` has a portal that is about to misbehave."""

    office: Office
    portals: dict[str, PortalServer]

    def faults(self, given: dict[str, Any]) -> None:
        url = f"{self.portals['ill'].base_url}/_control/faults"
        assert httpx.post(url, json=given).status_code == 200

    def touch(self, account_id: str) -> int:
        with self.portals[account_id].lock:
            book = self.portals[account_id].office.book
            ids = [str(d.id) for d in book.deals.values() if d.deleted_at is None]
        with transaction(self.office.engine) as connection:
            now = self.office.now()
            fact_store.touch(connection, account_id, [("deal", one) for one in ids], now)
        return len(ids)

    def row(self, account_id: str) -> accounts.AccountRow:
        with reading(self.office.engine) as connection:
            row = accounts.account(connection, account_id)
        assert row is not None
        return row

    def count(self, table: Any, account_id: str) -> int:
        query = select(func.count()).where(table.c.account_id == account_id)
        with reading(self.office.engine) as connection:
            return int(connection.execute(query).scalar_one())

    def fetch_all(self, account_id: str) -> int:
        done = 0
        while count := fetch.fetch(self.office, account_id):
            done += count
        return done

    def later(self, seconds: float) -> None:
        clock = self.office.clock
        assert isinstance(clock, Hand)
        clock.at = clock.at.fromtimestamp(clock.at.timestamp() + seconds, clock.at.tzinfo)
        self.office.breaker.answered("ill")  # its pause is over


@pytest.fixture(params=["amocrm", "bitrix24"])
def two(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Two]:
    crm: Crm = request.param
    office = world.make_office(sqlite_url)
    office.clock = Hand(END)
    portals = {}
    for account_id in ("ill", "well"):
        book = Book()
        department.populate(book, kind=crm, seed=2, deals=10, start=START, end=END)
        token = "long-lived-token" if crm == "amocrm" else "1/s3cret"
        portals[account_id] = PortalServer(
            crm, book, office.clock, token=token, limits=False
        ).start()
        world.connect_account(office, account_id, token=account_id)
        with transaction(office.engine) as connection:
            accounts.change(
                connection, account_id, crm=crm, base_url=portals[account_id].base_url,
                secrets=office.box.seal(json.dumps(SECRETS[crm])), claimed_by="", claimed_until=0,
            )  # fmt: skip
    yield Two(office, portals)
    for portal in portals.values():
        portal.stop()
    office.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(map(str, fault.values())))
def test_touched_ids_outlive_a_portal_that_misbehaves(two: Two, fault: dict[str, Any]) -> None:
    touched = two.touch("ill"), two.touch("well")
    two.faults(fault)
    assert fetch.fetch(two.office, "ill") == 0
    assert two.fetch_all("well") == touched[1]
    assert two.count(TOUCHED, "ill") == touched[0]
    with pytest.raises(SourceUnavailable):
        list(sync.reconcile(two.office, "ill"))
    with pytest.raises(SourceUnavailable):
        fetch.read_directory(two.office, "ill")
    assert care.look_after(two.office, "ill") == 0
    down = two.row("ill")
    assert down.down_since == two.office.now()
    assert (down.down_until or 0) > two.office.now()
    assert down.down_reason
    assert two.row("well").down_since is None
    two.faults({})
    two.later(2 * 3600)
    assert two.fetch_all("ill") == touched[0]
    assert two.count(TOUCHED, "ill") == 0
    assert two.count(DEAL, "ill") == touched[0]
    row = two.row("ill")
    assert (row.status, row.error) == ("active", None)
    assert (row.down_since, row.down_until, row.down_reason) == (None, None, None)


def test_share_of_faults_costs_tries_and_nothing_else(two: Two) -> None:
    touched = two.touch("ill")
    two.faults({"errors": 0.3})
    for _ in range(20):
        two.fetch_all("ill")
        two.later(7200)
    assert two.count(DEAL, "ill") == touched
    two.faults({})
    log = httpx.get(f"{two.portals['ill'].base_url}/_control/requests").json()
    assert any(line["status"] == 503 for line in log)
    assert all("s3cret" not in line["path"] for line in log)
