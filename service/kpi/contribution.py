"""One addend of a figure, and how it is made from a deal's picture."""

from collections.abc import Sequence
from typing import NamedTuple

from service.domain.instant import Instant
from service.domain.story import DealState, Story


class Contribution(NamedTuple):
    """One addend of a figure."""

    metric: str
    subject_kind: str
    subject_id: str
    key: str
    at: Instant
    seller: str
    pipeline: str
    stage: str
    source: str
    value: int
    currency: str = ""
    slot: str = ""  # of a level that is counted apart (steps.BY_SLOT)
    reason: str = ""  # of a loss or a refusal
    age: int = 0  # of a cohort's part: seconds until it came to that


def of_deal(
    story: Story, metric: str, key: str, at: Instant, state: DealState, value: int, age: int = 0
) -> Contribution:
    """A deal's contribution at `at`, for whom and where its picture says."""
    return Contribution(
        metric, "deal", story.id, key, at, state.responsible, state.pipeline, state.stage,
        state.source or "", value, age=age,
    )  # fmt: skip


def of_money(
    story: Story, metric: str, key: str, at: Instant, state: DealState, value: int, currency: str
) -> Contribution:
    """The same of what is counted in minor units of a currency ("": of something else)."""
    return Contribution(
        metric, "deal", story.id, key, at, state.responsible, state.pipeline, state.stage,
        state.source or "", value, currency,
    )  # fmt: skip


def state_at(states: Sequence[DealState], at: Instant) -> DealState | None:
    """The picture that holds at an instant; None = before the first."""
    found = None
    for state in states:
        if state.at > at:
            break
        found = state
    return found


def place_at(story: Story, at: Instant) -> tuple[str, str, str]:
    """(pipeline, stage, source) of the deal at an instant; before its beginning: at it."""
    deal = state_at(story.deal, at) or (story.deal[0] if story.deal else None)
    return (deal.pipeline, deal.stage, deal.source or "") if deal else ("", "", "")
