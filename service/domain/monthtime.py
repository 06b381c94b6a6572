"""How far a month's work has come: what makes integrals of levels sums over days and months.

A level's integral over working time is what stood before times all of it, plus each later step
times what comes after it. If it is known of each step how much of its own month was worked by then,
that of many steps adds up.
"""

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import day_start, local_day
from service.domain.steps import INTEGRATED, LASTING


def into(config: Config, level: str, seller: str, at: Instant) -> int:
    """Seconds of the local month of a level's step that its seller had worked by then.

    0 where the level is never integrated; what lasts as long as it lasts counts all seconds.
    """
    if level in INTEGRATED:
        return config.calendar(seller or None).monthtime(at)[1]
    if level in LASTING:
        return at - day_start(local_day(at, config.timezone) // 100 * 100 + 1, config.timezone)
    return 0
