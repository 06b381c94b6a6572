"""Inbox row to facts, violations, contributions, rollups: events a second on one core, SQLite."""

import gc
import os
import tempfile
import time
from pathlib import Path

from tests import world
from tests.bench import bodies, stored
from tests.bench.report import Line, at_least, median, told

ROUNDS = 3


def run(*, quick: bool) -> list[Line]:
    """The rate with 10,000 deals stored, and with a million."""
    os.sched_setaffinity(0, {0})
    gc.set_threshold(200_000, 20, 100)  # as the service sets it
    small, large = (9_900, 45_000) if quick else (9_900, 990_000)
    count = 2_000 if quick else 4_000
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        offices = {deals: stored.make(Path(folder), deals) for deals in (small, large)}
        rates: dict[int, list[float]] = {small: [], large: []}
        for turn in range(ROUNDS + 1):
            for deals, office in offices.items():
                at = world.moment("2026-11-10 10:00") + turn * count
                stored.receive(office, list(bodies.events(deals, count, at, seed=turn)))
                began = time.perf_counter()
                assert stored.work(office) == count
                if turn:  # the first round warms up
                    rates[deals].append(count / (time.perf_counter() - began))
        for office in offices.values():
            office.close()
    few, many = median(rates[small]), median(rates[large])
    return [
        at_least(f"events/s, {small:,} deals stored", few, 2000, digits=0),
        told(f"events/s, {large:,} deals stored", many, ""),
        at_least("the rate with many over that with few", many / few, 0.8),
    ]
