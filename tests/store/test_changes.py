"""The order of the change feed: each change once, whatever the page, found by index."""

import random
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text

from service.store.engine import is_sqlite, reading, transaction
from service.store.reads.changes import BEGINNING, Place, changes
from service.store.served import Gone
from service.store.summed import RollupDay
from service.store.tables import Deal
from tests.api.conftest import connect, deal_row

METRICS = ("calls", "calls_out", "receipts")
KINDS = ("deal", "kpi_day")


def filled(engine: Engine) -> list[Place]:
    """A few revisions with many changes each, of ids that begin alike; what a walk has to tell."""
    connect(engine)
    some = random.Random(7)
    days: list[dict[str, Any]] = []
    gone: list[dict[str, Any]] = []
    for number in range(400):
        key: dict[str, Any] = {
            "day": 20261100 + some.randint(1, 9),
            "seller": some.choice(("", "7", "70", "A")),
        }
        key["metric"] = some.choice((*METRICS, "level"))
        name = f"{key['day']}.{key['metric']}.{key['seller']}"
        revision = some.randint(1, 4)
        if number % 4:
            more = {"pipeline": str(number), "currency": "", "value": 1, "n": 1}
            days.append({"account_id": "romashka", "revision": revision, **key, **more})
        elif key["metric"] != "level" and name not in {row["id"] for row in gone}:
            gone.append({"account_id": "romashka", "type": "kpi_day", "id": name,
                         "revision": revision})  # fmt: skip
    deals = [deal_row(str(n), revision=some.randint(1, 4)) for n in range(60)]
    with transaction(engine) as connection:
        for table, rows in ((RollupDay, days), (Gone, gone), (Deal, deals)):
            connection.execute(insert(table), rows)
    found = {Place(d["revision"], "deal", d["id"]) for d in deals}
    found |= {Place(g["revision"], "kpi_day", g["id"]) for g in gone}
    found |= {
        Place(d["revision"], "kpi_day", f"{d['day']}.{d['metric']}.{d['seller']}")
        for d in days
        if d["metric"] in METRICS
    }
    return sorted(found)


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_each_change_is_told_once_and_in_order(engine: Engine, limit: int) -> None:
    should = filled(engine)
    told = [BEGINNING]
    while True:
        with reading(engine) as connection:  # each page anew: a place is all that is known
            page = changes(connection, "romashka", KINDS, told[-1], limit, METRICS)
        told += page
        if len(page) < limit:
            break
    assert told[1:] == should
    assert all(one < other for one, other in pairwise(told))
    with reading(engine) as connection:
        assert changes(connection, "vasilek", KINDS, BEGINNING, limit, METRICS) == []


def test_a_page_is_found_by_index(engine: Engine) -> None:
    """Only the days of the page are put in order, not all that one revision told."""
    filled(engine)
    told = []

    def look(_: object, __: object, statement: str, values: object, *___: object) -> None:
        if "rollup_day" in statement:
            told.append((statement, values))

    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
        event.listen(engine, "before_cursor_execute", look)
        place = Place(2, "kpi_day", "20261103.calls.7")
        changes(connection, "romashka", ("kpi_day",), place, 3, METRICS)
        event.remove(engine, "before_cursor_execute", look)
        ((statement, values),) = told
        if not is_sqlite(connection):
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
            connection.execute(text("ANALYZE rollup_day"))  # so that it knows which index is better
        explain = "EXPLAIN QUERY PLAN " if is_sqlite(connection) else "EXPLAIN "
        rows = connection.exec_driver_sql(explain + statement, values)  # type: ignore[arg-type]
        plan = "\n".join(str(row[-1]) for row in rows)
    if is_sqlite(engine):
        assert "ix_rollup_day_revision (account_id=? AND (revision,day)>(?,?))" in plan, plan
    else:
        assert "Incremental Sort" in plan, plan
        condition = next(line for line in plan.splitlines() if "Index Cond" in line)
        assert "ROW(revision, day) >= ROW(" in condition, plan
