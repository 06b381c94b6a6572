"""Money in one currency, by the rates of its account (kpis.md 1.6).

Each day's sum of a seller and pipeline is converted at the rate of that day and rounded there, so
that sums over sellers, teams, pipelines and days agree whatever is told apart; a level at the rate
of the day that it is taken at. What has no rate stays in its own currency.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import to_date
from service.domain.rates import Exchange, converted
from service.kpi.gathering import gather_terms
from service.kpi.metrics import METRICS
from service.kpi.parts import restated
from service.kpi.question import Cells, Filter, Grouper, Key, Question, Term

KINDS = ("sum", "level", "ratio")
"""The kinds of figures that can be converted."""

_OWN = frozenset(
    part for metric in METRICS.values() if metric.unit == "money" for part in metric.parts
)
MONEY = _OWN | {restated(part) for part in _OWN}
"""Parts whose values are money."""


def exchange_of(config: Config) -> Exchange:
    """The rates of an account."""
    return Exchange(config.currency, config.document.rates)


def gather_converted(
    connection: Connection,
    config: Config,
    question: Question,
    filters: tuple[Filter, ...],
    terms: Iterable[Term],
    cells: Cells,
) -> None:
    """Add an account's sums to the cells, in the currency that is asked for."""
    fine = tuple(d for d in ("seller", "pipeline") if d not in question.dimensions)
    apart = replace(question, dimensions=(*question.dimensions, *fine))
    every = tuple(terms)
    for asked, wanted in (
        (replace(apart, grain="day"), tuple(term for term in every if not term.level)),
        (apart, tuple(term for term in every if term.level)),
    ):
        found = Cells()
        gather_terms(connection, config, asked, filters, wanted, found)
        _add(config, question, asked, found, cells)


def _add(config: Config, question: Question, asked: Question, found: Cells, cells: Cells) -> None:
    """Bring sums that are told apart finely to the question's periods and groups."""
    grouper, exchange = Grouper(config, question, ()), exchange_of(config)
    today, width = to_date(question.cut(config).day), len(question.dimensions)
    spans = asked.spans()
    for (number, group, currency), sums in found.sums.items():
        first, last = spans[number]
        own = number if asked.grain == question.grain else grouper.period_of(first)
        factor = exchange.factor(currency, question.convert, min(last, today))
        place = own, group[:width]
        target = currency if factor is None else question.convert
        for term, value in sums.items():
            is_money = factor is not None and term.part in MONEY
            amount = converted(value, factor) if factor is not None and is_money else value
            cells.add(term, (*place, target), amount)
            if is_money and target != currency:
                cells.converted.add((*place, target))


def add_counts(config: Config, question: Question, found: Cells, cells: Cells) -> None:
    """Add what is worked out, which is never money."""
    exchange, spans = exchange_of(config), question.spans()
    today = to_date(question.cut(config).day)
    for (number, group, currency), sums in found.sums.items():
        factor = exchange.factor(currency, question.convert, min(spans[number][1], today))
        key: Key = (number, group, currency if factor is None else question.convert)
        for term, value in sums.items():
            cells.add(term, key, value)


def can(configs: Mapping[str, Config], currency: str) -> bool:
    """Whether some account has a rate of a currency, or counts in it."""
    return any(exchange_of(config).knows(currency) for config in configs.values())
