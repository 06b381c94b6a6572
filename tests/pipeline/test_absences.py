"""Absences entered over the API: they act from their own first day, and alert only from now."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select

from service.domain.named import parse_document
from service.pipeline import rejudge, tick, verify
from service.pipeline.office import Office
from service.store import absences, accounts
from service.store.engine import reading, transaction
from service.store.records import Alert
from service.store.tables import Violation
from tests.world import (
    ACCOUNT,
    Standing,
    connect_account,
    make_office,
    moment,
    new_deal,
    new_task,
    tell,
)

V = Violation.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
RULE = "deal-on-absent-seller"
DOCUMENT: dict[str, Any] = {
    "alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}, "quiet": None},
    "rules": {RULE: {"off": False}},
}


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = make_office(database_url, "2026-03-10 16:00")
    connect_account(made, document=DOCUMENT)
    tell(made, [
        new_deal("1", "2026-03-10 10:00"),
        new_deal("2", "2026-03-10 10:00"),
        new_task("21", "2026-03-10 10:00", "2026-03-10 14:00", "1"),
        new_task("22", "2026-03-10 10:00", "2026-03-11 11:00", "2"),
    ])  # fmt: skip
    yield made
    made.close()


def set_clock(office: Office, text: str) -> None:
    office.clock = Standing(datetime.fromtimestamp(moment(text), UTC))


def enter(office: Office, seller: str, first: str, last: str) -> str:
    with transaction(office.engine) as connection:
        days = (date.fromisoformat(first), date.fromisoformat(last))
        made = absences.add(connection, ACCOUNT, seller, days, ("sick", "9"), "key_1", office.now())
        accounts.bump(connection, ACCOUNT, config=True)
    return made


def work(office: Office) -> None:
    while sum(step(office, ACCOUNT) for step in (rejudge.rejudge, rejudge.judge_dirty)):
        pass


def ring(office: Office) -> list[tuple[str, str]]:
    """Let the tick work; (state, reason) of all messages about the rule."""
    with transaction(office.engine) as connection:
        accounts.change(connection, ACCOUNT, claimed_by="", claimed_until=0)
    tick.tick(office)
    with transaction(office.engine) as connection:
        accounts.claim(connection, ACCOUNT, office.worker, office.real_now(), 3600)
        ids = set(connection.execute(select(V.c.id).where(V.c.rule == RULE)).scalars())
        rows = connection.execute(select(ALERT.c.state, ALERT.c.reason, ALERT.c.violations))
        return [(state, reason) for state, reason, told in rows if ids & set(told)]


def breaches(office: Office, rule: str = RULE) -> dict[str, int]:
    with reading(office.engine) as connection:
        rows = connection.execute(select(V.c.subject_id, V.c.breach_at).where(V.c.rule == rule))
        return {subject: breach for subject, breach in rows}  # noqa: C416 - rows are no pairs


def test_it_acts_from_its_own_start_but_alerts_only_from_when_it_was_entered(
    office: Office,
) -> None:
    assert ring(office) == []
    assert breaches(office) == {}
    enter(office, "7", "2026-03-10", "2026-03-12")
    work(office)
    assert breaches(office) == {
        "1": moment("2026-03-10 14:00"), "2": moment("2026-03-11 11:00"),
    }  # fmt: skip
    assert verify.verify(office, ACCOUNT) == []
    assert ring(office) == [("suppressed", "after_the_fact")]
    set_clock(office, "2026-03-11 11:30")
    assert sorted(ring(office)) == [("pending", ""), ("suppressed", "after_the_fact")]


def test_an_absence_of_somebody_else_hushes_nothing(office: Office) -> None:
    enter(office, "12", "2026-03-10", "2026-03-12")
    work(office)
    with transaction(office.engine) as connection:
        accounts.change(connection, ACCOUNT, claimed_by="", claimed_until=0)
    tick.tick(office)
    with reading(office.engine) as connection:
        states = set(connection.execute(select(ALERT.c.state)).scalars())
    assert states == {"pending"}


def test_working_time_stands_in_all_the_past_and_goes_on_when_it_is_taken_back(
    office: Office,
) -> None:
    tell(office, [new_deal("3", "2026-03-05 10:00", created_by="7", author="7")])
    before = breaches(office, "deal-no-task")
    made = enter(office, "7", "2026-03-05", "2026-03-09")
    work(office)
    later = breaches(office, "deal-no-task")
    assert later.keys() == before.keys()
    assert later["3"] > before["3"]
    assert verify.verify(office, ACCOUNT) == []
    with transaction(office.engine) as connection:
        row = absences.absence(connection, [ACCOUNT], made)
        assert row is not None
        absences.remove(connection, row, "key_2", office.now())
        accounts.bump(connection, ACCOUNT, config=True)
    work(office)
    assert breaches(office, "deal-no-task") == before
    assert verify.verify(office, ACCOUNT) == []


def test_it_stands_beside_those_of_the_settings_under_name_or_id(office: Office) -> None:
    told = {
        "sellers": {"Иванов": {"limit": 5, "absent": [{"from": "2026-04-01", "to": "2026-04-02"}]}}
    }
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, ACCOUNT, parse_document(told), "x", office.now())
    enter(office, "7", "2026-03-10", "2026-03-12")
    with reading(office.engine) as connection:
        config = office.config(connection, ACCOUNT)
        assert accounts.document(connection, ACCOUNT) == parse_document(told)
    assert config.limit("7") == 5
    for day, away in (("2026-03-12", True), ("2026-03-13", False), ("2026-04-02", True)):
        found = config.standards.absence_at("7", moment(f"{day} 12:00"))
        assert (found is not None) is away
        assert (config.calendar("7").reason_off(date.fromisoformat(day)) == "absent") is away
    march = config.standards.absence_at("7", moment("2026-03-10 00:00"))
    assert march is not None
    assert march.deputy == "9"
