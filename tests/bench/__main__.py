"""`make bench [BENCH="ingest pipeline ..."]`: all sections, or those named; `--quick` for a try."""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path

from tests.bench.report import Line, as_json, show

SECTIONS = {
    "ingest": "Durable hooks, 64 keep-alive connections",
    "judging": "Judging",
    "rejudging": "A change of rules (SQLite, one core)",
    "pipeline": "Inbox row to facts, violations, contributions, rollups (SQLite, one core)",
    "latency": "Hook to violation, 200 hooks a second (SQLite, one process)",
    "backfill": "Backfill of an amoCRM over HTTP (SQLite)",
    "figures": "KPI queries over HTTP",
}


def main() -> None:
    """Run, show, and say with the exit code whether every goal was met."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes: no figure to quote")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    unknown = set(given.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"there is no section {min(unknown)!r}; known are {', '.join(SECTIONS)}")
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} cores, Python "
                     f"{platform.python_version()}\n")  # fmt: skip
    all_cores = os.sched_getaffinity(0)
    found: dict[str, list[Line]] = {}
    for name in given.sections or SECTIONS:
        began = time.perf_counter()
        os.sched_setaffinity(0, all_cores)
        section = importlib.import_module(f"tests.bench.{name}")
        found[name] = section.run(quick=given.quick)
        show(f"{SECTIONS[name]}, {time.perf_counter() - began:.0f} s", found[name])
    if given.json:
        given.json.write_text(as_json(found), encoding="utf-8")
    sys.exit(1 if any(line.good is False for lines in found.values() for line in lines) else 0)


if __name__ == "__main__":
    main()
