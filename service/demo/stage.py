"""Everything that runs in the demonstration: processes, receivers, and how they are connected."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from service.clock import Clock
from service.errors import ConfigError
from service.portal.receivers import HookReceiver, TelegramStandIn

BEGIN = datetime(2026, 3, 16, 7, 0, tzinfo=UTC)  # Monday 10:00 in Moscow: work begins
LEAD_SECONDS = 25  # real: connected in the small hours, while the department sleeps
ACCOUNTS = {"romashka": "amocrm", "vasilek": "bitrix24"}
NAMES = {"romashka": "Ромашка", "vasilek": "Василёк"}
TOKEN = {"amocrm": "demo-long-lived-token", "bitrix24": "1/demosecret"}
APPLICATION_TOKEN = "demo-application-token-0001"  # noqa: S105 - of a simulated portal
EVENTS = (
    "ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE", "ONCRMLEADADD", "ONCRMLEADUPDATE",
    "ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE", "ONVOXIMPLANTCALLEND", "ONCRMTIMELINECOMMENTADD",
    "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE", "ONCRMACTIVITYADD", "ONCRMDYNAMICITEMADD",
    "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE",
)  # fmt: skip
PLANS = {"deals_won": 60, "receipts": 2_500_000_000, "calls": 400, "deals_created": 300}
SETTINGS = """\
account: {account}
alerts: {{receivers: {{head: {{telegram: 333444, rules: "*"}}}}}}
"""


def live_from(speed: float) -> str:
    """When history ends: the same in every run, however long the portals take to start."""
    return (BEGIN - timedelta(seconds=LEAD_SECONDS * speed)).isoformat()


@dataclass
class Stage:
    """The running demonstration."""

    deals: int
    speed: float
    seed: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dozor-demo-")))
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    portals: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)
    telegram: TelegramStandIn = field(default_factory=TelegramStandIn)
    receiver: HookReceiver = field(default_factory=HookReceiver)
    url: str = ""
    key: str = ""
    connected: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        begin, anchor = BEGIN.isoformat().replace("+00:00", "Z"), time.time() + LEAD_SECONDS
        self._clock_text = f"{begin}x{self.speed}@{anchor}"
        self.clock = Clock.parse(self._clock_text)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DOZOR_")}
        self._environment = kept | {
            "DOZOR_DATA_DIR": str(self.folder),
            "DOZOR_DEMO": "1",
            "DOZOR_CLOCK": self._clock_text,
            "DOZOR_ALLOW_PRIVATE_HOSTS": "1",
            "DOZOR_LOG_LEVEL": "warning",
            "DOZOR_TICK_MILLISECONDS": "50",
            "DOZOR_RECONCILE_MINUTES": "60",
            "DOZOR_RATE_LIMIT_PER_MINUTE": "100000",
            "DOZOR_TELEGRAM_TOKEN": "12345:demo",
        }

    # --- up and down ------------------------------------------------------------------------------

    def set_up(self, say: Callable[[str], object]) -> None:
        """Start everything and connect it as an administrator would."""
        self.telegram.start()
        self.receiver.start()
        self._environment["DOZOR_TELEGRAM_BASE_URL"] = self.telegram.url
        say("Two portals open: amoCRM and Bitrix24, two weeks old ...")
        for account, crm in ACCOUNTS.items():
            self._open_portal(account, crm)
        self._serve()
        made = self.command("key", "create", "--name", "demo", "--scope", "admin", "--json")
        self.key = made["key"]
        self._subscribe()
        with ThreadPoolExecutor(len(ACCOUNTS)) as pool:
            list(pool.map(lambda account: self._take_on(account, say), ACCOUNTS))
        self._plan()

    def _take_on(self, account: str, say: Callable[[str], object]) -> None:
        say(f"Connecting {NAMES[account]} ({ACCOUNTS[account]}) ...")
        self._connect(account, ACCOUNTS[account])
        say(f"Reading the history of {NAMES[account]} ...")
        self.command("backfill", account, "--json")
        self.connected[account] = self.clock.now()
        httpx.post(f"{self.portals[account]}/_control/watched", timeout=10).raise_for_status()

    def tear_down(self) -> None:
        """Stop everything, in the order that loses nothing; remove the folder."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        for stand_in in (self.telegram, self.receiver):
            if stand_in.started:
                stand_in.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, arguments: Sequence[str], log: str) -> subprocess.Popen[str]:
        with (self.folder / log).open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _first_line(self, process: subprocess.Popen[str], log: str) -> str:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            tail = (self.folder / log).read_text(encoding="utf-8")[-2000:]
            raise ConfigError(f"the demonstration could not start ({log}): {tail}")
        return line.strip()

    def _open_portal(self, account: str, crm: str) -> None:
        process = self._start(
            [
                "-m", "service.portal", crm, "--seed", str(self.seed), "--deals", str(self.deals),
                "--clock", self._clock_text, "--token", TOKEN[crm], "--subdomain", account,
                "--account-id", "31000001", "--live-from", live_from(self.speed),
                "--unwatched",
            ],
            f"{account}.log",
        )  # fmt: skip
        self.portals[account] = json.loads(self._first_line(process, f"{account}.log"))["base_url"]

    def _serve(self) -> None:
        code = "from service.cli import main; main()"
        process = self._start(["-c", code, "serve", "--port", "0"], "dozor.log")
        self.url = self._first_line(process, "dozor.log").rsplit(" ", 1)[1]
        self._environment["DOZOR_PUBLIC_URL"] = self.url

    def _connect(self, account: str, crm: str) -> None:
        arguments = [
            "account", "add", crm, "--name", NAMES[account], "--id", account,
            "--base-url", self.portals[account], "--token", TOKEN[crm], "--json",
        ]  # fmt: skip
        if crm == "amocrm":
            self.command(*arguments, "--subscribe")
        else:
            made = self.command(*arguments, "--application-token", APPLICATION_TOKEN)
            self._outgoing_webhook(account, made["hook_url"])
        path = self.folder / f"{account}.yaml"
        path.write_text(SETTINGS.format(account=account), encoding="utf-8")
        self.command("account", "apply", str(path), "--json")

    def _outgoing_webhook(self, account: str, hook_url: str) -> None:
        """What an administrator does by hand in Bitrix24."""
        answer = httpx.post(
            f"{self.portals[account]}/_control/outgoing-webhook",
            json={
                "url": hook_url, "events": list(EVENTS), "application_token": APPLICATION_TOKEN
            },
            timeout=10,
        )  # fmt: skip
        answer.raise_for_status()

    def _subscribe(self) -> None:
        wanted = {
            "url": f"{self.receiver.url}/dozor",
            "events": ["violation.opened", "violation.resolved"],
        }
        self.post("/v1/subscriptions", wanted)

    def _plan(self) -> None:
        rows = [
            {"account": account, "metric": metric, "period": "2026-03", "value": value}
            for account in ACCOUNTS
            for metric, value in PLANS.items()
        ]
        self.put("/v1/plans", {"rows": rows})

    # --- talking to Dozor and the portals ---------------------------------------------------------

    def command(self, *arguments: str) -> Any:
        """A `dozor` command; its JSON.

        Raises:
            ConfigError: the command failed; with what it said.
        """
        done = subprocess.run(
            [sys.executable, "-c", "from service.cli import main; main()", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise ConfigError(f"dozor {' '.join(arguments[:2])}: {done.stderr.strip()[-1000:]}")
        return json.loads(done.stdout)

    def get(self, path: str, **params: Any) -> Any:
        """GET of Dozor's API."""
        return self._api("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """POST to Dozor's API."""
        return self._api("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        """PUT to Dozor's API."""
        return self._api("PUT", path, json=body)

    def _api(self, method: str, path: str, **more: Any) -> Any:
        answer = httpx.request(
            method,
            self.url + path,
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
            **more,
        )
        if answer.status_code >= 400:
            raise ConfigError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def portal(self, account: str, what: str, **params: Any) -> Any:
        """GET of a portal's control interface."""
        url = f"{self.portals[account]}/_control/{what}"
        answer = httpx.get(url, params=params, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def stop_living(self, account: str, at: datetime) -> None:
        """Nothing happens in a portal after an instant."""
        url = f"{self.portals[account]}/_control/driver"
        httpx.post(url, json={"until": at.isoformat()}, timeout=10).raise_for_status()
