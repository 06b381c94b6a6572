"""The KPI query: metrics x dimensions x periods, over several accounts (api.md 3.6).

Sums come per account in its own zone; everything above (teams, totals, ratios) is added and divided
here from sums, never from rows.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, Period, local_date, local_day, periods
from service.kpi.metrics import Metric
from service.kpi.sums import Ask, Cut, bases, sums

_COLUMNS = {"seller": "seller", "team": "seller", "pipeline": "pipeline"}
_COLUMNS |= {"source": "source", "stage": "stage"}
WHOLE_MONTHS = {None, "month", "quarter", "year"}

Group = tuple[str | None, ...]
Key = tuple[int, Group, str]  # number of the period, group, currency


@dataclass(frozen=True)
class Question:
    """What is asked. `filters`: (dimension, eq|ne, full ids)."""

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...]
    first: date
    last: date
    grain: Grain | None = None
    filters: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    as_of: Instant = 0

    @property
    def parts(self) -> tuple[str, ...]:
        """All contribution parts that are needed."""
        return tuple(dict.fromkeys(part for metric in self.metrics for part in metric.parts))

    @property
    def has_money(self) -> bool:
        """Whether currency is an implicit dimension."""
        return any(metric.unit == "money" for metric in self.metrics)

    def spans(self) -> list[tuple[date, date]]:
        """First and last day of each period, cut by the question's span."""
        if self.grain is None:
            return [(self.first, self.last)]
        return [
            (max(period.first, self.first), min(period.last, self.last))
            for period in periods(self.first, self.last, self.grain)
        ]


@dataclass
class Cells:
    """Part sums by (period, group, currency). Levels are stored as their values."""

    sums: dict[tuple[str, Key], int] = field(default_factory=dict)
    groups: dict[tuple[Group, str], None] = field(default_factory=dict)
    quiet: set[str] = field(default_factory=set)  # accounts without telephony and calls

    def add(self, part: str, key: Key, value: int) -> None:
        """Add to a cell."""
        self.sums[part, key] = self.sums.get((part, key), 0) + value
        self.groups.setdefault((key[1], key[2]))


def gather(connection: Connection, configs: Mapping[str, Config], question: Question) -> Cells:
    """All part sums that a question needs."""
    cells = Cells()
    for config in configs.values():
        _gather_account(connection, config, question, cells)
    return cells


def _gather_account(
    connection: Connection, config: Config, question: Question, cells: Cells
) -> None:
    filters = own_filters(config, question)
    if filters is None:
        return
    columns = tuple(dict.fromkeys(_COLUMNS[d] for d in question.dimensions if d in _COLUMNS))
    if "stage" in question.dimensions and "pipeline" not in columns:
        columns = (*columns, "pipeline")
    cut = Cut(question.as_of, local_day(question.as_of, config.timezone))
    grouper = _Grouper(config, question, columns)
    levels = tuple(m.part or m.slug for m in question.metrics if m.kind == "level")
    flows = tuple(part for part in question.parts if part not in levels)
    if flows:
        ask = Ask(config.account_id, flows, columns, filters)
        whole = question.grain in WHOLE_MONTHS and "weekday" not in question.dimensions
        for part in sums(connection, ask, question.first, question.last, cut, months=whole):
            number = grouper.period_of(part.on)
            group = grouper.group(part.group, part.on)
            cells.add(part.part, (number, group, grouper.currency(part.currency)), part.value)
    if levels:
        _gather_levels(connection, Ask(config.account_id, levels, columns, filters), question,
                       cut, grouper, cells)  # fmt: skip
    if not config.telephony and not any(p.startswith("calls") for p, _ in cells.sums):
        cells.quiet.add(config.account_id)


def _gather_levels(
    connection: Connection,
    ask: Ask,
    question: Question,
    cut: Cut,
    grouper: "_Grouper",
    cells: Cells,
) -> None:
    """A level at each period's end (or at the cut): what was before, plus the steps up to it."""
    spans = question.spans()
    running: dict[tuple[str, tuple[str, ...]], int] = bases(connection, ask, question.first, cut)
    steps: dict[tuple[int, str, tuple[str, ...]], int] = {}
    for part in sums(connection, ask, question.first, question.last, cut, months=False):
        step = (grouper.period_of(part.on), part.part, part.group)
        steps[step] = steps.get(step, 0) + part.value
    combinations = dict.fromkeys([*running, *((p, g) for _, p, g in steps)])
    for number in range(len(spans)):
        for part_name, group in combinations:
            moved = steps.get((number, part_name, group), 0)
            running[part_name, group] = running.get((part_name, group), 0) + moved
            on = spans[number][1]
            key = (number, grouper.group(group, on), grouper.currency(""))
            cells.add(part_name, key, running[part_name, group])


