"""A portal that falls silent: heard through the real inbox, told to ops and to nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from service.pipeline import drain, tick, verify
from service.pipeline.office import Office
from service.store import inbox
from service.store.engine import transaction
from service.store.records import Alert
from service.store.tables import Violation
from tests import world

VIOLATION = Violation.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
RECEIVERS = {
    "head": {"telegram": 1, "rules": "*"},
    "ops": {"telegram": 2, "rules": ["account-silent"], "ops": True},
}
BODY = b"leads%5Bupdate%5D%5B0%5D%5Bid%5D=1&leads%5Bupdate%5D%5B0%5D%5Blast_modified%5D=1772434800"

IDS = inbox.Ids()  # one for all: two of them may give the same number at the same instant


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url, "2026-03-03 12:01")
    world.connect_account(
        made, document={"alerts": {"receivers": RECEIVERS}}, connected="2026-03-01 00:00"
    )
    yield made
    made.close()


def hear(office: Office, *moments: str) -> None:
    """Hooks received at Moscow's times, worked on together."""
    with transaction(office.engine) as connection:
        for moment in moments:
            at = world.moment(moment)
            row_id = IDS.next(at)
            inbox.put(connection, world.ACCOUNT, row_id, at, "application/x-www-form-urlencoded",
                      BODY)  # fmt: skip
    assert drain.drain(office, world.ACCOUNT) == len(moments)


def silent(office: Office) -> list[tuple[int, int | None]]:
    with office.engine.connect() as connection:
        query = select(VIOLATION.c.breach_at, VIOLATION.c.resolved_at).where(
            VIOLATION.c.rule == "account-silent"
        )
        return [tuple(row) for row in connection.execute(query.order_by(VIOLATION.c.breach_at))]


def alerts(office: Office) -> list[Any]:
    with office.engine.connect() as connection:
        query = select(ALERT.c.receiver, ALERT.c.text).where(ALERT.c.state == "pending")
        return list(connection.execute(query))


def test_two_working_hours_without_a_hook(office: Office) -> None:
    hear(office, "2026-03-02 11:50", "2026-03-02 12:00")
    assert silent(office) == [(world.moment("2026-03-02 14:00"), None)]
    hear(office, "2026-03-02 15:00", "2026-03-02 15:05", "2026-03-02 15:40")
    assert silent(office) == [
        (world.moment("2026-03-02 14:00"), world.moment("2026-03-02 15:00")),
        (world.moment("2026-03-02 17:40"), None),
    ]
    assert verify.verify(office, world.ACCOUNT) == []


def test_one_by_one_and_all_at_once_are_the_same(office: Office) -> None:
    moments = [f"2026-03-02 {hour}:{minute:02}" for hour in (10, 13, 16) for minute in (0, 9, 25)]
    for moment in moments:
        hear(office, moment)
        assert verify.verify(office, world.ACCOUNT) == []
    one_by_one = silent(office)
    with transaction(office.engine) as connection:
        connection.exec_driver_sql("delete from heard")
        connection.exec_driver_sql("delete from violation")
    hear(office, *moments)
    assert silent(office) == one_by_one
    assert len(one_by_one) == 3


def test_ops_are_told_and_the_head_is_not(office: Office) -> None:
    hear(office, "2026-03-03 10:00")
    tick.tick(office)
    told = [(receiver, text) for receiver, text in alerts(office) if "молчит" in text]
    assert [receiver for receiver, _ in told] == ["ops"]
    assert "CRM romashka молчит с 03.03 10:00" in told[0][1]
