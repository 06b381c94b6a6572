"""Rules of an account: versions, each in force from its instant, judged behind, told once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from service.errors import ConfigError
from service.pipeline import rejudge, rulebooks, tick, verify
from service.pipeline.holds import holding
from service.pipeline.office import Office
from service.rules.loading import builtin_rules
from service.store import accounts, facts, rule_files
from service.store.engine import reading, transaction
from service.store.records import Alert
from service.store.rule_files import NewFile
from service.store.tables import Violation
from tests import world

ALERT = Alert.__table__  # type: ignore[attr-defined]
VIOLATION = Violation.__table__  # type: ignore[attr-defined]
HEAD = {"alerts": {"receivers": {"head": {"telegram": 1}}}}
LATER = "2026-03-11 12:00"


def rule(rule_id: str = "deal-no-task", for_: str = "1wh", **more: str) -> str:
    """A rule of an own file: an open deal without a task."""
    lines = {
        "id": rule_id, "on": "deal", "form": "state",
        "when": "deal.is_open && deal.open_tasks == 0", "for": for_, "severity": "warning",
        "title": "{ru: 'Ничей шаг: {deal}', en: 'No step: {deal}'}",
        "advice": "{ru: Поставьте задачу, en: Set a task}",
    } | more  # fmt: skip
    first, *rest = [f"{name}: {value}" for name, value in lines.items()]
    return f"  - {first}\n" + "".join(f"    {line}\n" for line in rest)


def file(*rules: str) -> str:
    return "rules:\n" + "".join(rules) if rules else "rules: []\n"


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """A deal without a task since Tuesday, 10 March, 10:00."""
    made = world.make_office(database_url, "2026-03-10 18:00")
    world.connect_account(made, document=HEAD)
    world.tell(made, [world.new_deal("1", "2026-03-10 10:00")])
    yield made
    made.close()


def put(office: Office, text: str, at: str, since: int | None = None) -> int:
    go_to(office, at)
    new = NewFile(text, "tests", "because", since)
    return rulebooks.put(office, world.ACCOUNT, new, "own.yaml")


def go_to(office: Office, at: str) -> None:
    office.clock = world.Standing(datetime.fromtimestamp(world.moment(at), UTC))


def settle(office: Office) -> None:
    """Judge again until nothing is left to do, as the worker does."""
    while rejudge.rejudge(office, world.ACCOUNT):
        pass
    while rejudge.judge_dirty(office, world.ACCOUNT):
        pass


def of(office: Office, rule_id: str = "deal-no-task") -> list[tuple[str, str | None, str | None]]:
    """(breach, end, why) of a rule's violations, in Moscow's time."""
    query = select(VIOLATION).where(VIOLATION.c.rule == rule_id).order_by(VIOLATION.c.breach_at)
    with office.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [(local(r["breach_at"]), local(r["resolved_at"]), r["resolution"]) for r in rows]  # type: ignore[misc]


def local(at: int | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).astimezone(world.MOSCOW).strftime("%d %H:%M")


def state(office: Office) -> accounts.AccountRow:
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    return row


def test_changed_rule_ends_the_old_violation_and_begins_at_the_change(office: Office) -> None:
    assert of(office) == [("10 11:00", None, None)]
    put(office, file(rule(for_="2wh")), LATER)
    assert of(office) == [("10 11:00", None, None)]  # it is judged in the background
    settle(office)
    assert of(office) == [("10 11:00", "11 12:00", "rule_changed"), ("11 14:00", None, None)]
    assert verify.verify(office, world.ACCOUNT) == []


def test_rollback_is_a_new_version_in_force_from_its_own_instant(office: Office) -> None:
    put(office, file(rule(for_="2wh")), "2026-03-11 12:00")
    put(office, file(rule(for_="3wh")), "2026-03-12 12:00")
    go_to(office, "2026-03-13 12:00")
    assert rulebooks.rollback(office, world.ACCOUNT, 1, "tests", "") == 3
    settle(office)
    assert of(office) == [
        ("10 11:00", "11 12:00", "rule_changed"), ("11 14:00", "12 12:00", "rule_changed"),
        ("12 15:00", "13 12:00", "rule_changed"), ("13 14:00", None, None),
    ]  # fmt: skip
    kept = rulebooks.history(office, world.ACCOUNT)
    assert [(v.version, v.author, v.reason) for v in kept] == [
        (1, "tests", "because"), (2, "tests", "because"), (3, "tests", "back to 1"),
    ]  # fmt: skip
    assert kept[2].text == kept[0].text
    assert verify.verify(office, world.ACCOUNT) == []
    with pytest.raises(ConfigError, match="has no version 9; there are: 1, 2, 3"):
        rulebooks.rollback(office, world.ACCOUNT, 9, "tests", "")


def test_new_rule_is_in_force_since_ever_and_the_same_file_makes_no_version(office: Office) -> None:
    text = file(rule("my-rule", for_="2wh"))
    assert put(office, text, LATER) == 1
    assert put(office, text, "2026-03-12 12:00") == 1
    settle(office)
    assert of(office, "my-rule") == [("10 12:00", None, None)]
    assert of(office) == [("10 11:00", None, None)]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (0, [("10 15:00", None, None)]),
        ("2026-03-10 13:00", [("10 11:00", "10 13:00", "rule_changed"), ("10 18:00", None, None)]),
    ],
)
def test_change_may_hold_from_earlier_on(
    office: Office, since: Any, expected: list[tuple[str, str | None, str | None]]
) -> None:
    start = world.moment(since) if since else 0
    put(office, file(rule(for_="5wh")), LATER, start)
    settle(office)
    assert of(office) == expected
    assert verify.verify(office, world.ACCOUNT) == []


def test_rule_that_is_taken_out_ends_and_is_still_told_of(office: Office) -> None:
    put(office, file(rule("my-rule")), LATER)
    settle(office)
    put(office, file(), "2026-03-12 12:00")
    settle(office)
    assert of(office, "my-rule") == [("10 11:00", "12 12:00", "rule_changed")]
    with reading(office.engine) as connection:
        book = office.book_of(connection, world.ACCOUNT)
    assert "my-rule" not in book.models
    assert book.known("my-rule").title.en == "No step: {deal}"
    put(office, file(rule("my-rule")), "2026-03-13 12:00")  # not its first version any more
    settle(office)
    assert of(office, "my-rule")[1:] == [("13 13:00", None, None)]


LIMIT = rule(
    "my-tasks", "0m", on="seller", form="level", when="seller.is_active",
    level="tasks_overdue", above="param.limit", params="{limit: 0}",
)  # fmt: skip


@pytest.mark.parametrize(("since", "left"), [(None, [("10 12:00", "12 12:00")]), (0, [])])
def test_level_rule_keeps_its_past_unless_it_is_taken_back_from_the_beginning(
    office: Office, since: int | None, left: list[tuple[str, str]]
) -> None:
    world.tell(office, [world.new_task("5", "2026-03-10 10:00", "2026-03-10 12:00", "1")])
    put(office, file(LIMIT), LATER)
    settle(office)
    assert of(office, "my-tasks") == [("10 12:00", None, None)]
    put(office, file(), "2026-03-12 12:00", since)
    settle(office)
    assert [row[:2] for row in of(office, "my-tasks")] == left
    assert verify.verify(office, world.ACCOUNT) == []


def test_verify_is_clean_after_a_rebuild_too(office: Office) -> None:
    put(office, file(rule(for_="2wh"), rule("my-rule")), LATER)
    settle(office)
    before = of(office), of(office, "my-rule")
    verify.rebuild(office, world.ACCOUNT)
    assert (of(office), of(office, "my-rule")) == before
    assert verify.verify(office, world.ACCOUNT) == []


def test_settings_and_rules_cut_time_together(office: Office) -> None:
    put(office, file(rule(for_="2wh")), "2026-03-11 12:00")
    with transaction(office.engine) as connection:
        document = accounts.document(connection, world.ACCOUNT)
        changed = document.model_validate(HEAD | {"rules": {"deal-no-task": {"for": "4wh"}}})
        at = world.moment("2026-03-12 12:00")
        accounts.save_settings(connection, world.ACCOUNT, changed, "tests", at)
    settle(office)
    assert of(office) == [
        ("10 11:00", "11 12:00", "rule_changed"), ("11 14:00", "12 12:00", "rule_changed"),
        ("12 16:00", None, None),
    ]  # fmt: skip
    assert verify.verify(office, world.ACCOUNT) == []


# --- nobody is flooded ----------------------------------------------------------------------------


def messages(office: Office) -> list[tuple[str, int]]:
    """(kind, how many violations) of each message about the account's own rule."""
    query = select(ALERT.c.kind, ALERT.c.violations, ALERT.c.text).order_by(ALERT.c.id)
    with office.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [(kind, len(ids)) for kind, ids, text in rows if "Ничей шаг" in text]


