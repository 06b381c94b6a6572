"""Figures from sums: what a figure has to have added up, and how it is worked out from that."""

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from itertools import chain
from typing import NamedTuple

from service.kpi.metric import FEW, Metric, Number
from service.kpi.metrics import METRICS, STRICT
from service.kpi.parts import CORRECTED, restated
from service.kpi.question import Question, Spread, Term

Get = Callable[[Term], int]


def terms_of(metric: Metric, question: Question) -> tuple[Term, ...]:
    """All sums that a figure needs (a percentile and a derived figure need none)."""
    if metric.kind == "ratio":
        found = [*above_of(metric, question), *below_of(metric, question)]
        if horizon_of(metric, question):
            found += [term._replace(horizon=0) for term in below_of(metric, question)]
        return (*found, *_least(metric))
    return plain_of(metric, question)


def _least(metric: Metric) -> tuple[Term, ...]:
    return (Term(metric.least[0], level=True),) if metric.least else ()


def horizon_of(metric: Metric, question: Question) -> int:
    """The age at which the members of a cohort are looked at; 0 = so far."""
    if not metric.cohort:
        return 0
    return metric.horizon or question.within


def numerator_of(metric: Metric, question: Question) -> Metric:
    """The figure above the line of a ratio."""
    name = metric.numerator
    return METRICS[STRICT.get(name, name) if question.strict else name]


def denominator_of(metric: Metric, question: Question) -> tuple[Metric, ...]:
    """The figures below it."""
    names = metric.denominator
    return tuple(METRICS[STRICT.get(n, n) if question.strict else n] for n in names)


def plain_of(metric: Metric, question: Question) -> tuple[Term, ...]:
    """The terms of a sum or level."""
    if metric.kind not in {"sum", "level"}:
        return ()
    return _plain(metric.slug, parts_of(metric, question), restate=question.restate)


@cache  # a row asks for it as often as there are figures
def _plain(slug: str, known: tuple[str, ...], *, restate: bool) -> tuple[Term, ...]:
    metric, parts = METRICS[slug], list(known)
    if restate:
        parts += [restated(part) for part in parts if part in CORRECTED]
    level, off = metric.kind == "level", metric.takes
    return tuple(Term(part, level, sign=-1 if part in off else 1) for part in dict.fromkeys(parts))


def _sum(get: Get, terms: Iterable[Term]) -> int:
    return sum(get(t) if t.sign == 1 else t.sign * get(t._replace(sign=1)) for t in terms)


def parts_of(metric: Metric, question: Question) -> tuple[str, ...]:
    """The parts of a figure; where stages are told apart, those that know them."""
    return (metric.staged,) if metric.staged and question.by_stage else metric.parts


def above_of(metric: Metric, question: Question) -> tuple[Term, ...]:
    """The terms above the line of a ratio."""
    return _aged(plain_of(numerator_of(metric, question), question), metric, question)


def below_of(metric: Metric, question: Question) -> tuple[Term, ...]:
    """The terms below it."""
    terms = (plain_of(below, question) for below in denominator_of(metric, question))
    return _aged(chain.from_iterable(terms), metric, question)


def _aged(terms: Iterable[Term], metric: Metric, question: Question) -> tuple[Term, ...]:
    """The same of a cohort's members that are so old."""
    if not metric.cohort:
        return tuple(terms)
    horizon = horizon_of(metric, question)
    within = 0 if metric.horizon else question.within
    return tuple(term._replace(horizon=horizon, within=within) for term in terms)


class Told(NamedTuple):
    """A figure's value, what stands beside it, the two sums of a ratio and what it is exactly."""

    value: Number
    notes: dict[str, Number]
    above: Number = None
    below: Number = None
    exact: Fraction | None = None


Teller = Callable[[Get], Told]
"""Tells a figure of one row or another."""


def teller(metric: Metric, question: Question) -> Teller:
    """How a sum, level or ratio is told: its terms are looked up once for all rows."""
    if metric.kind == "ratio":
        return _of_ratio(metric, question)
    terms = plain_of(metric, question)
    return lambda get: Told(scaled(metric, _sum(get, terms)), {})


def _of_ratio(metric: Metric, question: Question) -> Teller:
    """A ratio from its sums; a denominator of 0 gives null."""
    over, under = above_of(metric, question), below_of(metric, question)
    whole = tuple(term._replace(horizon=0) for term in under)
    is_aged, least = bool(horizon_of(metric, question)), _least(metric)
    of_above, of_below = numerator_of(metric, question), denominator_of(metric, question)[0]

    def tell(get: Get) -> Told:
        above, below = _sum(get, over), _sum(get, under)
        notes: dict[str, Number] = {"immature": _sum(get, whole) - below} if is_aged else {}
        value = divided(metric, above, below)
        if metric.least and _sum(get, least) < metric.least[1]:
            value = None
        exact = None if value is None else Fraction(above, below) * metric.scale
        return Told(value, notes, scaled(of_above, above), scaled(of_below, below), exact)

    return tell


def divided(metric: Metric, above: int, below: int) -> Number:
    """The quotient, scaled: money to the minor unit, half up; else 6 decimals; null below 0."""
    if below <= 0:
        return None
    quotient = Decimal(above * metric.scale.numerator) / (below * metric.scale.denominator)
    if metric.unit in {"money", "seconds"}:
        return int(quotient.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return float(round(quotient, 6))


def scaled(metric: Metric, total: int) -> int | float:
    """A sum in the figure's unit."""
    if metric.scale == 1:
        return total
    return float(round(Decimal(total * metric.scale.numerator) / metric.scale.denominator, 6))


def ranked(metric: Metric, spread: Spread | None) -> Told:
    """A percentile with its n, mean and other percentiles; null under `FEW` (kpis.md 1.8)."""
    first, *others = metric.percents
    n = spread.n if spread is not None else 0
    if spread is None or n < FEW:
        return Told(None, {"count": n, "mean": None, **{f"p{p}": None for p in others}})
    mean = int((Decimal(spread.total) / n).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    notes: dict[str, Number] = {"count": n, "mean": scaled(metric, mean)}
    ranks = {p: scaled(metric, value) for p, value in spread.ranked.items()}
    return Told(ranks[first], notes | {f"p{p}": ranks[p] for p in others})


def notes_of(metric: Metric, question: Question) -> tuple[str, ...]:
    """Names of what is always shown beside a figure."""
    own: tuple[str, ...] = ()
    if metric.kind == "percentile":
        own = ("count", "mean", *(f"p{p}" for p in metric.percents[1:]))
    if metric.kind == "derived":
        own = metric.factors if metric.notes is None else metric.notes
    if metric.kind == "ratio" and horizon_of(metric, question):
        own = ("immature",)
    return (*own, *(name for name, _ in question.beside(metric)))


def all_terms(metrics: Iterable[Metric], question: Question) -> tuple[Term, ...]:
    """All sums that several figures need."""
    terms = (term for metric in metrics for term in terms_of(metric, question))
    return tuple(dict.fromkeys(term._replace(sign=1) for term in terms))
