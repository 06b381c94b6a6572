"""The judge against one that knows no segments: it looks every minute, and looks back.

Deals, tasks, calls and notes at random (moved, reopened, deleted, handed over, corrected), through
nights of changed clocks, a holiday, an absence, with the work calendar and the rules changed on the
way, and told in any order. Everything happens on whole minutes, so looking at each of them sees
all.
"""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.domain.facts import Kind
from service.domain.instant import FOREVER, Instant
from service.domain.named import parse_document
from service.domain.story import Story
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.rules.book import Window
from service.rules.judge import judge
from service.store import accounts
from service.store.engine import reading, transaction
from service.store.tables import Violation
from tests import world
from tests.rules.naive_judge import Interval, compare
from tests.rules.naive_world import (
    FIRST,
    MINUTE,
    STARTS,
    VERSIONS,
    Changes,
    Event,
    changes_of_settings,
    directory,
    facts,
    told_events,
    windows,
)

VIOLATION = Violation.__table__  # type: ignore[attr-defined]


def judged_by(story: Story, made: list[Window]) -> Callable[[str, str, str], list[Interval]]:
    found, failures = judge(story, made)
    assert not failures

    def of(rule: str, kind: str, subject: str) -> list[Interval]:
        return [
            (one.breach_at, FOREVER if one.resolved_at is None else one.resolved_at)
            for one in found
            if (one.rule, one.subject_kind, one.subject_id) == (rule, kind, subject)
        ]

    return of


SLOW = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("start", STARTS, ids=["forward", "back", "holiday"])
@SLOW
@given(told=told_events, changes=changes_of_settings)
def test_judge_equals_one_that_looks_every_minute(
    start: Instant, told: list[Event], changes: Changes
) -> None:
    made = windows(changes, start)
    story = fold("deal:1", facts(told, start), world_of(made[-1].config))
    compare(facts(told, start), made, start, judged_by(story, made))


def test_the_naive_judge_sees_something() -> None:
    """A task forgotten on Friday, a deal reopened in the night in which the clocks change."""
    told: list[Event] = [
        (Kind.TASK, "1", 30, {"is_open": True, "author": "7"}),
        (Kind.DEAL, "1", 60, {"stage": "lost", "author": "7"}),
        (Kind.DEAL, "1", 2000, {"stage": "offer", "author": "7"}),
        (Kind.CALL, "c", 2100, {"direction": "in", "answered": False, "seconds": 0, "author": "7"}),
    ]
    for start in STARTS:
        made = windows([(1500, 1), (2500, 3)], start)
        story = fold("deal:1", facts(told, start), world_of(made[-1].config))
        assert compare(facts(told, start), made, start, judged_by(story, made)) > 10_000
        with pytest.raises(AssertionError):
            compare(facts(told, start), made, start, a_minute_late(judged_by(story, made)))


def a_minute_late(
    judged: Callable[[str, str, str], list[Interval]],
) -> Callable[[str, str, str], list[Interval]]:
    return lambda *one: [(begin + MINUTE, end) for begin, end in judged(*one)]


# --- told late, in any order, through the store ---------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Callable[[], str]:
    """Gives the address of a new empty database."""
    numbers = count()

    def make() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(sqlite_template, path)
        return f"sqlite:///{path}"

    return make


@settings(SLOW, max_examples=5)
@given(data=st.data(), told=told_events, changes=changes_of_settings)
def test_what_is_stored_after_late_facts_equals_it_too(
    folder: Callable[[], str], data: Any, told: list[Event], changes: Changes
) -> None:
    start = data.draw(st.sampled_from(STARTS))
    order = data.draw(st.permutations(facts(told, start)))
    office = world.make_office(folder(), "2026-11-20 12:00")
    world.connect_account(office, directory=directory(start), document=FIRST)
    for minute, version in sorted(dict(changes).items()):
        with transaction(office.engine) as connection:
            document = parse_document(VERSIONS[version])
            at = start + minute * MINUTE
            accounts.save_settings(connection, world.ACCOUNT, document, "tests", at)
    for fact in order:
        world.tell(office, [fact])
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
        assert row is not None
        made = office.windows(connection, row)
        rows = connection.execute(select(VIOLATION)).all()

    def stored(rule: str, kind: str, subject: str) -> list[Interval]:
        return [
            (one.breach_at, FOREVER if one.resolved_at is None else one.resolved_at)
            for one in rows
            if (one.rule, one.subject_kind, one.subject_id) == (rule, kind, subject)
        ]

    compare(facts(told, start), made, start, stored)
    office.close()
