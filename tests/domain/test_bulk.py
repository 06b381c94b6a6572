"""Bulk stretches against a judge that looks at every window."""

from itertools import pairwise
from random import Random

from service.domain.bulk import Limit, Stretch, edits_of, ready_at, stretches
from service.domain.facts import Fact, Kind


def naive(edits: list[tuple[int, str]], limit: Limit) -> set[tuple[int, str]]:
    """The edits that some window of more than the limit contains."""
    found: set[tuple[int, str]] = set()
    for begun, _ in edits:
        window = [edit for edit in edits if begun <= edit[0] < begun + limit.seconds]
        if len({deal for _, deal in window}) > limit.deals:
            found |= set(window)
    return found


def test_stretches_hold_exactly_the_edits_of_full_windows() -> None:
    met = 0
    for seed in range(300):
        dice = Random(seed)
        limit = Limit(dice.randint(1, 4), dice.choice([5, 20, 60]))
        edits = sorted(
            (dice.randint(0, 150), str(dice.randint(1, 7))) for _ in range(dice.randint(0, 40))
        )
        found = stretches("7", edits, limit)
        inside = {e for e in edits if any(s.since <= e[0] <= s.until for s in found)}
        assert inside == naive(edits, limit), seed
        assert all(a.until < b.since for a, b in pairwise(found))
        met += len(found)
    assert met > 100


def test_exactly_the_limit_is_not_bulk_and_one_deal_is_not_many() -> None:
    limit = Limit(50, 600)
    fifty = [(number, str(number)) for number in range(50)]
    assert stretches("7", fifty, limit) == []
    assert stretches("7", [(number, "1") for number in range(500)], limit) == []
    assert stretches("7", [*fifty, (599, "50")], limit) == [Stretch("7", 0, 599, 51)]
    assert stretches("7", [*fifty, (600, "50")], limit) == []


def test_making_a_deal_is_a_change_and_an_unknown_author_is_nobody() -> None:
    body = {"author": None, "created_by": "0", "created_at": 5}
    assert [tuple(edit) for edit in edits_of(Fact(Kind.DEAL, "1", 9, body))] == [("0", 5, "1")]
    assert list(edits_of(Fact(Kind.TASK, "1", 9, {"author": "7"}))) == []


def test_what_belongs_together_is_ready_at_once_and_a_long_change_window_by_window() -> None:
    limit, short = Limit(50, 600), Stretch("7", 1000, 1500, 60)
    rows = [{"since": at, "held_since": 900, "breach_at": at + 3600} for at in (1000, 1200, 1500)]
    assert {ready_at(row, short, limit) for row in rows} == {1500 + 3600}
    endless = Stretch("7", 1000, 99_000, 6000)
    later = {"since": 1700, "held_since": 1700, "breach_at": 1700}
    assert ready_at(rows[0], endless, limit) == 1599 + 3600
    assert ready_at(later, endless, limit) == 2199
