"""The judge against one that knows no segments: it looks every minute, and looks back.

Deals, tasks, calls and notes at random (moved, reopened, deleted, handed over, corrected), through
nights of changed clocks, a holiday, an absence, with the work calendar and the rules changed on the
way, and told in any order. Everything happens on whole minutes, so looking at each of them sees
all. Of the service it takes what a state is, an attribute and a condition; when a span is used up
is counted minute by minute (`tests/domain/test_calendar_naive.py`).
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.domain.account import SellerSettings
from service.domain.config import Config, resolve
from service.domain.directory import Directory, LossReason, Pipeline, Seller, Stage, StageKind
from service.domain.facts import Fact, Kind
from service.domain.instant import FOREVER, Instant
from service.domain.named import parse_document
from service.domain.span import Span
from service.domain.story import Story, deal_is_judged
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.rules.attributes import ATTRIBUTES, CallState
from service.rules.book import Rule, RuleBook, Window
from service.rules.judge import judge
from service.rules.loading import builtin_rules
from service.store import accounts
from service.store.engine import reading, transaction
from service.store.tables import Violation
from tests import world
from tests.domain.test_calendar_naive import Work, add

MINUTE = 60
BERLIN = ZoneInfo("Europe/Berlin")
DAYS = 4
TOLD_DAYS = 3  # in which something happens
RULES = [m for m in builtin_rules() if m.form != "level" and not m.notice]
KINDS = {model.id: model.on for model in RULES}
BOOK = RuleBook([model.model_copy(update={"enabled": True}) for model in RULES])
VIOLATION = Violation.__table__  # type: ignore[attr-defined]


def local(text: str) -> Instant:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp())


FORWARD, BACK, GOOD_FRIDAY = map(
    local, ("2026-03-27 15:00", "2026-10-23 15:00", "2026-04-01 15:00")
)
STARTS = (FORWARD, BACK, GOOD_FRIDAY)
STAGES = (
    Stage(id="open", name="Новая", sort=10),
    Stage(id="offer", name="КП", sort=20),
    Stage(id="contract", name="Договор", sort=30),
    Stage(id="won", name="Успешно", sort=100, kind=StageKind.WON),
    Stage(id="lost", name="Отказ", sort=110, kind=StageKind.LOST),
)


def directory(start: Instant) -> Directory:
    return Directory(
        timezone="Europe/Berlin", currency="EUR", telephony=True, complete_users=True,
        sellers=(
            Seller(id="7", name="Иванов"),
            Seller(id="9", name="Петрова", activity=((0, True), (start + 2 * 86_400, False))),
        ),
        pipelines=(
            Pipeline(id="1", name="Продажи", main=True, stages=STAGES),
            Pipeline(id="2", name="Доставка", sort=2, stages=STAGES),
        ),
        loss_reasons=(LossReason(id="1", name="Дорого"), LossReason(id="2", name="Спам")),
    )  # fmt: skip


AWAY = [{"from": "2026-03-30", "to": "2026-03-30"}, {"from": "2026-10-26", "to": "2026-10-26"}]
FIRST: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "currency": "EUR",
    "pipelines": {
        "exclude": ["Доставка"],
        "Продажи": {"required": {"КП": ["budget", "contact"]}, "commented": ["КП"]},
    },
    "sellers": {"7": {"absent": AWAY}},
    "work": {"week": "mon-fri 09:00-17:00", "holidays": "DE"},
}
OTHER_HOURS = {
    "work": {
        "week": "mon-fri 08:00-12:30 13:15-19:00, sat-sun 01:00-05:00",
        "holidays": "none",
        "exceptions": {
            "2026-03-28": "off", "2026-10-25": "01:30-04:00", "2026-04-03": "10:00-11:00",
        },
    }
}  # fmt: skip
OTHER_RULES = {
    "rules": {
        "deal-no-task": {"for": "30wm"},
        "deal-stuck": {"for": {"КП": "1wd"}},
        "deal-client-waits": {"for": "45m"},
        "task-no-text": False,
        "deal-too-few-attempts": {"params": {"attempts": 1}},
    }
}
VERSIONS = (FIRST, FIRST | OTHER_HOURS, FIRST | OTHER_RULES, FIRST | OTHER_HOURS | OTHER_RULES)
Changes = list[tuple[int, int]]  # minutes from the start, number of the version


@lru_cache
def config(version: int, start: Instant) -> Config:
    return resolve("t", "amocrm", directory(start), parse_document(VERSIONS[version]))


def windows(changes: Changes, start: Instant) -> list[Window]:
    starts = {0: 0} | {start + minutes * MINUTE: version for minutes, version in changes}
    ordered = sorted(starts.items())
    ends = [at for at, _ in ordered[1:]] + [FOREVER]
    configs = [(at, config(version, start)) for at, version in ordered]
    return [
        Window(at, end, made, BOOK.in_force(made))
        for (at, made), end in zip(configs, ends, strict=True)
    ]


# --- what happens ---------------------------------------------------------------------------------

minutes = st.integers(0, TOLD_DAYS * 1440) | st.integers(0, TOLD_DAYS * 96).map(lambda n: n * 15)
people = st.sampled_from(["7", "9", "0"])
deal_bodies = st.one_of(
    st.fixed_dictionaries(
        {"stage": st.sampled_from(["open", "offer", "contract", "won", "lost"]), "author": people}
    ),
    st.fixed_dictionaries({"amount": st.sampled_from([0, 50, 100_000, 900_000])}),
    st.fixed_dictionaries({"responsible": st.sampled_from(["7", "9", ""]), "author": people}),
    st.fixed_dictionaries({"loss_reason": st.sampled_from([None, "1", "2"])}),
    st.fixed_dictionaries({"contacts": st.sampled_from([[], ["5"]])}),
    st.fixed_dictionaries({"pipeline": st.just("2"), "stage": st.just("open")}),
    st.just({"deleted": True}),
    st.just({"restored": True}),
)
task_bodies = st.one_of(
    st.fixed_dictionaries({"due": minutes, "author": people}),
    st.fixed_dictionaries({"is_open": st.booleans(), "author": people}),
    st.fixed_dictionaries({"responsible": st.sampled_from(["7", "9"])}),
    st.fixed_dictionaries({"text": st.sampled_from(["ок", "Отправить смету клиенту"])}),
)
Event = tuple[Kind, str, int, dict[str, Any]]
events = st.one_of(
    st.tuples(st.just(Kind.DEAL), st.just("1"), minutes, deal_bodies),
    st.tuples(st.just(Kind.DEAL), st.just("1"), minutes, deal_bodies),
    st.tuples(st.just(Kind.TASK), st.sampled_from(["1", "2"]), minutes, task_bodies),
    st.tuples(
        st.just(Kind.CALL), st.uuids().map(str), minutes,
        st.fixed_dictionaries({
            "direction": st.sampled_from(["in", "out"]), "answered": st.booleans(),
            "seconds": st.sampled_from([0, 60, 1800]), "author": st.sampled_from(["7", "9"]),
        }),
    ),
    st.tuples(
        st.just(Kind.NOTE), st.uuids().map(str), minutes,
        st.fixed_dictionaries({
            "text": st.sampled_from(["ок", "перезвонить", "клиент просит скидку"]),
            "author": st.sampled_from(["7", "9"]),
        }),
    ),
)  # fmt: skip
told_events = st.lists(events, min_size=2, max_size=16)
changes_of_settings = st.lists(
    st.tuples(st.integers(60, TOLD_DAYS * 1440), st.integers(0, len(VERSIONS) - 1)), max_size=2
)


def facts(told: Sequence[Event], start: Instant) -> list[Fact]:
    found = [
        Fact(Kind.DEAL, "1", start, {
            "pipeline": "1", "stage": "open", "name": "Окна", "amount": 0, "responsible": "7",
            "created_at": start, "created_by": "0",
        })
    ]  # fmt: skip
    seen: set[str] = set()
    for kind, subject, minute, told_body in sorted(told, key=lambda event: (event[2], event[1])):
        at, body = start + minute * MINUTE, dict(told_body)
        if "due" in body:
            body["due_at"] = start + body.pop("due") * MINUTE
        first: dict[str, Any] = {"deal": "1"} if kind is not Kind.DEAL else {}
        if kind is Kind.TASK and subject not in seen:
            seen.add(subject)
            first |= {"is_open": True, "created_at": at, "created_by": "7", "responsible": "7",
                      "text": "ок", "due_at": at + 2 * 3600}  # fmt: skip
        elif kind is Kind.CALL:
            first |= {"started_at": at}
        elif kind is Kind.NOTE:
            first |= {"created_at": at}
        found.append(Fact(kind, subject, at, first | body))
    return found


# --- the naive judge ------------------------------------------------------------------------------


class Picture(NamedTuple):
    """A subject at one instant: its state, and what decides whether and how it is judged."""

    state: Any
    judged: bool
    seller: str
    place: tuple[str, str]


def deal_at(story: Story, at: Instant, latest: Config) -> Picture | None:
    states = [state for state in story.deal if state.at <= at]
    if not states:
        return None
    now = states[-1].later(at)
    place = (now.pipeline, now.stage)
    return Picture(now, deal_is_judged(now, latest), now.responsible, place)


def task_at(story: Story, task: str, at: Instant, latest: Config) -> Picture | None:
    states = [state for state in story.tasks[task] if state.at <= at]
    if not states:
        return None
    now = states[-1].later(at)
    deal = deal_at(story, max(at, story.deal[0].at), latest)
    assert deal is not None
    now.deal = deal.state
    return Picture(now, deal.judged and not now.deleted, now.responsible, ("", ""))


def call_at(story: Story, number: int, at: Instant, latest: Config) -> Picture | None:
    call = story.calls[number]
    if at < call.ended_at:
        return None
    trace = call.trace_at if call.trace_at is not None and call.trace_at <= at else None
    says = call.meaningful_at is not None and call.meaningful_at <= at
    deal = deal_at(story, at, latest)
    judged = deal is not None and deal.judged
    return Picture(CallState(at, call, trace, says), judged, call.author, ("", ""))


def subjects_of(
    story: Story, latest: Config
) -> Iterator[tuple[str, str, Callable[[Instant], Picture | None]]]:
    if story.deal:
        yield "deal", story.id, lambda at: deal_at(story, at, latest)
    for task in story.tasks:
        yield "task", task, lambda at, task=task: task_at(story, task, at, latest)  # type: ignore[misc]
    for number, call in enumerate(story.calls):
        yield "call", call.id, lambda at, n=number: call_at(story, n, at, latest)  # type: ignore[misc]


def work_of(made: Config, seller: str) -> Work:
    """The hours of a seller in the settings' own words."""
    own = made.document.sellers.get(seller) or SellerSettings()
    work = made.document.work
    return Work(
        str(made.timezone), own.week or work.week, work.holidays, work.shorten,
        tuple(sorted(work.exceptions.items())), tuple((a.from_, a.to) for a in own.absent),
    )  # fmt: skip


