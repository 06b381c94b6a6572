"""Teams over time in the figures (kpis.md 1.3): what sellers did counts for their team of that day.

A filter on a team is one on sellers as long as none of them moves in the span that is asked about.
Else it holds their stays: of flows each day is looked at by itself, of levels the day on which they
are told, so what a seller holds goes with him.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Integer, and_, case, cast, false, func, or_

from service.domain.config import Config
from service.domain.period import to_date, to_day
from service.domain.teams import Stay
from service.kpi.contribution import ORIGIN

Filter = tuple[str, str, tuple[Any, ...]]  # column, eq|ne, values
STAY = "stay"  # the column of a filter whose values are stays
MOST_CUTS = 24  # beyond so many moves in a span its days are read one by one


def of_teams(config: Config, op: str, teams: Sequence[str], begin: int, end: int) -> Filter:
    """The filter that teams are in a span of local days."""
    rota = config.memberships.rota
    stays = [stay for team in teams for stay in rota.stays(team, begin, end)]
    if all((stay.first, stay.last) == (begin, end) for stay in stays):
        return "seller", op, tuple(stay.seller for stay in stays)
    return STAY, op, tuple(stays)


def condition(columns: Any, told: Filter, day: Any = None) -> Any:
    """A filter in SQL, on contributions or a rollup. `day`: by which teams are told."""
    column, op, values = told
    if column != STAY:
        found = columns[column].in_(values)
    else:
        found = _within(columns, values, _day_of(columns) if day is None else day)
    return found if op == "eq" else ~found


def _day_of(columns: Any) -> Any:
    """The day of a row; of a sum of a month or year its first."""
    if "day" in columns:
        return columns["day"]
    return columns["month"] * 100 + 1 if "month" in columns else columns["year"] * 10_000 + 101


def told_on(columns: Any) -> Any:
    """The local day by which the team of a contribution is told: a correction's is its origin's."""
    origin = func.substr(columns.key, func.length(columns.key) - 7)
    is_correction = columns.key.contains(ORIGIN, autoescape=True)
    return case((is_correction, cast(origin, Integer)), else_=columns.day)


def inside(columns: Any, told: Filter, day: Any) -> Any:
    """Whether somebody is in the teams of a filter on a day, in SQL."""
    column, _, values = told
    return _within(columns, values, day) if column == STAY else columns.seller.in_(values)


def _within(columns: Any, stays: Sequence[Stay], day: Any) -> Any:
    by_days: dict[tuple[int, int], list[str]] = {}
    for seller, first, last in stays:
        by_days.setdefault((first, last), []).append(seller)
    return or_(
        false(),
        *(and_(columns.seller.in_(who), day.between(*days)) for days, who in by_days.items()),
    )


def ever(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """Filters that let through whatever those do on any day."""
    found: list[Filter] = []
    for column, op, values in filters:
        if column != STAY:
            found.append((column, op, values))
        elif op == "eq":
            found.append(("seller", op, tuple(dict.fromkeys(stay.seller for stay in values))))
    return tuple(found)


def on_day(filters: Iterable[Filter], day: int) -> tuple[Filter, ...]:
    """The filters as they are on a day."""
    found: list[Filter] = []
    for column, op, values in filters:
        if column == STAY:
            own = tuple(stay.seller for stay in values if stay.first <= day <= stay.last)
            found.append(("seller", op, own))
        else:
            found.append((column, op, values))
    return tuple(found)


def has_stays(filters: Iterable[Filter]) -> bool:
    """Whether some seller comes into or leaves what is asked for."""
    return any(column == STAY for column, _, _ in filters)


def admits(filters: Iterable[Filter], seller: str, day: int) -> bool:
    """Whether the stays among the filters let a seller through on a day."""
    return all(
        any(stay.seller == seller and stay.first <= day <= stay.last for stay in stays)
        == (op == "eq")
        for column, op, stays in filters
        if column == STAY
    )


def movers(config: Config, last: date) -> list[str]:
    """Sellers who had moved by a day."""
    rota, end = config.memberships.rota, to_day(last)
    return [seller for seller in rota.sellers if any(day <= end for day in rota.moves(seller))]


def cut(
    config: Config, first: date, last: date, *, by_team: bool, filters: Iterable[Filter] = ()
) -> list[tuple[date, date]]:
    """The span in pieces within which nobody moves; whole where teams do not matter."""
    if not (by_team or has_stays(filters)):
        return [(first, last)]
    begin, end = to_day(first), to_day(last)
    starts = [to_date(day) for day in config.memberships.rota.all_moves if begin < day <= end]
    ends = [start - timedelta(days=1) for start in starts]
    return list(zip([first, *starts], [*ends, last], strict=True))
