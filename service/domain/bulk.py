"""Bulk changes: very many deals changed by one author within minutes (rules.md 1.3, 6). Pure.

An edit is bulk if some window of `Limit.seconds` that contains it holds edits of more than
`Limit.deals` different deals by its author. Overlapping windows join into a stretch. Robots,
integrations and forms (author "0") are one author; of an unknown author nothing is said. What is
bulk follows from the edits alone, in whatever order they come.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from service.domain.facts import Fact, Kind
from service.domain.instant import Instant


class Limit(NamedTuple):
    """More than `deals` deals within less than `seconds` is bulk."""

    deals: int
    seconds: int


class Edit(NamedTuple):
    """Somebody changed (or made) a deal."""

    author: str
    at: Instant
    deal: str


class Stretch(NamedTuple):
    """From the first to the last edit of a bulk change, both inclusive; how many deals."""

    author: str
    since: Instant
    until: Instant
    deals: int


def edits_of(fact: Fact) -> Iterator[Edit]:
    """The edits that a fact tells of: its own, and the making of the deal."""
    if fact.kind is not Kind.DEAL:
        return
    body = fact.body
    author, maker, made_at = body.get("author"), body.get("created_by"), body.get("created_at")
    if author:
        yield Edit(author, fact.at, fact.id)
    if maker and made_at is not None:
        yield Edit(maker, made_at, fact.id)


def stretches(author: str, edits: Sequence[tuple[Instant, str]], limit: Limit) -> list[Stretch]:
    """All bulk stretches among one author's (instant, deal), which are in order."""
    spans: list[list[Instant]] = []
    inside: dict[str, int] = {}
    first = 0
    for at, deal in edits:
        inside[deal] = inside.get(deal, 0) + 1
        while at - edits[first][0] >= limit.seconds:
            gone = edits[first][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        if len(inside) <= limit.deals:
            continue
        begun = edits[first][0]
        if spans and begun <= spans[-1][1]:
            spans[-1][1] = at
        else:
            spans.append([begun, at])
    return [
        Stretch(author, since, until, len({deal for at, deal in edits if since <= at <= until}))
        for since, until in spans
    ]


def started_at(violation: Mapping[str, Any]) -> Instant:
    """The instant of the change that began a violation (of its row)."""
    return max(int(violation["since"]), int(violation["held_since"]))


def ready_at(violation: Mapping[str, Any], stretch: Stretch, limit: Limit) -> Instant:
    """When a violation is told, so that those of the same change and norm come due together.

    A bulk change that goes on for longer than a window is told window by window.
    """
    start = started_at(violation)
    number = (start - stretch.since) // limit.seconds
    end = min(stretch.until, stretch.since + (number + 1) * limit.seconds - 1)
    return int(violation["breach_at"]) + max(0, end - start)
