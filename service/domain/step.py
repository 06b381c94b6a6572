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

    It moves between sellers with the subject. `measure`: what a state of the subject counts.
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
    places = {one.breach_at: (one.seller, measure((before or states)[-1 if before else 0]))}
    places |= {s.at: (s.responsible, measure(s)) for s in states if one.breach_at < s.at < end}
    base = Step(
        metric, one.subject_kind, one.subject_id, one.breach_at, 1, one.seller, one.pipeline,
        one.stage, currency="" if measure is one_each else one.currency,
    )  # fmt: skip
    place, loud, counted = places[one.breach_at], True, None
    for at in sorted({*heard, *places} - {FOREVER}):
        place, loud = places.get(at, place), heard.get(at, loud)
        now = place if loud and place[1] else None
        if counted is not None and now != counted:
            yield base._replace(at=at, delta=-counted[1], seller=counted[0])
        if now is not None and now != counted:
            yield base._replace(at=at, delta=now[1], seller=now[0])
        counted = now
