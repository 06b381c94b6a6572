"""A judge that knows no segments: it looks at every minute, and looks back.

Of the service it takes what a state is, an attribute and a condition; when a span is used up is
counted minute by minute (`tests/domain/test_calendar_naive.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from service.domain.account import SellerSettings
from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.story import Call, Story, deal_is_judged
from service.rules.attributes import ATTRIBUTES, CallState
from service.rules.book import Rule, Window
from tests.domain.test_calendar_naive import Work, add
from tests.rules.naive_world import DAYS, KINDS, MINUTE


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
    judged = deal.judged if deal is not None else not story.deal
    call = replace(call, waits=begins_a_row(story, call))
    answers = [when for when in answered(story) if call.started_at <= when <= at]
    returned = min(answers) if call.waits and answers else None
    return Picture(CallState(at, call, trace, says, returned), judged, call.author, ("", ""))


def answered(story: Story) -> list[Instant]:
    """When anybody of a client without a deal was called, talked to or written to."""
    calls = [c for c in story.calls if c.outgoing or (c.answered and c.seconds >= 10)]
    return [c.started_at for c in calls] + [m.at for m in story.messages if m.direction == "out"]


def begins_a_row(story: Story, call: Call) -> bool:
    """Whether it is missed, and no other one before it is still unanswered when it comes."""
    if story.kind != "contact" or call.outgoing or call.answered:
        return False
    missed = [c for c in story.calls if not c.outgoing and not c.answered]
    before = missed[: missed.index(call)]
    return all(
        any(one.started_at <= at < call.started_at for at in answered(story)) for one in before
    )


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


class Answers:
    """What the expression engine says of some rules; the same thing is asked of it once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._asked: tuple[tuple[str, str], dict[str, Any]] | None = None
        self._told: list[bool] = []

    def of(self, place: tuple[str, str], values: dict[str, Any]) -> list[bool]:
        if self._asked != (place, values):
            self._asked = (place, values)
            self._told = [holds(rule, place, values) for rule in self._rules]
        return self._told


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
        answers = Answers(rules)
        works = {seller: work_of(window.config, seller) for seller in ("7", "9", "")}
        for at, picture in pictures.items():
            if at >= window.end:
                break
            if picture is None or not picture.judged:
                held.clear()
                continue
            values = values_at(picture, kind, window.config, names)
            told = answers.of(picture.place, values)
            for (rule, effective, floor), is_true in zip(times, told, strict=True):
                if at < floor or not is_true:
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
