"""Who is in which team when: versions of the settings, days in them, groups of the CRM."""

from typing import Any

import pytest
from msgspec.structs import replace

from service.domain.config import Config
from service.domain.merging import merge
from service.domain.named import parse_document
from tests import world

DAYS = ("2026-02-28", "2026-03-01", "2026-03-14", "2026-03-15", "2026-03-31", "2026-04-01")
FIRST, SAME_DAY, MARCH, APRIL = (
    world.moment(at)
    for at in ("2026-03-01 09:00", "2026-03-01 18:00", "2026-03-15 23:59:59", "2026-04-01 00:00")
)


def teams(*versions: tuple[int, dict[str, list[Any]]], directory: Any = world.DIRECTORY) -> str:
    """The team of seller 9 on each of `DAYS` by the first letter, "-" = none."""
    said = [(at, parse_document({"teams": told})) for at, told in versions]
    config = Config(
        world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", directory, said[-1][1],
        team_versions=tuple((at, document.teams) for at, document in said),
    )  # fmt: skip
    found = [config.team_of("9", world.moment(f"{day} 12:00")) for day in DAYS]
    assert [team and team.id for team in found] == [
        config.memberships.rota.team_on("9", int(day.replace("-", ""))) or None for day in DAYS
    ]
    return "".join(team.id[0] if team else "-" for team in found)


@pytest.mark.parametrize(("versions", "expected"), [
    ([(FIRST, {"A": [9]})], "AAAAAA"),
    ([(FIRST, {"A": [9]}), (MARCH, {"B": [9]})], "AAABBB"),
    ([(FIRST, {"A": [9]}), (MARCH, {"B": [7]}), (APRIL, {"A": [9]})], "AAA--A"),
    # What is said last on a day holds for all of it, and the first day since ever.
    ([(FIRST, {"A": [7]}), (SAME_DAY, {"A": [7], "B": [9]}), (MARCH, {"A": [9]})], "BBBAAA"),
    # Without teams the CRM's groups hold; the first that are named were so before.
    ([(FIRST, {})], "111111"),
    ([(FIRST, {}), (MARCH, {"A": [9]})], "AAAAAA"),
    ([(FIRST, {"A": [9]}), (MARCH, {})], "AAA111"),
    # Days are told by the settings in force, also of the past; else what was said then holds.
    ([(FIRST, {"A": [9]}), (APRIL, {"B": [{"id": 9, "from": "2026-03-14"}]})], "AABBBB"),
    ([(FIRST, {"A": [9]}), (APRIL, {"B": [{"id": 9, "to": "2026-03-14"}], "A": [9]})], "BBBAAA"),
    ([(FIRST, {"A": [9, 7]}), (MARCH, {"A": [7, {"id": 9, "to": "2026-03-31"}]})], "AAAAA-"),
    (
        [(FIRST, {"A": [{"id": 9, "from": "2026-03-01", "to": "2026-03-14"}]}),
         (APRIL, {"B": [9]})],
        "-AA--B",
    ),
    ([(FIRST, {"A": [9]}), (MARCH, {"A": [{"id": 77, "from": "2026-03-01"}]})], "AAA---"),
])  # fmt: skip
def test_the_team_of_a_seller_by_what_was_said_when(versions: Any, expected: str) -> None:
    assert teams(*versions) == expected


def test_groups_of_the_portal_are_kept_by_the_day_on_which_they_were_seen() -> None:
    def with_group(group: str | None) -> Any:
        sellers = [
            replace(s, group=group, group_name=group) if s.id == "9" else s
            for s in world.DIRECTORY.sellers
        ]
        return replace(world.DIRECTORY, sellers=tuple(sellers))

    known = merge(world.DIRECTORY, with_group("2"), MARCH)
    assert merge(known, with_group("2"), APRIL) == known
    assert teams((FIRST, {}), directory=known) == "111222"
    known = merge(known, with_group(None), APRIL)
    assert teams((FIRST, {}), directory=known) == "11122-"
    assert teams((FIRST, {"A": [9]}), (APRIL, {}), directory=known) == "AAAAA-"


def test_teams_of_the_past_are_known_by_name() -> None:
    document = parse_document({"teams": {"B": [9]}})
    before = parse_document({"teams": {"A": [9]}})
    config = Config(
        world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", world.DIRECTORY, document,
        team_versions=((FIRST, before.teams), (MARCH, document.teams)),
    )  # fmt: skip
    assert [(team.id, team.former) for team in config.teams.values()] == [("B", False), ("A", True)]
    assert config.memberships.members("A", FIRST) == ("9",)
    assert config.memberships.members("A", MARCH) == ()
    assert config.standards.edges("9") == (world.moment("2026-03-15 00:00"),)
