"""The end of a month foreseen, and how sure that is (kpis.md 8.4).

Two ways: the run rate, and what is done plus what the deals in work will bring. Asked for together
they are weighted by the inverse of their squared errors at the same share of working time in the
last 6 closed months (equally before there are so many). The interval is 80 %: the 10th and 90th
percentile (nearest rank) of final / forecast at that share in the last 12 closed months; with fewer
than 6 such months there is none. Its coverage is the share of months that lay in the interval that
the months before them gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, Period, local_date
from service.domain.span import Span
from service.kpi import query as kpi
from service.kpi.ahead import Pipeline
from service.kpi.metrics import Metric
from service.kpi.planfact import By
from service.kpi.question import Question

METHOD = "run_rate"
COMBINED = "combined"
MOST_MONTHS, LEAST_MONTHS = 12, 6
LOW, HIGH = Fraction(1, 10), Fraction(9, 10)

Figures = dict[str | None, dict[str, Any]]
Interval = tuple[Fraction, Fraction]
Ways = tuple[Fraction, Fraction]  # by the run rate, by the deals in work


class PastMonth(NamedTuple):
    """What a closed month came to, and what both ways said at the same share of it."""

    final: Fraction
    ways: Ways


class Combined(NamedTuple):
    """The mean of both ways with what is told beside it."""

    mid: Fraction
    interval: Interval | None
    coverage: tuple[Fraction, int] | None


def figures(
    connection: Connection, config: Config, question: Question, by: By
) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Values by (first day of the period, group), in the account's currency."""
    return {key: row["values"] for key, row in rows_of(connection, config, question, by).items()}


def rows_of(
    connection: Connection, config: Config, question: Question, by: By
) -> dict[tuple[str, str | None], dict[str, Any]]:
    """The same with all that is told of each (`kpi.query.Table`)."""
    configs = {config.account_id: config}
    table = kpi.answer(connection, configs, question)
    return {
        (row.get("period", question.first).isoformat(), row[by] if by != "account" else None): row
        for row in table.rows
        if row["currency"] in (None, config.currency)
    }


