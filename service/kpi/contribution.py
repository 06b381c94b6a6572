"""One addend of a figure, and how it is made from a deal's picture."""

from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.domain.instant import Instant
from service.domain.period import local_day
from service.domain.story import DealState, Story

ORIGIN = "<"  # before the local day of what a contribution corrects, at the end of its key


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
    age: int = 0  # of a cohort's part: seconds until it came to that; of a level: `monthtime.into`


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


def corrects(row: Contribution, origin: Instant, zone: ZoneInfo) -> Contribution:
    """A correction: it counts for the team of what it corrects (kpis.md 1.9), which began then.

    The local day of that stands at the end of its key, if it is another one.
    """
    day = local_day(origin, zone)
    if day == local_day(row.at, zone):
        return row
    return row._replace(key=f"{row.key}{ORIGIN}{day}")


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
