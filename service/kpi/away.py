"""Who was absent throughout a period: his 0 says nothing of him (kpis.md 1.5)."""

from datetime import date, timedelta

from service.domain.config import Config
from service.domain.named import read_date


def is_away(config: Config, seller: str, first: date, last: date) -> bool:
    """Whether an absence of a seller lies over each working day of a span."""
    own = config.sellers.get(seller)
    if own is None or not own.absent:
        return False
    spans = [(read_date(a.from_, "from"), read_date(a.to, "to")) for a in own.absent]
    calendar = config.calendar(None)
    days = (first + timedelta(n) for n in range((last - first).days + 1))
    working = [day for day in days if calendar.day_seconds(day)]
    return bool(working) and all(any(a <= day <= b for a, b in spans) for day in working)
