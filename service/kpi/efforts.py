"""What deals add to the figures of activity and order: touches, proposals, hand-overs."""

from collections.abc import Iterator, Sequence

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.story import DealState, Story
from service.kpi.contribution import Contribution, place_at


def of_efforts(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """Of a deal that counts; `states`: those outside the incoming stage."""
    yield from _touches(story, states)
    yield from _proposal(story, states, config)
    for at, giver, taker in story.handovers:
        place = place_at(story, at)
        for metric, seller in (("reassignments", giver), ("reassignments_to", taker)):
            if seller:
                yield Contribution(metric, "deal", story.id, str(at), at, seller, *place, 1)


def _touches(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """Attempts and talks up to the win, at it; taken back at a reopening, from whoever won."""
    won: DealState | None = None
    for state in states:
        if state.kind is StageKind.WON and won is None:
            won = state
            yield _touched(story, state, won, 1)
        elif state.kind is not StageKind.WON and won is not None:
            yield _touched(story, state, won, -1)
            won = None


def _touched(story: Story, now: DealState, won: DealState, sign: int) -> Contribution:
    return Contribution(
        "touches_won", "deal", story.id, str(now.at), now.at, won.responsible, won.pipeline,
        won.stage, won.source or "", sign * (won.attempts + won.talks),
    )  # fmt: skip


def _proposal(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """The first entry into a stage at which a proposal goes out."""
    stages = config.standards.proposal_stages
    first = next((s for s in states if (s.pipeline, s.stage) in stages), None)
    if first is not None:
        yield Contribution(
            "proposals", "deal", story.id, "first", first.at, first.responsible, first.pipeline,
            first.stage, first.source or "", 1,
        )  # fmt: skip
