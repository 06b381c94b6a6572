"""Comparisons: the period before, the year before, changes, unfinished periods (kpis.md 7)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, Period, local_date, periods
from service.kpi.metrics import Metric
from service.kpi.question import Question


@dataclass(frozen=True)
class Shifted:
    """The question about another span, and how it was found: whole_periods, same_days, same_dates.

    `working_days`: the span is not over; compared are as many of its working days as have come.
    """

    question: Question
    rule: str


def shifted(question: Question, rule: str, config: Config, now: Instant) -> Shifted:
    """The question about the period before, or the same dates a year before (kpis.md 7)."""
    if rule == "previous_year":
        first, last = _year_before(question.first), _year_before(question.last)
        return _moved(question, (first, last, "same_dates"), config, now)
    grain = question.grain or _whole_unit(question.first, question.last)
    if grain is None:
        days = timedelta(days=(question.last - question.first).days + 1)
        span = (question.first - days, question.last - days, "same_days")
        return _moved(question, span, config, now)
    start = Period.around(question.first, grain)
    end = Period.around(question.last, grain)
    after_start, after_end = question.first - start.first, question.last - end.first
    is_whole = question.last == end.last
    for _ in range(len(periods(question.first, question.last, grain))):
        start, end = start.previous(), end.previous()
    last = end.last if is_whole else min(end.last, end.first + after_end)
    return _moved(question, (start.first + after_start, last, "whole_periods"), config, now)


def _whole_unit(first: date, last: date) -> Grain | None:
    units: tuple[Grain, ...] = ("year", "quarter", "month", "week")
    for grain in units:
        if Period.around(first, grain).first == first and Period.around(last, grain).last == last:
            return grain
    return None


def _year_before(on: date) -> date:
    try:
        return on.replace(year=on.year - 1)
    except ValueError:
        return on.replace(year=on.year - 1, day=28)


def _moved(
    question: Question, span: tuple[date, date, str], config: Config, now: Instant
) -> Shifted:
    """The moved question; an unfinished span is compared with as many working days of the other.

    Before its first working day: with as many days.
    """
    first, last, rule = span
    today = local_date(now, config.timezone)
    if question.first <= today <= question.last:
        calendar = config.calendar(None)
        passed = (today - question.first).days + 1
        come = sum(bool(calendar.hours(question.first + timedelta(n))) for n in range(passed))
        length = (last - first).days + 1
        days = [first + timedelta(n) for n in range(length)]
        working = [day for day in days if calendar.hours(day)]
        if come and come <= len(working):
            last, rule = working[come - 1], "working_days"
        elif not come and passed < length:
            last, rule = days[passed - 1], "same_days"
    return Shifted(replace(question, first=first, last=last), rule)


def change(metric: Metric, now: float | None, then: float | None) -> float | None:
    """The change as a share of what was, upwards positive; of shares and points what lies between.

    From 0 or from nothing: null.
    """
    if now is None or then is None:
        return None
    if metric.unit in {"ratio", "points"}:
        return round(now - then, 6)
    return None if then == 0 else round((now - then) / abs(then), 6)


def partial(spans: Sequence[tuple[date, date]], grain: Grain | None, today: date) -> list[bool]:
    """Whether each period is cut by the span or not over yet."""
    found = []
    for first, last in spans:
        whole = grain is None or (first, last) == (
            Period.around(first, grain).first,
            Period.around(first, grain).last,
        )
        found.append(not whole or last >= today)
    return found
