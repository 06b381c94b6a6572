"""The tick: what has come due is claimed once, and told to whom it concerns."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from unittest.mock import MagicMock

import pytest
from sqlalchemy import select

from service.clock import Clock
from service.pipeline import inhibition, tick
from service.pipeline.office import Office
from service.rules.loading import load_book
from service.store import accounts, mutes
from service.store.engine import transaction
from service.store.records import Alert
from tests import world

ALERT = Alert.__table__  # type: ignore[attr-defined]
HEAD = {"alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}, "quiet": None}}


class Hasty(Clock):
    """A clock that shows another second each time it is looked at."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self._at = datetime.fromtimestamp(world.moment(start), UTC)
        self._looks = count()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=next(self._looks))


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = world.make_office(database_url)
    world.connect_account(made, document=HEAD)
    made.clock = Hasty("2026-03-10 12:00")
    world.tell(made, [world.new_deal("1", "2026-03-10 10:00", contacts=["5"])])
    world.tell(made, [world.new_task("5", "2026-03-10 10:00", "2026-03-10 11:59", "1")])
    yield made
    made.close()


def let_go(office: Office) -> None:
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)


def messages(office: Office) -> list[tuple[str, str]]:
    with office.engine.connect() as connection:
        rows = connection.execute(select(ALERT.c.kind, ALERT.c.text).order_by(ALERT.c.id))
        return [(kind, text.splitlines()[0]) for kind, text in rows if "Перезвонить" in text]


def test_resolution_finds_its_opening_although_seconds_pass_while_the_tick_works(
    office: Office,
) -> None:
    let_go(office)
    tick.tick(office)
    opened = messages(office)
    assert [kind for kind, _ in opened] == ["opened"]
    tick.tick(office)
    assert messages(office) == opened
    with transaction(office.engine) as connection:
        accounts.claim(connection, world.ACCOUNT, office.worker, office.real_now(), 60)
    world.tell(office, [world.task("5", "2026-03-10 12:05", is_open=False, author="7")])
    let_go(office)
    office.clock = Hasty("2026-03-10 12:06")
    tick.tick(office)
    tick.tick(office)
    assert [kind for kind, _ in messages(office)] == ["opened", "resolved"]


def told(office: Office) -> list[tuple[str, str, str | None]]:
    """Text, state and the reason for it of each message."""
    with office.engine.connect() as connection:
        rows = connection.execute(select(ALERT.c.text, ALERT.c.state, ALERT.c.reason))
        return [(text, state, reason) for text, state, reason in rows]


@pytest.mark.parametrize("muted", [False, True])
def test_what_a_graver_rule_speaks_for_is_kept_but_not_told(database_url: str, muted: bool) -> None:
    """One that is muted speaks for nobody."""
    made = world.make_office(database_url)
    world.connect_account(made, document=HEAD)
    world.tell(made, [world.new_deal("1", "2026-03-10 10:00", stage="30", amount=5_000_000)])
    let_go(made)
    made.clock = Hasty("2026-03-12 10:00")
    tick.tick(made)
    if muted:
        until = world.moment("2026-03-20 10:00")
        with transaction(made.engine) as connection:
            scope = {"rule": "deal-neglected-hot"}
            mutes.add(connection, world.ACCOUNT, scope, until, ("agreed", "key"), made.now())
    made.clock = Hasty("2026-03-17 10:00")
    tick.tick(made)
    said = told(made)
    made.close()
    hot = [state for text, state, _ in said if "Горячая сделка без контакта" in text]
    assert hot == ["pending"]
    stuck = [state for text, *state in said if "на этапе «Договор», норма" in text]
    assert stuck == [["pending", ""] if muted else ["suppressed", "inhibited"]]


def test_of_two_rules_that_would_silence_each_other_the_graver_one_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """
rules:
  - {id: first, on: deal, form: state, when: deal.is_open, severity: warning, silences: ["*"],
     title: {ru: а, en: a}, advice: {ru: а, en: a}}
"""
    said = {"subject_kind": "deal", "subject_id": "1", "deal": "1", "seller": "7"}
    weak = {"id": "vio_1", "rule": "first", "severity": "warning"} | said
    grave = {"id": "vio_2", "rule": "deal-on-dismissed-seller", "severity": "critical"} | said
    monkeypatch.setattr(inhibition, "open_of", lambda *_: [weak, grave])
    book = load_book(text, "f.yaml")
    found = inhibition.silenced(MagicMock(), world.ACCOUNT, book, [weak, grave], 0)
    assert found == {"vio_1": "deal-on-dismissed-seller"}


def test_nothing_is_told_of_history_that_began_to_be_read_while_the_tick_waited(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go(office)

    def begins(*_: object) -> list[object]:
        with transaction(office.engine) as connection:
            accounts.change(connection, world.ACCOUNT, backfill_state="running")
        return []

    with monkeypatch.context() as waiting:
        waiting.setattr(tick, "_reread", begins)
        assert tick.tick_account(office, world.ACCOUNT) == 0
    assert messages(office) == []
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, backfill_state="done")
    assert tick.tick_account(office, world.ACCOUNT) > 0
    assert [kind for kind, _ in messages(office)] == ["opened"]
