"""Custom fields before, between and after what is told of them; and what mapped ones stand for."""

from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from service.domain.account import AccountDocument
from service.domain.directory import CustomField
from service.domain.facts import Fact, Kind, Rank
from service.domain.resolving import resolve
from service.domain.story import DealState
from service.domain.timeline import fold
from service.domain.worlds import world_of
from tests.world import DIRECTORY, moment

BORN, NOON, LATER, NOW = (moment(f"2026-03-0{day} 12:00") for day in (2, 3, 4, 5))


def whole(at: int, rank: Rank = Rank.FETCHED, **body: Any) -> Fact:
    told = {"pipeline": "31", "stage": "10", "created_at": BORN, "currency": "RUB", "amount": 100}
    return Fact(Kind.DEAL, "1", at, told | body, rank, at)


def single(at: int, **fields: str) -> Fact:
    changed = {name.removeprefix("f"): value for name, value in fields.items()}
    return Fact(Kind.DEAL, "1", at, {"fields_changed": changed, "author": "7"}, Rank.HISTORY)


def stage(at: int, to: str) -> Fact:
    return Fact(Kind.DEAL, "1", at, {"pipeline": "31", "stage": to}, Rank.HISTORY)


def states(*facts: Fact, **mapped: str) -> list[DealState]:
    """The pictures, which are the same in any order of the facts."""
    fields = (*DIRECTORY.fields, CustomField(id="7", name="Поле"))
    directory = replace(DIRECTORY, fields=fields)
    config = resolve("romashka", "amocrm", directory, AccountDocument(fields={**mapped}))
    found = [fold("deal:1", order, world_of(config)).deal for order in permutations(facts)]
    assert all(one == found[0] for one in found)
    return found[0]


def test_a_late_image_is_undone_backwards_field_by_field() -> None:
    found = states(
        whole(NOW, fields={"501": "7701", "7": "с начала"}),
        single(BORN, f501=""),
        single(NOON, f501="12"),
        single(LATER, f501="7701"),
    )
    assert [(s.at, s.fields) for s in found] == [
        (BORN, {"7": "с начала"}),
        (NOON, {"7": "с начала", "501": "12"}),
        (LATER, {"7": "с начала", "501": "7701"}),
    ]


def test_the_hook_and_the_event_of_one_change_are_one_change() -> None:
    found = states(
        whole(BORN, Rank.HOOK, fields={}),
        whole(NOON, Rank.HOOK, fields={"501": "7701"}, author="7"),
        single(NOON, f501="7701"),
        single(LATER, f501=""),
    )
    assert [(s.at, s.fields) for s in found] == [(BORN, {}), (NOON, {"501": "7701"}), (LATER, {})]


def test_single_fields_alone_do_not_say_that_others_are_empty() -> None:
    bare = Fact(Kind.DEAL, "1", BORN, {"pipeline": "31", "stage": "10", "created_at": BORN})
    assert [s.fields for s in states(bare, single(NOON, f501="7701"))] == [None]


@pytest.mark.parametrize(
    ("meaning", "attribute", "before", "after", "values"),
    [
        ("source", "source", "Сайт", "Звонок", ["Сайт", "Звонок"]),
        ("source", "source", "", "Звонок", [None, "Звонок"]),
        ("budget", "amount", "", "1 500,50", [0, 150_050]),
        ("close_date", "expected_close_on", "31.03.2026", "1774990800",
         ["2026-03-31", "2026-04-01"]),
    ],
)  # fmt: skip
def test_mapped_fields_are_undone_too(
    meaning: str, attribute: str, before: str, after: str, values: list[Any]
) -> None:
    found = states(
        whole(NOW, fields={"7": after}, source="чужой"),
        single(BORN, f7=before),
        single(NOON, f7=after),
        **{meaning: "Поле"},
    )
    assert [(s.at, getattr(s, attribute)) for s in found] == [
        (BORN, values[0]), (NOON, values[1]),
    ]  # fmt: skip


def test_mapped_loss_reason_counts_from_when_it_was_given() -> None:
    lost = (stage(BORN, "10"), stage(NOON, "143"), whole(NOW, stage="143", fields={"7": "Дорого"}))
    late = states(*lost, single(BORN, f7=""), single(LATER, f7="Дорого"), loss_reason="Поле")
    told = [(s.at, s.loss_reason) for s in late]
    assert told == [(BORN, None), (NOON, None), (LATER, "Дорого"), (NOW, "Дорого")]
    before = states(*lost, single(BORN + 9, f7="Дорого"), loss_reason="Поле")
    assert {s.loss_reason for s in before if s.at >= NOON} == {"Дорого"}
