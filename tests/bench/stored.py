"""A stored department of any size: some deals through the whole pipeline, the rest their copies.

The copies are rows with other ids, written straight into the tables: a million deals in minutes. A
sample is verified (`dozor verify`'s way) before anything is measured.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, text

from service.domain.directory import Directory, Pipeline, Seller
from service.pipeline import apply, drain
from service.pipeline.office import Office
from service.store import accounts, rollups, tables
from service.store.engine import reading, transaction
from service.store.inbox import Ids
from service.store.schema import migrate
from tests import world
from tests.bench import bodies

NOW = "2026-11-16 12:00"
DIRECTORY = Directory(
    timezone="Europe/Moscow", currency="RUB", telephony=True, complete_users=True,
    external_id="31000001", subdomain="demo",
    sellers=tuple(Seller(id=s, name=f"Продавец {s}") for s in bodies.SELLERS),
    pipelines=(Pipeline(id="31", name="Продажи", main=True, stages=world.STAGES),),
)  # fmt: skip
_COPIED: tuple[type[Any], ...] = (
    tables.FactRow, tables.Deal, tables.Task, tables.Violation, tables.Contribution,
)  # fmt: skip


def make(folder: Path, deals: int, token: str = "secret-token") -> Office:
    """An office on a SQLite file with so many deals (a multiple of `bodies.BASE`)."""
    path = folder / f"{deals}.db"
    office = world.make_office(f"sqlite:///{path}", NOW)
    migrate(office.engine)
    world.connect_account(office, directory=DIRECTORY, connected="2024-06-01 00:00", token=token)
    receive(office, [e for d in range(bodies.BASE) for e in bodies.history(d)])
    work(office)
    _copy(path, deals // bodies.BASE - 1)
    with transaction(office.engine) as connection:
        rollups.rebuild(connection, world.ACCOUNT)
        connection.execute(text("ANALYZE"))
    _check(office, deals)
    let_go(office)
    return office


def let_go(office: Office) -> None:
    """Give the account back, so that a service may work on it."""
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)


def receive(office: Office, events: Sequence[tuple[int, bytes]]) -> None:
    """Put hooks into the inbox as the door does."""
    ids = Ids()
    rows = [
        {"account_id": world.ACCOUNT, "id": ids.next(at), "received_at": at, "body": body,
         "content_type": "application/x-www-form-urlencoded", "state": "pending", "facts": 0}
        for at, body in sorted(events)
    ]  # fmt: skip
    inbox: Table = tables.Inbox.__table__  # type: ignore[attr-defined]
    with transaction(office.engine) as connection:
        connection.execute(inbox.insert(), rows)


def work(office: Office) -> int:
    """Drain the inbox; how many hooks."""
    with transaction(office.engine) as connection:
        accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 36_000)
    done = 0
    while count := drain.drain(office, world.ACCOUNT):
        done += count
    return done


def _copy(path: Path, copies: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-1000000")
    for table in (model.__table__ for model in _COPIED):
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' "
            "AND sql IS NOT NULL", (table.name,),
        ).fetchall()  # fmt: skip
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        names = [column.name for column in table.columns]
        quoted = [f'"{name}"' for name in names]
        base = connection.execute(f"SELECT {', '.join(quoted)} FROM {table.name}").fetchall()
        marks = ", ".join("?" * len(names))
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(quoted)}) VALUES ({marks})",
            _copies(base, names, copies),
        )
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _copies(base: list[tuple[Any, ...]], names: list[str], copies: int) -> Iterator[list[Any]]:
    """The base rows again and again, ids moved by `BASE` deals each time."""
    places = [i for i, name in enumerate(names) if name in {"id", "timeline", "deal", "subject_id"}]
    random_id = names.index("rule_version") - 1 if "rule_version" in names else None
    first = "timeline" if "timeline" in names else "id"
    rows = [row for row in base if not str(row[names.index(first)]).startswith("seller:")]
    for number in range(1, copies + 1):
        for row in rows:
            copied = list(row)
            for place in places:
                copied[place] = _moved(copied[place], number * bodies.BASE)
            if random_id is not None:
                copied[names.index("id")] = f"vio_{os.urandom(13).hex()}"
            yield copied


def _moved(told: str, by: int) -> str:
    """An id (or timeline) of a deal, task or note, of another deal."""
    kind, colon, number = told.rpartition(":")
    if not number.isdigit():
        return told
    value = int(number)
    room = bodies.TASKS_OF if value >= bodies.FIRST_DEAL * bodies.TASKS_OF else 1
    return f"{kind}{colon}{value + by * room}"


def _check(office: Office, deals: int) -> None:
    """Copies are what the pipeline would have made of them."""
    keys = [f"deal:{bodies.FIRST_DEAL + deals - 1 - n}" for n in range(50)]
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
        assert row is not None
        made = apply.plan(connection, world.ACCOUNT, [], office.windows(connection, row), keys)
        wrong = [r for r in made.difference.opened if r["rule"] != "seller-too-many-deals"]
        assert len(made.difference.added) == 0 == len(made.difference.deals), "copies differ"
        assert len(wrong) == len(made.difference.vanished), "violations differ"
