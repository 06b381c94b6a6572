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
    """The rate with 10,000 deals stored, and with a million.

    A department works on its open deals, some thousand of them, however long its history: the goal
    is about those. Drawn from the whole million, each event meets pages that no other one does.
    """
    os.sched_setaffinity(0, {0})
    gc.set_threshold(200_000, 20, 100)  # as the service sets it
    small, large = (9_900, 45_000) if quick else (9_900, 990_000)
    count = 2_000  # few, so that timelines are hardly longer in the last round
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        offices = {deals: stored.make(Path(folder), deals) for deals in (small, large)}
        ways = ((small, small), (large, small), (large, large))  # stored, worked on
        rates: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
        for turn in range(ROUNDS + 1):
            for number, (deals, live) in enumerate(ways):
                office = offices[deals]
                at = world.moment("2026-11-10 10:00") + (2 * turn + number // 2) * 2 * count
                said = bodies.events(deals, count, at, seed=turn, newest=live)
                stored.receive(office, list(said))
                began = time.perf_counter()
                assert stored.work(office) == count
                if turn:  # the first round warms up
                    rates[deals, live].append(count / (time.perf_counter() - began))
        for office in offices.values():
            office.close()
    few, many, scattered = (median(rates[way]) for way in ways)
    return [
        at_least(f"events/s, {small:,} deals stored", few, 2000, digits=0),
        told(f"events/s, {large:,} stored, the newest {small:,} worked on", many, ""),
        at_least("the rate with many over that with few", many / few, 0.8),
        told(f"events/s, {large:,} stored, all worked on alike", scattered, ""),
        told("that over the rate with few", scattered / few, "", 2),
    ]
