"""What is asked of the figures, and how columns of an account become the question's groups."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, periods, to_day
from service.domain.persons import person_of, persons, sellers_of
from service.kpi import stays
from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.sums import Cut

COLUMNS = {"seller": "seller", "team": "seller", "person": "seller", "pipeline": "pipeline"}
COLUMNS |= {"source": "source", "stage": "stage", "reason": "reason"}
PLAIN = ("source", "rule", "severity")  # told as they are, no ids of an account
WHOLE_MONTHS = {None, "month", "quarter", "year"}

Group = tuple[str | None, ...]
Key = tuple[int, Group, str]  # number of the period, group, currency
Filter = stays.Filter  # dimension, eq|ne, ids


@dataclass(frozen=True)
class Question:
    """What is asked. `filters`: (dimension, eq|ne, full ids); `live`: `as_of` is the present.

    `restate`: undone wins and losses are taken back where they stood (kpis.md 1.9); `within`:
    seconds after which every member of a cohort is looked at; `strict`: skipped stages are not
    passed; `currencies`: told apart even if no figure is money; `parts`: with all companions;
    `convert`: the currency that money is wanted in, by the rates of its account.
    """

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...]
    first: date
    last: date
    grain: Grain | None = None
    filters: tuple[Filter, ...] = ()
    as_of: Instant = 0
    live: bool = False
    restate: bool = False
    within: int = 0
    strict: bool = False
    currencies: bool = False
    parts: bool = False
    convert: str = ""

    @cached_property
    def needed(self) -> tuple[Metric, ...]:
        """The figures with all that is shown beside them."""
        names = [name for metric in self.metrics for _, name in self.beside(metric)]
        return tuple(dict.fromkeys([*self.metrics, *(METRICS[name] for name in names)]))

    @cached_property
    def shown(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Each figure that is asked for with what stands beside it."""
        return tuple((metric.slug, self.beside(metric)) for metric in self.metrics)

    def beside(self, metric: Metric) -> tuple[tuple[str, str], ...]:
        """What is shown beside a figure: the age of all that is open only with its parts.

        It costs a hundred times what the figure costs.
        """
        if self.parts:
            return metric.beside
        return tuple(one for one in metric.beside if not METRICS[one[1]].of_level)

    @cached_property
    def has_money(self) -> bool:
        """Whether some figure is money: then currency is told apart unasked."""
        return any(is_of_money(metric) for metric in self.needed)

    @cached_property
    def by_currency(self) -> bool:
        """Whether there is a row for each currency."""
        return self.has_money or self.currencies

    @cached_property
    def by_stage(self) -> bool:
        """Whether stages or sources are told apart or chosen."""
        used = {*self.dimensions, *(name for name, _, _ in self.filters)}
        return not used.isdisjoint({"stage", "source"})

    def spans(self) -> list[tuple[date, date]]:
        """First and last day of each period, cut by the question's span."""
        return self._spans

    @cached_property
    def _spans(self) -> list[tuple[date, date]]:
        if self.grain is None:
            return [(self.first, self.last)]
        return [
            (max(period.first, self.first), min(period.last, self.last))
            for period in periods(self.first, self.last, self.grain)
        ]

    def about(self, metrics: Iterable[Metric]) -> "Question":
        """The same question about other figures."""
        return replace(self, metrics=tuple(metrics))

    def over(self, first: date, last: date) -> "Question":
        """The same question about another span, as a whole."""
        return replace(self, first=first, last=last, grain=None)

    def days(self, config: Config) -> tuple[int, int]:
        """The local days that it looks at; levels are told at the cut if that is earlier."""
        return min(to_day(self.first), self.cut(config).day), to_day(self.last)

    def cut(self, config: Config) -> Cut:
        """How far an account is looked at."""
        return Cut(self.as_of, config.timezone, self.live)


def is_of_money(metric: Metric) -> bool:
    """Whether any of its parts is money: then there is a row for each currency."""
    own = metric.unit == "money"
    return own or any(is_of_money(METRICS[name]) for name in metric.components)


class Term(NamedTuple):
    """One sum: of a part, as a flow or as a level.

    `horizon`: only what is at least so old (seconds); `within`: only what came so soon.
    """

    part: str
    level: bool = False
    horizon: int = 0
    within: int = 0
    sign: int = 1  # -1: it is taken off


