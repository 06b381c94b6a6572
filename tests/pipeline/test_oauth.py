"""OAuth with the simulated portals: let in, renewed once for all, lost, and let in again."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from service import authorise, connect
from service.domain.account import AccountDocument
from service.errors import SourceRefused, SourceUnavailable
from service.oauth_pages import OAuthPages
from service.pipeline import care, drain, fetch, trouble
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer
from service.store import accounts, inbox, outbox, subscriptions
from service.store.engine import reading, transaction
from tests import world
from tests.crm.kit import END, START
from tests.pipeline.test_reconcile import Hand

Crm = Literal["amocrm", "bitrix24"]
SECRETS = {"client_id": "local.1", "client_secret": "s3cret-of-app"}


@dataclass
class Stage:
    """A portal, a Dozor that listens, and an account that waits to be authorised."""

    crm: Crm
    office: Office
    portal: PortalServer
    hook_url: str

    def control(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = httpx.post(f"{self.portal.base_url}/_control/{path}", json=body or {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def let_in(self) -> httpx.Response:
        """What the administrator's browser does: the link, and back to Dozor."""
        link = authorise.invite(self.office, world.ACCOUNT).link
        return httpx.get(link, follow_redirects=True)

    def row(self) -> accounts.AccountRow:
        return connect.known(self.office, world.ACCOUNT)

    def read(self) -> None:
        fetch.read_directory(self.office, world.ACCOUNT)


