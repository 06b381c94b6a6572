"""A timeline cut into segments in which nothing that rules look at changes."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.siblings import beside
from service.domain.story import Call, DealState, LeadState, Story, TaskState, deal_is_judged
from service.rules.attributes import CallState


class Segment(NamedTuple):
    """A stretch `[start, end)` in which a subject does not change."""

    start: Instant
    end: Instant
    state: Any
    judged: bool
    seller: str
    pipeline: str = ""
    stage: str = ""
    amount: int = 0
    currency: str = ""


class Subject(NamedTuple):
    """What is judged, cut into segments."""

    kind: str
    id: str
    deal: str
    name: str
    segments: Sequence[Segment]
    places: Sequence[DealState] = ()  # of a task or a call: the pictures of its deal

    def placed(self, segment: Segment, at: Instant) -> Segment:
        """A segment with the place of an instant: tasks and calls are not cut where deals move."""
        after = bisect_right(self.places, at, key=lambda state: state.at)
        if not after:
            return segment
        deal = self.places[after - 1]
        return segment._replace(
            pipeline=deal.pipeline, stage=deal.stage, amount=deal.amount, currency=deal.currency
        )


def subjects(story: Story, config: Config) -> Iterator[Subject]:
    """The deal, its tasks and its calls (or those of a timeline without a deal), an inquiry."""
    deal_id = story.id if story.kind == "deal" else story.deal_of
    places = _places(story.deal, config)
    if story.deal:
        yield Subject(
            "deal", story.id, story.id, story.deal[-1].name, _deal_segments(story, config)
        )
    for task_id, states in story.tasks.items():
        segments = list(_task_segments(states, places, config))
        yield Subject("task", task_id, deal_id, states[-1].text, segments, story.deal)
    for call in story.calls:
        segments = [
            _segment(left, right, state, place, call.author)
            for state, end in _with_ends(_call_states(call))
            for left, right, place in _pieces(state.at, end, places)
        ]
        yield Subject("call", call.id, deal_id, "", segments, story.deal)
    if story.lead:
        yield Subject("lead", story.id, "", "", list(_lead_segments(story.lead, config)))


def _deal_segments(story: Story, config: Config) -> list[Segment]:
    pieces = _cut_at_edges(story.deal, config)
    if story.older:
        pieces = beside(pieces, story.older)
    return [
        Segment(
            s.at, end, s, deal_is_judged(s, config), s.responsible,
            s.pipeline, s.stage, s.amount, s.currency,
        )
        for s, end in pieces
    ]  # fmt: skip


def _with_ends(states: Sequence[Any]) -> Iterator[tuple[Any, Instant]]:
    for index, state in enumerate(states):
        yield state, states[index + 1].at if index + 1 < len(states) else FOREVER


def _cut_at_edges(states: Sequence[Any], config: Config) -> Iterator[tuple[Any, Instant]]:
    """States with their ends, cut also where the responsible goes away, comes back or leaves."""
    for state, end in _with_ends(states):
        edges = config.standards.edges(state.responsible)
        inner = [at for at in edges if state.at < at < end] if edges else []
        if not inner:
            yield state, end
            continue
        for left, right in pairwise([state.at, *inner, end]):
            yield (state if left == state.at else state.later(left)), right


class _Place(NamedTuple):
    """A stretch of the deal's life as its tasks and calls see it."""

    start: Instant
    end: Instant
    deal: DealState
    judged: bool


def _places(deal: Sequence[DealState], config: Config) -> list[_Place]:
    """Stretches between changes of what guards tasks and calls: judged or not, open or closed."""
    found: list[_Place] = []
    before: tuple[bool, Instant | None] | None = None
    for state, end in _with_ends(deal):
        now = (deal_is_judged(state, config), state.closed_at)
        if found and now == before:
            last = found[-1]
            found[-1] = _Place(last.start, end, last.deal, last.judged)
        else:
            found.append(_Place(state.at, end, state, now[0]))
        before = now
    return found


def _pieces(
    start: Instant, end: Instant, places: Sequence[_Place]
) -> Iterator[tuple[Instant, Instant, _Place | None]]:
    """`[start, end)` cut at the deal's stretches; what lies before the deal sees its beginning."""
    if not places:
        if start < end:
            yield start, end, None
        return
    for index, place in enumerate(places):
        left = start if index == 0 else max(start, place.start)
        right = min(end, place.end)
        if left < right:
            yield left, right, place


def _segment(
    left: Instant, right: Instant, state: Any, place: _Place | None, seller: str
) -> Segment:
    if place is None:
        return Segment(left, right, state, True, seller)
    deal = place.deal
    return Segment(
        left, right, state, place.judged, seller,
        deal.pipeline, deal.stage, deal.amount, deal.currency,
    )  # fmt: skip


def _task_segments(
    states: Sequence[TaskState], places: Sequence[_Place], config: Config
) -> Iterator[Segment]:
    for state, end in _cut_at_edges(states, config):
        for left, right, place in _pieces(state.at, end, places):
            seen = state if left == state.at else state.later(left)
            if place is not None and seen.deal is not place.deal:
                seen = seen.later(left)
                seen.deal = place.deal
            found = _segment(left, right, seen, place, state.responsible)
            yield found if not state.deleted else found._replace(judged=False)


def _call_states(call: Call) -> list[CallState]:
    """A call at its end, and again when somebody wrote something of it or answered it."""
    at = call.ended_at
    turns = (call.trace_at, call.meaningful_at, call.returned_at)
    instants = [at, *sorted({turn for turn in turns if turn and turn > at})]
    return [
        CallState(
            when,
            call,
            call.trace_at if call.trace_at is not None and call.trace_at <= when else None,
            call.meaningful_at is not None and call.meaningful_at <= when,
            call.returned_at if call.returned_at is not None and call.returned_at <= when else None,
        )
        for when in instants
    ]


def _lead_segments(states: Sequence[LeadState], config: Config) -> Iterator[Segment]:
    for state, end in _with_ends(states):
        if state.at < end:
            judged = not state.deleted and state.pipeline not in config.excluded
            yield Segment(state.at, end, state, judged, state.responsible, state.pipeline)
