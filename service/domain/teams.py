"""Who is in which team on which local day.

What is known of it comes from the versions of the account's settings, each in force from the local
day on which it was saved, and where they name no teams from the CRM's groups, whose changes are
kept by the day on which they were seen. A move takes effect at the beginning of a local day; what
was said last on a day holds for all of it.

The first settings that name teams describe what was there already, so they hold since ever. What
the settings in force now say with dates (`from`, `to`) holds over what was said at that time: so an
admin tells the past.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

from service.domain.period import to_date, to_day

LAST_DAY = 99991231
NOBODY = ""  # the team of who is in none


@dataclass(frozen=True, slots=True)
class Team:
    """Sellers that work together. `id` is the CRM group's or the title from the settings.

    `former`: the settings or the CRM do not name it any more; it has figures of the past.
    """

    id: str
    name: str
    former: bool = False


class Line(NamedTuple):
    """A seller is in a team, on local days from `first` to `last`, or whenever this is in force."""

    team: str
    first: int = 0
    last: int = LAST_DAY

    @property
    def is_dated(self) -> bool:
        """Whether it says on which days."""
        return self.first > 0 or self.last < LAST_DAY

    def covers(self, day: int) -> bool:
        """Whether it speaks of a day."""
        return self.first <= day <= self.last


Said = Mapping[str, Sequence[Line]]
"""By seller: all that settings say of him."""


class Page(NamedTuple):
    """What settings in force from a local day on say of teams; None = the CRM's groups hold."""

    start: int
    said: Said | None


class Stay(NamedTuple):
    """A seller's stay in a team: local days from `first` to `last`."""

    seller: str
    first: int
    last: int


class Rota:
    """Everybody's team on every local day. `groups`: (from a day on, group) steps by seller."""

    def __init__(
        self, pages: Sequence[Page], groups: Mapping[str, Sequence[tuple[int, str]]]
    ) -> None:
        self._pages = pages
        self._starts = [page.start for page in pages]
        self._groups = groups

    @cached_property
    def _steps(self) -> Mapping[str, tuple[list[int], list[str]]]:
        """By seller the days on which his team changes, and the teams."""
        known = dict.fromkeys(self._groups)
        for page in self._pages:
            known |= dict.fromkeys(page.said or ())
        found = {}
        for seller in known:
            days: list[int] = []
            teams: list[str] = []
            for day in sorted({0, *self._starts, *self._breaks(seller)}):
                team = self._told(seller, day)
                if not teams or teams[-1] != team:
                    days.append(day)
                    teams.append(team)
            found[seller] = (days, teams)
        return found

    def _breaks(self, seller: str) -> Iterator[int]:
        """Days on which something may change for a seller within a page."""
        yield from (day for day, _ in self._groups.get(seller, ()))
        for page in self._pages:
            for line in (page.said or {}).get(seller, ()):
                yield line.first
                if line.last < LAST_DAY:
                    yield day_after(line.last)

    def _told(self, seller: str, day: int) -> str:
        """The team of a day: dated lines of now, then the page of that day."""
        newest = (self._pages[-1].said or {}).get(seller, ())
        said = self._pages[max(0, bisect_right(self._starts, day) - 1)].said
        if said is None:
            own = [Line(group, first) for first, group in self._groups.get(seller, ())]
            then = [line._replace(first=0) for line in own if line.first <= day][-1:] or own[:1]
        else:
            then = list(said.get(seller, ()))
        lines = [line for line in (*newest, *then) if line.is_dated and line.covers(day)]
        lines += [line for line in reversed(then) if not line.is_dated]
        return lines[0].team if lines else NOBODY

    @property
    def told(self) -> list[tuple[str, list[int], list[str]]]:
        """All of it, plainly: it changes exactly when somebody's team on some day changes."""
        return [(seller, days, teams) for seller, (days, teams) in sorted(self._steps.items())]

    @property
    def sellers(self) -> Iterable[str]:
        """Everybody of whom something is known."""
        return self._steps

    def team_on(self, seller: str, day: int) -> str:
        """The team of a seller on a local day; "" = none."""
        steps = self._steps.get(seller)
        return steps[1][bisect_right(steps[0], day) - 1] if steps else NOBODY

    def moves(self, seller: str) -> list[int]:
        """The days on which a seller's team is another one than the day before."""
        return self._steps[seller][0][1:] if seller in self._steps else []

    @cached_property
    def all_moves(self) -> list[int]:
        """The days on which anybody moves, in order."""
        return sorted({day for seller in self._steps for day in self.moves(seller)})

    @cached_property
    def _stays(self) -> Mapping[str, list[Stay]]:
        found: dict[str, list[Stay]] = {}
        for seller, (days, teams) in self._steps.items():
            ends = [*(day_before(day) for day in days[1:]), LAST_DAY]
            for first, last, team in zip(days, ends, teams, strict=True):
                if team:
                    found.setdefault(team, []).append(Stay(seller, first, last))
        return found

    @property
    def teams(self) -> Iterable[str]:
        """All teams that anybody ever is in."""
        return self._stays

    def stays(self, team: str, first: int = 0, last: int = LAST_DAY) -> list[Stay]:
        """Who is in a team on which days of a span."""
        return [
            Stay(stay.seller, max(stay.first, first), min(stay.last, last))
            for stay in self._stays.get(team, ())
            if stay.first <= last and stay.last >= first
        ]

    def members(self, team: str, day: int) -> tuple[str, ...]:
        """Who is in a team on a local day."""
        return tuple(stay.seller for stay in self.stays(team, day, day))

    def ever(self, team: str) -> tuple[str, ...]:
        """Everybody who ever is in a team."""
        return tuple(dict.fromkeys(stay.seller for stay in self.stays(team)))


def pages_of(versions: Iterable[Page]) -> list[Page]:
    """Pages of versions of the settings in order: the last of each day, the first since ever."""
    by_day: dict[int, Page] = {}
    for page in versions:
        by_day[page.start] = page
    found = [by_day[day] for day in sorted(by_day)]
    if any(page.said is not None for page in found):
        while found[0].said is None:
            found = found[1:]
    return [Page(0, found[0].said), *found[1:]] if found else [Page(0, None)]


def day_after(day: int) -> int:
    """The local day after one."""
    return to_day(to_date(day) + timedelta(days=1))


def day_before(day: int) -> int:
    """The local day before one."""
    return to_day(to_date(day) - timedelta(days=1))


def clash(lines: Sequence[Line]) -> tuple[Line, Line] | None:
    """Two lines that put a seller into two teams at once."""
    for number, one in enumerate(lines):
        for other in lines[number + 1 :]:
            alike = one.is_dated == other.is_dated and one.team != other.team
            if alike and one.first <= other.last and other.first <= one.last:
                return one, other
    return None
