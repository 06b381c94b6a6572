"""Figures that are worked out from other figures, at every level anew.

What they are derived from, and the plain way: the factors of the same group go through the recipe.
Other ways are in `ways`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.kpi.metric import Metric, Number
from service.kpi.odds import Chances
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
    chances: dict[tuple[str, date], Chances] = field(default_factory=dict)


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
