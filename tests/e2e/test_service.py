"""The main job as its user meets it: commands, a running service, hooks, the API, an alert."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from service.alerts.channels.webhook import signatures

DOZOR = [sys.executable, "-c", "from service.cli import main; main()"]
SAMPLES = Path(__file__).parents[1] / "crm" / "amocrm" / "samples"
FORM = {"content-type": "application/x-www-form-urlencoded"}


SPEED, START = 20, datetime(2026, 3, 2, 7, tzinfo=UTC)  # Monday 10:00 in Moscow


def told(moment: datetime) -> str:
    """An instant as the API tells it."""
    return moment.isoformat().replace("+00:00", "Z")


class StandIn:
    """Telegram and a subscriber in one: remembers what came, answers 200."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes, float]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                outer.seen.append((self.path, headers, body, time.time()))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def telegram(self) -> list[str]:
        return [json.loads(body)["text"] for path, _, body, _ in self.seen if "/bot" in path]


class Dozor:
    """A data folder, commands in it, and a served process."""

    def __init__(self, folder: Path, **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DOZOR_")}
        self.environment = kept | {
            "DOZOR_DATA_DIR": str(folder), "DOZOR_ALLOW_PRIVATE_HOSTS": "1",
            "DOZOR_LOG_LEVEL": "warning", **environment,
        }  # fmt: skip
        self.anchor = time.time()
        self.environment["DOZOR_CLOCK"] = f"{told(START)}x{SPEED}@{self.anchor}"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.folder = folder

    def now(self) -> datetime:
        """What Dozor's accelerated clock shows."""
        passed = timedelta(seconds=(time.time() - self.anchor) * SPEED)
        return (START + passed).replace(microsecond=0)

    def command(self, *arguments: str, code: int = 0) -> Any:
        done = subprocess.run(
            [*DOZOR, *arguments], env=self.environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout) if "--json" in arguments and done.stdout else done

    def serve(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
            [*DOZOR, "serve", "--port", "0"], env=self.environment, stdout=subprocess.PIPE,
            stderr=log, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listens on" in line, (self.folder / "log").read_text()
        self.url = line.rsplit(" ", 1)[1].strip()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def until(what: Callable[[], Any], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        threading.Event().wait(0.05)
    return what()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    found = StandIn()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def dozor(tmp_path: Path, stand_in: StandIn) -> Iterator[Dozor]:
    found = Dozor(
        tmp_path, DOZOR_TELEGRAM_BASE_URL=stand_in.url, DOZOR_TELEGRAM_TOKEN="TOKEN:1",
        DOZOR_DEMO="1",
    )  # fmt: skip
    yield found
    if found.process is not None and found.process.poll() is None:
        found.stop()


def connect(dozor: Dozor) -> tuple[str, dict[str, str]]:
    """An account with a head who hears by Telegram; its hook's path, and a key's header."""
    added = dozor.command(
        "account", "add", "amocrm", "--name", "Ромашка", "--base-url", "http://127.0.0.1:9",
        "--token", "T", "--json",
    )  # fmt: skip
    assert added["id"] == "romashka"
    settings = dozor.folder / "romashka.yaml"
    settings.write_text(
        "account: romashka\nalerts: {receivers: {head: {telegram: 333444, rules: '*'}}}\n",
        encoding="utf-8",
    )
    dozor.command("account", "apply", str(settings), "--json")
    key = dozor.command("key", "create", "--name", "bi", "--scope", "admin", "--json")["key"]
    path = "/hooks/" + added["hook_url"].split("/hooks/")[1]
    return path, {"authorization": f"Bearer {key}"}


def task_hook(now: datetime, due: datetime, *, done: bool = False, author: str = "7") -> bytes:
    """amoCRM's hook of a task on deal 1."""
    action = "update" if done else "add"
    fields = {
        "id": "55", "element_id": "1", "element_type": "2", "task_type": "1",
        "text": "Перезвонить по КП", "status": "1" if done else "0",
        "responsible_user_id": "7", "created_user_id": "7", "modified_by": author,
        "created_at": int((due - timedelta(hours=2)).timestamp()),
        "updated_at": int(now.timestamp()), "complete_before": int(due.timestamp()),
        "action_close": "1" if done else "0",
    }  # fmt: skip
    return urlencode({f"task[{action}][0][{k}]": v for k, v in fields.items()}).encode()


def test_overdue_task_is_alerted_once_seconds_later_and_told_as_resolved(
    dozor: Dozor, stand_in: StandIn
) -> None:
    hook, auth = connect(dozor)
    dozor.serve()
    with httpx.Client(base_url=dozor.url, headers=auth, timeout=10) as api:
        made = api.post(
            "/v1/subscriptions",
            json={"url": stand_in.url + "/hook", "events": ["violation.opened"]},
        )
        assert made.status_code == 201
        due = dozor.now() + timedelta(seconds=60)  # three real seconds ahead
        begun = due - timedelta(hours=1)
        assert api.post(hook, content=task_hook(begun, due), headers=FORM).status_code == 200
        upcoming = until(
            lambda: api.get(
                "/v1/violations", params={"status": "upcoming", "rule": "task-overdue"}
            ).json()["data"]
        )
        assert upcoming[0]["breach_at"] == told(due)
        texts = until(stand_in.telegram)
        assert len(texts) == 1
        assert "Просрочена задача: «Перезвонить по КП»" in texts[0]
        assert "Закройте с результатом" in texts[0]
        assert "/leads/detail/1" in texts[0]
        open_ = api.get("/v1/violations", params={"rule": "task-overdue"}).json()["data"]
        assert [v["id"] for v in open_] == [upcoming[0]["id"]]
        before = {"as_of": told(due - timedelta(seconds=1)), "rule": "task-overdue"}
        assert api.get("/v1/violations", params=before).json()["data"] == []
        done = dozor.now()
        told_done = api.post(hook, content=task_hook(done, due, done=True), headers=FORM)
        assert told_done.status_code == 200
        texts = until(lambda: found if len(found := stand_in.telegram()) > 1 else None)
        assert len(texts) == 2
        assert texts[1].startswith("✅ Решено: Просрочена задача")
        hooks = [(h, b) for path, h, b, _ in stand_in.seen if path == "/hook"]
        assert len(hooks) == 1
        headers, raw = hooks[0]
        event = json.loads(raw)
        stamp = headers["webhook-timestamp"]
        signed = signatures(made.json()["secret"], headers["webhook-id"], stamp, raw)
        assert headers["webhook-signature"] == signed  # the library refuses old timestamps
        assert event["type"] == "violation.opened"
        assert event["data"]["violation"]["rule"]["id"] == "task-overdue"
    assert dozor.stop() == 0
    assert dozor.command("verify").returncode == 0


def test_door_answers_as_the_contract_says(dozor: Dozor) -> None:
    hook, auth = connect(dozor)
    dozor.serve()
    with httpx.Client(base_url=dozor.url, timeout=10) as client:
        for sample in sorted(SAMPLES.glob("*.form")):
            assert client.post(hook, content=sample.read_bytes(), headers=FORM).status_code == 200
        for body in (b"", b"{}", b"\xff\xfe", b"a" + b"[b]" * 50 + b"=1"):
            answer = client.post(hook, content=body)
            assert (answer.status_code, answer.content) == (200, b"")
        assert client.post(hook, content=b"x" * (1024 * 1024)).status_code == 200
        assert client.post(hook, content=b"x" * (1024 * 1024 + 1)).status_code == 413
        wrong = client.post("/hooks/amocrm/" + "x" * 43, content=b"leads[add][0][id]=1")
        unknown = client.post("/nothing/here", content=b"")
        assert wrong.status_code == unknown.status_code == 404
        strip = {"request_id"}
        assert {k: v for k, v in wrong.json().items() if k not in strip} == {
            k: v for k, v in unknown.json().items() if k not in strip
        }
        assert client.get(hook).status_code == 405
        count = len(list(SAMPLES.glob("*.form"))) + 5
        rows = until(
            lambda: found
            if len(found := client.get("/v1/inbox", params={"state": "done,parked", "limit": 100},
                                       headers=auth).json()["data"]) == count
            else None
        )  # fmt: skip
        assert len(rows) == count
        parked = {row["reason"] for row in rows if row["state"] == "parked"}
        assert parked >= {"empty", "not_a_form", "too_deep"}
        assert client.get("/readyz").json()["status"] == "ready"
        assert "dozor_hooks_total" in client.get("/metrics").text
    log = (dozor.folder / "log").read_text()
    assert hook.rsplit("/", 1)[1] not in log


def test_bad_use_of_commands_is_one_sentence(dozor: Dozor) -> None:
    cases = [
        (("account", "add", "amo", "--name", "A", "--base-url", "https://a.ru"), "known are"),
        (("account", "add", "amocrm", "--name", "A", "--base-url", "a.ru"), "--base-url"),
        (("account", "add", "amocrm", "--name", "A", "--base-url", "https://a.ru"), "--token"),
        (("account", "add", "amocrm", "--name", "!", "--base-url", "https://a.ru",
          "--token", "T"), "--id"),
        (("account", "add", "bitrix24", "--name", "A", "--base-url", "https://a.ru",
          "--token", "T"), "USER/SECRET"),
        (("account", "add", "amocrm", "--name", "A", "--base-url", "https://a.ru", "--token", "T",
          "--timezone", "Moscow"), "Europe/Moscow"),
        (("account", "check", "nobody"), "there is no account"),
        (("backfill", "nobody"), "there is no account"),
        (("key", "create", "--name", "x", "--scope", "everything"), "scope"),
        (("key", "revoke", "key_nobody"), "key"),
        (("account", "apply", "missing.yaml"), "missing.yaml"),
        (("serve", "--port", "99999"), "DOZOR_PORT"),
        (("nonsense",), "nonsense"),
    ]  # fmt: skip
    for arguments, words in cases:
        done = dozor.command(*arguments, code=2)
        assert words in done.stderr, (arguments, done.stderr)


def test_two_accounts_of_one_name_are_refused_and_a_half_done_setup_can_be_repeated(
    dozor: Dozor,
) -> None:
    first = ("account", "add", "amocrm", "--name", "Ромашка", "--base-url", "http://127.0.0.1:9",
             "--token", "T", "--json")  # fmt: skip
    dozor.command(*first)
    again = dozor.command(*first)
    assert again["id"] == "romashka"
    other = tuple("http://127.0.0.1:10" if a == "http://127.0.0.1:9" else a for a in first)
    done = dozor.command(*other, code=2)
    assert "there is an account 'romashka' already" in done.stderr
    assert dozor.command("account", "rotate-hook", "romashka", "--json")["id"] == "romashka"
    assert [a["id"] for a in dozor.command("account", "list", "--json")] == ["romashka"]
