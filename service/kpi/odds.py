"""How likely an open deal is to be won, by its stage (kpis.md 3, pipeline_weighted; 8.4).

Of the deals that first entered the stage in the 180 days before a month: won / closed (spam out),
as it was known at the month's first instant. Under 20 closed ones, the mean of the pipeline.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

from sqlalchemy import Connection, Table, and_, func, select

from service.domain.config import Config
from service.domain.period import day_start, to_day
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
TRAILING_DAYS = 180
ENOUGH = 20
Place = tuple[str, str]  # pipeline, stage


class Chance(NamedTuple):
    """A probability; `is_mean`: the pipeline's, as the stage has too few closed deals."""

    share: Fraction
    is_mean: bool


@dataclass(frozen=True)
class Chances:
    """Won and closed by stage, of one account and month."""

    account_id: str
    counted: dict[Place, tuple[int, int]] = field(default_factory=dict)
    waits: dict[Place, list[int]] = field(default_factory=dict)  # entry to win, working seconds

    @property
    def known(self) -> bool:
        """Whether anything was closed of which they could be told."""
        return any(closed for _, closed in self.counted.values())

    def of(self, stage: str) -> Chance:
        """By the full id of a stage: `account.pipeline.stage`."""
        pipeline, _, own = stage.removeprefix(f"{self.account_id}.").partition(".")
        won, closed = self.counted.get((pipeline, own), (0, 0))
        if closed >= ENOUGH:
            return Chance(Fraction(won, closed), is_mean=False)
        pairs = [pair for place, pair in self.counted.items() if place[0] == pipeline]
        won, closed = sum(w for w, _ in pairs), sum(c for _, c in pairs)
        return Chance(Fraction(won, closed) if closed else Fraction(0), is_mean=True)

    def in_time(self, stage: str, seconds: int) -> Fraction:
        """Share of wins from a stage that came within so many working seconds of its entry.

        Under 20 wins, of all stages of the pipeline; 0 where there was none.
        """
        pipeline, _, own = stage.removeprefix(f"{self.account_id}.").partition(".")
        found = self.waits.get((pipeline, own), [])
        if len(found) < ENOUGH:
            found = [w for place, ws in self.waits.items() if place[0] == pipeline for w in ws]
        return Fraction(sum(1 for w in found if w <= seconds), len(found)) if found else Fraction(0)


def waits(connection: Connection, config: Config, known: Chances, first: date) -> Chances:
    """The same with the time from the entry into each stage to the win."""
    until = day_start(to_day(first), config.timezone)
    since = first - timedelta(days=TRAILING_DAYS)
    entry, end = _C.alias("entry"), _C.alias("ending")
    together = and_(end.c.account_id == entry.c.account_id, end.c.timeline == entry.c.timeline)
    won_at = func.max(end.c.at + end.c.age)
    query = (
        select(entry.c.pipeline, entry.c.stage, entry.c.at, won_at)
        .select_from(entry.join(end, together))
        .where(entry.c.account_id == config.account_id)
        .where(entry.c.metric.in_(("stage_entered", "stage_skipped")))
        .where(entry.c.day >= to_day(since), entry.c.day < to_day(first))
        .where(end.c.metric == "cohort_won", end.c.at + end.c.age < until)
        .group_by(entry.c.pipeline, entry.c.stage, entry.c.timeline, entry.c.at)
        .having(func.sum(end.c.value) > 0)
    )
    calendar = config.calendar(None)
    found: dict[Place, list[int]] = {}
    for pipeline, stage, at, won in connection.execute(query):
        seconds = calendar.working_seconds(int(at), int(won))
        found.setdefault((pipeline, stage), []).append(seconds)
    return Chances(known.account_id, known.counted, found)


def chances(connection: Connection, config: Config, first: date) -> Chances:
    """As they stood at the beginning of a month. Index: ix_contribution_day, then by timeline."""
    until = day_start(to_day(first), config.timezone)
    since = first - timedelta(days=TRAILING_DAYS)
    entry, end = _C.alias("entry"), _C.alias("ending")
    query = (
        select(entry.c.pipeline, entry.c.stage, end.c.metric, func.sum(end.c.value))
        .select_from(
            entry.join(
                end,
                and_(end.c.account_id == entry.c.account_id, end.c.timeline == entry.c.timeline),
            )
        )
        .where(entry.c.account_id == config.account_id)
        .where(entry.c.metric.in_(("stage_entered", "stage_skipped")))
        .where(entry.c.day >= to_day(since), entry.c.day < to_day(first))
        .where(end.c.metric.in_(("cohort_won", "cohort_lost")))
        .where(end.c.at + end.c.age < until)
        .group_by(entry.c.pipeline, entry.c.stage, end.c.metric)
    )
    counted: dict[Place, tuple[int, int]] = {}
    for pipeline, stage, metric, value in connection.execute(query):
        won, closed = counted.get((pipeline, stage), (0, 0))
        count = int(value)
        gained = count if metric == "cohort_won" else 0
        counted[pipeline, stage] = (won + gained, closed + count)
    return Chances(config.account_id, counted)
