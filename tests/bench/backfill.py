"""Reading a portal's past: how much of the CRM's rate limit is used; memory over many deals."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.bench import servers
from tests.bench.report import Line, at_least, told, under

LIMIT = 7.0  # amoCRM's requests a second
_DOZOR = [sys.executable, "-c", "from service.cli import main; main()"]
_FAST = "2026-03-01T00:00:00Zx1000"


def run(*, quick: bool) -> list[Line]:
    """Against simulated amoCRMs over HTTP: one that keeps its limit, one without an end."""
    return [*_rate(60 if quick else 3000), *_memory(3_000 if quick else 100_000)]


def _rate(deals: int) -> list[Line]:
    command = [*_DOZOR, "portal", "amocrm", "--deals", str(deals), "--token", "bench"]
    seen: list[tuple[float, int]] = []
    with _portal(command) as address, _account(address) as environment:
        with _backfill(environment) as process, httpx.Client(base_url=address) as portal:
            while process.poll() is None:
                rest = portal.get("/_control/stats").json()["rest"]
                seen.append((time.monotonic(), rest.get("requests", 0)))
                time.sleep(0.2)
        rest = httpx.get(f"{address}/_control/stats").json()["rest"]
    first, last = seen[0][1], rest["requests"]
    began = next(at for at, requests in seen if requests > first)
    ended = next(at for at, requests in seen if requests == last)
    rate = (last - first) / (ended - began)
    return [
        told("requests of a backfill", last - first, ""),
        at_least("requests a second, of the 7 that are allowed", rate / LIMIT, 0.95),
        Line("refused with 429", str(rest.get("limited", 0)), "0", not rest.get("limited")),
    ]


def _memory(deals: int) -> list[Line]:
    command = [sys.executable, "-m", "tests.bench.endless"]
    fast = {"DOZOR_CLOCK": _FAST, "DOZOR_DEMO": "1"}
    with _portal(command, str(deals)) as address, _account(address, **fast) as environment:
        began = time.monotonic()
        sizes: list[int] = []
        with _backfill(environment) as process:
            while process.poll() is None:
                sizes.append(_own_memory(process.pid))
                time.sleep(0.2)
        elapsed = time.monotonic() - began
    early = max(sizes[: max(1, len(sizes) // 10)])
    return [
        told("deals, each with contact, task, call, event", deals, ""),
        told("deals a second, everything stored and judged", deals / elapsed, ""),
        told("memory in the first tenth", early / 2**20, " MiB"),
        told("memory at most", max(sizes) / 2**20, " MiB"),
        under("memory at most to that of the first tenth", max(sizes) / early, 1.25, ""),
    ]


def _own_memory(pid: int) -> int:
    """Bytes of the process's own: not the database file's pages that it maps."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else 0


@contextmanager
def _portal(command: list[str], *rest: str) -> Iterator[str]:
    port = servers.free_port()
    place = ["--port", str(port)] if "portal" in command else [str(port)]
    with servers.running([*command, *place, *rest], port, {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _account(address: str, **more: str) -> Iterator[dict[str, str]]:
    """A fresh database with the portal connected; the environment of its process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {
            **os.environ, "DOZOR_DATABASE_URL": f"sqlite:///{folder}/backfill.db",
            "DOZOR_DATA_DIR": folder, "DOZOR_SECRET_KEY": servers.SECRET,
            "DOZOR_LOG_LEVEL": "error", "DOZOR_ALLOW_PRIVATE_HOSTS": "1", **more,
        }  # fmt: skip
        added = ["account", "add", "amocrm", "--name", "bench", "--id", "bench", "--token", "bench"]
        command = [*_DOZOR, *added, "--base-url", address]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield environment


@contextmanager
def _backfill(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`dozor backfill` on the second core."""
    process = subprocess.Popen(
        [*_DOZOR, "backfill", "bench"], env=environment, stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)}),  # noqa: PLW1509
    )  # fmt: skip
    killer = threading.Timer(3600, process.kill)
    killer.start()
    try:
        yield process
    finally:
        killer.cancel()
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"the backfill ended with {process.returncode}")
