"""From a hook sent to its violation readable over the API, at 200 hooks a second."""

import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

import httpx

from service.store import keys
from service.store.engine import open_engine, transaction
from tests import world
from tests.bench import bodies, servers, stored
from tests.bench.report import Line, percentile, told, under

RATE = 200
PROBES_A_SECOND = 10
FORM = {"content-type": "application/x-www-form-urlencoded"}


def run(*, quick: bool) -> list[Line]:
    """SQLite, one process that receives, works and answers; 9,900 deals stored."""
    seconds = 6 if quick else 30
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stored.make(Path(folder), 9_900, token=servers.TOKEN).close()
        url = f"sqlite:///{Path(folder) / '9900.db'}"
        engine = open_engine(url)
        with transaction(engine) as connection:
            _, key = keys.create_key(connection, "bench", ["admin"], ["*"], int(time.time()))
        engine.dispose()
        with servers.dozor(url) as port:
            delays, sent = _measure(f"http://127.0.0.1:{port}", key, seconds)
        shutil.rmtree(folder, ignore_errors=True)
    return [
        told("hooks sent a second", sent / seconds, ""),
        told("hook to violation readable, p50", percentile(delays, 0.5), " ms", 1),
        under("hook to violation readable, p99", percentile(delays, 0.99), 1000, digits=1),
    ]


def _measure(address: str, key: str, seconds: int) -> tuple[list[float], int]:
    """Delays of the probes in milliseconds; how many hooks were sent in all."""
    end = time.monotonic() + seconds
    sent = [0]
    load = threading.Thread(target=_send, args=(address, end, sent))
    load.start()
    delays = []
    with httpx.Client(base_url=address, timeout=30) as api:
        api.headers["authorization"] = f"Bearer {key}"
        number = 0
        while time.monotonic() < end:
            began = time.monotonic()
            _probe(api, 50_000 + number)
            delays.append((time.monotonic() - began) * 1000)
            sent[0] += 1
            number += 1
            time.sleep(max(0.0, began + 1 / PROBES_A_SECOND - time.monotonic()))
    load.join()
    return delays, sent[0]


def _send(address: str, end: float, sent: list[int]) -> None:
    """The rest of the load: ordinary events, evenly spaced."""
    events = bodies.events(9_900, 1_000_000, int(time.time()), seed=random.randrange(10**6))
    pause = 1 / (RATE - PROBES_A_SECOND)
    due = time.monotonic()
    with httpx.Client(base_url=address, timeout=30) as client:
        while due < end:
            _, body = next(events)
            assert client.post(servers.PATH, content=body, headers=FORM).status_code == 200
            sent[0] += 1
            due += pause
            time.sleep(max(0.0, due - time.monotonic()))


def _probe(api: httpx.Client, deal: int) -> None:
    """A task that is overdue already; until the API shows it."""
    now = int(time.time())
    body = bodies.task("add", deal, 1, now, now - 60)
    assert api.post(servers.PATH, content=body, headers=FORM).status_code == 200
    task = (bodies.FIRST_DEAL + deal) * bodies.TASKS_OF + 1
    asked = {"subject": f"task:{world.ACCOUNT}.{task}", "rule": "task-overdue"}
    for _ in range(3000):
        answer = api.get("/v1/violations", params=asked)
        assert answer.status_code == 200, answer.text
        if answer.json()["data"]:
            return
        time.sleep(0.01)
    raise AssertionError("the violation never came")
