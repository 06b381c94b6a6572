"""A backfill that is killed goes on where it was, and ends in the same as one in one go."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from service.clock import Clock
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer
from tests.crm.kit import END, START

DOZOR = [sys.executable, "-c", "from service.cli import main; main()"]
TOKEN = {"amocrm": "T", "bitrix24": "1/s3cret"}
Crm = Literal["amocrm", "bitrix24"]


class Place:
    """A Dozor of its own, in a folder."""

    def __init__(self, folder: Path, portal: PortalServer) -> None:
        self.folder = folder
        self._env = os.environ | {
            "DOZOR_DATA_DIR": str(folder), "DOZOR_ALLOW_PRIVATE_HOSTS": "1", "DOZOR_DEMO": "1",
            "DOZOR_CLOCK": f"{END.isoformat()}x600@{time.time():.0f}", "DOZOR_LOG_LEVEL": "error",
        }  # fmt: skip
        crm = portal.office.kind
        self.run("account", "add", crm, "--name", "r", "--base-url", portal.base_url,
                 "--token", TOKEN[crm])  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*DOZOR, *arguments], env=self._env, cwd=self.folder.parent,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> None:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "dozor.db", timeout=10)) as connection:
            return connection.execute(query).fetchall()

    def derived(self) -> list[Any]:
        """What must not depend on how often the reading was cut off."""
        return [
            self.rows("select id, stage, status, seller, amount, open_tasks from deal order by id"),
            self.rows("select id, is_open, due_at, done_at, seller from task order by id"),
            self.rows(  # when something was heard is this run's own
                "select rule, subject_id, breach_at from violation where rule <> 'account-silent' "
                "order by 1, 2, 3"
            ),
            self.rows(  # as above: nobody's violations are those of the account
                "select metric, day, seller, value, n from rollup_day "
                "where seller <> '' or metric not like 'violations_%' order by 1, 2, 3"
            ),
        ]


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24"])
def test_killed_backfill_goes_on_where_it_was(tmp_path: Path, crm: Crm) -> None:
    book = Book()
    department.populate(book, kind=crm, seed=4, deals=150, start=START, end=END)
    portal = PortalServer(crm, book, Clock(END, 1e-9), token=TOKEN[crm], limits=False).start()
    whole = Place(tmp_path / "whole", portal)
    before = requests(portal)
    whole.run("backfill", "r")
    in_one_go = requests(portal) - before
    killed = Place(tmp_path / "killed", portal)
    for steps in (1, 3):
        process = killed.start("backfill", "r")
        wait_for_pages(killed, steps, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert killed.rows("select backfill_state from account") == [("running",)]
    before = requests(portal)
    killed.run("backfill", "r")
    assert requests(portal) - before < in_one_go  # it did not begin anew
    assert killed.derived() == whole.derived()
    assert killed.rows("select count(*) from deal")[0][0] > 100
    portal.stop()


def requests(portal: PortalServer) -> int:
    stats = httpx.get(f"{portal.base_url}/_control/stats").json()
    return int(stats["rest"]["requests"])


def wait_for_pages(place: Place, pages: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many pages have been stored by this process."""
    query = "select backfill_cursor from account"
    seen = {str(place.rows(query))}
    end = time.monotonic() + 60
    while len(seen) <= pages:
        assert process.poll() is None, "it was over before it could be killed"
        assert time.monotonic() < end
        seen.add(str(place.rows(query)))
        time.sleep(0.002)
