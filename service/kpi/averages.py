"""Averages of levels over the account's working time (kpis.md 1.7).

What is kept by month and day (`courses`) is of the seller's own working time: where a seller works
otherwise than the account, his steps are read one by one. So are all where stages or sources are
told apart, by which nothing is kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import day_start, local_date, to_day
from service.kpi import sources, stays
from service.kpi.courses import over, towards_account
from service.kpi.derived import Ground, Made
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.question import Group, Grouper, Question, columns_of, own_filters
from service.kpi.reach import Reach
from service.kpi.sums import Ask, bases, steps
from service.kpi.terms import Told, parts_of

_KEPT = frozenset({"account", "team", "seller", "person", "pipeline"})
_Means = dict[tuple[int, Group], Fraction]  # by period and group


def average_of(slug: str) -> Callable[[Ground, Metric], Made]:
    """How the average of a level is worked out."""

    def way(ground: Ground, _metric: Metric) -> Made:
        asked = ground.question.about([METRICS[slug]])
        rows = _means(ground, asked)
        whole = _means(ground, replace(asked, dimensions=(), grain=None)).get((0, ()), Fraction(0))
        made = Made(missing=0)
        for currency in _currencies(ground):
            made.rows |= {(*key, currency): Told(_rounded(mean), {}) for key, mean in rows.items()}
            made.wholes[currency] = Told(_rounded(whole), {})
        return made

    return way


def _currencies(ground: Ground) -> list[str]:
    if not ground.question.by_currency:
        return [""]
    return sorted({config.currency for config in ground.configs.values()})


def _rounded(value: Fraction) -> float:
    return float(round(value, 6))


def _means(ground: Ground, question: Question) -> _Means:
    found: _Means = {}
    for config in ground.configs.values():
        filters = own_filters(config, question)
        if filters is None:
            continue
        reach = sources.reach_of(ground.connection, config, question, filters)
        is_kept = _KEPT.issuperset(question.dimensions) and reach.is_kept
        integrals = _from_courses if is_kept else _from_steps
        for number, group, seconds in integrals(reach, question):
            worked = reach.worked("", number).seconds
            if worked:
                mean = found.get((number, group), Fraction(0)) + Fraction(seconds, worked)
                found[number, group] = mean
    return found


_Integrals = Iterator[tuple[int, Group, int]]  # period, group, level x seconds


def _from_courses(reach: Reach, question: Question) -> _Integrals:
    fine = sources.cut_by_moves(reach, by_team="team" in question.dimensions)
    grouper, zone = Grouper(reach.config, question, ()), reach.config.timezone
    for (_, place), course in towards_account(
        fine, parts_of(question.metrics[0], question)
    ).items():
        where = dict(zip(("seller", "pipeline"), place, strict=False))
        for stood in over(fine, course, ""):
            on = local_date(fine.edges[stood.number][0], zone)
            if fine.admits_on(place[0], on):
                yield fine.period(stood.number), grouper.of(where, on), stood.seconds


# --- from every step ------------------------------------------------------------------------------


def _from_steps(reach: Reach, question: Question) -> _Integrals:
    by_team = "team" in question.dimensions
    for number, span in enumerate(reach.spans):
        for piece in stays.cut(reach.config, *span, by_team=by_team, filters=reach.filters):
            for group, seconds in _in_piece(reach, question, *piece):
                yield number, group, seconds


def _in_piece(
    reach: Reach, question: Question, first: date, last: date
) -> Iterator[tuple[Group, int]]:
    """Within days on which nobody moves."""
    config, columns = reach.config, columns_of(question)
    parts = parts_of(question.metrics[0], question)
    ask = Ask(config.account_id, parts, columns, stays.on_day(reach.filters, to_day(first)))
    grouper, weigh = Grouper(config, question, columns), _weigher(config, question, last)
    whole = weigh(day_start(to_day(first), config.timezone))
    if not whole:
        return
    for (_, values, _), level in bases(reach.connection, ask, first, reach.cut).items():
        yield grouper.group(values, first), level * whole
    for at, values, delta in steps(reach.connection, ask, first, last, reach.cut):
        yield grouper.group(values, first), delta * weigh(at)


def _weigher(config: Config, question: Question, last: date) -> Callable[[Instant], int]:
    """Working seconds from an instant to the end of a day, or the cut."""
    over = day_start(to_day(last + timedelta(days=1)), config.timezone)
    end = min(over, question.as_of)
    calendar = config.calendar(None)
    known: dict[Instant, int] = {}

    def weigh(at: Instant) -> int:
        if at not in known:
            known[at] = calendar.working_seconds(at, end) if at < end else 0
        return known[at]

    return weigh
