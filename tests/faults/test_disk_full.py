"""The disk is full: 503 and a loud log, nothing acknowledged is lost, and well by itself later.

On SQLite. PostgreSQL's disk cannot be filled without root or a quota of its own; its ingest takes
any error of the server the same way (the connection is dropped, nobody is acknowledged), which
`test_database_gone` holds.
"""

import random
import time

import httpx
import pytest

from tests.faults.books import Books, check_answers, check_facts, check_inbox
from tests.faults.disks import Disk, FileLimit, SmallDisk, copy_of, mounts_allowed
from tests.faults.load import Crm
from tests.faults.process import Dozor, until

PAD = 16_000
DISKS = ["file-limit", *(["small-disk"] if mounts_allowed() else [])]


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, dozor: Dozor) -> Disk:
    """A disk to fill up."""
    return FileLimit() if request.param == "file-limit" else SmallDisk(dozor.folder)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_full_disk_is_503_and_loud_and_nothing_acknowledged_is_lost(
    dozor: Dozor, disk: Disk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    crm = Crm(dozor, random.Random(7), pad=PAD)
    dozor.set_up()
    dozor.serve(disk.before())
    with crm.sending(threads=2, pause=0.02):
        until(lambda: crm.count(200) > 20)
        disk.fill(dozor)
        until(lambda: crm.count(503) > 20)
        assert httpx.get(dozor.url + "/healthz", timeout=30).status_code == 200
        freed = time.monotonic()
        disk.free(dozor)
        until(lambda: 200 in crm.statuses(since=freed))
    crm.finish()
    assert crm.statuses() == {200, 503}
    lines = dozor.lines("inbox_unavailable")
    assert {line["level"] for line in lines} == {"error"}
    assert {str(line["error"]) for line in lines} <= FAULTS
    until(lambda: no_work_left(dozor))
    check_answers(dozor, crm.hooks)
    check_copy(copy_of(dozor, tmp_path_factory.mktemp("copy")), crm)
    assert dozor.stop() == 0


FAULTS = {"['database or disk is full']", "['disk I/O error']"}


def no_work_left(dozor: Dozor) -> bool:
    """Whether all hooks are worked off."""
    waiting = httpx.get(
        dozor.url + "/v1/inbox", params={"state": "pending"}, headers=dozor.key, timeout=30
    )
    return waiting.status_code == 200 and waiting.json()["data"] == []


def check_copy(copied: Dozor, crm: Crm) -> None:
    """What is on the disk."""
    books = Books(copied)
    try:
        check_inbox(books, crm.hooks)
        check_facts(books, copied, crm.hooks)
    finally:
        books.close()
