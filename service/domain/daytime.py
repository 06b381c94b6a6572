"""How far a working day has come: what makes integrals of levels sums over days.

A level's integral over working time is what stood before times all of it, plus each later step
times what comes after it. If it is known of each step how much of its own day was worked by then,
that of many steps adds up, day by day.
"""

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import day_start, local_day
from service.domain.steps import INTEGRATED, LASTING


def into(config: Config, seller: str, at: Instant) -> int:
    """Seconds of an instant's local day that a seller had worked by then."""
    begun = day_start(local_day(at, config.timezone), config.timezone)
    return config.calendar(seller or None).working_seconds(begun, at)


def into_of(config: Config, level: str, seller: str, at: Instant) -> int:
    """The same for a step of a level; 0 where it is never integrated."""
    if level in LASTING:
        return at - day_start(local_day(at, config.timezone), config.timezone)
    return into(config, seller, at) if level in INTEGRATED else 0