class _Grouper:
    """Turns columns of an account into the question's dimensions."""

    def __init__(self, config: Config, question: Question, columns: tuple[str, ...]) -> None:
        self._config = config
        self._question = question
        self._columns = columns
        self._spans = question.spans()
        self._first = [span[0] for span in self._spans]

    def period_of(self, on: date) -> int:
        """Number of the period that a day lies in."""
        return max(0, bisect_right(self._first, on) - 1)

    def currency(self, told: str) -> str:
        """The currency of a cell; what has none stands with the account's."""
        if not self._question.has_money and "currency" not in self._question.dimensions:
            return ""
        return told or self._config.currency

    def group(self, values: tuple[str, ...], on: date) -> Group:
        """The values of the dimensions, as full ids."""
        row = dict(zip(self._columns, values, strict=True))
        return tuple(self._value(d, row, on) for d in self._question.dimensions)

    def _value(self, dimension: str, row: Mapping[str, str], on: date) -> str | None:
        account = self._config.account_id
        if dimension == "account":
            return account
        if dimension == "weekday":
            return str(on.isoweekday())
        if dimension == "team":
            team = self._config.team_of(row["seller"])
            return team.id if team else None
        if dimension == "source":
            return row["source"] or None
        if dimension == "stage":
            return f"{account}.{row['pipeline']}.{row['stage']}" if row["stage"] else None
        if dimension == "currency":
            return None
        return f"{account}.{row[dimension]}" if row[dimension] else None


def own_filters(
    config: Config, question: Question
) -> tuple[tuple[str, str, tuple[str, ...]], ...] | None:
    """The filters on this account's columns; None = nothing of it is asked for."""
    found = []
    prefix = f"{config.account_id}."
    for dimension, op, values in question.filters:
        if dimension == "account":
            if (config.account_id in values) != (op == "eq"):
                return None
            continue
        if dimension == "team":
            column = "seller"
            own = tuple(s for t in values if t in config.teams for s in config.teams[t].sellers)
        elif dimension == "source":
            column, own = "source", values
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


# --- figures from sums ----------------------------------------------------------------------------


def figure(metric: Metric, parts: Mapping[str, int]) -> int | float | None:
    """A metric's value from part sums; a part that is not there is 0."""
    if metric.kind != "ratio":
        return parts.get(metric.part or metric.slug, 0)
    above = parts.get(metric.numerator, 0)
    below = sum(parts.get(name, 0) for name in metric.denominator)
    if below <= 0:
        return None
    if metric.unit == "money":
        return int((Decimal(above) / below).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return float(round(Decimal(above) / below, 6))


@dataclass
class Table:
    """The answer's rows: one per (period, group, currency)."""

    rows: list[dict[str, Any]]
    totals: list[dict[str, Any]]


def tabulate(question: Question, cells: Cells, configs: Mapping[str, Config]) -> Table:
    """Rows of an answer, in order of period, then group."""
    spans = question.spans()
    default = _currencies(question, configs)
    groups = list(cells.groups) or ([((), c) for c in default] if not question.dimensions else [])
    rows = []
    for number, (first, last) in enumerate(spans):
        for group, currency in sorted(groups, key=lambda g: ([v or "" for v in g[0]], g[1])):
            key = (number, group, currency)
            row: dict[str, Any] = {}
            if question.grain is not None:
                row |= {"period": first, "period_end": last}
            row |= dict(zip(question.dimensions, group, strict=True))
            row["currency"] = currency or None
            row["values"] = _values(question, cells, key, configs)
            rows.append(row)
    totals = [
        {"currency": currency or None, "values": _totals(question, cells, currency, configs)}
        for currency in sorted({c for _, c in groups}) or default
    ]
    return Table(rows, totals)


def _currencies(question: Question, configs: Mapping[str, Config]) -> list[str]:
    if not question.has_money:
        return [""]
    return sorted({config.currency for config in configs.values()}) or ["RUB"]


def _values(
    question: Question, cells: Cells, key: Key, configs: Mapping[str, Config]
) -> dict[str, int | float | None]:
    found: dict[str, int | float | None] = {}
    for metric in question.metrics:
        quiet = _is_silent(metric, cells, configs)
        found[metric.slug] = (
            None
            if quiet
            else figure(metric, {p: cells.sums.get((p, key), 0) for p in metric.parts})
        )
    return found


def _is_silent(metric: Metric, cells: Cells, configs: Mapping[str, Config]) -> bool:
    """Figures on calls are null where no account has telephony (decisions.md 34)."""
    return metric.telephony and bool(configs) and cells.quiet >= set(configs)


def _totals(
    question: Question, cells: Cells, currency: str, configs: Mapping[str, Config]
) -> dict[str, int | float | None]:
    """From sums: flows over all periods, levels at the last period's end."""
    last = len(question.spans()) - 1
    flows: dict[str, int] = {}
    levels: dict[str, int] = {}
    for (part, (number, _, cell_currency)), value in cells.sums.items():
        if cell_currency != currency:
            continue
        flows[part] = flows.get(part, 0) + value
        if number == last:
            levels[part] = levels.get(part, 0) + value
    found: dict[str, int | float | None] = {}
    for metric in question.metrics:
        source = levels if metric.kind == "level" else flows
        quiet = _is_silent(metric, cells, configs)
        found[metric.slug] = None if quiet else figure(metric, source)
    return found


# --- comparisons ----------------------------------------------------------------------------------


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
    return Question(
        question.metrics, question.dimensions, first, last, question.grain, question.filters,
        question.as_of,
    )  # fmt: skip


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
