"""Plans as they are read: stored rows become leaves, every level is their sum (kpis.md 8.1).

Stored are rows as people set them, by their natural key: of a sum its months and its single days
(hand-changed ones, and the finished days of a running month whose plan was changed); longer periods
are split into months when they are written, weeks into days. A row of a seller is his own, a row of
a team or of the account is a total. From these rows `leaves` makes the plan of every seller on
every day: a day that is set stays, the month's rest goes over the other days by their working hours
with cumulative rounding. What a total holds beyond its members is a leaf of its own, "not
distributed". Teams, the account, weeks, months, quarters and years are sums of leaves and nothing
else, so all levels agree by construction. Ratios are norms: copied to all children.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.period import Grain, Period, day_start, local_date, periods, to_day
from service.kpi.decompose import fill
from service.kpi.metrics import METRICS, Metric

Row = Mapping[str, Any]
Scope = tuple[str, str]
"""(team, seller): a seller ("", "7"), a team ("1", ""), the account ("", "")."""
WHOLE: Scope = ("", "")
_PLANNED_AS = {"won_with_amount": "deals_won"}  # a part that is not planned itself


def days_of(period: Period) -> list[date]:
    """All days of a period."""
    count = (period.last - period.first).days + 1
    return [period.first + timedelta(days=n) for n in range(count)]


def names_within(period: Period) -> list[str]:
    """Names of the rows that the plan of a period is read from: months, days, enclosing norms."""
    months = periods(period.first, period.last, "month")
    found = [name for month in months for name in (month.name, *_day_names(month))]
    grains: tuple[Grain, ...] = ("day", "week", "month", "quarter", "year")
    found += [Period.around(period.first, grain).name for grain in grains]
    return list(dict.fromkeys([*found, period.name]))


def _day_names(month: Period) -> list[str]:
    return [day.isoformat() for day in days_of(month)]


def scope_of(row: Row) -> Scope:
    """Whose plan a row is."""
    return (row["team"], row["seller"])


def teams_of(config: Config, leaf: Scope, first: date, last: date) -> list[str]:
    """The teams that a leaf counts in on any day of a span, the last one first; "" = in none."""
    team, seller = leaf
    if not seller:
        return [team]
    rota, begin, end = config.memberships.rota, to_day(first), to_day(last)
    days = [begin, *(day for day in rota.moves(seller) if begin < day <= end)]
    return list(dict.fromkeys(rota.team_on(seller, day) for day in reversed(days)))


def parents(config: Config, scope: Scope, first: date, last: date) -> list[Scope]:
    """The totals that a scope is part of on some day of a span, the nearest first."""
    if scope == WHOLE:
        return []
    teams = teams_of(config, scope, first, last) if scope[1] else []
    return [*((team, "") for team in teams if team), WHOLE]


def is_within(config: Config, leaf: Scope, scope: Scope, on: date) -> bool:
    """Whether a leaf counts in a scope on a day."""
    return leaf == scope or scope in parents(config, leaf, on, on)


def within(
    config: Config, leaf: Scope, scope: Scope, days: Mapping[date, int]
) -> Mapping[date, int] | None:
    """The days of a leaf that count in a scope; None = it never does.

    A seller's plan of a day is part of that of his team of that day.
    """
    if scope in (leaf, WHOLE):
        return days
    if not leaf[1] or not days:
        return None
    teams = teams_of(config, leaf, min(days), max(days))
    if scope[1] or scope[0] not in teams:
        return None
    if len(teams) == 1:
        return days
    return {on: value for on, value in days.items() if is_within(config, leaf, scope, on)}


def title(scope: Scope) -> str:
    """A scope as errors name it."""
    team, seller = scope
    if seller:
        return f"seller {seller}"
    return f"team {team}" if team else "the account"


@dataclass(frozen=True)
class _Set:
    """What is set for one scope and month."""

    value: int | None
    days: dict[int, int]


@dataclass
class PlanBook:
    """The plans of one account, by month, from its rows."""

    config: Config
    rows: dict[tuple[str, str, str, str], Row] = field(default_factory=dict)
    _months: dict[tuple[str, str], dict[tuple[str, str, str, str], Row]] = field(
        default_factory=dict
    )
    _leaves: dict[tuple[str, str], dict[Scope, list[int]]] = field(default_factory=dict)
    _sums: dict[tuple[str, str], dict[Scope, int]] = field(default_factory=dict)
    _spans: dict[tuple[str, date, date], dict[Scope, dict[date, int]]] = field(default_factory=dict)
    _weights: dict[tuple[str, Period], tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, rows: Iterable[Row]) -> "PlanBook":
        """A book of stored rows."""
        found = cls(config)
        for row in rows:
            found.put(row)
        return found

    def put(self, row: Row) -> None:
        """A row as it is from now on; `value` None = it is gone."""
        key = (row["metric"], row["period"], row["team"], row["seller"])
        self._leaves.pop((row["metric"], row["period"][:7]), None)
        self._sums.pop((row["metric"], row["period"][:7]), None)
        self._spans.clear()
        month = self._months.setdefault((row["metric"], row["period"][:7]), {})
        if row["value"] is None:
            self.rows.pop(key, None)
            month.pop(key, None)
        else:
            self.rows[key] = month[key] = row

    def row(self, metric: str, period: str, scope: Scope) -> Row | None:
        """One row as set."""
        return self.rows.get((metric, period, *scope))

    def rows_of_month(self, metric: str, month: str) -> list[Row]:
        """What is set for a month and its days."""
        return list(self._months.get((metric, month), {}).values())

    def weights(self, seller: str, period: Period) -> tuple[int, ...]:
        """Working seconds of each day; "" = the account's calendar."""
        key = (seller, period)
        found = self._weights.get(key)
        if found is None:
            calendar = self.config.calendar(seller or None)
            found = tuple(calendar.day_seconds(day) for day in days_of(period))
            self._weights[key] = found
        return found

    # --- sums ---------------------------------------------------------------------------------

    def month_leaves(self, metric: str, month: Period) -> dict[Scope, list[int]]:
        """The days of every leaf in a month: sellers, then what is not distributed."""
        key = (metric, month.name)
        if key not in self._leaves:
            self._leaves[key] = self._resolve(metric, month)
        return self._leaves[key]

    def _resolve(self, metric: str, month: Period) -> dict[Scope, list[int]]:
        stated = self._stated(metric, month)
        found: dict[Scope, list[int]] = {}
        for scope in sorted(s for s in stated if s[1]):
            one = stated[scope]
            total = sum(one.days.values()) if one.value is None else one.value
            found[scope] = fill(total, one.days, self.weights(scope[1], month))
        for scope in sorted((s for s in stated if not s[1]), reverse=True):  # the account last
            below = self._inside(found, scope, days_of(month))
            sums = [sum(column) for column in zip(*below, strict=True)] if below else []
            found[scope] = self._own(stated[scope], sums, self.weights("", month))
        return found

    def _inside(
        self, leaves: Mapping[Scope, Sequence[int]], scope: Scope, days: Sequence[date]
    ) -> list[list[int]]:
        """What of the days of each leaf counts in a scope."""
        found = []
        for leaf, values in leaves.items():
            own = within(self.config, leaf, scope, dict(zip(days, values, strict=True)))
            if own is not None:
                found.append([own.get(day, 0) for day in days])
        return found

    def day_totals(self, metric: str, month: Period, scope: Scope) -> list[int]:
        """The plan of a scope on each day of a month."""
        inside = self._inside(self.month_leaves(metric, month), scope, days_of(month))
        return [sum(column) for column in zip(*inside, strict=True)]

    def of_members(self, metric: str, month: Period, scope: Scope) -> list[int]:
        """What the sellers of a scope have on each day of a month."""
        leaves = {leaf: own for leaf, own in self.month_leaves(metric, month).items() if leaf[1]}
        inside = self._inside(leaves, scope, days_of(month))
        return [sum(column) for column in zip(*inside, strict=True)] or [0] * len(days_of(month))

    def _stated(self, metric: str, month: Period) -> dict[Scope, _Set]:
        found: dict[Scope, _Set] = {}
        for (_, period, team, seller), row in self._months.get((metric, month.name), {}).items():
            known = found.get((team, seller), _Set(None, {}))
            if period == month.name:
                found[team, seller] = _Set(row["value"], known.days)
            else:
                known.days[int(period[8:]) - 1] = row["value"]
                found[team, seller] = known
        return found

    def _own(self, one: _Set, below: Sequence[int], weights: Sequence[int]) -> list[int]:
        """What a total holds beyond its members."""
        members = below or [0] * len(weights)
        days = {i: max(0, value - members[i]) for i, value in one.days.items()}
        total = sum(days.values()) if one.value is None else max(0, one.value - sum(members))
        return fill(total, days, weights)

    def leaves(self, metric: str, period: Period) -> dict[Scope, dict[date, int]]:
        """The plan of every leaf on every day of a period."""
        key = (metric, period.first, period.last)
        if key not in self._spans:
            self._spans[key] = self._cut(metric, period)
        return self._spans[key]

    def _cut(self, metric: str, period: Period) -> dict[Scope, dict[date, int]]:
        found: dict[Scope, dict[date, int]] = {}
        for month in periods(period.first, period.last, "month"):
            days = days_of(month)
            for leaf, values in self.month_leaves(metric, month).items():
                kept = {
                    day: value
                    for day, value in zip(days, values, strict=True)
                    if period.first <= day <= period.last
                }
                found.setdefault(leaf, {}).update(kept)
        return found

    def total(self, metric: str, period: Period, scope: Scope) -> int | None:
        """The plan of a scope; None = there is none."""
        whole = self._leaf_sums(metric, period)
        found = []
        for leaf, value in whole.items():
            teams = teams_of(self.config, leaf, period.first, period.last) if leaf[1] else []
            if len(teams) > 1 and scope[0] in teams:
                own = within(self.config, leaf, scope, self.leaves(metric, period)[leaf])
                found.append(sum((own or {}).values()))
            elif is_within(self.config, leaf, scope, period.first):
                found.append(value)
        return sum(found) if found else None

    def _leaf_sums(self, metric: str, period: Period) -> dict[Scope, int]:
        if period.grain != "month":
            leaves = self.leaves(metric, period)
            return {leaf: sum(days.values()) for leaf, days in leaves.items()}
        key = (metric, period.name)
        if key not in self._sums:
            days = self.month_leaves(metric, period)
            self._sums[key] = {leaf: sum(values) for leaf, values in days.items()}
        return self._sums[key]

    # --- norms --------------------------------------------------------------------------------

    def norm(self, metric: Metric, period: Period, scope: Scope) -> Row | None:
        """The row whose norm holds for a scope: its own, else its parents'; the shortest period."""
        grains: tuple[Grain, ...] = ("day", "week", "month", "quarter", "year")
        around = [Period.around(period.first, grain) for grain in grains]
        names = [p.name for p in around if p.first <= period.first and period.last <= p.last]
        for one in (scope, *parents(self.config, scope, period.last, period.last)):
            for name in names:
                row = self.row(metric.slug, name, one)
                if row is not None:
                    return row
        return None

    def norm_of_parts(self, metric: Metric, period: Period, scope: Scope) -> Fraction | None:
        """The ratio of the plans of its two parts, if both are planned for this scope."""
        parts = [_PLANNED_AS.get(name, name) for name in metric.denominator]
        if not all(METRICS[name].plannable for name in (metric.numerator, *parts)):
            return None
        above = self.total(metric.numerator, period, scope)
        below = [self.total(name, period, scope) for name in parts]
        known = [value for value in below if value is not None]
        if above is None or len(known) < len(below) or not sum(known):
            return None
        return Fraction(above, sum(known))


def finished(config: Config, period: Period, now: Instant) -> int:
    """How many days of a period are over."""
    today = local_date(now, config.timezone)
    return max(0, min((today - period.first).days, (period.last - period.first).days + 1))


def passed_share(config: Config, seller: str, now: Instant) -> Fraction:
    """How much of today's working time has passed."""
    calendar = config.calendar(seller or None)
    today = local_date(now, config.timezone)
    whole = calendar.day_seconds(today)
    if not whole:
        return Fraction(0)
    done = calendar.working_seconds(day_start(to_day(today), config.timezone), now)
    return Fraction(done, whole)


def expected(config: Config, leaves: Mapping[Scope, Mapping[date, int]], now: Instant) -> Fraction:
    """What should be there by now: finished days, and today's share by each one's own hours."""
    today = local_date(now, config.timezone)
    found = Fraction(0)
    for (_, seller), days in leaves.items():
        found += sum(value for day, value in days.items() if day < today)
        if days.get(today):
            found += days[today] * passed_share(config, seller, now)
    return found


def is_holding(outer: Period, inner: Period) -> bool:
    """Whether a period holds another one."""
    return outer.first <= inner.first and inner.last <= outer.last