@dataclass
class Forecasts:
    """The past months of one account, read once."""

    connection: Connection
    config: Config
    metrics: tuple[Metric, ...]
    by: By
    period: Period
    now: Instant
    _finals: dict[tuple[str, str | None], dict[str, Any]] | None = None
    _early: dict[Fraction, list[Figures]] = field(default_factory=dict)

    def interval(
        self, metric: Metric, group: str | None, rate: Fraction | None, share: Fraction
    ) -> Interval | None:
        """Low and high of the end of the month; None = nothing can be said."""
        if rate is None or self.period.grain != "month" or metric.kind != "sum" or share <= 0:
            return None
        return _times(rate, interval_of(self._by_month(metric, group, share)))

    def coverage(
        self, metric: Metric, group: str | None, share: Fraction
    ) -> tuple[Fraction, int] | None:
        """Share of closed months inside the interval of those before them, and how many months."""
        if self.period.grain != "month" or metric.kind != "sum" or share <= 0:
            return None
        return coverage_of(self._by_month(metric, group, share))

    def combined(
        self, metric: Metric, group: str | None, share: Fraction, ways: Ways, pipeline: Pipeline
    ) -> Combined:
        """The mean of run rate and pipeline, with the interval and the coverage of such means."""
        past = [self._past(metric, group, share, pipeline, month) for month in self._months()]
        ratios = []
        for number, month in enumerate(past):
            mean = mean_of(month.ways, past[number + 1 :]) if month is not None else Fraction(0)
            if month is not None and mean > 0:
                ratios.append(month.final / mean)
        mid = mean_of(ways, past)
        return Combined(mid, _times(mid, interval_of(ratios)), coverage_of(ratios))

    def _past(
        self, metric: Metric, group: str | None, share: Fraction, pipeline: Pipeline, month: Period
    ) -> PastMonth | None:
        """What a closed month came to and both ways said of it; None: nothing, or one could not."""
        final = self._known_finals().get((month.first.isoformat(), group), {}).get(metric.slug)
        if not final or share <= 0:
            return None
        done = self._done(month, share, group, metric)
        to_come = pipeline.to_come(metric.slug, group, month, self._instant(month, share))
        if to_come is None:
            return None
        return PastMonth(Fraction(final), (Fraction(done) / share, done + to_come))

    def _done(self, month: Period, share: Fraction, group: str | None, metric: Metric) -> int:
        if share not in self._early:
            self._early[share] = [self._at(one, share) for one in self._months()]
        early = self._early[share][self._months().index(month)]
        return int(early.get(group, {}).get(metric.slug) or 0)

    def _by_month(self, metric: Metric, group: str | None, share: Fraction) -> list[Fraction]:
        """Final / run rate of the closed months, the newest first."""
        finals = self._known_finals()
        if share not in self._early:
            self._early[share] = [self._at(month, share) for month in self._months()]
        found = []
        for month, early in zip(self._months(), self._early[share], strict=True):
            final = finals.get((month.first.isoformat(), group), {}).get(metric.slug) or 0
            then = early.get(group, {}).get(metric.slug) or 0
            if then > 0:
                found.append(Fraction(int(final)) * share / int(then))
        return found

    def _months(self) -> list[Period]:
        today = local_date(self.now, self.config.timezone)
        found = [Period.around(min(today, self.period.first), "month").previous()]
        while len(found) < MOST_MONTHS:
            found.append(found[-1].previous())
        return found

    def _known_finals(self) -> dict[tuple[str, str | None], dict[str, Any]]:
        if self._finals is None:
            months = self._months()
            question = self._question(months[-1], months[0], self.now, whole=False)
            self._finals = figures(self.connection, self.config, question, self.by)
        return self._finals

    def _question(self, first: Period, last: Period, at: Instant, *, whole: bool) -> Question:
        dimensions = () if self.by == "account" else (self.by,)
        grain: Grain | None = None if whole else "month"
        metrics = tuple(m for m in self.metrics if m.kind == "sum" and m.plannable)
        return Question(metrics, dimensions, first.first, last.last, grain, (), at)

    def _at(self, month: Period, share: Fraction) -> Figures:
        """The figures of a month when the same share of its working time had passed."""
        question = self._question(month, month, self._instant(month, share), whole=True)
        found = figures(self.connection, self.config, question, self.by)
        return {group: values for (_, group), values in found.items()}

    def _instant(self, month: Period, share: Fraction) -> Instant:
        calendar = self.config.calendar(None)
        count = (month.last - month.first).days + 1
        seconds = sum(calendar.day_seconds(month.first + timedelta(n)) for n in range(count))
        minutes = int(share * seconds / 60)
        start, end = month.start(self.config.timezone), month.end(self.config.timezone)
        return min(end - 1, calendar.add(start, Span(minutes, "wm"))) if share < 1 else end - 1


def nearest_rank(values: Sequence[Fraction], p: Fraction) -> Fraction:
    """The value at position ceil(p x n) of sorted values."""
    return values[max(1, -(-(p * len(values)) // 1)) - 1]


def mean_of(ways: Ways, past: Sequence[PastMonth | None]) -> Fraction:
    """Both ways weighted by how right each was in the last 6 closed months; before: equally."""
    known = [month for month in past[:LEAST_MONTHS] if month is not None]
    errors = [sum((month.ways[n] - month.final) ** 2 for month in known) for n in (0, 1)]
    if len(known) < LEAST_MONTHS or not sum(errors):
        return (ways[0] + ways[1]) / 2
    return (ways[0] * errors[1] + ways[1] * errors[0]) / sum(errors)


def interval_of(ratios: Sequence[Fraction]) -> Interval | None:
    """The 10th and 90th percentile of final / forecast; None with under 6 closed months."""
    if len(ratios) < LEAST_MONTHS:
        return None
    ranked = sorted(ratios)
    return nearest_rank(ranked, LOW), nearest_rank(ranked, HIGH)


def coverage_of(ratios: Sequence[Fraction]) -> tuple[Fraction, int] | None:
    """Share of months inside the interval of those before them (newest first), and how many."""
    inside = []
    for number, ratio in enumerate(ratios):
        known = interval_of(ratios[number + 1 :])
        if known is not None:
            inside.append(known[0] <= ratio <= known[1])
    return (Fraction(sum(inside), len(inside)), len(inside)) if inside else None


def _times(value: Fraction, bounds: Interval | None) -> Interval | None:
    return None if bounds is None else (value * bounds[0], value * bounds[1])
