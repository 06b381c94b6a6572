"""A step of a level, and the steps that violations make."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from service.domain.instant import FOREVER, Instant
from service.domain.story import Story
from service.domain.violation import Found


class Step(NamedTuple):
    """A change of a level by `delta` at `at`; the rest says for whom and where."""

    metric: str
    kind: str
    subject: str
    at: Instant
    delta: int
    seller: str
    pipeline: str = ""
    stage: str = ""
    source: str = ""
    slot: str = ""  # of a level that is counted apart: the local day of a deadline
    currency: str = ""  # of money

    @property
    def key(self) -> str:
        """Tells the steps of one subject to one level apart."""
        return f"{self.at}{'+' if self.delta > 0 else '-'}{self.slot}"


def one_each(_: Any) -> int:
    """A subject counts one."""
    return 1


def of_violations(
    story: Story,
    metric: str,
    rule: str,
    found: Sequence[Found],
    measure: Callable[[Any], int] = one_each,
) -> Iterator[Step]:
    """The level of a rule's open intervals; none muted.

    It moves with the subject: between sellers, and a deal between stages. `measure`: what a state
    of the subject counts.
    """
    for one in found:
        end = FOREVER if one.resolved_at is None else one.resolved_at
        if one.rule == rule and one.breach_at < end:
            yield from _of_interval(story, metric, one, end, measure)


def _of_interval(
    story: Story, metric: str, one: Found, end: Instant, measure: Callable[[Any], int]
) -> Iterator[Step]:
    states: Sequence[Any] = (
        story.tasks[one.subject_id] if one.subject_kind == "task" else story.deal
    )
    heard = {one.breach_at: True, end: False}
    for left, right in one.muted:
        heard |= {left: False, right: right < end}
    before = [state for state in states if state.at <= one.breach_at]
    first = measure((before or states)[-1 if before else 0])
    places = {one.breach_at: (one.seller, first, one.pipeline, one.stage)}
    places |= {
        s.at: (s.responsible, measure(s), *_where(s, one))
        for s in states
        if one.breach_at < s.at < end
    }
    base = Step(
        metric, one.subject_kind, one.subject_id, one.breach_at, 1, one.seller, one.pipeline,
        one.stage, currency="" if measure is one_each else one.currency,
    )  # fmt: skip
    place, loud, counted = places[one.breach_at], True, None
    for at in sorted({*heard, *places} - {FOREVER}):
        place, loud = places.get(at, place), heard.get(at, loud)
        now = place if loud and place[1] else None
        if counted is not None and now != counted:
            yield _placed(base, at, counted, -1)
        if now is not None and now != counted:
            yield _placed(base, at, now, 1)
        counted = now


def _where(state: Any, one: Found) -> tuple[str, str]:
    """Pipeline and stage: a deal's own, a task's those of the breach."""
    return (
        (one.pipeline, one.stage) if one.subject_kind == "task" else (state.pipeline, state.stage)
    )


def _placed(base: Step, at: Instant, place: tuple[str, int, str, str], sign: int) -> Step:
    seller, value, pipeline, stage = place
    return base._replace(at=at, delta=sign * value, seller=seller, pipeline=pipeline, stage=stage)
