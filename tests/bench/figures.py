"""KPI queries over HTTP with five million contributions, SQLite and PostgreSQL."""

import random
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, Table, text

from service.store import keys, rollups, tables
from service.store.engine import is_sqlite, open_engine, transaction
from tests import world
from tests.bench import bodies, servers
from tests.bench.report import Line, percentile, told, under

PARTS = (
    "inquiries", "deals_created", "deals_won", "deals_lost", "won_with_amount", "receipts",
    "calls", "talk_seconds", "tasks_set", "tasks_done", "tasks_due", "tasks_due_done",
    "deals_open", "tasks_overdue",
)  # fmt: skip
MONEY = {"won_with_amount", "receipts"}
ASKED = "receipts,deals_won,average_check,calls,tasks_done"
LAST = date(2026, 11, 16)
DAYS = 730
COLUMNS = (
    "account_id", "timeline", "metric", "subject_kind", "subject_id", "key", "at", "day", "seller",
    "pipeline", "stage", "source", "value", "currency",
)  # fmt: skip


def run(*, quick: bool) -> list[Line]:
    """Both databases, one after the other."""
    count = 300_000 if quick else 5_000_000
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, servers.postgres() as server:
        for kind, url in (
            ("sqlite", f"sqlite:///{Path(folder) / 'figures.db'}"),
            ("postgresql", servers.database(server, "figures")),
        ):
            servers.prepare(url)
            key = _fill(url, count)
            clock = f"2026-11-16T09:00:00Zx1@{time.time()}"
            with servers.dozor(url, DOZOR_DEMO="1", DOZOR_CLOCK=clock) as port:
                lines += _ask(port, key, kind, 40 if quick else 300)
    return [told("contributions stored", count, ""), *lines]


def _ask(port: int, key: str, kind: str, times: int) -> list[Line]:
    chance = random.Random(7)
    month: list[float] = []
    year: list[float] = []
    raw = 0.0
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as api:
        for number in range(times + 10):
            first = date(2025, 1, 1) + timedelta(days=31 * chance.randrange(22))
            first = first.replace(day=1)
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            asked = {"metrics": ASKED, "dimensions": "seller", "from": first, "to": last}
            spent = _timed(api, asked)
            if number >= 10:
                month.append(spent)
        for _ in range(times // 3):
            first = date(2024, 12, 1) + timedelta(days=chance.randrange(340))
            asked = {"metrics": ASKED, "grain": "day", "from": first,
                     "to": first + timedelta(days=364)}  # fmt: skip
            year.append(_timed(api, asked))
        raw = _timed(api, {"metrics": ASKED, "dimensions": "seller,source", "from": "2026-06-01",
                           "to": "2026-06-30"})  # fmt: skip
    return [
        under(f"{kind}: month x 30 sellers x 5 metrics, p99", percentile(month, 0.99), 20),
        told(f"{kind}: the same, p50", percentile(month, 0.5), " ms", 2),
        under(f"{kind}: year by day x 5 metrics, p99", percentile(year, 0.99), 60),
        told(f"{kind}: by source too, from contributions (no rollup)", raw, " ms", 1),
    ]


def _timed(api: httpx.Client, asked: dict[str, Any]) -> float:
    began = time.perf_counter()
    answer = api.get("/v1/kpis/query", params=asked)
    spent = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"], answer.text
    return spent


def _fill(url: str, count: int) -> str:
    """Contributions of two years with their rollups; an API key."""
    engine = open_engine(url)
    table: Table = tables.Contribution.__table__  # type: ignore[attr-defined]
    if is_sqlite(engine):
        _fill_sqlite(engine, table, count)
    else:
        _fill_postgres(engine, table, count)
    with transaction(engine) as connection:
        rollups.rebuild(connection, world.ACCOUNT)
        _, secret = keys.create_key(
            connection, name="bench", scopes=["admin"], accounts=["*"],
            now=world.moment("2026-11-01 10:00"),
        )  # fmt: skip
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            text("ANALYZE" if is_sqlite(engine) else "VACUUM ANALYZE")
        )
    engine.dispose()
    return secret


def _fill_sqlite(engine: Engine, table: Table, count: int) -> None:
    raw = engine.raw_connection()
    cursor: Any = raw.cursor()
    names, marks = ", ".join(f'"{c}"' for c in COLUMNS), ", ".join("?" * len(COLUMNS))
    cursor.execute("BEGIN")
    cursor.executemany(
        f"INSERT INTO {table.name} ({names}) VALUES ({marks})", _contributions(count)
    )
    cursor.execute("COMMIT")
    raw.close()


def _fill_postgres(engine: Engine, table: Table, count: int) -> None:
    raw = engine.raw_connection()
    cursor: Any = raw.cursor()
    names = ", ".join(f'"{c}"' for c in COLUMNS)
    with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in _contributions(count):
            copy.write_row(row)
    raw.commit()
    raw.close()


def _contributions(count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    start = LAST - timedelta(days=DAYS - 1)
    begin = world.moment(f"{start} 00:00")
    days = [int(f"{start + timedelta(days=n):%Y%m%d}") for n in range(DAYS)]
    sellers = [s for n, s in enumerate(bodies.SELLERS) for _ in range(1 + n % 5)]  # skewed
    for number in range(count):
        part = PARTS[number % len(PARTS)]
        day = chance.randrange(DAYS)
        deal = str(bodies.FIRST_DEAL + number // len(PARTS))
        yield (
            world.ACCOUNT, f"deal:{deal}", part, "deal", deal, f"k{number}",
            begin + day * bodies.DAY + chance.randrange(bodies.DAY), days[day],
            chance.choice(sellers), chance.choice(("31", "32", "33")), "20",
            chance.choice(("", "site", "call")),
            chance.randrange(1, 9_000_000) if part in MONEY else 1,
            "RUB" if part in MONEY else "",
        )  # fmt: skip
