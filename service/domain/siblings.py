"""Deals of one client side by side: when each is open, and which older ones are open beside it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.story import DealState, Story, deal_is_judged

BUSY_CONTACT = 50  # a person of more deals than this is a switchboard: nothing is lent


class Stretch(NamedTuple):
    """A deal is open in `[start, end)` in one pipeline, with one seller."""

    start: Instant
    end: Instant
    pipeline: str
    seller: str


class Sibling(NamedTuple):
    """Another deal of the same client, as far as it matters to this one."""

    born_at: Instant
    id: str
    stretches: Sequence[Stretch]
    wins: Sequence[tuple[Instant, Instant]] | None = ()  # when it was won; None = it counts nowhere

    @property
    def age(self) -> tuple[Instant, tuple[int, str]]:
        """Older deals come first."""
        return self.born_at, by_number(self.id)


def by_number(subject: str) -> tuple[int, str]:
    """The order in which a CRM gave its ids."""
    return (int(subject), subject) if subject.isdigit() else (0, subject)


def sibling_of(story: Story, config: Config) -> Sibling | None:
    """A folded deal as others see it; None = it is not known when it was born."""
    born = story.deal[-1].born_at if story.deal else None
    if born is not None and story.as_sibling is None:
        seen = presence(story, config), wins(story, config)
        story.as_sibling = Sibling(born, story.id, *seen)
    return story.as_sibling


def presence(story: Story, config: Config) -> list[Stretch]:
    """When a deal was open (and judged), from its birth on. Depends on its own facts alone."""
    born = story.deal[-1].born_at if story.deal else None
    found: list[Stretch] = []
    if born is None:
        return found
    ends = [*(state.at for state in story.deal[1:]), FOREVER]
    for state, end in zip(story.deal, ends, strict=True):
        start = max(state.at, born)
        if state.kind is not StageKind.OPEN or start >= end or not deal_is_judged(state, config):
            continue
        now = Stretch(start, end, state.pipeline, state.responsible)
        if found and found[-1].end == start and found[-1][2:] == now[2:]:
            now = now._replace(start=found.pop().start)
        found.append(now)
    return found


def wins(story: Story, config: Config) -> list[tuple[Instant, Instant]] | None:
    """When a deal was won; None of one that counts nowhere. Depends on its own facts alone."""
    found: list[tuple[Instant, Instant]] = []
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return None
    ends = [*(state.at for state in story.deal[1:]), FOREVER]
    for state, end in zip(story.deal, ends, strict=True):
        if state.kind is not StageKind.WON or not deal_is_judged(state, config):
            continue
        start = found.pop()[0] if found and found[-1][1] == state.at else state.at
        found.append((start, end))
    return found


def older_than(story: Story, siblings: Iterable[Sibling]) -> list[Sibling]:
    """Those that were there before this deal and were ever open or won, the oldest first."""
    born = story.deal[-1].born_at if story.deal else None
    if born is None:
        return []
    mine = (born, by_number(story.id))
    return sorted(
        (s for s in siblings if (s.stretches or s.wins) and s.age < mine), key=lambda s: s.age
    )


def beside(
    pieces: Iterable[tuple[DealState, Instant]], older: Sequence[Sibling]
) -> Iterator[tuple[DealState, Instant]]:
    """A deal's pieces, cut where something changes among the older deals of its client."""
    stretches = [(sibling.id, stretch) for sibling in older for stretch in sibling.stretches]
    edges = sorted({at for _, s in stretches for at in (s.start, s.end)})
    for state, end in pieces:
        inner = [at for at in edges if state.at < at < end]
        for left, right in pairwise([state.at, *inner, end]):
            seen = state.later(left)
            _count(seen, stretches)
            yield seen, right


def _count(state: DealState, stretches: Sequence[tuple[str, Stretch]]) -> None:
    """What is open beside the deal in its pipeline."""
    found = [
        (deal, s.seller)
        for deal, s in stretches
        if s.start <= state.at < s.end and s.pipeline == state.pipeline
    ]
    state.same_client_open_deals = len(found)
    state.same_client_other_seller = bool(state.responsible) and any(
        seller and seller != state.responsible for _, seller in found
    )
    state.same_client_first = found[0][0] if found else ""


def as_told(stored: Iterable[Sequence[Any]] | None) -> list[Stretch]:
    """Stretches as they are read from the database."""
    return [Stretch(*stretch) for stretch in stored or ()]


def wins_told(stored: Iterable[Sequence[Any]] | None) -> list[tuple[Instant, Instant]] | None:
    """Wins as they are read from the database."""
    return None if stored is None else [(int(start), int(end)) for start, end in stored]
