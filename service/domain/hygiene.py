"""What neglect of a deal costs at each instant, and the hygiene index made of it (kpis.md 6).

Over each open deal and each working instant: weight 1, cost = the gravest open, unmuted debt
violation of the deal, its tasks and calls: info 0.1, warning 0.4, critical 1.0. The index of a
period is `100 x (1 - cost / weight)`, both integrated over the seller's working time. Costs are
kept in tenths, so all of it is whole numbers until the last division.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.story import Story
from service.domain.violation import Found

COSTS = {"info": 1, "warning": 4, "critical": 10}
WHOLE = 10  # the cost of a deal that is wholly neglected


class Cost(NamedTuple):
    """A stretch in which a deal costs its seller `cost` tenths."""

    start: Instant
    end: Instant
    cost: int
    seller: str
    pipeline: str


def costs(story: Story, found: Sequence[Found]) -> Iterator[Cost]:
    """The stretches of an open deal in which something is neglected; neighbours differ."""
    debts = [piece for one in found if not one.notice for piece in _unmuted(one)]
    if not debts:
        return
    last: Cost | None = None
    for start, end, seller, pipeline in _open_stretches(story):
        edges = {start, end}
        edges.update(at for left, right, _ in debts for at in (left, right) if start < at < end)
        cuts = sorted(edges)
        for left, right in pairwise(cuts):
            cost = max((c for a, b, c in debts if a <= left and right <= b), default=0)
            now = Cost(left, right, cost, seller, pipeline)
            if last is not None and last.end == left and last[2:] == now[2:]:
                last = last._replace(end=right)
                continue
            if last is not None and last.cost:
                yield last
            last = now
    if last is not None and last.cost:
        yield last


def _unmuted(found: Found) -> Iterator[tuple[Instant, Instant, int]]:
    """The pieces of a violation in which nobody had muted it."""
    start = found.breach_at
    end = FOREVER if found.resolved_at is None else found.resolved_at
    cost = COSTS[found.severity]
    for left, right in found.muted:
        if start < left:
            yield start, left, cost
        start = max(start, right)
    if start < end:
        yield start, end, cost


def _open_stretches(story: Story) -> Iterator[tuple[Instant, Instant, str, str]]:
    """(from, to, seller, pipeline) while the deal is open, from its birth on."""
    born = story.deal[-1].born_at
    if born is None:
        return
    for index, state in enumerate(story.deal):
        end = story.deal[index + 1].at if index + 1 < len(story.deal) else FOREVER
        start = max(state.at, born)
        if state.kind is StageKind.OPEN and start < end:
            yield start, end, state.responsible, state.pipeline


def index(cost: int, weight: int) -> float | None:
    """The hygiene index 0-100 of integrated tenths of cost and of weight; None: nothing open."""
    return None if weight <= 0 else round(100 * (1 - cost / (WHOLE * weight)), 6)