@dataclass
class Cells:
    """Sums of terms by key; ranked values by (slug, key). Levels are stored as values."""

    sums: dict[Key, dict[Term, int]] = field(default_factory=dict)
    spreads: dict[tuple[str, Key], "Spread"] = field(default_factory=dict)
    wholes: dict[tuple[str, str], "Spread"] = field(default_factory=dict)  # by (slug, currency)
    groups: dict[tuple[Group, str], None] = field(default_factory=dict)
    quiet: set[str] = field(default_factory=set)  # accounts without telephony and calls
    converted: set[Key] = field(default_factory=set)  # money of another currency is in
    wordless: set[str] = field(default_factory=set)  # accounts that never had a message

    def add(self, term: Term, key: Key, value: int) -> None:
        """Add to a cell."""
        own = self.sums.get(key)
        if own is None:
            own = self.sums[key] = {}
            self.groups.setdefault(key[1:])
        own[term] = own.get(term, 0) + value


@dataclass(frozen=True, slots=True)
class Spread:
    """Ranked values of a group: how many, their sum, and the value at each per cent."""

    n: int
    total: int
    ranked: Mapping[int, int]


class Grouper:
    """Turns columns of an account into the question's dimensions."""

    def __init__(self, config: Config, question: Question, columns: tuple[str, ...]) -> None:
        self._config = config
        self._question = question
        self._columns = columns
        self._persons = persons(config)
        self._spans = question.spans()
        self._first = [span[0] for span in self._spans]

    def period_of(self, on: date) -> int:
        """Number of the period that a day lies in."""
        return max(0, bisect_right(self._first, on) - 1)

    def currency(self, told: str) -> str:
        """The currency of a cell; what has none stands with the account's."""
        if not self._question.by_currency:
            return ""
        return told or self._config.currency

    def group(self, values: tuple[str, ...], on: date, team_on: int = 0) -> Group:
        """The values of the dimensions, as full ids; `team_on`: another day that the team is of."""
        return self.of(dict(zip(self._columns, values, strict=True)), on, team_on)

    def of(self, row: Mapping[str, str], on: date, team_on: int = 0) -> Group:
        """The values of the dimensions of something that counts in a place, as full ids."""
        day = team_on or to_day(on)
        return tuple(self._value(d, row, on, day) for d in self._question.dimensions)

    def _value(self, dimension: str, row: Mapping[str, str], on: date, team_on: int) -> str | None:
        account = self._config.account_id
        if dimension == "account":
            return account
        if dimension == "weekday":
            return str(on.isoweekday())
        if dimension == "team":
            rota = self._config.memberships.rota
            return rota.team_on(row["seller"], team_on) or None
        if dimension == "person":
            return person_of(self._config, self._persons, row["seller"])
        if dimension in PLAIN:
            return row[dimension] or None
        if dimension == "stage":
            return f"{account}.{row['pipeline']}.{row['stage']}" if row["stage"] else None
        return f"{account}.{row[dimension]}" if row[dimension] else None


def columns_of(question: Question) -> tuple[str, ...]:
    """The columns that the dimensions are made from."""
    columns = tuple(dict.fromkeys(COLUMNS[d] for d in question.dimensions if d in COLUMNS))
    if "stage" in question.dimensions and "pipeline" not in columns:
        columns = (*columns, "pipeline")
    return columns


def own_filters(config: Config, question: Question) -> tuple[Filter, ...] | None:
    """The filters on this account's columns; None = nothing of it is asked for."""
    own: tuple[Any, ...]
    found: list[Filter] = []
    prefix = f"{config.account_id}."
    for dimension, op, values in question.filters:
        if dimension == "account":
            if (config.account_id in values) != (op == "eq"):
                return None
            continue
        if dimension == "team":
            column, _, own = stays.of_teams(config, op, values, 0, to_day(question.last))
        elif dimension == "person":
            column, own = "seller", sellers_of(config, values)
        elif dimension in PLAIN:
            column, own = dimension, values
        else:
            column = dimension
            own = tuple(v.removeprefix(prefix) for v in values if v.startswith(prefix))
            if dimension == "stage":
                own = tuple(v.partition(".")[2] for v in own)
        if op == "eq" and not own:
            return None
        if own:
            found.append((column, op, own))
    return tuple(found)
