"""Levels of sellers: the second layer, made of +1/-1 steps from the first (rules.md 1.1).

A level rule is in violation while the running sum is above its limit. Judging starts at any instant
with the sum just before it and what was going on then, so a late fact re-judges from its own
instant on and nothing older is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.instant import Instant
from service.domain.violation import Found
from service.rules.attributes import ATTRIBUTES, SellerState
from service.rules.book import Rule, Window


@dataclass(frozen=True, slots=True)
class Carried:
    """An interval that began before the judged stretch: it goes on, or ended just before it."""

    found: Found
    ended_at: Instant | None  # None = it reaches into the stretch


@dataclass(slots=True)
class _Run:
    found: Found
    end: Instant | None


def judge_level(
    rule_id: str,
    seller: str,
    before: int,
    steps: Sequence[tuple[Instant, int]],
    windows: Sequence[Window],
    carried: Carried | None = None,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of one level rule for one seller from `start` on.

    `before`: the level just before `start`; `steps`: (instant, delta) from `start` on, in order.
    The result includes the carried interval, as it is now.
    """
    runs: list[_Run] = []
    if carried is not None:
        runs.append(_Run(carried.found, carried.ended_at))
    level = before
    for at, total in _stretches(level, steps, windows, start):
        window, rule = _rule_at(windows, rule_id, at)
        over = rule is not None and window is not None and _is_over(rule, window, seller, at, total)
        if over and rule is not None and window is not None:
            _continue(runs, rule, window, seller, at, total)
        elif runs and runs[-1].end is None:
            runs[-1].end = at
    return [_finished(run) for run in runs]


def _stretches(
    level: int, steps: Sequence[tuple[Instant, int]], windows: Sequence[Window], start: Instant
) -> list[tuple[Instant, int]]:
    """(from, level) between instants at which the level or the settings change."""
    at_instant: dict[Instant, int] = {start: 0}
    for at, delta in steps:
        at_instant[at] = at_instant.get(at, 0) + delta
    for window in windows:
        if window.start > start:
            at_instant.setdefault(window.start, 0)
    found = []
    for at in sorted(at_instant):
        level += at_instant[at]
        found.append((at, level))
    return found


def _rule_at(
    windows: Sequence[Window], rule_id: str, at: Instant
) -> tuple[Window | None, Rule | None]:
    for window in windows:
        if window.start <= at < window.end:
            return window, next((r for r in window.rules if r.id == rule_id), None)
    return None, None


def _is_over(rule: Rule, window: Window, seller: str, at: Instant, level: int) -> bool:
    state = SellerState(at, seller, level)
    values = rule.condition.values(state, window.config)
    return rule.condition.holds(values) and level > _limit(rule, window, state)


def _limit(rule: Rule, window: Window, state: SellerState) -> int:
    attributes = ATTRIBUTES["seller"]
    return rule.above(lambda name: attributes[name].get(state, window.config))


def _continue(
    runs: list[_Run], rule: Rule, window: Window, seller: str, at: Instant, level: int
) -> None:
    """Go on with the last interval if it lasts or its gap is short; else begin a new one."""
    if runs:
        last = runs[-1]
        if last.end is None:
            return
        if at - last.end < rule.join_seconds or at == last.end:
            last.end = None
            return
    limit = _limit(rule, window, SellerState(at, seller, level))
    values = {
        "attributes": {"seller.level": level, "seller.limit": limit},
        "for": "0m",
        "text": {"n": level, "limit": limit},
    }
    found = Found(
        rule.id, rule.version, rule.severity, rule.model.notice, "seller", seller,
        "", "", "", seller, seller, 0, "", at, at, 0, at, None, None, values,
    )  # fmt: skip
    runs.append(_Run(found, None))


def _finished(run: _Run) -> Found:
    found = run.found
    found.resolved_at = run.end
    found.resolution = None if run.end is None else "fixed"
    return found
