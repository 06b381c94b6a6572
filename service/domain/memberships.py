"""The teams of one account: what its settings and its portal say of them (`domain.teams`)."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from service.domain.account import TeamLines
from service.domain.instant import FOREVER, Instant
from service.domain.named import find
from service.domain.period import day_start, local_day, to_day
from service.domain.teams import LAST_DAY, Line, Page, Rota, Said, Team, clash, day_after, pages_of
from service.errors import ConfigError

if TYPE_CHECKING:
    from service.domain.config import Config


class Memberships:
    """Who is in which team when. Names that the portal does not know (any more) are left out."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        own = (0, config.document.teams)
        versions = config.team_versions or (own,)
        self._newest = versions[-1][1]
        pages = [
            Page(local_day(at, config.timezone), self._said(lines) if lines else None)
            for at, lines in versions
        ]
        self._pages = pages_of(pages)

    @cached_property
    def rota(self) -> Rota:
        """Everybody's team on every local day."""
        return Rota(self._pages, self._groups)

    def _said(self, teams: TeamLines) -> Said:
        found: dict[str, list[Line]] = {}
        for team, members in teams.items():
            for member in members:
                try:
                    seller = self._config.seller_id(member.id, f"teams.{team}")
                except ConfigError:  # told in `problems`, if it is in force
                    continue
                first = to_day(member.first) if member.first else 0
                line = Line(team, first, to_day(member.last)) if member.last else Line(team, first)
                found.setdefault(seller, []).append(line)
        return found

    @cached_property
    def _groups(self) -> Mapping[str, Sequence[tuple[int, str]]]:
        """The CRM's groups by seller and local day, if they hold at any time."""
        if all(page.said is not None for page in self._pages):
            return {}
        zone = self._config.timezone
        found: dict[str, list[tuple[int, str]]] = {}
        for seller in self._config.directory.sellers:
            steps = seller.groups or ((0, seller.group, seller.group_name),)
            by_day = {local_day(at, zone) if at else 0: group or "" for at, group, _ in steps}
            found[seller.id] = list(by_day.items())
        return found

    @cached_property
    def teams(self) -> dict[str, Team]:
        """All teams of any time by id: those of now first, in the order of the settings."""
        named = self._group_names
        if self._newest:
            now = {name: Team(name, name) for name in self._newest}
        else:
            groups = [s.group for s in self._config.directory.sellers if s.group is not None]
            now = {group: Team(group, named[group]) for group in groups}
        gone = sorted(set(self.rota.teams) - now.keys())
        return now | {team: Team(team, named.get(team, team), former=True) for team in gone}

    @cached_property
    def _group_names(self) -> Mapping[str, str]:
        """What each of the CRM's groups is (or was last) called."""
        found: dict[str, str] = {}
        for seller in self._config.directory.sellers:
            for _, group, name in seller.groups:
                if group is not None:
                    found[group] = name or group
        for seller in self._config.directory.sellers:
            if seller.group is not None:
                found[seller.group] = seller.group_name or seller.group
        return found

    def day_of(self, at: Instant | None) -> int:
        """The local day of an instant; None = the last of all."""
        return LAST_DAY if at is None else local_day(at, self._config.timezone)

    def team_at(self, seller: str, at: Instant | None) -> Team | None:
        """The team of a seller at an instant; None = the one that he is in last."""
        return self.teams.get(self.rota.team_on(seller, self.day_of(at)))

    def members(self, team: str, at: Instant) -> tuple[str, ...]:
        """Who is in a team at an instant."""
        return self.rota.members(team, self.day_of(at))

    def stays(self, team: str) -> list[tuple[str, Instant, Instant]]:
        """(seller, from, to) of everybody who ever is in a team."""
        zone = self._config.timezone
        return [
            (
                seller,
                day_start(first, zone) if first else 0,
                day_start(day_after(last), zone) if last < LAST_DAY else FOREVER,
            )
            for seller, first, last in self.rota.stays(team)
        ]

    @property
    def all_edges(self) -> list[Instant]:
        """Instants at which anybody's team changes, in order."""
        return [day_start(day, self._config.timezone) for day in self.rota.all_moves]

    def edges(self, seller: str) -> list[Instant]:
        """Instants at which a seller's team changes."""
        return [day_start(day, self._config.timezone) for day in self.rota.moves(seller)]

    def check(self) -> list[str]:
        """What is wrong with the teams of the settings; one sentence each."""
        config, faults = self._config, []
        for team, members in config.document.teams.items():
            pairs = [(s.id, s.name) for s in config.directory.sellers]
            for member in members:
                try:
                    find(str(member.id), pairs, f"teams.{team}", "seller")
                except ConfigError as error:
                    faults.append(str(error))
        for seller, lines in self._said(config.document.teams).items():
            if found := clash(lines):
                one, other = (line.team for line in found)
                faults.append(
                    f"teams.{other}: seller {seller} is in {one!r} at the same time; "
                    "leave out one, or give both days: {id: ..., from: ..., to: ...}"
                )
        return faults
