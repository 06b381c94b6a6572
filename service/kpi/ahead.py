"""What is still to come of a period from the deals in work (kpis.md 8.4, forecast_pipeline).

Sum over open deals of amount (or 1) x probability of their stage x share of wins from that stage
that came within the working time that remains.
"""

from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Period, local_date
from service.kpi import odds
from service.kpi import query as kpi
from service.kpi.metrics import METRICS
from service.kpi.planfact import By
from service.kpi.question import Question

LEVELS = {"receipts": "pipeline_value", "deal_value_won": "pipeline_value"}
LEVELS |= {"deals_won": "deals_open"}
"""Figures that can be foreseen so, and the level of what is in work."""


@dataclass
class Pipeline:
    """The deals in work of one account at several instants, each read once."""

    connection: Connection
    config: Config
    by: By
    _chances: dict[date, odds.Chances] = field(default_factory=dict)
    _levels: dict[tuple[str, Instant], dict[str | None, dict[str, int]]] = field(
        default_factory=dict
    )

    def to_come(self, slug: str, group: str | None, period: Period, at: Instant) -> Fraction | None:
        """What the deals in work at an instant will add before the end of the period.

        None: no deal had been closed before, so nobody knows how likely they are.
        """
        chances = self._known(period.first)
        if not chances.known:
            return None
        calendar = self.config.calendar(None)
        end = period.end(self.config.timezone)
        left = calendar.working_seconds(at, end) if at < end else 0
        stages = self._at(LEVELS[slug], at).get(group, {})
        return sum(
            (value * chances.of(stage).share * chances.in_time(stage, left)
             for stage, value in stages.items()),
            Fraction(0),
        )  # fmt: skip

    def _known(self, first: date) -> odds.Chances:
        month = Period.around(first, "month").first
        if month not in self._chances:
            counted = odds.chances(self.connection, self.config, month)
            self._chances[month] = odds.waits(self.connection, self.config, counted, month)
        return self._chances[month]

    def _at(self, level: str, at: Instant) -> dict[str | None, dict[str, int]]:
        """Group -> stage -> level."""
        if (level, at) not in self._levels:
            self._levels[level, at] = self._read(level, at)
        return self._levels[level, at]

    def _read(self, level: str, at: Instant) -> dict[str | None, dict[str, int]]:
        on = local_date(at, self.config.timezone)
        own = () if self.by == "account" else (self.by,)
        question = Question((METRICS[level],), (*own, "stage"), on, on, None, (), at)
        configs = {self.config.account_id: self.config}
        found: dict[str | None, dict[str, int]] = {}
        for row in kpi.answer(self.connection, configs, question).rows:
            if row["stage"] is None or row["currency"] not in (None, self.config.currency):
                continue
            group = row[self.by] if own else None
            stages = found.setdefault(group, {})
            stages[row["stage"]] = stages.get(row["stage"], 0) + row["values"][level]
        return found
