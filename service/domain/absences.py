"""Absences entered over the API: facts with who and when, part of every `Config` of an account.

Like the directory, and unlike a version of the settings document, they hold for all time that is
judged: an absence entered after the fact acts from its own first day, not from when it was entered.
What that opens in the past is told to nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from service.domain.account import Absence, SellerSettings
from service.domain.instant import Instant
from service.domain.period import day_start, to_day


@dataclass(frozen=True, slots=True)
class Leave:
    """A seller (by CRM id) is away on the days `first` to `last`, unless it was taken back."""

    seller: str
    first: date
    last: date
    deputy: str | None
    changed_at: Instant  # when it was entered, or taken back
    removed: bool = False

    def start(self, zone: ZoneInfo) -> Instant:
        """The first instant."""
        return day_start(to_day(self.first), zone)

    def end(self, zone: ZoneInfo) -> Instant:
        """The first instant after it."""
        return day_start(to_day(self.last + timedelta(days=1)), zone)

    @property
    def digested(self) -> tuple[str, str, str, str]:
        """What verdicts, and what they say, may depend on."""
        return self.seller, self.first.isoformat(), self.last.isoformat(), self.deputy or ""

    def as_setting(self) -> Absence:
        """The same as the settings document would have it."""
        told = {"from": self.first.isoformat(), "to": self.last.isoformat(), "deputy": self.deputy}
        return Absence.model_validate(told)


def with_leaves(
    named: Mapping[str, SellerSettings], leaves: Iterable[Leave]
) -> dict[str, SellerSettings]:
    """Sellers' settings with the absences that hold, beside those of the document."""
    found = dict(named)
    for leave in leaves:
        if not leave.removed:
            own = found.get(leave.seller, SellerSettings())
            absent = [*own.absent, leave.as_setting()]
            found[leave.seller] = own.model_copy(update={"absent": absent})
    return found
