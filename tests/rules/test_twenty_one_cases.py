"""The cases in which an engine of stored instants breaks, one named test each, in their order."""

import random
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from service.alerts import policy
from service.clock import Clock
from service.domain.calendar import make_calendar
from service.domain.config import Config
from service.domain.facts import Fact
from service.domain.instant import FOREVER, Instant, to_datetime
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.domain.span import Span
from service.domain.timeline import fold
from service.domain.violation import Found
from service.domain.worlds import world_of
from service.errors import ConfigError
from service.pipeline import tick
from service.pipeline.office import Office
from service.rules.book import RuleBook, Window
from service.rules.judge import judge
from service.rules.loading import load_book, parse_rules
from service.rules.schema import RuleTest
from service.rules.testing import intervals
from service.store import accounts
from service.store.engine import transaction
from service.store.records import Alert
from tests import world

BOOK = load_book()
ALERT = Alert.__table__  # type: ignore[attr-defined]
HEAD = {"alerts": {"receivers": {"head": {"telegram": 1, "rules": "*"}}}}
OPEN = {"at": "2026-03-02 12:00", "deal": {"stage": "open", "responsible": "7"}}


def local(at: Instant | None) -> str | None:
    return None if at is None else f"{to_datetime(at).astimezone(world.MOSCOW):%d.%m %H:%M}"


def told(rule: str, *given: dict[str, Any], **settings: Any) -> list[tuple[str | None, ...]]:
    """(breach, end, why) of a built-in rule over some facts."""
    test = RuleTest(name="case", settings=settings, given=list(given))
    _, found = intervals(BOOK.models[rule], test)
    return [(local(f.breach_at), local(f.resolved_at), f.resolution) for f in found]


def at(moment: str, kind: str, **body: Any) -> dict[str, Any]:
    return {"at": f"2026-03-{moment}", kind: body}


def config(document: dict[str, Any] | None = None) -> Config:
    return resolve("t", "amocrm", world.DIRECTORY, parse_document(document or {}))


def judged(facts: list[Fact], *windows: Window) -> list[Found]:
    found, failures = judge(fold("deal:1", facts, world_of(windows[-1].config)), windows)
    assert not failures
    return found


def window(begin: Instant, end: Instant, document: dict[str, Any], book: RuleBook = BOOK) -> Window:
    made = config(document)
    return Window(begin, end, made, book.in_force(made))


def of(rule: str, found: list[Found]) -> list[Found]:
    return [one for one in found if one.rule == rule]


def test_0_condition_that_becomes_true_long_after_its_clock_began() -> None:
    lost, again = at("02 12:10", "deal", stage="lost"), at("04 11:00", "deal", stage="open")
    assert told("deal-no-first-touch", OPEN, lost, again) == [("04.03 11:00", None, None)]
    won = at("02 12:00", "deal", stage="won", amount=500, responsible="7")
    emptied = at("04 12:00", "deal", amount=0)
    assert told("deal-won-without-amount", won, emptied) == [("04.03 13:00", None, None)]


def test_1_no_condition_can_ask_the_clock_and_a_warning_ahead_is_a_negative_span() -> None:
    text = """
rules:
  - {id: soon, on: task, form: state, severity: info, when: WHEN, since: task.due_at, for: -2h,
     title: {ru: а, en: a}, advice: {ru: а, en: a}}
"""
    for word in ("now()", "timestamp('2026-03-02T00:00:00Z') < now", "task.due_at < now"):
        with pytest.raises(ConfigError):
            parse_rules(text.replace("WHEN", f'"{word}"'), "f.yaml")
    (model,) = parse_rules(text.replace("WHEN", "task.is_open && task.due_at != null"), "f.yaml")
    given = [at("02 10:00", "task", is_open=True, due_at="2026-03-03 15:00", responsible="7")]
    _, found = intervals(model, RuleTest(name="case", given=given))
    assert [local(f.breach_at) for f in found] == ["03.03 13:00"]


def test_2_overdue_task_is_still_a_next_step() -> None:
    late = at("02 12:00", "task", is_open=True, due_at="2026-03-02 13:00", responsible="7")
    assert told("deal-no-task", OPEN, late) == []


def test_3_hand_over_moves_the_load_of_both_sellers() -> None:
    first, second = (
        {"at": "2026-03-02 10:00", "deal": {"id": n, "stage": "open", "responsible": "7"}}
        for n in ("1", "2")
    )
    handed = at("02 15:00", "deal", id="2", responsible="9")
    third = at("02 14:00", "deal", id="3", stage="open", responsible="9")
    found = told("seller-too-many-deals", first, second, third, handed, limits={"open_deals": 1})
    assert found == [("02.03 10:00", "02.03 15:00", "fixed"), ("02.03 15:00", None, None)]


