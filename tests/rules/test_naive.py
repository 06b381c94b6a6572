"""The judge against one that knows no segments: it looks every quarter of an hour, and looks back.

Deals, tasks, calls and notes at random (moved, reopened, deleted, handed over, corrected), over a
holiday and a change of clocks, with the settings changed on the way. Everything happens on quarter
hours, so looking at each of them sees all.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.domain.config import Config, parse_document, resolve
from service.domain.directory import Directory, LossReason, Pipeline, Seller, Stage, StageKind
from service.domain.facts import Fact, Kind
from service.domain.instant import FOREVER, Instant
from service.domain.story import Story
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.rules.book import Rule, RuleBook, Window, builtin_rules
from service.rules.judge import judge
from service.rules.segments import Segment, Subject, subjects

STEP = 900
BERLIN = ZoneInfo("Europe/Berlin")  # the clocks go forward on 29 March 2026
START = int(datetime(2026, 3, 24, 8, tzinfo=UTC).timestamp())
DAYS = 12
RULES = [m for m in builtin_rules() if m.form != "level" and not m.notice]
BOOK = RuleBook([model.model_copy(update={"enabled": True}) for model in RULES])
STAGES = (
    Stage(id="open", name="Новая", sort=10),
    Stage(id="offer", name="КП", sort=20),
    Stage(id="contract", name="Договор", sort=30),
    Stage(id="won", name="Успешно", sort=100, kind=StageKind.WON),
    Stage(id="lost", name="Отказ", sort=110, kind=StageKind.LOST),
)
DIRECTORY = Directory(
    timezone="Europe/Berlin", currency="EUR", telephony=True, complete_users=True,
    sellers=(
        Seller(id="7", name="Иванов"),
        Seller(id="9", name="Петрова", activity=((0, True), (START + 6 * 86_400, False))),
    ),
    pipelines=(
        Pipeline(id="1", name="Продажи", main=True, stages=STAGES),
        Pipeline(id="2", name="Доставка", sort=2, stages=STAGES),
    ),
    loss_reasons=(LossReason(id="1", name="Дорого"), LossReason(id="2", name="Спам")),
)  # fmt: skip
BEFORE = {
    "pipelines": {
        "exclude": ["Доставка"],
        "Продажи": {"required": {"КП": ["budget", "contact"]}, "commented": ["КП"]},
    },
    "sellers": {"7": {"absent": [{"from": "2026-03-30", "to": "2026-03-31"}]}},
    "work": {"week": "mon-fri 09:00-17:00", "holidays": "DE"},
}
AFTER = BEFORE | {
    "rules": {
        "deal-no-task": {"for": "30wm"},
        "deal-stuck": {"for": {"КП": "1wd"}},
        "task-no-text": False,
        "deal-too-few-attempts": {"params": {"attempts": 1}},
    }
}


@lru_cache
def config(*, changed: bool) -> Config:
    document = parse_document(AFTER if changed else BEFORE)
    return resolve("t", "amocrm", DIRECTORY, document)


def windows(change: Instant | None) -> list[Window]:
    first = config(changed=False)
    if change is None:
        return [Window(0, FOREVER, first, BOOK.in_force(first))]
    second = config(changed=True)
    return [
        Window(0, change, first, BOOK.in_force(first)),
        Window(change, FOREVER, second, BOOK.in_force(second)),
    ]


# --- what happens -------------------------------------------------------------------------------

instants = st.integers(0, (DAYS - 3) * 96).map(lambda n: START + n * STEP)
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
    st.fixed_dictionaries({"due_at": instants, "author": people}),
    st.fixed_dictionaries({"is_open": st.booleans(), "author": people}),
    st.fixed_dictionaries({"responsible": st.sampled_from(["7", "9"])}),
    st.fixed_dictionaries({"text": st.sampled_from(["ок", "Отправить смету клиенту"])}),
)
events = st.one_of(
    st.tuples(st.just(Kind.DEAL), st.just("1"), instants, deal_bodies),
    st.tuples(st.just(Kind.DEAL), st.just("1"), instants, deal_bodies),
    st.tuples(st.just(Kind.TASK), st.sampled_from(["1", "2"]), instants, task_bodies),
    st.tuples(
        st.just(Kind.CALL), st.uuids().map(str), instants,
        st.fixed_dictionaries({
            "direction": st.sampled_from(["in", "out"]), "answered": st.booleans(),
            "seconds": st.sampled_from([0, 900, 1800]), "author": st.sampled_from(["7", "9"]),
        }),
    ),
    st.tuples(
        st.just(Kind.NOTE), st.uuids().map(str), instants,
        st.fixed_dictionaries({
            "text": st.sampled_from(["ок", "перезвонить", "клиент просит скидку"]),
            "author": st.sampled_from(["7", "9"]),
        }),
    ),
)  # fmt: skip


def facts(told: Sequence[tuple[Kind, str, Instant, dict[str, Any]]]) -> list[Fact]:
    found = [
        Fact(Kind.DEAL, "1", START, {
            "pipeline": "1", "stage": "open", "name": "Окна", "amount": 0, "responsible": "7",
            "created_at": START, "created_by": "0",
        })
    ]  # fmt: skip
    seen: set[str] = set()
    for kind, subject, at, body in sorted(told, key=lambda event: (event[2], event[1])):
        first: dict[str, Any] = {}
        if kind is Kind.TASK and subject not in seen:
            seen.add(subject)
            first = {"is_open": True, "created_at": at, "created_by": "7", "responsible": "7",
                     "text": "ок", "due_at": at + 8 * STEP}  # fmt: skip
        elif kind is Kind.CALL:
            first = {"started_at": at}
        elif kind is Kind.NOTE:
            first = {"created_at": at}
        found.append(Fact(kind, subject, at, first | body))
    return found


# --- the naive judge ----------------------------------------------------------------------------


def segment_at(subject: Subject, at: Instant) -> Segment | None:
    for segment in subject.segments:
        if segment.start <= at < segment.end:
            return segment
    return None


def in_force(made: Sequence[Window], rule: str, at: Instant) -> tuple[Window, Rule] | None:
    window = next(w for w in made if w.start <= at < w.end)
    found = next((r for r in window.rules if r.id == rule), None)
    return (window, found) if found else None


def holds(made: Sequence[Window], rule: Rule, window: Window, segment: Segment | None) -> bool:
    if segment is None or not segment.judged:
        return False
    values = rule.condition.values(segment.state, window.config)
    return bool(rule.condition.holds(values))


def passed(config: Config, seller: str, since: Instant, span: Any, at: Instant) -> bool:
    """Whether a span that began at `since` is used up at `at`: counted quarter by quarter."""
    if span.unit in ("m", "h"):
        return bool(at - since >= span.seconds)
    calendar = config.calendar(seller or None)
    if span.unit in ("d", "wd"):
        return bool(at >= calendar.add(since, span))  # the calendar has a slow reference of its own
    worked, moment = 0, since
    while moment < at and worked < span.seconds:
        local = datetime.fromtimestamp(moment, BERLIN)
        minute = local.hour * 60 + local.minute
        worked += STEP * any(a <= minute < b for a, b in calendar.hours(local.date()))
        moment += STEP
    return bool(worked >= span.seconds)


def broken(made: Sequence[Window], subject: Subject, rule_id: str, at: Instant) -> bool:
    """Whether a subject is in violation at `at`: looking back quarter by quarter."""
    found = in_force(made, rule_id, at)
    segment = segment_at(subject, at)
    if found is None or segment is None:
        return False
    window, rule = found
    if not holds(made, rule, window, segment):
        return False
    first = in_force(made, rule_id, 0)
    as_ever = window.start == 0 or (first is not None and first[1].version == rule.version)
    effective = 0 if as_ever else window.start
    known = [a.get(segment.state, window.config) for a in rule.since]
    known = [since for since in known if since is not None]
    if rule.model.since_held:
        held = at
        while held - STEP >= max(START, effective):
            if not holds(made, rule, window, segment_at(subject, held - STEP)):
                break
            held -= STEP
        known.append(held)
    if not known or at < effective:
        return False
    span = rule.span(segment.pipeline, segment.stage)
    return passed(window.config, segment.seller, max(known), span, at)


def compare(story: Story, made: list[Window]) -> None:
    found, failures = judge(story, made)
    assert not failures
    names = {rule.id for window in made for rule in window.rules}
    kinds = {model.id: model.on for model in RULES}
    for subject in subjects(story, made[-1].config):
        for rule in sorted(name for name in names if kinds[name] == subject.kind):
            mine = [
                (one.breach_at, one.resolved_at or FOREVER)
                for one in found
                if (one.rule, one.subject_kind, one.subject_id) == (rule, subject.kind, subject.id)
            ]
            for number in range(0, DAYS * 96, 2):
                at = START + number * STEP
                judged = any(begin <= at < end for begin, end in mine)
                assert judged == broken(made, subject, rule, at), (rule, subject.id, at, mine)


@settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(events, min_size=2, max_size=18), instants | instants | st.none())
def test_judge_equals_one_that_looks_every_quarter_of_an_hour(
    told: list[tuple[Kind, str, Instant, dict[str, Any]]], change: Instant | None
) -> None:
    made = windows(change)
    compare(fold("deal:1", facts(told), world_of(made[-1].config)), made)
