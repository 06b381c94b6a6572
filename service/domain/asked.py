"""Inquiries of one client side by side: which are older, and which of these still wait."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from service.domain.config import Config
from service.domain.facts import Fact
from service.domain.instant import FOREVER, Instant
from service.domain.siblings import by_number
from service.domain.story import LeadState
from service.domain.subjects import fold_lead

HOUR = 3600  # an inquiry is not judged while one of the hour before it waits


class Asked(NamedTuple):
    """Another inquiry of the same client, as far as it matters to this one."""

    at: Instant
    id: str
    pipeline: str
    deal: str  # what it became, "" = nothing yet
    waits: Sequence[tuple[Instant, Instant]]  # when nobody had taken it
    counts: bool  # not deleted, of a pipeline that counts

    @property
    def age(self) -> tuple[Instant, tuple[int, str]]:
        """Older inquiries come first."""
        return self.at, by_number(self.id)


def asked_of(lead: str, versions: Sequence[Fact], config: Config) -> Asked | None:
    """An inquiry as others see it; None = it is not known when it came."""
    states = fold_lead(sorted(versions, key=lambda f: (f.at, f.rank, f.seen_at)))
    last = states[-1]
    if last.created_at is None:
        return None
    ends = [*(state.at for state in states[1:]), FOREVER]
    waits = [
        (state.at, end)
        for state, end in zip(states, ends, strict=True)
        if state.state == "new" and not state.deleted
    ]
    counts = not last.deleted and last.pipeline not in config.excluded
    deal = (last.deal or "") if last.state == "accepted" else ""
    return Asked(last.created_at, lead, last.pipeline, deal, waits, counts)


def is_told_again(
    at: Instant, pipeline: str, deal: str, older: Iterable[Asked], hours: int
) -> bool:
    """Whether the client had asked so shortly before, in the same pipeline. `deal`: its own."""
    return any(
        one.counts
        and one.pipeline == pipeline
        and at - one.at < hours * 3600
        and (not one.deal or one.deal != deal)
        for one in older
    )


def beside_older(states: Sequence[LeadState], older: Iterable[Asked]) -> list[LeadState]:
    """The pictures of an inquiry, cut where an older one of the client begins or ends to wait."""
    created = states[-1].created_at or 0
    spans = [span for one in older if one.counts and created - one.at < HOUR for span in one.waits]
    if not spans:
        return list(states)
    edges = sorted({at for span in spans for at in span})
    found = []
    for state, end in zip(states, [*(s.at for s in states[1:]), FOREVER], strict=True):
        inner = [at for at in edges if state.at < at < end]
        for left, _ in pairwise([state.at, *inner, end]):
            seen = state.later(left)
            seen.same_client_waits = any(start <= left < stop for start, stop in spans)
            found.append(seen)
    return found
