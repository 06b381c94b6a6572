"""Figures over HTTP at full size: 5,000,000 deals in PostgreSQL; a smaller department in SQLite."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from sqlalchemy import Engine, text

from service.kpi import sources
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.store import keys
from service.store.engine import open_engine, transaction
from tests import world
from tests.bench import servers, years
from tests.bench.report import Line, at_least, percentile, told, under

PERCENTILES = ("median_check", "first_response", "first_response_wt")
OPENED = ("receipts", "deals_created", "tasks_done", "median_check", "deals_open")
WON = {"metrics": "receipts,deals_won", "dimensions": "seller"}
RAW = """SELECT seller, currency, sum(amount), count(*) FROM deal
    WHERE account_id = :account AND status = 'won' AND closed_at BETWEEN :start AND :end
    GROUP BY seller, currency"""
"""What `WON` asks for, by one who has only the deals: the kindest case, an index on the closing."""


class Bench(NamedTuple):
    """A database that is filled, and a service on it."""

    kind: str
    api: httpx.Client
    engine: Engine
    process: int
    times: int


def run(*, quick: bool) -> list[Line]:
    """Both databases, one after the other."""
    lines: list[Line] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        servers.postgres(*years.MEMORY) as server,
    ):
        for kind, url, deals in (
            ("sqlite", f"sqlite:///{Path(folder) / 'figures.db'}", 20_000 if quick else 500_000),
            ("postgresql", servers.database(server, "figures"), 20_000 if quick else 5_000_000),
        ):
            servers.prepare(url, years.DIRECTORY)
            began = time.perf_counter()
            stored = years.fill(url, deals)
            spent = time.perf_counter() - began
            lines.append(told(f"{kind}: {deals:,} deals, contributions", stored, ""))
            lines.append(told(f"{kind}: filling", spent, " s"))
            lines += measure(kind, url, 15 if quick else 200)
    return lines


def measure(kind: str, url: str, times: int) -> list[Line]:
    """All figures of one database that is filled."""
    engine = open_engine(url)
    with transaction(engine) as connection:
        _, key = keys.create_key(
            connection, name=f"bench {time.time()}", scopes=["admin"], accounts=["*"],
            now=world.moment("2026-11-01 10:00"),
        )  # fmt: skip
    clock = f"2026-11-16T09:00:00Zx1@{time.time()}"
    headers = {"authorization": f"Bearer {key}", "accept-encoding": "identity"}
    with (
        servers.served(url, DOZOR_DEMO="1", DOZOR_CLOCK=clock) as (port, process),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600) as api,
    ):
        bench = Bench(kind, api, engine, process, times)
        lines = [line for section in SECTIONS for line in section(bench)]
    engine.dispose()
    return lines


def _months(bench: Bench) -> Iterator[Line]:
    """A month x all sellers; every sum and ratio once, those of contributions many times."""
    plain = [m.slug for m in METRICS.values() if m.kind in {"sum", "ratio"} and _is_stored(m)]
    chance, spent = random.Random(7), []
    for number in range(bench.times + 10):
        asked = {"metrics": chance.choice(plain), "dimensions": "seller", **_month(chance)}
        took = _timed(bench, "/v1/kpis/query", asked)
        spent += [took] if number >= 10 else []
    name = f"{bench.kind}: month x {len(years.SELLERS)} sellers, one figure of {len(plain)}"
    yield under(f"{name}, p99", percentile(spent, 0.99), 20)
    yield told(f"{bench.kind}: the same, p50", percentile(spent, 0.5), " ms", 2)
    others = [
        m.slug for m in METRICS.values() if m.kind in {"sum", "ratio"} and m.slug not in plain
    ]
    found = {slug: _best(bench, {"metrics": slug, "dimensions": "seller"}) for slug in others}
    slow = sorted((s for s in found if found[s] >= 20), key=lambda s: -found[s])
    title = f"{bench.kind}: of {len(others)} that look at time, violations, limits, 20 ms or more"
    yield told(title, len(slow), "")
    yield from (told(f"{bench.kind}: {slug}, best of 3", found[slug], " ms", 1) for slug in slow)


def _is_stored(metric: Metric) -> bool:
    """Whether all that a figure shows is a sum of contributions."""
    shown = (METRICS[name] for _, name in metric.beside)
    beside = (one for one in shown if not one.of_level)  # that one comes with `include=parts`
    parts = (METRICS[name] for name in metric.components)
    if metric.kind in {"percentile", "derived"} or not sources.COMPUTED.isdisjoint(metric.parts):
        return False
    return all(_is_stored(one) for one in (*parts, *beside))


def _years(bench: Bench) -> Iterator[Line]:
    asked = {"metrics": "receipts,deals_won,average_check,calls,tasks_done", "grain": "day"}
    for name, cut in (("whole", {}), ("one seller", {"seller": f"{world.ACCOUNT}.101"})):
        chance, spent = random.Random(8), []
        for _ in range(max(5, bench.times // 3)):
            first = years.FIRST + timedelta(days=chance.randrange(1440))
            span = {"from": first, "to": first + timedelta(days=364)}
            spent.append(_timed(bench, "/v1/kpis/query", {**asked, **cut, **span}))
        yield under(
            f"{bench.kind}: year by day x 5 figures, {name}, p99", percentile(spent, 0.99), 60
        )


def _percentiles(bench: Bench) -> Iterator[Line]:
    for slug in PERCENTILES:
        chance = random.Random(9)
        spent = [
            _timed(bench, "/v1/kpis/query",
                   {"metrics": slug, "dimensions": "seller", **_month(chance)})
            for _ in range(max(5, bench.times // 5))
        ]  # fmt: skip
        yield under(f"{bench.kind}: {slug}, month x sellers, p99", percentile(spent, 0.99), 150)
    for metric in METRICS.values():
        if metric.kind == "percentile" and metric.slug not in PERCENTILES:
            best = _best(bench, {"metrics": metric.slug, "dimensions": "seller"})
            yield under(f"{bench.kind}: {metric.slug}, best of 3", best, 150)


def _drill(bench: Bench) -> Iterator[Line]:
    for slug in OPENED:
        chance = random.Random(10)
        spent = [
            _timed(bench, f"/v1/kpis/{slug}/subjects", {**_month(chance), "limit": 50})
            for _ in range(max(5, bench.times // 5))
        ]
        yield under(f"{bench.kind}: first page behind {slug}, p99", percentile(spent, 0.99), 20)


def _unchanged(bench: Bench) -> Iterator[Line]:
    asked = {**WON, "from": "2026-06-01", "to": "2026-06-30", "as_of": "2026-11-16T00:00:00Z"}
    tag = bench.api.get("/v1/kpis/query", params=asked).headers["etag"]
    spent = []
    for _ in range(bench.times):
        began = time.perf_counter()
        answer = bench.api.get("/v1/kpis/query", params=asked, headers={"if-none-match": tag})
        spent.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 304
    yield told(f"{bench.kind}: unchanged (304), p99", percentile(spent, 0.99), " ms", 2)


def _raw(bench: Bench) -> Iterator[Line]:
    """Ours and plain SQL over the deals in turns."""
    chance = random.Random(11)
    ours, plain = [], []
    for _ in range(max(5, bench.times // 5)):
        month = _month(chance)
        ours.append(_timed(bench, "/v1/kpis/query", {**WON, **month}))
        bound = {
            "account": world.ACCOUNT, "start": world.moment(f"{month['from']} 00:00"),
            "end": world.moment(f"{month['to']} 23:59"),
        }  # fmt: skip
        began = time.perf_counter()
        with bench.engine.connect() as connection:
            assert connection.execute(text(RAW), bound).all()
        plain.append((time.perf_counter() - began) * 1000)
    yield told(f"{bench.kind}: a month by seller over HTTP, p50", percentile(ours, 0.5), " ms", 2)
    yield told(f"{bench.kind}: plain SQL over deals, p50", percentile(plain, 0.5), " ms", 2)
    ratio = percentile(plain, 0.5) / percentile(ours, 0.5)
    yield told(f"{bench.kind}: plain SQL / ours", ratio, "", 1)


def _exports(bench: Bench) -> Iterator[Line]:
    few = bench.times < 100
    for ending, span, goal in (
        ("csv", 365, 50_000), ("ndjson", 365, 50_000), ("xlsx", 60, 0), ("parquet", 60, 0),
    ):  # fmt: skip
        first = years.LAST - timedelta(days=span)
        cut = {} if few else {"from": first, "to": years.LAST}
        before, began = _cpu(bench.process), time.perf_counter()
        Path(f"/proc/{bench.process}/clear_refs").write_text("5", encoding="ascii")
        rows = _fetch(bench, f"/v1/exports/deals.{ending}", cut)
        spent = time.perf_counter() - began
        rows = rows or _count(bench, cut)
        name = f"{bench.kind}: {rows:,} deals as {ending}"
        rate = rows / spent
        yield at_least(name, rate, goal, " rows/s", 0) if goal else told(name, rate, " rows/s")
        cpu = rows / max(_cpu(bench.process) - before, 1e-9)
        yield told(f"{name}, by the service's CPU time", cpu, " rows/s")
        yield under(f"{name}, peak memory", _peak(bench.process), 200, " MiB", 0)


def _fetch(bench: Bench, path: str, cut: dict[str, Any]) -> int:
    """Read a file; how many lines it has, 0 if it is none of lines."""
    lines = 0
    with bench.api.stream("GET", path, params=cut) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            lines += piece.count(b"\n")
    return 0 if path.endswith(("xlsx", "parquet")) else lines - path.endswith("csv")


def _count(bench: Bench, cut: dict[str, Any]) -> int:
    query = "SELECT count(*) FROM deal WHERE account_id = :account AND created_at >= :start"
    start = world.moment(f"{cut['from']} 00:00") if cut else 0
    with bench.engine.connect() as connection:
        found = connection.execute(text(query), {"account": world.ACCOUNT, "start": start})
        return int(found.scalar_one())


def _cpu(process: int) -> float:
    """Seconds that a process has computed."""
    told_fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    user, system = told_fields.split()[11:13]
    return (int(user) + int(system)) / 100


def _peak(process: int) -> float:
    """The most memory that it had since `clear_refs`, in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _month(chance: random.Random) -> dict[str, Any]:
    first = (years.FIRST + timedelta(days=31 * chance.randrange(1, 57))).replace(day=1)
    return {"from": first, "to": (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)}


def _best(bench: Bench, asked: dict[str, Any]) -> float:
    """Of three times over a month long past."""
    span = {"from": "2025-03-01", "to": "2025-03-31"}
    return min(_timed(bench, "/v1/kpis/query", {**asked, **span}) for _ in range(3))


def _timed(bench: Bench, path: str, asked: dict[str, Any]) -> float:
    began = time.perf_counter()
    answer = bench.api.get(path, params=asked)
    spent = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, answer.text
    return spent


SECTIONS: Sequence[Callable[[Bench], Iterator[Line]]] = (
    _raw, _months, _years, _percentiles, _drill, _unchanged, _exports,
)  # fmt: skip
