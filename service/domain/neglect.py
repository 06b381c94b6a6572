"""What neglect of a deal adds to the levels of its sellers."""

from collections.abc import Iterable, Iterator, Sequence

from service.domain import hygiene
from service.domain.amounts import Classes
from service.domain.instant import FOREVER
from service.domain.step import Step
from service.domain.story import Story
from service.domain.violation import Found


def steps(story: Story, found: Sequence[Found], classes: Classes | None) -> Iterator[Step]:
    """What neglect of an open deal costs, and where somebody had muted it."""
    yield from _costs(story, "hygiene_cost", hygiene.costs(story, found))
    if classes is not None:
        weighed = hygiene.costs(story, found, weigher(classes))
        yield from _costs(story, "hygiene_cost_by_amount", weighed)
    for muted in hygiene.mutings(story, found):
        step = Step("hygiene_muted", "deal", story.id, muted.start, 1, muted.seller,
                    muted.pipeline)  # fmt: skip
        yield step
        if muted.end < FOREVER:
            yield step._replace(at=muted.end, delta=-1)


def _costs(story: Story, metric: str, pieces: Iterable[hygiene.Cost]) -> Iterator[Step]:
    for piece in pieces:
        step = Step(metric, "deal", story.id, piece.start, piece.cost, piece.seller,
                    piece.pipeline, source=piece.rule)  # fmt: skip
        yield step
        if piece.end < FOREVER:
            yield step._replace(at=piece.end, delta=-piece.cost)


def weigher(classes: Classes) -> hygiene.Weigh:
    """How often a deal counts by its amount."""
    return lambda state: classes.weight(state.amount, state.currency)
