"""Decomposition of a plan: down the time to months, down the scope, down to days (kpis.md 8.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Literal

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.money import exponent
from service.domain.period import Grain, Period, local_date, periods, to_day
from service.kpi.decompose import Excess, Share, Weight, over_scope, over_time
from service.kpi.metrics import Metric
from service.kpi.planpast import Past
from service.kpi.plantree import WHOLE, PlanBook, Scope, days_of, finished, is_within, within
from service.kpi.planwrite import excess_sentence

Level = Literal["team", "seller", "quarter", "month", "week", "day"]
Weights = Literal["equal", "hours", "past", "manual"]
_TIMES: tuple[Grain, ...] = ("day", "week", "month", "quarter")  # the finest first


class Unsplittable(ValueError):  # noqa: N818 - an answer, not a failure
    """A plan that cannot be split so; `member`: what of the request is wrong ("" = a conflict)."""

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail)
        self.member = member
        self.detail = detail


@dataclass(frozen=True)
class Piece:
    """A part of a plan."""

    scope: Scope
    period: Period
    value: int


@dataclass
class Splitter:
    """Splits one plan. `book`: what is planned already; `past`: what the figures say."""

    config: Config
    book: PlanBook
    past: Past
    now: Instant
    metric: Metric
    scope: Scope
    by: tuple[Level, ...]
    weights: Weights = "hours"
    manual: Mapping[str, Fraction] = field(default_factory=dict)
    seasonal: bool = False
    step: int = 1

    @property
    def grain(self) -> Grain | None:
        """The finest time that is asked for."""
        return next((grain for grain in _TIMES if grain in self.by), None)

    @property
    def down(self) -> bool:
        """Whether it is split over people."""
        return "team" in self.by or "seller" in self.by

    def split(self, period: Period, value: int) -> list[Piece]:
        """The parts, at the grain of days or months (weeks and quarters are made by `shown`).

        Raises:
            Unsplittable: names what is wrong, or the amount that does not fit.
        """
        pieces = [Piece(self.scope, period, value)]
        by_days = self.grain in ("day", "week")
        if self.grain is not None and period.grain in ("year", "quarter"):
            pieces = self._months(pieces[0])
        if self.down:
            pieces = [part for piece in pieces for part in self._people(piece)]
        if by_days:
            pieces = [part for piece in pieces for part in self._days(piece)]
        return pieces

    def shown(self, period: Period, pieces: Sequence[Piece]) -> list[Piece]:
        """The parts at the grain that was asked for; weeks and quarters are sums."""
        grain = self.grain
        if grain not in ("week", "quarter"):
            return list(pieces)
        sums: dict[tuple[Scope, Period], int] = {}
        for piece in pieces:
            key = (piece.scope, Period.around(piece.period.first, grain))
            sums[key] = sums.get(key, 0) + piece.value
        return [Piece(scope, span, value) for (scope, span), value in sums.items()]

    def copies(self, period: Period, value: int) -> list[Piece]:
        """A norm is the same for all children."""
        scopes = [self.scope]
        if "seller" in self.by:
            scopes = [("", seller) for seller in self.sellers]
        elif "team" in self.by:
            scopes = [(team, "") for team in self._teams()]
        spans = periods(period.first, period.last, self.grain) if self.grain else [period]
        return [Piece(scope, span, value) for scope in scopes for span in spans]

    # --- people -------------------------------------------------------------------------------

    @cached_property
    def sellers(self) -> list[str]:
        """Who gets a part: who works now, in the scope; and who left with a plan."""
        working = [s.id for s in self.config.directory.sellers if s.active and s.listed]
        found = [s for s in working if self._inside(s)]
        if not found:
            raise Unsplittable("by", "There are no sellers to split over.")
        return found + sorted(self._left)

    @property
    def _today(self) -> date:
        return local_date(self.now, self.config.timezone)

    def is_inside(self, leaf: Scope, scope: Scope) -> bool:
        """Whether a leaf is part of a scope now: a plan is split over the teams of today."""
        return is_within(self.config, leaf, scope, self._today)

    def _inside(self, seller: str) -> bool:
        return self.is_inside(("", seller), self.scope)

    @cached_property
    def _left(self) -> set[str]:
        """Sellers with a plan who work no more: they keep what is frozen or locked."""
        working = {s.id for s in self.config.directory.sellers if s.active and s.listed}
        planned = {key[3] for key in self.book.rows if key[0] == self.metric.slug and key[3]}
        return {seller for seller in planned - working if self._inside(seller)}

    def _teams(self) -> dict[str, list[str]]:
        """The teams of the scope with their sellers; "" = sellers without a team."""
        found: dict[str, list[str]] = {}
        for seller in self.sellers:
            team = self.config.team_of(seller, self.now)
            found.setdefault(team.id if team else "", []).append(seller)
        return found

    def _people(self, piece: Piece) -> list[Piece]:
        """Down the scope: over teams, then in each team over its sellers."""
        if self.scope[1]:
            raise Unsplittable("by", "The plan of a seller is split over time only.")
        sellers = self.sellers
        weight = dict(zip(sellers, self._weigh(sellers, piece.period), strict=True))
        weight |= dict.fromkeys(self._left, 0)
        if "team" not in self.by or self.scope[0]:
            own = self._of_members(piece) if self.scope[0] else piece
            return self._share(own, [("", seller) for seller in sellers], weight)
        teams = self._teams()
        by_team: dict[str, Weight] = {
            team: sum((Fraction(weight[s]) for s in members), Fraction(0))
            for team, members in teams.items()
        }
        parts = self._share(piece, [(team, "") for team in teams], by_team)
        if "seller" not in self.by:
            return parts
        found = []
        for part in parts:
            members = [("", seller) for seller in teams[part.scope[0]]]
            found += self._share(self._of_members(part), members, weight)
        return found

    def _of_members(self, piece: Piece) -> Piece:
        """The plan of a team ("" = of who is in none) as the plans of those who are in it now."""
        return replace(piece, value=piece.value + self.elsewhere(piece.scope[0], piece.period))

    def elsewhere(self, team: str, period: Period) -> int:
        """Finished days that sellers of now had in other teams, less those of others in this one.

        They keep the team of their day, whoever has moved since.
        """
        over, today = finished(self.config, period, self.now), to_day(self._today)
        if not 0 < over < len(days_of(period)):
            return 0
        rota, found = self.config.memberships.rota, 0
        for (_, seller), days in self.book.leaves(self.metric.slug, period).items():
            if not seller or not rota.moves(seller):
                continue
            is_in = rota.team_on(seller, today) == team
            for day in days_of(period)[:over]:
                was_in = rota.team_on(seller, to_day(day)) == team
                found += days.get(day, 0) * (is_in - was_in)
        return found

    def _share(
        self, piece: Piece, scopes: Sequence[Scope], weight: Mapping[str, Weight]
    ) -> list[Piece]:
        shares = []
        for scope in scopes:
            name = scope[1] or scope[0]
            row = None if scope == WHOLE else self.book.row(
                self.metric.slug, piece.period.name, scope
            )  # fmt: skip
            fixed = int(row["value"]) if row is not None and row["locked"] else None
            least = 0 if fixed is not None else self._frozen(scope, piece.period)
            if fixed is None and scope[1] in self._left:
                fixed = least
            shares.append(Share(name, weight[name], fixed, least))
        try:
            parts = over_scope(piece.value, shares, self.step)
        except Excess as error:
            raise self._excess(piece, error) from None
        return [Piece(s, piece.period, v) for s, v in zip(scopes, parts, strict=True)]

    def _excess(self, piece: Piece, error: Excess) -> Unsplittable:
        slug, period = self.metric.slug, piece.period.name
        return Unsplittable("", excess_sentence(slug, period, piece.scope, error.amount))

    def _frozen(self, scope: Scope, period: Period) -> int:
        """What finished days of a running period hold, where a plan is stored."""
        over = finished(self.config, period, self.now)
        if not 0 < over < len(days_of(period)) or scope == WHOLE:
            return 0
        passed = days_of(period)[:over]
        leaves = self.book.leaves(self.metric.slug, period)
        inside = [within(self.config, leaf, scope, days) for leaf, days in leaves.items()]
        return sum(days.get(day, 0) for days in inside if days is not None for day in passed)

    def _weigh(self, sellers: Sequence[str], period: Period) -> list[Weight]:
        if self.weights == "equal":
            return [1] * len(sellers)
        if self.weights == "manual":
            return self._manual(sellers)
        if self.weights == "past":
            found = self.past.shares(self.metric, sellers, period.first)
            if found is not None:
                return list(found)
        begin = 0
        if any(self._frozen(("", seller), period) for seller in sellers):
            begin = finished(self.config, period, self.now)
        return [self._hours(seller, period, begin) for seller in sellers]

    def _hours(self, seller: str, period: Period, begin: int) -> Weight:
        """Planned working time, in a newcomer's first months less of it."""
        seconds = sum(self.book.weights(seller, period)[begin:])
        return seconds * ramp_up(self.config, seller, period.first)

    def _manual(self, sellers: Sequence[str]) -> list[Weight]:
        own = {name.partition(".")[2] or name: share for name, share in self.manual.items()}
        if "seller" not in self.by:
            teams = self._teams()
            own = {
                seller: share / len(teams[team])
                for team, share in self.manual.items()
                for seller in teams.get(team, ())
            }
            known = set(teams)
            strangers = sorted(set(self.manual) - known)
        else:
            strangers = sorted(set(own) - set(sellers))
        strangers = [name for name in strangers if name not in self._left]
        if strangers:
            raise Unsplittable("manual", f"manual names {strangers[0]!r}, who gets no part here.")
        if sum(self.manual.values()) != 100:
            raise Unsplittable("manual", "The shares of manual must sum to 100 per cent.")
        return [own.get(seller, Fraction(0)) for seller in sellers]

    # --- time ---------------------------------------------------------------------------------

    def _months(self, piece: Piece) -> list[Piece]:
        """Down from a year or quarter; locked months stay, and finished ones that are planned."""
        months = periods(piece.period.first, piece.period.last, "month")
        today = local_date(self.now, self.config.timezone)
        running = piece.period.last >= today
        fixed = {}
        for number, month in enumerate(months):
            row = self.book.row(self.metric.slug, month.name, piece.scope)
            total = self.book.total(self.metric.slug, month, piece.scope)
            over = running and total is not None and month.last < today
            if (row is not None and row["locked"]) or over:
                fixed[number] = total or 0
        weights = self._month_weights(piece.scope, months)
        return self._timed(piece, months, fixed, weights)

    def _month_weights(self, scope: Scope, months: Sequence[Period]) -> list[Weight]:
        if self.weights == "equal":
            return [1] * len(months)
        hours = [sum(self.book.weights(scope[1], month)) for month in months]
        seasons = None
        if self.seasonal:
            sellers = [scope[1]] if scope[1] else None
            if scope[0]:
                sellers = list(self.config.memberships.members(scope[0], self.now))
            seasons = self.past.seasons(self.metric, months, sellers)
        if seasons is None:
            return list(hours)
        return [hour * season for hour, season in zip(hours, seasons, strict=True)]

    def _days(self, piece: Piece) -> list[Piece]:
        """Down to days; locked days stay, and finished ones of a plan that is stored."""
        found = days_of(piece.period)
        spans = [Period(day, day, "day") for day in found]
        weights = self.book.weights(piece.scope[1], piece.period)
        shares = [int(bool(w)) for w in weights] if self.weights == "equal" else list(weights)
        return self._timed(piece, spans, self._fixed_days(piece, found), shares)

    def _fixed_days(self, piece: Piece, days: Sequence[date]) -> dict[int, int]:
        slug, scope = self.metric.slug, piece.scope
        fixed = {}
        leaves = self.book.leaves(slug, piece.period)
        found = [within(self.config, leaf, scope, own) for leaf, own in leaves.items()]
        inside = [own for own in found if own is not None]
        over = finished(self.config, piece.period, self.now)
        running = over < len(days) and bool(inside) and not (scope == WHOLE and self.down)
        for number, day in enumerate(days):
            row = self.book.row(slug, day.isoformat(), scope)
            if (row is not None and row["locked"]) or (running and number < over):
                fixed[number] = sum(values.get(day, 0) for values in inside)
        return fixed

    def _timed(
        self,
        piece: Piece,
        spans: Sequence[Period],
        fixed: Mapping[int, int],
        weights: Sequence[Weight],
    ) -> list[Piece]:
        try:
            parts = over_time(piece.value, fixed, weights)
        except Excess as error:
            raise self._excess(piece, error) from None
        return [Piece(piece.scope, s, v) for s, v in zip(spans, parts, strict=True)]


def ramp_up(config: Config, seller: str, first: date) -> Fraction:
    """0.3, 0.6 and 1 in a newcomer's first three months, where his first day is known."""
    known = next((s for s in config.directory.sellers if s.id == seller), None)
    begun_at = next((at for at, active in known.activity if active), 0) if known else 0
    if not begun_at:
        return Fraction(1)
    begun = local_date(begun_at, config.timezone)
    passed = (first.year - begun.year) * 12 + first.month - begun.month
    return {0: Fraction(3, 10), 1: Fraction(6, 10)}.get(passed, Fraction(1))


def default_step(metric: Metric, currency: str) -> int:
    """One deal; a thousand roubles; one major unit of another currency."""
    if metric.unit != "money":
        return 1
    return int(10 ** exponent(currency)) * (1000 if currency == "RUB" else 1)
