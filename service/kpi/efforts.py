"""What deals add to the figures of activity and order: touches, proposals, hand-overs."""

from collections.abc import Iterator, Sequence

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.story import DealState, Story
from service.kpi.contribution import Contribution, corrects, of_deal, place_at


def of_efforts(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """Of a deal that counts; `states`: those outside the incoming stage."""
    yield from _efforts(story, states, config)
    yield from _proposal(story, states, config)
    for at, giver, taker in story.handovers:
        place = place_at(story, at)
        for metric, seller in (("reassignments", giver), ("reassignments_to", taker)):
            if seller:
                yield Contribution(metric, "deal", story.id, str(at), at, seller, *place, 1)


def of_cohort(story: Story, first: DealState, born: Instant) -> Iterator[Contribution]:
    """Calls of a deal's whole life so far, at its creation."""
    if story.calls:
        yield of_deal(story, "calls_lived", "born", born, first, len(story.calls))


def _efforts(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """What a sale took up to the win, at it; taken back at a reopening, from whoever won."""
    won: DealState | None = None
    for state in states:
        if state.kind is StageKind.WON and won is None:
            won = state
            yield from _spent(story, states, state, won, config)
        elif state.kind is not StageKind.WON and won is not None:
            for row in _spent(story, states, state, won, config):
                yield row._replace(value=-row.value)
            won = None


def _spent(
    story: Story, states: Sequence[DealState], now: DealState, won: DealState, config: Config
) -> Iterator[Contribution]:
    """Attempts and talks, seconds of talk, a proposal."""
    proposed = _proposed(states, config)
    talked = (c.seconds for c in story.calls if c.answered and c.started_at <= won.at)
    for part, value in (
        ("touches_won", won.attempts + won.talks),
        ("talk_seconds_won", sum(talked)),
        ("proposals_won", int(proposed is not None and proposed.at <= won.at)),
    ):
        if value:
            row = of_deal(story, part, str(now.at), now.at, won, value)
            yield corrects(row, won.at, config.timezone)


def _proposed(states: Sequence[DealState], config: Config) -> DealState | None:
    stages = config.standards.proposal_stages
    return next((s for s in states if (s.pipeline, s.stage) in stages), None)


def _proposal(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """The first entry into a stage at which a proposal goes out."""
    first = _proposed(states, config)
    if first is not None:
        yield Contribution(
            "proposals", "deal", story.id, "first", first.at, first.responsible, first.pipeline,
            first.stage, first.source or "", 1,
        )  # fmt: skip