def test_4_sliding_window_ages_out_by_itself() -> None:
    given = [at(f"02 1{n}:00", "deal", id=str(n), stage="open", responsible="7") for n in range(3)]
    rules = {"seller-inquiry-flood": {"params": {"limit": 2}}}
    found = told("seller-inquiry-flood", *given, rules=rules)
    assert found == [("02.03 12:00", "03.03 10:00", "fixed")]


def test_5_changed_rule_closes_the_old_breach_and_begins_from_the_change() -> None:
    change = world.moment("2026-03-04 12:00")
    facts = [world.new_deal("1", "2026-03-02 12:00", stage="20")]
    found = of("deal-no-task", judged(
        facts,
        window(0, change, {}),
        window(change, FOREVER, {"rules": {"deal-no-task": {"for": "2wh"}}}),
    ))  # fmt: skip
    assert [(local(f.breach_at), local(f.resolved_at)) for f in found] == [
        ("02.03 13:00", "04.03 12:00"), ("04.03 14:00", None),
    ]  # fmt: skip
    assert found[0].resolution == "rule_changed"
    assert found[0].rule_version != found[1].rule_version


def test_6_changed_calendar_moves_what_lies_ahead_and_not_what_was() -> None:
    change = world.moment("2026-03-04 12:00")
    facts = [world.new_deal("1", "2026-03-02 12:00", stage="20")]
    off = {"work": {"exceptions": {"2026-03-05": "off"}}}
    found = judged(facts, window(0, change, {}), window(change, FOREVER, off))
    (stuck,) = of("deal-stuck", found)
    assert local(stuck.breach_at) == "11.03 12:00"
    assert local(of("deal-no-task", found)[0].breach_at) == "02.03 13:00"


def test_7_absence_stops_the_clock_of_working_time() -> None:
    away = {"7": {"absent": [{"from": "2026-03-03", "to": "2026-03-04"}]}}
    assert told("deal-left-in-first-stage", OPEN, sellers=away) == [("05.03 12:00", None, None)]


def test_8_calendar_without_working_time_is_refused_not_walked_for_ever() -> None:
    calendar = make_calendar(world.MOSCOW, absences=((date(2026, 1, 1), date(2060, 1, 1)),))
    with pytest.raises(ConfigError, match="no working time"):
        calendar.add(world.moment("2026-03-02 12:00"), Span(1, "wh"))


def test_9_order_and_repetition_of_facts_change_nothing_and_a_late_fact_retracts() -> None:
    facts = [
        world.new_deal("1", "2026-03-02 10:00"),
        world.new_task("5", "2026-03-02 10:00", "2026-03-03 10:00"),
        world.deal("1", "2026-03-02 12:00", stage="20", author="7"),
        world.call("c1", "2026-03-02 11:00"),
    ]
    now = window(0, FOREVER, {})
    expected = judged(facts, now)
    for seed in range(6):
        mixed = facts + facts[:2]
        random.Random(seed).shuffle(mixed)
        assert judged(mixed, now) == expected
    assert of("task-overdue", expected)
    done = world.task("5", "2026-03-03 09:59", is_open=False, author="7")
    assert of("task-overdue", judged([*facts, done], now)) == []


def event(breach: str, connected: str, now: str) -> bool:
    row = {"breach_at": world.moment(breach)}
    made = resolve(
        "t", "amocrm", world.DIRECTORY, parse_document(HEAD), connected_at=world.moment(connected)
    )
    told_of = policy.Event("opened", row, {}, {}, "", "", None)
    return policy.is_old(told_of, made, world.moment(now))


def test_10_breaches_older_than_the_connection_go_into_a_digest() -> None:
    assert event("2026-03-01 10:00", "2026-03-02 10:00", "2026-03-02 10:01")
    assert not event("2026-03-02 10:00", "2026-03-02 10:00", "2026-03-02 10:01")


def test_11_after_an_outage_of_more_than_a_day_a_digest_and_no_flood() -> None:
    assert event("2026-03-05 10:00", "2026-03-02 10:00", "2026-03-06 10:01")
    assert not event("2026-03-05 10:00", "2026-03-02 10:00", "2026-03-06 09:59")


def test_12_flapping_is_joined_where_the_gap_is_short() -> None:
    def deal(moment: str, number: str, **body: Any) -> dict[str, Any]:
        return at(moment, "deal", id=number, **body)

    def flapping(back: str) -> int:
        given = [
            deal("02 10:00", "1", stage="open", responsible="7"),
            deal("02 11:00", "2", stage="open", responsible="7"),
            deal("02 13:00", "2", stage="won"),
            deal(f"02 {back}", "3", stage="open", responsible="7"),
        ]
        return len(told("seller-too-many-deals", *given, limits={"open_deals": 1}))

    assert (flapping("13:29"), flapping("13:30")) == (1, 2)