def many_deals(office: Office, count: int) -> None:
    """Deals of three sellers, told of as things were before the change."""
    deals = [
        world.new_deal(str(n), "2026-03-11 10:00", responsible=("7", "9", "12")[n % 3])
        for n in range(2, count + 2)
    ]
    world.tell(office, deals)
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)
    tick.tick(office)
    while tick.tick(office):
        pass


def piece(office: Office) -> int:
    """One piece of re-judging, by a worker that takes the account for it."""
    with holding(office, world.ACCOUNT) as mine:
        assert mine
        done = rejudge.rejudge(office, world.ACCOUNT)
        rejudge.judge_dirty(office, world.ACCOUNT)
        return done


def test_new_rule_that_opens_hundreds_sends_one_digest(office: Office) -> None:
    go_to(office, "2026-03-11 11:30")
    many_deals(office, 500)
    put(office, file(rule("my-rule", for_="30wm")), "2026-03-11 12:00")
    go_to(office, "2026-03-11 12:01")
    while piece(office):
        tick.tick(office)  # in between nothing of it is told
        assert messages(office) == []
    tick.tick(office)
    assert len(of(office, "my-rule")) == 501
    assert messages(office) == [("digest", 501)]
    world.tell(office, [world.new_deal("900", "2026-03-11 12:00")])
    go_to(office, "2026-03-11 12:31")
    while tick.tick(office):
        pass
    assert messages(office) == [("digest", 501), ("opened", 1)]


