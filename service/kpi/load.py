"""Who has how much, who is full, and to whom work could move. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.standards import WARNING_SHARE, load_status

FULL_SHARE, ROOM_SHARE = 0.9, 0.5  # rules.md, team-imbalance: who gives, who takes
LIMITED = ("open_deals", "open_tasks", "due_today", "overdue_tasks", "hot_deals")


def against_limits(
    config: Config, seller: str, counts: Mapping[str, int], at: Instant
) -> list[dict[str, Any]]:
    """What a seller has of each limited kind at an instant, against his own limit."""
    found = []
    for name in LIMITED:
        limit = config.standards.limit(name, seller, at)
        count = counts[name]
        found.append({
            "name": name, "count": count, "limit": limit or None,
            "share": round(count / limit, 6) if limit else None,
            "status": load_status(count, limit),
        })  # fmt: skip
    return found


def near_pipeline_limits(
    config: Config, open_deals: Mapping[str, int]
) -> list[tuple[str, int, int, str]]:
    """(pipeline, open deals, limit, status) where a seller is near or over a pipeline's limit."""
    found = []
    for pipeline in config.standards.limited_pipelines:
        limit, count = config.standards.pipeline_limit(pipeline), open_deals.get(pipeline, 0)
        status = load_status(count, limit)
        if status in {"warning", "over"}:
            found.append((pipeline, count, limit, status))
    return found


def absence(config: Config, seller: str, at: Instant) -> tuple[Instant, str | None] | None:
    """Until when a seller is away, and who stands in (a CRM id where the name is known)."""
    away = config.standards.absence_at(seller, at)
    if away is None:
        return None
    deputy = away.deputy
    if deputy is not None:
        known = config.known_of(config.seller_id, [deputy], f"sellers.{seller}.absent.deputy")
        deputy = known[0] if known else None
    return away.end, deputy


@dataclass(frozen=True, slots=True)
class Holding:
    """What one seller has: weighted load, limit, whether he is here."""

    seller: str
    team: str
    load: int
    limit: int
    present: bool

    @property
    def share(self) -> float:
        """Load against the limit."""
        return self.load / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """So many deals could move from a full seller to one with room."""

    giver: str
    taker: str
    deals: int


def proposals(holdings: Sequence[Holding]) -> list[Proposal]:
    """Moves inside teams that take the full below 80 % and fill nobody above it.

    The fullest gives first, the emptiest takes first; those without a limit or absent take nothing.
    """
    found: list[Proposal] = []
    for team in sorted({h.team for h in holdings}):
        members = [h for h in holdings if h.team == team and h.limit]
        givers = sorted(
            (h for h in members if h.share > FULL_SHARE), key=lambda h: (-h.share, h.seller)
        )
        room = {
            h.seller: int(h.limit * WARNING_SHARE) - h.load
            for h in members
            if h.present and h.share < ROOM_SHARE
        }
        for giver in givers:
            excess = giver.load - int(giver.limit * WARNING_SHARE)
            for taker in sorted(room, key=lambda seller: (-room[seller], seller)):
                moved = min(excess, room[taker])
                if moved > 0:
                    found.append(Proposal(giver.seller, taker, moved))
                    room[taker] -= moved
                    excess -= moved
    return found
