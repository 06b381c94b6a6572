"""A seed makes one department: in every process, and however long a portal takes to start."""

import os
import subprocess
import sys
from datetime import timedelta

from service.demo.stage import live_from
from service.portal import __main__ as portal
from service.portal import department
from service.portal.book import Book
from tests.crm.kit import END, START

LIVES = END + timedelta(hours=12)


def lived() -> str:
    """All that two small departments did in their history and the day after it."""
    told: list[str] = []
    for kind in ("amocrm", "bitrix24"):
        book = Book()
        department.populate(book, kind=kind, seed=5, deals=8, start=START, end=END)
        for at, action in department.live(book, kind=kind, seed=5, start=END):
            if at > LIVES:
                break
            action()
        told += map(repr, book.journal)
    return "\n".join(told)


def test_processes_with_other_hashes_see_the_same_department() -> None:
    here = lived()
    assert here.count("\n") > 500
    for number in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import lived; print(lived())"],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_portal_that_starts_later_has_the_same_history() -> None:
    given = ["amocrm", "--seed", "5", "--deals", "8", "--live-from", live_from(300)]
    books = []
    for clock in ("2026-03-16T04:55:01Zx300", "2026-03-16T05:20:13Zx300"):
        server, start, _ = portal._open(portal._arguments([*given, "--clock", clock]))
        books.append((start, server.office.book.journal))
    assert books[0] == books[1]
