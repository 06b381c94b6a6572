"""Steps of levels: +1 and -1 with who and when, from a folded timeline."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.story import DealState, Story, deal_is_judged


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a level by `delta` at `at`; `state` says for whom and where."""

    at: Instant
    delta: int
    state: DealState


def open_steps(story: Story, config: Config) -> Iterator[Step]:
    """The deal as a part of its sellers' open deals (decisions.md 15)."""
    if not story.deal or not deal_is_judged(story.deal[-1], config):
        return
    born = story.deal[-1].born_at
    place: DealState | None = None
    for state in story.deal:
        at = state.at if born is None else max(state.at, born)
        is_open = state.kind is StageKind.OPEN and born is not None
        if place is not None and is_open and _place(place) == _place(state):
            continue
        if place is not None:
            yield Step(at, -1, place)
            place = None
        if is_open:
            yield Step(at, 1, state)
            place = state


def _place(state: DealState) -> tuple[str, str]:
    return state.responsible, state.pipeline
