"""Proposing a norm: how long what a rule watches took in the department lately (rules.md 3). Pure.

A wait begins where the rule's clock begins and ends where the clock moves on or the condition ends.
The norm is a percentile of the waits that have ended (nearest rank), in the rule's own unit,
rounded up, so that at least that share of them keeps it. A proposal changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.story import Story
from service.rules.book import Rule
from service.rules.forms import SECOND
from service.rules.schema import ByStage, NormBasis
from service.rules.segments import Segment, Subject, subjects

_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "wm": 60, "wh": 3600}


class Wait(NamedTuple):
    """`ended` None: it goes on. `last`: the segment in which it ended, or is."""

    since: Instant
    ended: Instant | None
    last: Segment


@dataclass(frozen=True, slots=True)
class Norm:
    """What holds and what is proposed. `proposed` None: there are too few waits to tell."""

    name: str
    current: Span
    proposed: Span | None
    samples: int
    running: int  # waits that go on: they are not counted
    median: int | None  # seconds of the rule's kind of time
    seconds: int | None  # the percentile, times what the rule says


@dataclass(slots=True)
class _Group:
    name: str
    current: Span
    seconds: list[int] = field(default_factory=list)
    running: int = 0


def can_propose(rule: Rule) -> bool:
    """Whether a rule waits at all, and watches deals, tasks, calls or inquiries."""
    waits = rule.default_for.count > 0 or rule.for_varies
    return rule.model.form in ("state", "answer") and rule.model.on not in SECOND and waits


class Proposer:
    """Collects the waits of one rule, story by story."""

    def __init__(self, rule: Rule, config: Config, now: Instant) -> None:
        self._rule = rule
        self._config = config
        self._now = now
        self.basis: NormBasis = rule.model.norm_from
        self.since = now - self.basis.days * 86_400
        self._by = rule.model.for_.by if isinstance(rule.model.for_, ByStage) else ""
        self._whole = _Group("", rule.default_for)
        self._groups: dict[str, _Group] = {}

    def add(self, story: Story) -> None:
        """Take a timeline in.

        Raises:
            ConditionFailed: the rule has no answer for it.
        """
        if self.basis.of == "won" and not self._won_lately(story):
            return
        for subject in subjects(story, self._config):
            if subject.kind == self._rule.model.on:
                for wait in waits(subject, self._rule, self._config):
                    self._count(wait)

    def _won_lately(self, story: Story) -> bool:
        last = story.deal[-1] if story.deal else None
        won = last is not None and last.kind is StageKind.WON and last.closed_at is not None
        return won and self.since <= (last.closed_at or 0) <= self._now if last else False

    def _count(self, wait: Wait) -> None:
        if wait.ended is not None and wait.ended <= self._now:
            if self.basis.of == "all" and wait.ended < self.since:
                return
            seconds = self._measured(wait.last.seller, wait.since, wait.ended)
            for group in self._groups_of(wait.last):
                group.seconds.append(seconds)
        elif wait.since <= self._now:
            for group in self._groups_of(wait.last):
                group.running += 1

    def _measured(self, seller: str, since: Instant, until: Instant) -> int:
        if not self._rule.default_for.is_working:
            return until - since
        return self._config.calendar(seller or None).working_seconds(since, until)

    def _groups_of(self, segment: Segment) -> Iterator[_Group]:
        yield self._whole
        key, name = self._named(segment)
        if key:
            yield self._groups.setdefault(key, _Group(name, self._rule.span_in(segment)))

    def _named(self, segment: Segment) -> tuple[str, str]:
        """(what tells groups apart, what people call it) of a segment; "" where it is in none."""
        config, state = self._config, segment.state
        if self._by == "stage":
            name = config.stage_name(segment.pipeline, segment.stage) or segment.stage
            return (f"{segment.pipeline}/{segment.stage}", name) if segment.stage else ("", "")
        if self._by == "pipeline":
            known = config.directory.pipeline(segment.pipeline)
            return segment.pipeline, known.name if known else segment.pipeline
        if self._by == "kind":
            names = {kind.id: kind.name for kind in config.directory.task_kinds}
            return state.task_kind, names.get(state.task_kind, state.task_kind)
        value = str(getattr(state, self._by, None) or "") if self._by else ""
        return value.casefold(), value

    def norms(self) -> tuple[Norm, list[Norm]]:
        """For all together, and apart by what the rule goes by, most waits first."""
        apart = sorted(self._groups.items(), key=lambda pair: (-len(pair[1].seconds), pair[0]))
        return self._norm(self._whole), [self._norm(group) for _, group in apart]

    def _norm(self, group: _Group) -> Norm:
        told = sorted(group.seconds)
        if len(told) < self.basis.least:
            middle = _rank(told, 50) if told else None
            return Norm(group.name, group.current, None, len(told), group.running, middle, None)
        seconds = ceil(_rank(told, self.basis.percentile) * self.basis.times)
        span = self._rounded(seconds)
        return Norm(
            group.name, group.current, span, len(told), group.running, _rank(told, 50), seconds
        )

    def _rounded(self, seconds: int) -> Span:
        unit = self._rule.default_for.unit
        day = self._config.calendar(None).full_day_seconds
        return Span(max(1, ceil(seconds / _UNIT_SECONDS.get(unit, day))), unit)


def waits(subject: Subject, rule: Rule, config: Config) -> Iterator[Wait]:
    """All waits of a subject by a rule; a subject that is deleted leaves none."""
    held: Instant | None = None
    begun: Instant | None = None
    last: Segment | None = None
    for segment in subject.segments:
        holds = segment.judged and _holds(rule, segment, config)
        if holds and held is None:
            held = segment.start
        since = _since(rule, segment, config, held) if holds else None
        if begun is not None and last is not None and since != begun:
            if segment.judged and begun < segment.start:
                yield Wait(begun, segment.start, last)
            begun = None
        if not holds:
            held = None
        begun, last = since, segment
    if begun is not None and last is not None and last.end == FOREVER:
        yield Wait(begun, None, last)


def _holds(rule: Rule, segment: Segment, config: Config) -> bool:
    condition = rule.condition_at(segment.pipeline, segment.stage)
    return bool(condition.holds(condition.values(segment.state, config)))


def _since(rule: Rule, segment: Segment, config: Config, held: Instant | None) -> Instant | None:
    told: list[Any] = [attribute.get(segment.state, config) for attribute in rule.since]
    told += [held] if rule.model.since_held else []
    known = [at for at in told if at is not None]
    return max(known) if known else None


def _rank(told: Sequence[int], percentile: int) -> int:
    """The percentile by nearest rank of a sorted row."""
    return told[max(0, ceil(len(told) * percentile / 100) - 1)]