class At(Clock):
    """A clock that stands."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self._at = datetime.fromtimestamp(world.moment(moment), UTC)

    def now(self) -> datetime:
        return self._at


def messages(office: Office) -> list[str]:
    with office.engine.connect() as connection:
        return [text.splitlines()[0] for text in connection.execute(select(ALERT.c.text)).scalars()]


def overdue_office(url: str) -> Office:
    office = world.make_office(url)
    world.connect_account(office, document=HEAD)
    world.tell(office, [world.new_deal("1", "2026-03-10 10:00")])
    world.tell(office, [world.new_task("5", "2026-03-10 10:00", "2026-03-10 11:59")])
    with transaction(office.engine) as connection:
        accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)
    office.clock = At("2026-03-10 12:00")
    return office


def test_13_a_breach_is_told_once_however_often_it_is_looked_at(database_url: str) -> None:
    office = overdue_office(database_url)
    for moment in ("2026-03-10 12:00", "2026-03-10 12:30", "2026-03-10 13:00"):
        office.clock = At(moment)
        tick.tick(office)
    said = [text for text in messages(office) if "Просрочена задача" in text]
    office.close()
    assert len(said) == 1


def test_14_norms_that_differ_by_stage_need_no_copies_of_the_rule() -> None:
    moved = at("04 12:00", "deal", stage="offer")
    rules = {"deal-stuck": {"for": {"КП": "1wd"}}}
    assert told("deal-stuck", OPEN, moved, rules=rules) == [("05.03 12:00", None, None)]


def test_15_the_breach_stays_with_who_had_it_and_the_message_goes_to_who_has_it() -> None:
    facts = [
        world.new_deal("1", "2026-03-02 12:00"),
        world.deal("1", "2026-03-02 15:00", responsible="9", author="7"),
    ]
    (found,) = of("deal-no-task", judged(facts, window(0, FOREVER, {})))
    assert (found.seller, found.owner) == ("7", "9")


def test_16_what_is_deleted_or_leaves_the_watched_pipelines_is_gone() -> None:
    deleted = at("03 12:00", "deal", deleted=True)
    assert told("deal-no-task", OPEN, deleted) == [("02.03 13:00", "03.03 12:00", "gone")]
    moved = at("03 12:00", "deal", pipeline="2", stage="open")
    found = told("deal-no-task", OPEN, moved, pipelines={"exclude": ["Доставка"]})
    assert found == [("02.03 13:00", "03.03 12:00", "gone")]


def test_17_two_processes_tell_one_breach_once(database_url: str) -> None:
    office = overdue_office(database_url)
    other = world.make_office(database_url)
    other.worker = "another"
    other.clock = office.clock
    for process in (office, other, office):
        tick.tick(process)
        with transaction(office.engine) as connection:
            accounts.change(connection, world.ACCOUNT, claimed_by="", claimed_until=0)
    said = [text for text in messages(office) if "Просрочена задача" in text]
    other.close()
    office.close()
    assert len(said) == 1


def test_18_a_day_is_three_things_and_each_has_its_spelling() -> None:
    berlin = make_calendar(ZoneInfo("Europe/Berlin"), "mon-fri 09:00-17:00", "DE")
    friday = int(datetime(2026, 3, 27, 11, tzinfo=UTC).timestamp())  # clocks change on Sunday
    saturday = friday + 86_400
    assert berlin.add(saturday, Span(24, "h")) - saturday == 24 * 3600
    assert berlin.add(saturday, Span(1, "d")) - saturday == 23 * 3600
    assert berlin.add(friday, Span(1, "wd")) - friday == 3 * 86_400 - 3600


def test_19_a_condition_that_could_have_no_answer_is_refused_at_load() -> None:
    text = """
rules:
  - {id: careless, on: deal, form: state, severity: info, when: deal.closed_at > 5,
     title: {ru: а, en: a}, advice: {ru: а, en: a}}
"""
    with pytest.raises(ConfigError, match=r"deal\.closed_at != null"):
        parse_rules(text, "f.yaml")


def test_20_what_was_broken_stays_broken_in_history() -> None:
    facts = [world.new_deal("1", "2026-03-02 10:00", stage="20")]
    now = window(0, FOREVER, {})
    (pending,) = of("deal-no-task", judged(facts, now))
    mended = world.new_task("5", "2026-03-02 12:00", "2026-03-20 10:00")
    (over,) = of("deal-no-task", judged([*facts, mended], now))
    assert (over.breach_at, local(over.resolved_at)) == (pending.breach_at, "02.03 12:00")
    assert over.violation_id("t") == pending.violation_id("t")
    in_time = world.new_task("5", "2026-03-02 10:30", "2026-03-20 10:00")
    assert of("deal-no-task", judged([*facts, in_time], now)) == []