def test_what_happens_after_the_change_is_told_while_it_is_judged(office: Office) -> None:
    many_deals(office, 250)
    put(office, file(rule("my-rule", for_="30wm")), "2026-03-11 12:00")
    assert piece(office) == 200
    world.tell(office, [world.new_deal("900", "2026-03-11 11:40")])
    go_to(office, "2026-03-11 12:11")
    tick.tick(office)
    assert messages(office) == [("opened", 1)]


# --- progress, sharing, refusals ------------------------------------------------------------------


def test_progress_is_counted(office: Office) -> None:
    world.tell(office, [world.new_deal(str(n), "2026-03-10 10:00") for n in range(2, 302)])
    put(office, file(rule("my-rule")), LATER)
    row = state(office)
    assert (row.judged_done, row.judged_total) == (0, 0)
    rejudge.rejudge(office, world.ACCOUNT)
    row = state(office)
    assert (row.judged_done, row.judged_total) == (200, 301)
    assert row.judged_version < row.config_version
    put(office, file(rule("my-rule", "2wh")), LATER)  # a newer change begins from the beginning
    assert state(office).judged_done == 0
    settle(office)
    row = state(office)
    assert (row.judged_version, row.judged_done) == (row.config_version, 301)
    with reading(office.engine) as connection:
        assert facts.count_timelines(connection, world.ACCOUNT) == 301


def test_accounts_with_the_same_file_share_one_book(office: Office) -> None:
    world.connect_account(office, "vasilek", token="other")
    put(office, file(rule("my-rule")), LATER)
    rulebooks.put(office, "vasilek", NewFile(file(rule("my-rule")), "tests"), "own.yaml")
    with reading(office.engine) as connection:
        one, other = (office.book_of(connection, name) for name in (world.ACCOUNT, "vasilek"))
    assert one is other
    assert office.book.models.keys() == {model.id for model in builtin_rules()}


def test_settings_of_the_account_must_fit_the_file(office: Office) -> None:
    put(office, file(rule("my-rule", params="{limit: 3}")), LATER)
    with transaction(office.engine) as connection:
        document = accounts.document(connection, world.ACCOUNT)
        own = document.model_validate(HEAD | {"rules": {"my-rule": {"params": {"limit": 4}}}})
        accounts.save_settings(connection, world.ACCOUNT, own, "tests", office.now())
    with pytest.raises(ConfigError, match=r"rules\.my-rule: there is no such rule"):
        put(office, file(), LATER)
    with pytest.raises(ConfigError, match=r"rules\.my-rule\.params\.limit: no such parameter"):
        put(office, file(rule("my-rule")), LATER)
    assert len(rulebooks.history(office, world.ACCOUNT)) == 1


def test_a_rule_keeps_its_kind(office: Office) -> None:
    other = rule("task-overdue")
    with pytest.raises(ConfigError, match="task-overdue: there is or was a rule of this id on ta"):
        put(office, file(other), LATER)


def test_stored_file_that_a_newer_dozor_does_not_understand_takes_nobody_down(
    office: Office,
) -> None:
    broken = rule("their-rule", when="deal.is_gone_now")
    with transaction(office.engine) as connection:
        stored = NewFile(file(rule("my-rule"), broken), "tests")
        rule_files.save(connection, world.ACCOUNT, stored, world.moment(LATER))
        versions = rule_files.history(connection, world.ACCOUNT)
    settle(office)
    assert of(office, "my-rule") == [("10 11:00", None, None)]
    (fault,) = office.shelf.faults(versions)
    assert fault.startswith("rules:")
    assert "their-rule" in fault


LEVEL = """
  - id: my-load
    on: seller
    form: level
    level: deals_open
    when: seller.is_active
    params: {limit: 0}
    severity: warning
    title: {ru: "Много", en: "Many"}
    advice: {ru: "Раздайте", en: "Hand over"}
"""


def test_a_removed_rule_of_the_second_layer_ends_what_it_had_open(office: Office) -> None:
    put(office, file(LEVEL), "2026-03-10 18:00")
    settle(office)
    assert of(office, "my-load") == [("10 10:00", None, None)]
    put(office, file(), LATER)
    settle(office)
    assert of(office, "my-load") == [("10 10:00", "11 12:00", "rule_changed")]
    assert verify.verify(office, world.ACCOUNT) == []
    go_to(office, "2026-03-12 12:00")
    world.tell(office, [world.new_deal("2", "2026-03-12 10:00")])
    assert of(office, "my-load") == [("10 10:00", "11 12:00", "rule_changed")]
    verify.rebuild(office, world.ACCOUNT)
    assert of(office, "my-load") == [("10 10:00", "11 12:00", "rule_changed")]
