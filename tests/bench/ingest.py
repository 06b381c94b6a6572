"""Durable hooks on 64 keep-alive connections, beside doing nothing and beside the naive way."""

import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.bench import bodies, client, servers
from tests.bench.report import Line, at_least, median, told, under

ROUNDS = 3
Server = Callable[[], AbstractContextManager[int]]


def run(*, quick: bool) -> list[Line]:
    """SQLite and PostgreSQL, all candidates alternating."""
    seconds = 1.5 if quick else 4.0
    with tempfile.TemporaryDirectory(prefix="bench-") as name, servers.postgres() as server:
        folder = Path(name)
        path = folder / "bodies"
        hooks = [body for _, body in bodies.events(9_900, 500, 1_790_000_000, seed=1)]
        path.write_bytes(b"\n".join(hooks) + b"\n")
        rows = servers.sqlite(folder, "dozor")
        naive_rows = f"sqlite:///{folder / 'naive.db'}"
        tables = servers.database(server, "dozor")
        servers.prepare(tables)
        naive_tables = servers.database(server, "naive")
        alone = {"DOZOR_WORKERS_IN_PROCESS": "0"}
        candidates: dict[str, Server] = {
            "no-op": lambda: servers.plain("nothing"),
            "sqlite": lambda: servers.dozor(rows, **alone),
            "sqlite, working too": lambda: servers.dozor(rows, DOZOR_WORKERS_IN_PROCESS="1"),
            "naive sqlite": lambda: servers.plain("naive", naive_rows),
            "postgresql": lambda: servers.dozor(tables, **alone),
            "naive postgresql": lambda: servers.plain("naive", naive_tables),
        }
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for _ in range(ROUNDS):
            for what, start in candidates.items():
                with start() as port:
                    answer = _load(port, path, seconds)
                    assert what.startswith("naive") or not answer["bad"], (what, answer)
                    found[what].append(answer)
    return _lines(found)


def _load(port: int, path: Path, seconds: float) -> dict[str, Any]:
    client.measure(port, servers.PATH, path, 1)  # warms up
    return client.measure(port, servers.PATH, path, seconds)


def _lines(found: dict[str, list[dict[str, Any]]]) -> list[Line]:
    rate = {what: median([r["rate"] for r in rounds]) for what, rounds in found.items()}
    p99 = {what: median([r["p99_ms"] for r in rounds]) for what, rounds in found.items()}
    lines = [told(f"hooks/s, {what}", value, "") for what, value in rate.items()]
    for kind, goal in (("sqlite", 0.5), ("postgresql", 0.7)):
        lines += [
            at_least(f"{kind}: durable over a plain no-op", rate[kind] / rate["no-op"], goal),
            at_least(
                f"{kind}: durable over the naive way",
                rate[kind] / rate[f"naive {kind}"],
                25,
                "x",
                1,
            ),
        ]
    lines += [
        told("sqlite, working too: over a plain no-op",
             rate["sqlite, working too"] / rate["no-op"], "", 2),
        under("sqlite: p99 of the answer", p99["sqlite"], 15),
        told("postgresql: p99 of the answer (load and database on one core)",
             p99["postgresql"], " ms", 1),
        told("sqlite, working too: p99 of the answer", p99["sqlite, working too"], " ms", 1),
    ]  # fmt: skip
    return lines
