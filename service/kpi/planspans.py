"""Plans beside the figures of a query: by period and group, where a plan can be told so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import Grain, Period, periods
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.planfact import By, plan_groups, plan_of
from service.kpi.planwrite import book_of
from service.kpi.question import Question, own_filters

_PLACES = {"account", "team", "seller"}
_ADDED = {"sum", "level"}  # kinds of which several plans sum up; a norm of several is none
_Key = tuple[str, date, str | None, str | None, str | None]
"""Figure, first day, account, seller or team, currency; None = not told apart."""


@dataclass
class SpanPlans:
    """The plans of a question. A plan is of people and the account, in its own currency."""

    question: Question
    by: By | None = None
    values: dict[_Key, list[int]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, connection: Connection, configs: Mapping[str, Config], question: Question
    ) -> "SpanPlans":
        """The plans of everything that is asked for."""
        found = cls(question, _way(question))
        for config in configs.values() if found.by is not None else ():
            if own_filters(config, question) is not None:
                found._add(connection, config)
        return found

    def of(self, metric: Metric, row: Mapping[str, Any]) -> int | None:
        """The plan of a row of figures."""
        group = None if self.by is None else row.get(self.by)
        first = row.get("period", self.question.first)
        values = self.values.get(
            (metric.slug, first, row.get("account"), None if self.by == "account" else group,
             row["currency"])
        )  # fmt: skip
        if values is None or (metric.kind not in _ADDED and len(values) > 1):
            return None
        return sum(values)

    def _add(self, connection: Connection, config: Config) -> None:
        question = self.question
        slugs = {metric.slug for metric in question.metrics if metric.plannable}
        grains: set[Grain] = {"month", question.grain or "month"}
        names = {p.name for g in grains for p in periods(question.first, question.last, g)}
        book = book_of(connection, config, slugs | _parts_of(question), names)
        account = config.account_id if "account" in question.dimensions else None
        currency = config.currency if question.by_currency else None
        by = self.by or "account"
        for first, last in question.spans():
            span = Period(first, last, "day")
            for group in filter(self._is_asked, plan_groups(book, span, by)):
                shown = group if by in question.dimensions and by != "account" else None
                for slug in slugs:
                    plan = plan_of(book, METRICS[slug], span, by, group, 0).value
                    if plan is not None:
                        key = (slug, first, account, shown, currency)
                        self.values.setdefault(key, []).append(plan)

    def _is_asked(self, group: str | None) -> bool:
        return all(
            (group in values) == (op == "eq")
            for dimension, op, values in self.question.filters
            if dimension == self.by != "account"
        )


def _way(question: Question) -> By | None:
    """By whom plans are added up; None: the figures are cut by what no plan is cut by."""
    asked = {*question.dimensions, *_filtered(question)}
    if not asked <= _PLACES:
        return None
    if "seller" not in asked:
        return "team" if "team" in asked else "account"
    return "seller" if "team" not in asked or "seller" in question.dimensions else None


def _filtered(question: Question) -> Iterator[str]:
    return (dimension for dimension, _, _ in question.filters)


def _parts_of(question: Question) -> set[str]:
    ratios = [metric for metric in question.metrics if metric.kind == "ratio"]
    return {name for metric in ratios for name in (metric.numerator, "deals_won")}
