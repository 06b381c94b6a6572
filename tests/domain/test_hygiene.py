"""The exact integrals against a second way of counting that looks at every minute."""

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.directory import StageKind
from service.domain.hygiene import (
    COSTS,
    COUNT,
    SHORT_SECONDS,
    WHOLE,
    Change,
    Meter,
    costs,
    mutings,
)
from service.domain.instant import FOREVER
from service.domain.story import DealState, Story
from service.domain.violation import Found

MINUTE = 60
PIECES = [(600, 840), (900, 1080), (2040, 2520)]  # in minutes: a day with a break, and another
HORIZON = 3000
NUMBERS = "abc"


@st.composite
def lives(draw: st.DrawFn) -> dict[str, list[tuple[int, bool, int, str]]]:
    """Deals as (minute, open, cost, rule), each holding until the next."""
    found = {}
    for number in NUMBERS:
        minutes = sorted(draw(st.sets(st.integers(0, HORIZON), min_size=1, max_size=6)))
        found[number] = [
            (
                at,
                draw(st.booleans()),
                draw(st.sampled_from([0, 1, 4, 10])),
                draw(st.sampled_from(["x", "y"])),
            )
            for at in minutes
        ]
    return found


def changes_of(life: list[tuple[int, bool, int, str]], number: str) -> list[Change]:
    """The steps of a deal; it costs nothing while it is closed."""
    found = []
    opened, cost, rule = False, 0, ""
    for at, now_open, told_cost, now_rule in life:
        now_cost = told_cost if now_open else 0
        if now_open != opened:
            found.append(Change(at * MINUTE, "", 1 if now_open else -1, number))
        if (now_cost, now_rule) != (cost, rule):
            if cost:
                found.append(Change(at * MINUTE, rule, -cost, number))
            if now_cost:
                found.append(Change(at * MINUTE, now_rule, now_cost, number))
        opened, cost, rule = now_open, now_cost, now_rule
    return found


def weighed(life: list[tuple[int, bool, int, str]], number: str) -> list[Change]:
    """The same of a deal that counts `often`, and is counted beside it."""
    found: list[Change] = []
    before: dict[str, int] = {}
    for at, now_open, cost, rule in life:
        now = {COUNT: 1, "": often(at), rule: cost * often(at)} if now_open else {}
        for name in sorted({*before, *now}):
            delta = now.get(name, 0) - before.get(name, 0)
            if delta:
                found.append(Change(at * MINUTE, name, delta, number))
        before = now
    return found


def often(at: int) -> int:
    """How often a deal counts from a minute on."""
    return 1 + at % 3


def once(_: int) -> int:
    return 1


def naive(
    told: dict[str, list[tuple[int, bool, int, str]]], weigh: Callable[[int], int] = once
) -> tuple[int, dict[str, int]]:
    """(seconds of open deals, cost by rule), minute by minute, deal by deal."""
    weight, by_rule = 0, {"x": 0, "y": 0}
    for life in told.values():
        seconds, heavy, spent = 0, 0, {"x": 0, "y": 0}
        for start, end in PIECES:
            for minute in range(start, end):
                now = [state for state in life if state[0] <= minute]
                if now and now[-1][1]:
                    seconds += MINUTE
                    heavy += weigh(now[-1][0]) * MINUTE
                    spent[now[-1][3]] += now[-1][2] * weigh(now[-1][0]) * MINUTE
        if seconds >= SHORT_SECONDS:
            weight += heavy
            by_rule = {rule: by_rule[rule] + cost for rule, cost in spent.items()}
    return weight, by_rule


@settings(max_examples=150, deadline=None)
@given(lives())
def test_meter_equals_looking_at_every_minute(
    told: dict[str, list[tuple[int, bool, int, str]]],
) -> None:
    changes = sorted(c for number, life in told.items() for c in changes_of(life, number))
    pieces = [(a * MINUTE, b * MINUTE) for a, b in PIECES]
    taken = Meter({}, changes).take(pieces)
    weight, by_rule = naive(told)
    assert taken.weight == weight
    assert {rule: taken.by_rule.get(rule, 0) for rule in by_rule} == by_rule
    if weight:
        points = sum(taken.points().values())
        assert taken.index is not None
        assert abs(taken.index + points - 100) < 1e-4
        assert abs(taken.index - 100 * (1 - sum(by_rule.values()) / (WHOLE * weight))) < 1e-6


