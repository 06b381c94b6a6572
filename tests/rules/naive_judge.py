"""A judge that knows no segments: it looks at every minute, and looks back.

Of the service it takes what a fact is and what a condition says. What is true of a subject is
looked up among the raw facts (`naive_facts`); when a span is used up is counted minute by minute
(`tests/domain/test_calendar_naive.py`).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from service.domain.facts import Fact
from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.rules.book import Rule, Window
from tests.domain.test_calendar_naive import Work, add
from tests.rules import naive_deal, naive_facts
from tests.rules.naive_past import Past, plain_of
from tests.rules.naive_tasks import tasks_of
from tests.rules.naive_world import DAYS, KINDS, MINUTE

ALONE = {
    "deal.same_client_open_deals": 0,
    "deal.same_client_other_seller": False,
    "deal.same_client_first": "",
}
"""What the second look leaves out: the client has no other deal."""


class Picture(NamedTuple):
    """A subject at one instant: whether and how it is judged."""

    at: Instant
    judged: bool
    seller: str
    place: tuple[str, str]


class Subject(NamedTuple):
    """What is judged, and since when it is there; `moments`: when something may change of it."""

    kind: str
    id: str
    since: Instant
    moments: Sequence[Instant]

    def picture(self, past: Past, at: Instant) -> Picture | None:
        if at < self.since:
            return None
        at = self.moments[bisect_right(self.moments, at) - 1]
        judged = naive_facts.judged(past, self.kind, self.id, at)
        if self.kind == "deal":
            place = (naive_deal.pipeline(past, at), naive_deal.stage(past, at))
            return Picture(at, judged, naive_deal.responsible(past, at), place)
        if self.kind == "task":
            return Picture(at, judged, tasks_of(past)[self.id].responsible(at), ("", ""))
        seller = naive_facts.value(past, "call", self.id, "call.seller", at)
        return Picture(at, judged, seller or "", ("", ""))


def moments_of(past: Past) -> list[Instant]:
    """Every instant that a fact names, and at which somebody goes away, comes back or leaves."""
    found = {fact.at for fact in past.own}
    found |= {v for f in past.own for v in f.body.values() if isinstance(v, int) and v > FAR}
    found |= {at for steps in past.plain.activity.values() for at, _ in steps}
    for work in past.plain.work.values():
        found |= set(naive_deal.edges(past, work))
    return sorted(found)


FAR = 10**9


def subjects_of(past: Past) -> Iterator[Subject]:
    moments = moments_of(past)

    def subject(kind: str, name: str, since: Instant) -> Subject:
        return Subject(kind, name, since, sorted({since, *moments}))

    yield subject("deal", past.subject, past.start)
    for task in tasks_of(past).values():
        yield subject("task", task.id, task.start)
    for call in past.calls(lent=False):
        yield subject("call", call["id"], call["started_at"] + int(call["seconds"]))


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


def values_at(
    past: Past,
    subject: Subject,
    names: Sequence[str],
    at: Instant,
    looked: dict[Instant, dict[str, Any]],
) -> dict[str, Any]:
    """Between two moments nothing changes: the same is not looked up again."""
    if at not in looked:
        looked[at] = {
            name: ALONE[name]
            if name in ALONE
            else naive_facts.value(past, subject.kind, subject.id, name, at)
            for name in names
        }
    return looked[at]


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
    made: Sequence[Window], pasts: Sequence[Past], subject: Subject, start: Instant
) -> dict[str, set[Instant]]:
    """For each rule the minutes at which a subject breaks it: all of them are looked at."""
    found: dict[str, set[Instant]] = {}
    minutes = range(start, start + DAYS * 86_400, MINUTE)
    cut = lru_cache(maxsize=None)(lambda at: subject.picture(pasts[-1], at))
    moments = [bisect_right(subject.moments, at) - 1 for at in minutes]
    pictures = {
        at: cut(subject.moments[place]) if at >= subject.since else None
        for at, place in zip(minutes, moments, strict=True)
    }
    for number, window in enumerate(made):
        rules = [rule for rule in window.rules if rule.model.on == subject.kind]
        names = sorted(
            {a.name for rule in rules for a in rule.condition.attributes}
            | {a.name for rule in rules for a in rule.since}
        )
        times = [(rule, *effective_from(made, number, rule)) for rule in rules]
        held: dict[str, Instant] = {}
        answers = Answers(rules)
        works = pasts[number].plain.work
        looked: dict[Instant, dict[str, Any]] = {}
        for at, picture in pictures.items():
            if at >= window.end:
                break
            if picture is None or not picture.judged:
                held.clear()
                continue
            values = values_at(pasts[number], subject, names, picture.at, looked)
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
    facts: Sequence[Fact],
    made: list[Window],
    start: Instant,
    judged: Callable[[str, str, str], list[Interval]],
) -> int:
    """Every minute of every subject and rule; how many minutes something was broken."""
    total = 0
    names = sorted({rule.id for window in made for rule in window.rules} & KINDS.keys())
    pasts = [Past("1", facts, (), plain_of(window.config)) for window in made]
    for subject in subjects_of(pasts[-1]):
        mine = broken(made, pasts, subject, start)
        for rule in names:
            if KINDS[rule] != subject.kind:
                continue
            theirs = {
                at
                for begin, end in judged(rule, subject.kind, subject.id)
                for at in range(begin, min(end, start + DAYS * 86_400), MINUTE)
            }
            different = sorted(theirs ^ mine.get(rule, set()))
            assert not different, (rule, *subject[:2], different[0], different[0] in theirs)
            total += len(theirs)
    return total
