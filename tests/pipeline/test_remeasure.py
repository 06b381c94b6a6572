"""After a change of settings the figures of facts are made again only where they depend on it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.domain.account import AccountDocument
from service.domain.story import Story
from service.kpi import contributions
from service.kpi.contribution import Contribution
from service.kpi.contributions import OF_VIOLATIONS
from service.pipeline import apply, rejudge, verify
from service.pipeline.office import Office
from service.rules.judge import judge
from service.store import accounts, facts, tables
from service.store.engine import reading, transaction
from tests import world
from tests.pipeline.test_convergence import department

CONTRIBUTION = tables.Contribution.__table__  # type: ignore[attr-defined]
MARK = tables.TimelineMark.__table__  # type: ignore[attr-defined]
FIRST_TOUCH = {"rules": {"deal-no-first-touch": {"for": "1m"}}}
STUCK = {"rules": {"deal-stuck": {"for": "1wh"}}}
NO_OVERDUE = {"rules": {"task-overdue": {"off": True}}}
ELSEWHERE = {"timezone": "Asia/Yekaterinburg"}
DOCUMENTS: list[dict[str, Any]] = [
    {}, STUCK, FIRST_TOUCH, NO_OVERDUE, ELSEWHERE, {"limits": {"open_deals": 1, "due_today": 1}},
    {"pipelines": {"31": {"weights": {"20": 3}}}}, {"pipelines": {"exclude": ["31"]}},
    {"hot_tags": ["vip"], "same_inquiry_hours": 72}, {"spam_reasons": ["Дорого"]},
    {"hygiene": {"amount_classes": [500, 1000]}},
]  # fmt: skip


def set_to(office: Office, document: dict[str, Any]) -> None:
    made = AccountDocument.model_validate(document)
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, world.ACCOUNT, made, "tests", office.now())


def finish(office: Office) -> None:
    while rejudge.rejudge(office, world.ACCOUNT):
        pass
    while rejudge.judge_dirty(office, world.ACCOUNT):
        pass


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    made = world.make_office(sqlite_url)
    world.connect_account(made)
    overdue = world.new_task("13", "2026-03-05 10:00", "2026-03-06 12:00", "4")
    world.tell(made, [*department(), overdue])
    yield made
    made.close()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The timelines whose facts are measured from now on."""
    seen: list[str] = []
    real = contributions.of_facts

    def watched(story: Story, *given: Any) -> list[Contribution]:
        seen.append(story.key)
        return real(story, *given)

    monkeypatch.setattr(contributions, "of_facts", watched)
    return seen


def test_a_rule_that_no_figure_of_facts_knows_leaves_them_alone(
    office: Office, measured: list[str]
) -> None:
    before = _stored(office)
    set_to(office, NO_OVERDUE)
    finish(office)
    assert measured == []
    after = _stored(office)
    assert {row for row in before if row[0] not in OF_VIOLATIONS} == {
        row for row in after if row[0] not in OF_VIOLATIONS
    }
    assert after - before, "tasks that were overdue are so no more, and cost nothing"
    assert verify.verify(office, world.ACCOUNT) == []


@pytest.mark.parametrize("document", [FIRST_TOUCH, ELSEWHERE])
def test_what_they_depend_on_measures_them_all_again(
    office: Office, measured: list[str], document: dict[str, Any]
) -> None:
    before = _stored(office)
    set_to(office, document)
    finish(office)
    with reading(office.engine) as connection:
        every = facts.timelines(connection, world.ACCOUNT, None, 100)
    assert set(measured) == set(every)
    assert (_stored(office) != before) == (document is ELSEWHERE)  # a norm is for what comes
    assert verify.verify(office, world.ACCOUNT) == []


def test_a_level_that_a_rule_wants_from_now_on_is_measured(sqlite_url: str) -> None:
    office = world.make_office(sqlite_url)
    world.connect_account(office, document={"rules": {"seller-mass-loss": {"off": True}}})
    world.tell(office, department())
    before = {row[0] for row in _stored(office)}
    set_to(office, {})
    finish(office)
    assert {row[0] for row in _stored(office)} - before == {"losses_hour"}
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()


def test_marks_of_other_settings_are_no_drift(office: Office) -> None:
    """A new release measures anew when it judges next; what is right is not called wrong."""
    with transaction(office.engine) as connection:
        connection.execute(MARK.update().values(settings=7))
    assert verify.verify(office, world.ACCOUNT) == []


def test_violations_and_facts_add_to_different_metrics(office: Office) -> None:
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
        assert row is not None
        windows = office.windows(connection, row)
        keys = facts.timelines(connection, world.ACCOUNT, None, 100)
        stories = list(apply.stories(connection, world.ACCOUNT, keys, windows))
    config, levels = windows[-1].config, windows[-1].levels
    told = {c.metric for s in stories for c in contributions.of_facts(s, config, levels)}
    judged = {
        c.metric
        for s in stories
        for c in contributions.of_violations(s, judge(s, windows)[0], config, levels)
    }
    assert judged
    assert judged <= OF_VIOLATIONS
    assert not told & OF_VIOLATIONS


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 12)),
        st.tuples(st.just("set"), st.integers(0, len(DOCUMENTS) - 1)),
        st.tuples(st.just("judge"), st.integers(1, 4)),
    ),
    min_size=4, max_size=14,
)  # fmt: skip


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_however_news_and_changes_meet_all_is_as_made_anew(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> None:
    """Also where a change comes while the one before is half worked on."""
    path = tmp_path_factory.mktemp("office") / "office.db"
    shutil.copy(sqlite_template, path)
    office = world.make_office(f"sqlite:///{path}", "2026-03-03 12:00")
    world.connect_account(office)
    coming = department()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejudge, "BATCH", 2)
        for what, number in steps:
            if what == "tell":
                world.tell(office, coming[:number])
                coming = coming[number:]
            elif what == "set":
                set_to(office, DOCUMENTS[number])
            else:
                for _ in range(number):
                    rejudge.rejudge(office, world.ACCOUNT)
        finish(office)
    assert verify.verify(office, world.ACCOUNT) == []
    office.close()


def _stored(office: Office) -> set[tuple[Any, ...]]:
    columns = [c for c in CONTRIBUTION.c if c.name not in {"account_id", "timeline"}]
    first = CONTRIBUTION.c.metric
    with reading(office.engine) as connection:
        rows = connection.execute(select(first, *(c for c in columns if c is not first))).all()
    return {tuple(row) for row in rows}
