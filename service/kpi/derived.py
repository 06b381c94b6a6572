"""Figures that are worked out from other figures, at every level anew.

The plain way: the factors of the same group and period (or of the days before its end, `trailing`)
go through the figure's recipe. What needs more (plans, probabilities) has a way of its own in
`WAYS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.kpi.metric import Metric, Number
from service.kpi.metrics import METRICS
from service.kpi.question import Key, Question
from service.kpi.terms import Told

if TYPE_CHECKING:
    from service.kpi.query import Table


@dataclass
class Made:
    """A derived figure by key, and of everything in one currency. `missing`: of other groups."""

    rows: dict[Key, Told] = field(default_factory=dict)
    wholes: dict[str, Told] = field(default_factory=dict)
    missing: Number = None


@dataclass(frozen=True)
class Ground:
    """What a figure is derived from. `answer`: other questions about the same accounts."""

    connection: Connection
    configs: Mapping[str, Config]
    question: Question
    answer: Callable[[Question], "Table"]


Way = Callable[[Ground, Metric], Made]
WAYS: dict[str, Way] = {}


def make(ground: Ground, metric: Metric) -> Made:
    """A derived figure, in its own way or the plain one."""
    way = WAYS.get(metric.slug)
    if way is not None:
        return way(ground, metric)
    factors = ground.question.about(METRICS[name] for name in metric.factors)
    if not metric.trailing:
        return from_table(metric, factors, ground.answer(factors))
    made = Made()
    back = timedelta(days=metric.trailing - 1)
    for number, (_, last) in enumerate(ground.question.spans()):
        question = factors.over(last - back, last)
        one = from_table(metric, question, ground.answer(question))
        made.rows |= {(number, key[1], key[2]): told for key, told in one.rows.items()}
        made.wholes = one.wholes
    return made


def from_table(metric: Metric, question: Question, table: "Table") -> Made:
    """The recipe on every row and total."""
    made = Made()
    for row in table.rows:
        made.rows[key_of(row, question)] = _worked_out(metric, row["values"])
    for total in table.totals:
        made.wholes[total["currency"] or ""] = _worked_out(metric, total["values"])
    return made


def key_of(row: Mapping[str, Any], question: Question) -> Key:
    """Period number, group and currency of a row."""
    return row["number"], tuple(row[d] for d in question.dimensions), row["currency"] or ""


def _worked_out(metric: Metric, values: Mapping[str, Number]) -> Told:
    factors = {name: values[name] for name in metric.factors}
    return Told(metric.recipe(factors) if metric.recipe is not None else None, factors)