@lru_cache(maxsize=50_000)
def used_up(work: Work, since: Instant, span: Span) -> Instant:
    found = add(work, since, span)
    return FOREVER if found is None else found


def effective_from(made: Sequence[Window], number: int, rule: Rule) -> tuple[Instant, Instant]:
    """Since when a rule means the same; and before when nothing counts as held."""
    known = [next((r for r in w.rules if r.id == rule.id), None) for w in made]
    first = number
    while first > 0 and known[first - 1] is not None:
        before = known[first - 1]
        assert before is not None
        if before.version != rule.version:
            break
        first -= 1
    at = made[first].start
    return at, at if any(known[:first]) else 0


def values_at(picture: Picture, kind: str, made: Config, names: Sequence[str]) -> dict[str, Any]:
    known = ATTRIBUTES[kind]
    return {name: known[name].get(picture.state, made) for name in names}


def holds(rule: Rule, place: tuple[str, str], values: dict[str, Any]) -> bool:
    condition = rule.condition_at(*place)
    asked = [
        values[a.name] if values[a.name] is None or not null_only else True
        for a, null_only in zip(condition.attributes, condition.null_only, strict=True)
    ]
    return bool(condition.holds(tuple(asked)))


def broken(
    made: Sequence[Window], kind: str, look: Callable[[Instant], Picture | None], start: Instant
) -> dict[str, set[Instant]]:
    """For each rule the minutes at which a subject breaks it: all of them are looked at."""
    found: dict[str, set[Instant]] = {}
    pictures = {at: look(at) for at in range(start, start + DAYS * 86_400, MINUTE)}
    for number, window in enumerate(made):
        rules = [rule for rule in window.rules if rule.model.on == kind]
        names = sorted(
            {a.name for rule in rules for a in rule.condition.attributes}
            | {a.name for rule in rules for a in rule.since}
        )
        times = [(rule, *effective_from(made, number, rule)) for rule in rules]
        held: dict[str, Instant] = {}
        works = {seller: work_of(window.config, seller) for seller in ("7", "9", "")}
        for at, picture in pictures.items():
            if at >= window.end:
                break
            if picture is None or not picture.judged:
                held.clear()
                continue
            values = values_at(picture, kind, window.config, names)
            for rule, effective, floor in times:
                if at < floor or not holds(rule, picture.place, values):
                    held.pop(rule.id, None)
                    continue
                begun = held.setdefault(rule.id, at)
                if at < max(effective, window.start):
                    continue
                since = [values[a.name] for a in rule.since]
                known = [value for value in since if value is not None]
                known += [begun] if rule.model.since_held else []
                if not known:
                    continue
                span = rule.span(*picture.place)
                if at >= used_up(works[picture.seller], max(known), span):
                    found.setdefault(rule.id, set()).add(at)
    return found


Interval = tuple[Instant, Instant]


def compare(
    story: Story,
    made: list[Window],
    start: Instant,
    judged: Callable[[str, str, str], list[Interval]],
) -> int:
    """Every minute of every subject and rule; how many minutes something was broken."""
    total = 0
    names = sorted({rule.id for window in made for rule in window.rules} & KINDS.keys())
    for kind, subject, look in subjects_of(story, made[-1].config):
        mine = broken(made, kind, look, start)
        for rule in names:
            if KINDS[rule] != kind:
                continue
            theirs = {
                at
                for begin, end in judged(rule, kind, subject)
                for at in range(begin, min(end, start + DAYS * 86_400), MINUTE)
            }
            different = sorted(theirs ^ mine.get(rule, set()))
            assert not different, (rule, kind, subject, different[0], different[0] in theirs)
            total += len(theirs)
    return total


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
    compare(story, made, start, judged_by(story, made))


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
        assert compare(story, made, start, judged_by(story, made)) > 10_000
        with pytest.raises(AssertionError):
            compare(story, made, start, a_minute_late(judged_by(story, made)))


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

    story = fold("deal:1", facts(told, start), world_of(made[-1].config))
    compare(story, made, start, stored)
    office.close()