@pytest.fixture(params=["amocrm", "bitrix24"])
def stage(request: pytest.FixtureRequest, database_url: str) -> Iterator[Stage]:
    crm: Crm = request.param
    book = Book()
    department.populate(book, kind=crm, seed=3, deals=12, start=START, end=END)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    office = world.make_office(database_url, public_url=address)
    clock = Hand(END)
    office.clock = clock
    portal = PortalServer(crm, book, clock, limits=False).start()
    server = uvicorn.Server(
        uvicorn.Config(OAuthPages(Starlette(), office), log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    secrets = SECRETS | {"oauth_server": portal.base_url}
    hook = connect.add_account(
        office, crm, "Ромашка", world.ACCOUNT, portal.base_url, secrets, AccountDocument()
    )
    made = Stage(crm, office, portal, hook)
    given = {"redirect_uri": f"{address}/oauth/{crm}"}
    install = authorise.invite(office, world.ACCOUNT).install_uri or ""
    made.control("oauth", SECRETS | given | {"install_uri": install})
    yield made
    server.should_exit = True
    thread.join()
    portal.stop()
    office.close()
    listener.close()


def clock_of(office: Office) -> Hand:
    assert isinstance(office.clock, Hand)
    return office.clock


def test_administrator_says_yes_and_the_portal_is_connected(stage: Stage) -> None:
    with pytest.raises(SourceRefused, match="not authorised yet"):
        stage.read()
    page = stage.let_in()
    assert page.status_code == 200
    assert "Портал подключён" in page.text
    row = stage.row()
    assert (row.status, row.hook_state, row.hook_wanted) == ("active", "on", True)
    stage.read()
    with reading(stage.office.engine) as connection:
        assert accounts.directory(connection, world.ACCOUNT).sellers
        sealed = connection.exec_driver_sql("select tokens, secrets from account").one()
    opened = stage.office.vault(world.ACCOUNT).tokens()
    for text in sealed:
        assert opened["access_token"] not in text
        assert SECRETS["client_secret"] not in text


def test_invitation_of_nobody_or_of_yesterday_is_refused(stage: Stage) -> None:
    base = stage.office.settings.public_url
    for state in ("", "abc", stage.office.box.seal("[]")):
        page = httpx.get(f"{base}/oauth/{stage.crm}", params={"code": "x", "state": state})
        assert page.status_code == 400
        assert "приглашение неизвестно" in page.text
    old = json.dumps({"account": world.ACCOUNT, "until": stage.office.real_now() - 1})
    query = {"code": "x", "state": stage.office.box.seal(old)}
    assert httpx.get(f"{base}/oauth/{stage.crm}", params=query).status_code == 400
    assert stage.office.vault(world.ACCOUNT).tokens() == {}


def test_code_is_good_once(stage: Stage) -> None:
    link = authorise.invite(stage.office, world.ACCOUNT).link
    back = httpx.get(link).headers["location"]
    assert httpx.get(back).status_code == 200
    known = stage.office.vault(world.ACCOUNT).tokens()
    page = httpx.get(back)
    assert page.status_code == 400
    assert "authorise" in page.text
    assert stage.office.vault(world.ACCOUNT).tokens() == known  # what was in force stays


def test_many_who_meet_an_ended_token_renew_it_once(stage: Stage, database_url: str) -> None:
    stage.let_in()
    others = [world.make_office(database_url) for _ in range(3)]  # as other processes
    for office in others:
        office.clock = stage.office.clock
    exchanges = httpx.get(f"{stage.portal.base_url}/_control/oauth").json()["exchanges"]
    stage.control("oauth/expire")
    offices = [stage.office, *others]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(_profile, offices[n % 4]) for n in range(16)]
        assert all(one.result() for one in asked)
    told = httpx.get(f"{stage.portal.base_url}/_control/oauth").json()
    assert told["exchanges"] == exchanges + 1
    assert told["refused"] == 0
    for office in others:
        office.close()


def _profile(office: Office) -> bool:
    row = connect.known(office, world.ACCOUNT)
    with reading(office.engine) as connection:
        client = office.client(row, office.config(connection, world.ACCOUNT))
    return bool(client.read_directory().sellers)


@pytest.mark.parametrize("stage", ["amocrm"], indirect=True)  # Bitrix24 wants none by timer
def test_amocrm_is_renewed_before_the_end(stage: Stage) -> None:
    stage.let_in()
    known = stage.office.vault(world.ACCOUNT).tokens()
    hand = clock_of(stage.office)
    hand.at = hand.at.fromtimestamp(int(known["expires_at"]) - 60, hand.at.tzinfo)
    stage.read()
    assert stage.office.vault(world.ACCOUNT).tokens()["access_token"] != known["access_token"]


@pytest.mark.parametrize("stage", ["amocrm"], indirect=True)  # Bitrix24's tokens name the address
def test_renamed_portal_is_followed_without_losing_its_refresh_token(stage: Stage) -> None:
    stage.let_in()
    home = stage.portal.base_url.removeprefix("http://").replace("127.0.0.1", "localhost")
    stage.control("oauth/move", {"home": home})
    with pytest.raises(SourceUnavailable, match=f"moved to http://{home}"):
        stage.read()
    assert stage.row().base_url == f"http://{home}"
    stage.read()
    assert stage.row().status == "active"
    told = httpx.get(f"{stage.portal.base_url}/_control/oauth").json()
    assert told["refused"] == 0


def test_lost_access_is_a_clear_state_and_no_loop(stage: Stage) -> None:
    stage.let_in()
    subscribe_ops(stage.office)
    stage.control("oauth/revoke")
    for _ in range(3):
        with pytest.raises(SourceRefused, match="authorise romashka"):
            stage.read()
    told = httpx.get(f"{stage.portal.base_url}/_control/oauth").json()
    assert told["refused"] == 1  # asked once, remembered
    row = stage.row()
    assert row.status == "error"
    assert "authorise" in (row.error or "")
    assert trouble.tell_error(stage.office, world.ACCOUNT) == 1
    assert trouble.tell_error(stage.office, world.ACCOUNT) == 0  # once
    with reading(stage.office.engine) as connection:
        [message] = outbox.due(connection, stage.office.now(), 10)
    assert json.loads(message["body"])["type"] == "account.error"
    assert "Ромашка" in message["text"]
    assert stage.let_in().status_code == 200
    stage.read()
    assert stage.row().status == "active"
    assert trouble.tell_error(stage.office, world.ACCOUNT) == 1  # it is over


def subscribe_ops(office: Office) -> None:
    row: dict[str, Any] = {
        "url": "http://127.0.0.1:9/ops", "events": ["account.error"], "accounts": None,
        "filters": {}, "secret": office.box.seal("whsec_eA=="), "key_id": "",
    }  # fmt: skip
    with transaction(office.engine) as connection:
        subscriptions.add(connection, row, office.now())


def test_hook_that_the_portal_lost_is_put_back_and_ops_hear_of_it(stage: Stage) -> None:
    stage.let_in()
    subscribe_ops(stage.office)
    lose_hook(stage)
    hand = clock_of(stage.office)
    hand.at = hand.at.fromtimestamp(hand.at.timestamp() + care.EVERY_SECONDS + 1, hand.at.tzinfo)
    assert care.look_after(stage.office, world.ACCOUNT) == 1
    assert care.look_after(stage.office, world.ACCOUNT) == 0  # not again at once
    hooks = stage.portal.dialect.stats()["hooks"]
    assert isinstance(hooks, list)
    assert len(hooks) == 1
    assert not hooks[0].get("disabled")
    assert stage.row().hook_state == "on"
    with reading(stage.office.engine) as connection:
        [message] = outbox.due(connection, stage.office.now(), 10)
    assert json.loads(message["body"])["data"]["kind"] == "hook_mended"


def lose_hook(stage: Stage) -> None:
    if stage.crm == "amocrm":  # over a hundred bad answers in two hours
        for _ in range(101):
            stage.portal.dialect.note_answer(stage.hook_url, 500)
        assert not stage.portal.dialect.is_on(stage.hook_url)
        return
    token = stage.office.vault(world.ACCOUNT).tokens()["access_token"]
    body = {"auth": token, "event": "ONCRMDEALADD", "handler": stage.hook_url}
    answer = httpx.post(f"{stage.portal.base_url}/rest/event.unbind", json=body)
    assert answer.json()["result"]["count"] == 1


@pytest.mark.parametrize("stage", ["bitrix24"], indirect=True)
@pytest.mark.parametrize("event", [False, True])
def test_bitrix24_installation_lets_dozor_in_and_teaches_its_token(
    stage: Stage, event: bool
) -> None:
    told = stage.control("install", {"client_id": "local.1", "event": event})
    assert told["status"] == 200
    assert "installFinish" in told["page"]
    stage.read()
    knows = stage.office.secrets(stage.row())
    assert bool(knows.get("application_token")) is event
    with stage.portal.lock:
        deal = next(iter(stage.portal.office.book.deals.values()))
    auth = stage.office.vault(world.ACCOUNT).tokens()
    token = stage.portal.dialect._bound.token  # type: ignore[attr-defined]
    hook(stage, deal.id, "wrong", token)
    hook(stage, deal.id, auth["member_id"], token)
    work(stage.office)
    assert stage.office.secrets(stage.row())["application_token"] == token
    hook(stage, deal.id, auth["member_id"], "forged")
    work(stage.office)
    with reading(stage.office.engine) as connection:
        assert list(inbox.pending(connection, world.ACCOUNT, 10)) == []


def hook(stage: Stage, deal: int, member: str, token: str) -> None:
    body = (
        f"event=ONCRMDEALUPDATE&data[FIELDS][ID]={deal}&ts=1&auth[member_id]={member}"
        f"&auth[application_token]={token}"
    )
    put(stage.office, body.encode())


def put(office: Office, body: bytes) -> None:
    form = "application/x-www-form-urlencoded"
    with transaction(office.engine) as connection:
        number = inbox.Ids().next(office.clock.timestamp() + len(body))
        inbox.put(connection, world.ACCOUNT, number, office.now(), form, body)


def work(office: Office) -> None:
    with held(office, world.ACCOUNT):
        while drain.drain(office, world.ACCOUNT):
            pass


def test_installation_at_a_wrong_address_is_nobodys(stage: Stage) -> None:
    base = stage.office.settings.public_url
    answer = httpx.post(f"{base}/oauth/{stage.crm}/wrong", data={"REFRESH_ID": "x"})
    assert answer.status_code == 404
    long = httpx.post(f"{base}/oauth/{stage.crm}/wrong", content=b"a" * 70_000)
    assert long.status_code == 413
