"""What a figure opens into: the contributions or values that it is made of (kpis.md 1.14)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from service.domain.config import Config
from service.kpi.addends import Addends, is_apart, order_of
from service.kpi.gathering import cut_of
from service.kpi.listing import subjects, totals
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.question import Filter, Question, Term
from service.kpi.spreads import held_ages
from service.kpi.sums import Ask
from service.kpi.terms import above_of, below_of, denominator_of, numerator_of, plain_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Opened:
    """What is to be listed: sums of terms that are read alike, or ranked values."""

    question: Question
    metric: Metric
    terms: tuple[Term, ...] = ()
    figures: tuple[Metric, ...] = ()  # of a ratio those above or below the line

    @property
    def unit(self) -> Metric:
        """The figure in whose unit the values are."""
        return self.figures[0] if self.figures else self.metric

    @property
    def apart(self) -> tuple[Metric, ...]:
        """Its figures, where some are no plain sums of contributions (`addends`)."""
        figures = self.figures or (self.metric,)
        return figures if any(map(is_apart, figures)) else ()

    @property
    def is_ranked(self) -> bool:
        """Whether it opens into values of which a percentile is taken."""
        return not self.terms

    @property
    def by_age(self) -> bool:
        """Whether the value of a row is its age."""
        return self.is_ranked and self.metric.ranks == "age"


def open_figure(question: Question, part: str | None) -> Opened | None:
    """A figure's first metric opened; None = `part` does not say what of it (see `choices`)."""
    metric = question.metrics[0]
    if metric.kind == "ratio":
        if part not in {"num", "den"}:
            return None
        above = part == "num"
        terms = above_of(metric, question) if above else below_of(metric, question)
        own = (numerator_of(metric, question),) if above else denominator_of(metric, question)
        return Opened(question, metric, terms, own)
    if metric.kind == "derived":
        if part not in choices(metric):
            return None
        return open_figure(question.about([METRICS[str(part)]]), None)
    if metric.kind == "percentile":
        return Opened(question, metric)
    return Opened(question, metric, plain_of(metric, question))


def choices(metric: Metric) -> tuple[str, ...]:
    """What `part` may say: both ends of a ratio, factors that are sums, levels or percentiles."""
    if metric.kind == "ratio":
        return ("num", "den")
    plain = {"sum", "level", "percentile"}
    return tuple(name for name in metric.factors if METRICS[name].kind in plain)


def rows_of(
    connection: Connection,
    config: Config,
    opened: Opened,
    filters: tuple[Filter, ...],
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """A page of one account, newest first. `after`: instant, part, subject, key, local day."""
    question = opened.question
    if opened.apart:
        found = [row for a in _apart(connection, config, opened, filters)
                 for row in a.rows(after and after[:4], limit)]  # fmt: skip
        return sorted(found, key=order_of)[:limit]
    if opened.metric.of_level and opened.is_ranked:
        return _aged(connection, config, opened, filters, after, limit)
    ask, horizon = _ask(config, opened, filters)
    cut = cut_of(config, question, horizon)
    found = subjects(connection, ask, question.first, question.last, cut, after, limit)
    return [{**row, "value": row["age"]} for row in found] if opened.by_age else found


def sums_of(
    connection: Connection, config: Config, opened: Opened, filters: tuple[Filter, ...]
) -> dict[str, tuple[int, int]]:
    """(sum, number) of everything that is listed, by currency."""
    question = opened.question
    if opened.apart:
        total: dict[str, tuple[int, int]] = {}
        for one in _apart(connection, config, opened, filters):
            for currency, (value, n) in one.totals().items():
                before, count = total.get(currency, (0, 0))
                total[currency] = (before + value, count + n)
        return total
    if opened.metric.of_level and opened.is_ranked:
        held = held_ages(config, filters, question, question.last).subquery()
        whole, n = connection.execute(select(func.sum(held.c.value), func.count())).one()
        return {"": (int(whole), int(n))} if n else {}
    ask, horizon = _ask(config, opened, filters)
    cut = cut_of(config, question, horizon)
    return totals(connection, ask, question.first, question.last, cut, by_age=opened.by_age)


def _apart(
    connection: Connection, config: Config, opened: Opened, filters: tuple[Filter, ...]
) -> list[Addends]:
    """The figures one by one."""
    return [Addends(connection, config, opened.question, filters, one) for one in opened.apart]


def _ask(config: Config, opened: Opened, filters: tuple[Filter, ...]) -> tuple[Ask, int]:
    if opened.is_ranked:
        return Ask(config.account_id, opened.metric.parts, (), filters, by_origin=True), 0
    first = opened.terms[0]
    parts = tuple(dict.fromkeys(term.part for term in opened.terms))
    ask = Ask(config.account_id, parts, (), filters, first.within, by_origin=True)
    return ask, first.horizon


def _aged(
    connection: Connection,
    config: Config,
    opened: Opened,
    filters: tuple[Filter, ...],
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    question, metric = opened.question, opened.metric
    held = held_ages(config, filters, question, question.last).subquery()
    columns = held.c
    query = select(held).order_by(columns.at.desc(), columns.subject_id).limit(limit)
    if after is not None:
        at, _, subject, *_ = after
        later = and_(columns.at == at, columns.subject_id > subject)
        query = query.where(or_(columns.at < at, later))
    fixed = {"account_id": config.account_id, "subject_kind": "deal", "key": "", "currency": ""}
    return [
        {**fixed, "metric": metric.slug, "timeline": f"deal:{row['subject_id']}", **row}
        for row in connection.execute(query).mappings()
    ]
