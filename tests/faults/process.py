"""A served Dozor in a process of its own: set up by its commands, killed, started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.faults.stand_in import StandIn

SPEED, START = 20, datetime(2026, 3, 2, 7, tzinfo=UTC)  # Monday 10:00 in Moscow
SECOND_TRY = 10  # real seconds until a message whose sender died is sent again
DOZOR = [sys.executable, "-c", "from service.cli import main; main()"]
ROOT = Path(__file__).parents[2]
ACCOUNT = "romashka"
PATIENCE = 120.0


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer; fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    found = what()
    assert found, f"not so within {seconds:.0f} s"
    return found


class Dozor:
    """Commands in a data folder, and a served process with its worker."""

    def __init__(self, folder: Path, stand_in: StandIn, database_url: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DOZOR_")}
        self.anchor = time.time()
        self.environment = kept | {
            "DOZOR_DATA_DIR": str(folder), "DOZOR_ALLOW_PRIVATE_HOSTS": "1",
            "DOZOR_DATABASE_URL": database_url, "DOZOR_SECRET_KEY": "0123456789abcdef0123",
            "DOZOR_WORKERS_IN_PROCESS": "1", "DOZOR_LOG_LEVEL": "warning", "DOZOR_DEMO": "1",
            "DOZOR_CLOCK": f"{START.isoformat()}x{SPEED}@{self.anchor}",
            "DOZOR_TELEGRAM_BASE_URL": stand_in.url, "DOZOR_TELEGRAM_TOKEN": "TOKEN:1",
        }  # fmt: skip
        self.folder = folder
        self.database_url = database_url
        self.stand_in = stand_in
        self.nursery: subprocess.Popen[str] | None = None
        self.pid = 0
        self.url = ""
        self.hook = ""
        self.key: dict[str, str] = {}

    def on(self, folder: Path, database_url: str) -> "Dozor":
        """Another one of the same time and keys on another database."""
        other = copy(self)
        other.folder, other.database_url = folder, database_url
        other.environment = self.environment | {"DOZOR_DATABASE_URL": database_url}
        return other

    def now(self) -> datetime:
        """What Dozor's accelerated clock shows."""
        passed = timedelta(seconds=(time.time() - self.anchor) * SPEED)
        return (START + passed).replace(microsecond=0)

    def command(self, *arguments: str) -> Any:
        """What a command prints as JSON; it has to end well."""
        done = subprocess.run(
            [*DOZOR, *arguments, "--json"], env=self.environment, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def set_up(self) -> None:
        """An account that alerts a head by Telegram of overdue tasks, and a key."""
        added = self.command(
            "account", "add", "amocrm", "--name", "Ромашка", "--base-url", self.stand_in.url,
            "--token", "T",
        )  # fmt: skip
        assert added["id"] == ACCOUNT
        self.hook = "/hooks/" + added["hook_url"].split("/hooks/")[1]
        settings = self.folder / "romashka.yaml"
        head = "{telegram: 333444, rules: [task-overdue]}"
        settings.write_text(f"alerts: {{receivers: {{head: {head}}}}}\n", encoding="utf-8")
        self.command("account", "apply", str(settings), "--account", ACCOUNT)
        key = self.command("key", "create", "--name", "bi", "--scope", "admin")["key"]
        self.key = {"authorization": f"Bearer {key}"}

    def subscribe(self) -> str:
        """A signed webhook for overdue tasks; its id."""
        wanted = {
            "url": self.stand_in.url + "/hook", "events": ["violation.opened"],
            "filters": {"rule": ["task-overdue"]},
        }  # fmt: skip
        made = httpx.post(
            self.url + "/v1/subscriptions", json=wanted, headers=self.key, timeout=PATIENCE
        )
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def serve(self, before: Sequence[str] = ()) -> None:
        """Start; `before`: a command that runs the rest of its line."""
        if self.nursery is None:
            with (self.folder / "log").open("a") as log:
                self.nursery = subprocess.Popen(
                    [*before, sys.executable, "-m", "tests.faults.nursery", str(SECOND_TRY)],
                    env=self.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=log, text=True, bufsize=1,
                )  # fmt: skip
        assert self.nursery.stdin is not None
        self.nursery.stdin.write("\n")
        self.pid = int(self._line())
        line = self._line()
        assert "listens on" in line, self.log()
        self.url = line.rsplit(" ", 1)[1]

    def _line(self) -> str:
        assert self.nursery is not None
        assert self.nursery.stdout is not None
        line = self.nursery.stdout.readline().strip()
        assert line, self.log()
        return line

    def log(self) -> str:
        """What the served processes have written."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of an event."""
        rows = [json.loads(row) for row in self.log().splitlines() if row.startswith("{")]
        return [row for row in rows if row["event"] == event]

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is closed."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        os.kill(self.pid, how)
        self.pid = 0
        return int(self._line())

    def close(self) -> None:
        """End whatever runs."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        if self.nursery is not None:
            self.nursery.communicate(timeout=PATIENCE)
