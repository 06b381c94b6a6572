"""Channels over real HTTP, and the outbox: at least once, under one key."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier

from service.alerts.channels.telegram import Telegram
from service.alerts.channels.webhook import Webhook, signatures
from service.alerts.sender import Sender
from service.domain.ports import Message
from service.errors import ChannelError
from service.pipeline.office import Office
from service.store import outbox, subscriptions
from service.store.engine import reading, transaction
from service.store.records import Alert, Delivery
from tests import world

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Receiver:
    """A real HTTP server that answers what it is told to and remembers what came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.append(
                    (self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                status, headers, answer = (
                    outer.answers.pop(0) if outer.answers else (200, {}, b"{}")
                )
                self.send_response(status)
                for name, value in {"content-length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


def test_signature_vector_of_the_contract() -> None:
    body = b'{"type":"ping","timestamp":"2026-11-23T07:00:00Z","data":{}}'
    assert signatures(SECRET, "msg_01", "1795417200", body) == (
        "v1,pr/Q2TX/Z/PsltGTy/hB/50NC1D1mPNZJoMQ0lXE5/k="
    )


def test_webhook_is_verified_by_the_standard_library_of_the_standard(receiver: Receiver) -> None:
    import time

    message = Message("msg_1", "", b'{"type":"ping"}', receiver.url + "/x", SECRET)
    Webhook(allow_private=True).send(message, time.time)
    _, headers, body = receiver.seen[0]
    assert Verifier(SECRET).verify(body, headers) == {"type": "ping"}


def test_both_secrets_sign_during_a_rotation(receiver: Receiver) -> None:
    import time

    other = "whsec_" + "B" * 43 + "="
    message = Message("msg_1", "", b"{}", receiver.url, f"{other} {SECRET}")
    Webhook(allow_private=True).send(message, time.time)
    _, headers, body = receiver.seen[0]
    for secret in (SECRET, other):
        Verifier(secret).verify(body, headers)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "https://127.0.0.1/x", "https://[::ffff:10.0.0.1]/", "https://localhost/",
     "https://169.254.1.1/", "http://example.com/"],
)  # fmt: skip
def test_addresses_inside_are_never_reached(url: str) -> None:
    with pytest.raises(ChannelError) as caught:
        Webhook(allow_private=False).send(Message("m", "", b"{}", url, SECRET), lambda: 0.0)
    assert caught.value.final


def test_redirect_is_a_failure(receiver: Receiver) -> None:
    receiver.answers.append((302, {"location": receiver.url + "/inside"}, b""))
    with pytest.raises(ChannelError, match="302"):
        Webhook(allow_private=True).send(Message("m", "", b"{}", receiver.url, SECRET), lambda: 0.0)
    assert len(receiver.seen) == 1


def test_telegram_sends_text_to_the_chat(receiver: Receiver) -> None:
    Telegram(receiver.url, "TOKEN").send(Message("k", "Привет", target="333"), lambda: 0.0)
    path, _, body = receiver.seen[0]
    assert path == "/botTOKEN/sendMessage"
    assert json.loads(body)["chat_id"] == "333"
    assert json.loads(body)["text"] == "Привет"


def test_telegram_says_how_long_to_wait_and_what_is_final(receiver: Receiver) -> None:
    slow = {"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 7}}
    receiver.answers.append((429, {}, json.dumps(slow).encode()))
    receiver.answers.append((403, {}, b'{"ok": false, "description": "bot was blocked"}'))
    channel = Telegram(receiver.url, "TOKEN")
    with pytest.raises(ChannelError) as caught:
        channel.send(Message("k", "x", target="1"), lambda: 0.0)
    assert (caught.value.retry_after, caught.value.final) == (7.0, False)
    with pytest.raises(ChannelError, match="bot was blocked") as caught:
        channel.send(Message("k", "x", target="1"), lambda: 0.0)
    assert caught.value.final


# --- outbox and sender ----------------------------------------------------------------------------


def make_sender(office: Office, receiver: Receiver) -> Sender:
    channels: dict[str, Any] = {
        "telegram": Telegram(receiver.url, "TOKEN"),
        "webhook": Webhook(allow_private=True),
    }
    return Sender(office.engine, office.clock, office.box, channels, office.config)


def office_with_receiver(url: str) -> Office:
    office = world.make_office(url)
    alerts = {"alerts": {"receivers": {"head": {"telegram": 333}}}}
    world.connect_account(office, document=alerts)
    return office


def put(office: Office, key: str = "k1", **row: Any) -> None:
    base = {
        "account_id": world.ACCOUNT, "key": key, "receiver": "head", "channel": "telegram",
        "kind": "opened", "text": "текст", "violations": ["vio_1"], "event_at": 0,
    }  # fmt: skip
    with transaction(office.engine) as connection:
        outbox.put(connection, [base | row], office.now())


def rows(office: Office) -> list[dict[str, Any]]:
    with reading(office.engine) as connection:
        table = Alert.__table__  # type: ignore[attr-defined]
        return [dict(r) for r in connection.execute(select(table)).mappings()]


def test_message_is_sent_once_and_logged(database_url: str, receiver: Receiver) -> None:
    office = office_with_receiver(database_url)
    put(office)
    put(office)  # the same key: nothing new
    sender = make_sender(office, receiver)
    assert sender.run_once() == 1
    sender.wait()
    sender.close()
    assert len(receiver.seen) == 1
    (row,) = rows(office)
    assert (row["state"], row["attempts"]) == ("sent", 1)
    with reading(office.engine) as connection:
        table = Delivery.__table__  # type: ignore[attr-defined]
        assert [r.outcome for r in connection.execute(select(table))] == ["sent"]
    office.close()


def test_crash_between_claim_and_mark_sends_again_under_the_same_key(
    sqlite_url: str, receiver: Receiver
) -> None:
    office = office_with_receiver(sqlite_url)
    secret = office.box.seal(SECRET)
    with transaction(office.engine) as connection:
        chosen = subscriptions.add(
            connection,
            {"key_id": "key_1", "url": receiver.url, "events": ["ping"], "accounts": None,
             "filters": {}, "secret": secret},
            office.now(),
        )  # fmt: skip
    put(office, "stable-key", receiver=chosen, channel="webhook", body=b"{}")
    (row,) = rows(office)
    with transaction(office.engine) as connection:
        assert outbox.claim(connection, row, office.now() - 1)  # ... and here we die
        assert not outbox.claim(connection, row, office.now())  # nobody else has the old claim
    sender = make_sender(office, receiver)
    sender.run_once()
    sender.wait()
    sender.close()
    assert [headers["webhook-id"] for _, headers, _ in receiver.seen] == ["stable-key"]
    assert rows(office)[0]["state"] == "sent"
    office.close()


def test_failure_is_tried_again_later_and_refusal_is_final(
    sqlite_url: str, receiver: Receiver
) -> None:
    office = office_with_receiver(sqlite_url)
    put(office)
    receiver.answers.append((500, {}, b""))
    sender = make_sender(office, receiver)
    sender.run_once()
    sender.wait()
    (row,) = rows(office)
    assert row["state"] == "pending"
    assert 3 <= row["next_try_at"] - office.now() <= 7
    with transaction(office.engine) as connection:
        outbox.settle(connection, row, next_try_at=office.now())
    receiver.answers.append((403, {}, b'{"description": "blocked"}'))
    sender.run_once()
    sender.wait()
    sender.close()
    (row,) = rows(office)
    assert (row["state"], row["reason"]) == ("failed", "Telegram: blocked")
    office.close()
