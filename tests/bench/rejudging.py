"""A change of rules: all that an account holds is judged again, on one core, in the background."""

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.domain.account import AccountDocument
from service.domain.directory import Directory
from service.pipeline import rejudge
from service.pipeline.office import Office
from service.store import accounts
from service.store.engine import reading, transaction
from service.store.schema import migrate
from service.store.tables import FactRow
from tests import world
from tests.bench import bodies, stored
from tests.bench.judging import SETTINGS, timeline
from tests.bench.report import Line, told, under

DEALS = 4_000
ALL = 100_000
BATCH = 100


def run(*, quick: bool) -> list[Line]:
    """Seconds for 100,000 deals, counted up from fewer: ordinary ones, and of 20 versions each."""
    os.sched_setaffinity(0, {0})
    gc.set_threshold(200_000, 20, 100)  # as the service sets it
    deals = DEALS // (8 if quick else 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        office = _office(Path(folder) / "department.db", stored.DIRECTORY, {})
        stored.receive(office, [e for deal in range(deals) for e in bodies.history(deal)])
        stored.work(office)
        versions = _facts(office) / deals
        usual, memory = _rejudge(office, {})
        office.close()
        office = _office(Path(folder) / "long.db", world.DIRECTORY, SETTINGS)
        for start in range(0, deals, BATCH):
            numbers = range(start, min(start + BATCH, deals))
            world.tell(office, [fact for n in numbers for fact in timeline(n)])
        began = time.perf_counter()
        for n in range(40):
            world.tell(office, [world.note(f"n{n}", "2026-03-19 12:00", "клиент думает", str(n))])
        per_event = (time.perf_counter() - began) / 40
        long, _ = _rejudge(office, SETTINGS)
        office.close()
    grown = max(memory) / memory[max(0, len(memory) // 10)]
    every = long / deals * ALL
    return [
        under(f"re-judging {ALL:,} ordinary deals (from {deals:,})",
              usual / deals * ALL, 90, " s", 1),
        told("facts of such a deal", versions, "", 1),
        told("the same for deals of 20 versions", every, " s", 1),
        told("its work over that of one event", every / per_event, " times"),
        under("memory at most over that after a tenth", grown, 1.25, "", 2),
    ]  # fmt: skip


def _office(path: Path, directory: Directory, document: dict[str, Any]) -> Office:
    office = world.make_office(f"sqlite:///{path}", stored.NOW)
    migrate(office.engine)
    world.connect_account(
        office, document=document, directory=directory, connected="2024-06-01 00:00"
    )
    return office


def _facts(office: Office) -> int:
    with reading(office.engine) as connection:
        return len(connection.execute(select(FactRow.id)).all())  # type: ignore[call-overload]


def _rejudge(office: Office, settings: dict[str, Any]) -> tuple[float, list[int]]:
    """Seconds, and what memory was used on the way."""
    _change(office, settings)
    memory: list[int] = []
    began = time.perf_counter()
    while rejudge.rejudge(office, world.ACCOUNT):
        memory.append(_resident())
    return time.perf_counter() - began, memory


def _change(office: Office, settings: dict[str, Any]) -> None:
    """A new norm for one rule: a new version of the settings."""
    document = AccountDocument.model_validate(settings | {"rules": {"deal-stuck": {"for": "4wd"}}})
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, world.ACCOUNT, document, "bench", office.now())


def _resident() -> int:
    """Resident pages of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
