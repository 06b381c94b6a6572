"""A change of rules: all that an account holds is judged again, on one core, in the background."""

import gc
import os
import tempfile
import time
from pathlib import Path

from service.domain.account import AccountDocument
from service.pipeline import rejudge
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import transaction
from service.store.schema import migrate
from tests import world
from tests.bench.judging import SETTINGS, timeline
from tests.bench.report import Line, told, under

DEALS = 4_000
ALL = 100_000
BATCH = 100


def run(*, quick: bool) -> list[Line]:
    """Seconds for 100,000 deals of 20 versions, counted up from fewer; memory; work per event."""
    os.sched_setaffinity(0, {0})
    gc.set_threshold(200_000, 20, 100)  # as the service sets it
    deals = DEALS // (8 if quick else 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        office = world.make_office(f"sqlite:///{Path(folder) / 'dozor.db'}")
        migrate(office.engine)
        world.connect_account(office, document=SETTINGS)
        for start in range(0, deals, BATCH):
            numbers = range(start, min(start + BATCH, deals))
            world.tell(office, [fact for n in numbers for fact in timeline(n)])
        began = time.perf_counter()
        for n in range(40):
            world.tell(office, [world.note(f"n{n}", "2026-03-19 12:00", "клиент думает", str(n))])
        per_event = (time.perf_counter() - began) / 40
        _change(office)
        memory: list[int] = []
        began = time.perf_counter()
        while rejudge.rejudge(office, world.ACCOUNT):
            memory.append(_resident())
        seconds = time.perf_counter() - began
        office.close()
    grown = max(memory) / memory[max(0, len(memory) // 10)]
    whole = seconds / deals * ALL
    return [
        under(f"re-judging {ALL:,} deals (from {deals:,})", whole, 90, " s", 1),
        told("the same for one deal", seconds / deals * 1000, " ms", 2),
        told("its work over that of one event", whole / per_event, " times"),
        under("memory at most over that after a tenth", grown, 1.25, "", 2),
    ]


def _change(office: Office) -> None:
    """A new norm for one rule: a new version of the settings."""
    document = AccountDocument.model_validate(SETTINGS | {"rules": {"deal-stuck": {"for": "4wd"}}})
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, world.ACCOUNT, document, "bench", office.now())


def _resident() -> int:
    """Resident pages of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
