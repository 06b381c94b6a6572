"""Limits: a seller's own, else his team's, else the account's; newcomers have a share."""

from datetime import date
from typing import Any

import pytest

from service.cli.document import as_yaml
from service.domain.config import Config
from service.domain.named import parse_document
from service.domain.resolving import resolve
from tests.world import ACCOUNT, DIRECTORY, moment

DOCUMENT: dict[str, Any] = {
    "limits": {"open_deals": 41, "hot_deals": 0, "open_tasks": 1},
    "team_limits": {"Отдел 1": {"open_deals": 31, "overdue_tasks": 5}},
    "sellers": {
        "7": {"limits": {"overdue_tasks": 3}, "newcomer_until": "2026-03-20"},
        "12": {"newcomer_until": "2026-03-20"},
    },
    "pipelines": {"Продажи": {"limits": {"open_deals": 20}}},
}
DURING, AFTER = moment("2026-03-20 23:59"), moment("2026-03-21 00:00")


def config_of(document: dict[str, Any]) -> Config:
    return resolve(ACCOUNT, "amocrm", DIRECTORY, parse_document(document))


@pytest.mark.parametrize(
    ("name", "seller", "at", "expected"),
    [
        ("open_deals", "9", DURING, 31),  # of the team
        ("open_deals", "12", AFTER, 41),  # of the account
        ("overdue_tasks", "12", AFTER, 10),  # of nobody: the default
        ("overdue_tasks", "9", DURING, 5),
        ("overdue_tasks", "7", DURING, 3),  # his own has no share
        ("open_deals", "7", DURING, 15),
        ("open_deals", "7", AFTER, 31),
        ("open_deals", "7", None, 31),
        ("open_deals", "12", DURING, 20),
        ("hot_deals", "12", DURING, 0),  # not judged stays so
        ("open_tasks", "12", DURING, 1),  # a share is no "not judged"
    ],
)
def test_which_limit_holds(name: str, seller: str, at: int | None, expected: int) -> None:
    assert config_of(DOCUMENT).standards.limit(name, seller, at) == expected


def test_the_share_is_the_settings_own() -> None:
    config = config_of(DOCUMENT | {"newcomer_share": 70})
    assert config.standards.limit("open_deals", "7", DURING) == 21
    assert config.limit("7", DURING) == 21
    assert config.limit("7") == 31


def test_the_end_of_being_new_is_an_edge_for_the_judge() -> None:
    standards = config_of(DOCUMENT).standards
    assert (standards.edges("7"), standards.edges("9")) == ((AFTER,), ())
    assert (standards.newcomers(DURING), standards.newcomers(AFTER)) == (("7", "12"), ())


def test_pipelines_have_limits_of_their_own() -> None:
    standards = config_of(DOCUMENT).standards
    assert (standards.pipeline_limit("31"), standards.pipeline_limit("404")) == (20, 0)
    assert standards.limited_pipelines == ("31",)
    assert config_of({}).standards.limited_pipelines == ()


def test_teams_of_the_settings_may_be_named_too_and_yaml_dates_are_read() -> None:
    config = config_of({
        "teams": {"Новички": ["Сидоров"]}, "team_limits": {"Новички": {"open_deals": 7}},
        "sellers": {9: {"newcomer_until": date(2026, 3, 20)}},
    })  # fmt: skip
    config.check()
    assert config.limit("12") == 7
    assert config.limit("9", DURING) == 25
    shown = as_yaml(ACCOUNT, config.document, config)
    assert "team_limits:  # " in shown
    assert "newcomer_share: 50  # " in shown