@settings(max_examples=100, deadline=None)
@given(lives(), st.integers(0, PIECES[0][0]))
def test_what_counts_often_is_short_as_soon_as_what_counts_once(
    told: dict[str, list[tuple[int, bool, int, str]]], cut: int
) -> None:
    changes = sorted(c for number, life in told.items() for c in weighed(life, number))
    before: dict[tuple[str, str], int] = {}
    for change in changes:
        if change.at < cut * MINUTE:
            before[change.key] = before.get(change.key, 0) + change.delta
    meter = Meter(before, [c for c in changes if c.at >= cut * MINUTE], COUNT)
    taken = meter.take([(a * MINUTE, b * MINUTE) for a, b in PIECES])
    weight, by_rule = naive(told, often)
    assert taken.weight == weight
    assert {rule: taken.by_rule.get(rule, 0) for rule in by_rule} == by_rule
    assert taken.opened == naive(told)[0]
    meter.stand_at(HORIZON * MINUTE)
    assert meter.open_deals == sum(life[-1][1] for life in told.values())


@settings(max_examples=60, deadline=None)
@given(lives(), st.integers(700, 2300))
def test_a_meter_that_begins_later_knows_what_was_before(
    told: dict[str, list[tuple[int, bool, int, str]]], cut: int
) -> None:
    changes = sorted(c for number, life in told.items() for c in changes_of(life, number))
    pieces = [(max(a, cut) * MINUTE, b * MINUTE) for a, b in PIECES if b > cut]
    earlier = [c for c in changes if c.at < cut * MINUTE]
    before: dict[tuple[str, str], int] = {}
    for change in earlier:
        before[change.key] = before.get(change.key, 0) + change.delta
    later = [c for c in changes if c.at >= cut * MINUTE]
    if pieces:
        whole = Meter({}, changes).take(pieces)
        rest = Meter(before, later).take(pieces)
        assert (whole.weight, whole.cost) == (rest.weight, rest.cost)


def debt(dice: Random, rule: str) -> Found:
    begun, lasts = dice.randint(0, 60), dice.randint(1, 40)
    over = begun + lasts if dice.random() < 0.8 else None
    cuts = sorted(dice.sample(range(begun, (over or 100) + 1), min(4, (over or 100) - begun + 1)))
    muted = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    if over is None and dice.random() < 0.3:
        muted = (*muted[:-1], (cuts[-1], FOREVER))
    fields: dict[str, Any] = dict.fromkeys(Found.__dataclass_fields__, "")
    return Found(**fields | {
        "rule": rule, "severity": dice.choice(list(COSTS)), "notice": dice.random() < 0.2,
        "breach_at": begun, "resolved_at": over, "muted": muted,
    })  # fmt: skip


def test_what_is_muted_costs_nothing_and_is_told_apart_at_every_instant() -> None:
    """Looked at second by second: who has the deal, what is loud, what is muted."""
    both = 0
    for seed in range(200):
        dice = Random(seed)
        story = Story("deal:1", "deal", "1")
        for at in sorted(dice.sample(range(80), dice.randint(1, 5))):
            kind = dice.choice([StageKind.OPEN, StageKind.OPEN, StageKind.WON])
            state = DealState(at, kind, "31", responsible=dice.choice("79"))
            state.born_at = story.deal[0].at if story.deal else at
            story.deal.append(state)
        found = [debt(dice, rule) for rule in "xyz"]
        pieces, hushed = list(costs(story, found)), list(mutings(story, found))
        for at in range(120):
            held = [state for state in story.deal if state.at <= at][-1:]
            owner = held[0].responsible if held and held[0].kind is StageKind.OPEN else None
            over = [f for f in found if f.breach_at <= at < (f.resolved_at or FOREVER)]
            quiet = [f for f in over if any(a <= at < b for a, b in f.muted) and not f.notice]
            loud = [f for f in over if f not in quiet and not f.notice]
            cost = max((COSTS[f.severity] for f in loud), default=0)
            costing = [(c.cost, c.seller) for c in pieces if c.start <= at < c.end]
            assert costing == ([(cost, owner)] if cost and owner else []), (seed, at)
            muted = [m.seller for m in hushed if m.start <= at < m.end]
            assert muted == ([owner] if quiet and owner else []), (seed, at)
            both += bool(costing and muted)
    assert both > 100
