"""Comparisons: the period before, the year before, changes, unfinished periods (kpis.md 7)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, Period, local_date, periods
from service.kpi.metrics import Metric
from service.kpi.question import Question


def shifted(question: Question, rule: str, config: Config, now: Instant) -> Question:
    """The question about the period before, or the same dates a year before (kpis.md 7)."""
    if rule == "previous_year":
        first, last = _year_before(question.first), _year_before(question.last)
        return _moved(question, first, last, config, now)
    grain = question.grain or _whole_unit(question.first, question.last)
    if grain is None:
        days = (question.last - question.first).days + 1
        first = question.first - timedelta(days=days)
        return _moved(question, first, question.last - timedelta(days=days), config, now)
    count = len(periods(question.first, question.last, grain))
    start = Period.around(question.first, grain)
    end = Period.around(question.last, grain)
    offset_first = question.first - start.first
    for _ in range(count):
        start, end = start.previous(), end.previous()
    whole = question.last == Period.around(question.last, grain).last
    last = end.last if whole else min(end.last, end.first + (question.last - Period.around(
        question.last, grain).first))  # fmt: skip
    return _moved(question, start.first + offset_first, last, config, now)


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


def _moved(question: Question, first: date, last: date, config: Config, now: Instant) -> Question:
    """The moved question; an unfinished span is compared with as many working days of the other."""
    today = local_date(now, config.timezone)
    if question.first <= today <= question.last:
        calendar = config.calendar(None)
        days = (
            question.first + timedelta(days=n) for n in range((today - question.first).days + 1)
        )
        passed = sum(1 for day in days if calendar.hours(day))
        on = first
        while passed and on <= last:
            passed -= bool(calendar.hours(on))
            if passed:
                on += timedelta(days=1)
        last = min(last, on)
    return replace(question, first=first, last=last)


def change(metric: Metric, now: float | None, then: float | None) -> float | None:
    """The relative change; of ratios the difference in points; from 0 or null: null."""
    if now is None or then is None:
        return None
    if metric.unit == "ratio":
        return round(now - then, 6)
    return None if then == 0 else round((now - then) / then, 6)


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
