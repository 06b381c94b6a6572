"""Levels of sellers and accounts: the second layer, made of steps from the first (rules.md 1.1).

A level rule is in violation while the running sum is above its limit (and has been for `for`).
Judging starts at any instant with the sum just before it and what was going on then, so a late fact
re-judges from its own instant on and nothing older is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.violation import Found
from service.rules.attributes import ATTRIBUTES, SellerState
from service.rules.book import Rule, Window

_NOTICE = Span(1, "wd")


class Holder(NamedTuple):
    """Whose level it is: a seller, or the account (then `seller` is empty)."""

    kind: str
    id: str
    seller: str

    @property
    def timeline(self) -> str:
        """The key under which its violations are stored."""
        return f"{self.kind}:{self.id}"


def holder_of(rule: Rule, seller: str, account_id: str) -> Holder:
    """The holder of a rule's level, by the seller that its steps name."""
    if rule.model.on == "account":
        return Holder("account", account_id, "")
    return Holder("seller", seller, seller)


@dataclass(frozen=True, slots=True)
class Carried:
    """An interval that began before the judged stretch: it goes on, or ended just before it."""

    found: Found
    ended_at: Instant | None  # None = it reaches into the stretch


@dataclass(slots=True)
class _Run:
    found: Found
    end: Instant | None
    shown_until: Instant = 0  # of a notice: it ends then, whatever the level does


@dataclass(frozen=True, slots=True)
class _Stretch:
    """`[start, end)` in which level, settings and verdict do not change."""

    start: Instant
    end: Instant
    level: int
    window: Window | None
    rule: Rule | None
    over: bool


def judge_level(
    rule_id: str,
    holder: Holder,
    before: int,
    steps: Sequence[tuple[Instant, int]],
    windows: Sequence[Window],
    carried: Carried | None = None,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of one level rule for one holder from `start` on.

    `before`: the level just before `start`; `steps`: (instant, delta) from `start` on, in order.
    The result includes the carried interval, as it is now.
    """
    runs: list[_Run] = []
    if carried is not None:
        shown = 0
        if carried.found.notice and carried.found.resolved_at is not None:
            shown = carried.found.resolved_at
        runs.append(_Run(carried.found, carried.ended_at, shown))
    held: Instant | None = None
    for stretch in _stretches(rule_id, holder, before, steps, windows, start):
        if stretch.over:
            held = stretch.start if held is None else held
            _go_on(runs, stretch, held, holder)
        else:
            held = None
            if runs and runs[-1].end is None:
                runs[-1].end = stretch.start
    return [_finished(run) for run in runs]


def over_since(
    rule_id: str,
    holder: Holder,
    before: int,
    steps: Sequence[tuple[Instant, int]],
    windows: Sequence[Window],
    start: Instant,
    at: Instant,
) -> Instant | None:
    """Since when the level was above its limit just before `at`; None = since before `start`.

    An instant `at` itself: it was not above it.
    """
    since: Instant | None = None
    was = False
    for stretch in _stretches(rule_id, holder, before, steps, windows, start):
        if stretch.start >= at:
            break
        if not stretch.over:
            since, was = at, True
        elif since == at:
            since = stretch.start
    return since if was else None


def _stretches(
    rule_id: str,
    holder: Holder,
    level: int,
    steps: Sequence[tuple[Instant, int]],
    windows: Sequence[Window],
    start: Instant,
) -> Iterator[_Stretch]:
    """Stretches between instants at which the level, the settings or the seller's state change."""
    at_instant: dict[Instant, int] = {start: 0}
    for at, delta in steps:
        at_instant[at] = at_instant.get(at, 0) + delta
    edges = windows[-1].config.standards.edges(holder.seller) if holder.seller else ()
    for at in (*(window.start for window in windows), *edges):
        if at > start:
            at_instant.setdefault(at, 0)
    instants = sorted(at_instant)
    for index, at in enumerate(instants):
        level += at_instant[at]
        end = instants[index + 1] if index + 1 < len(instants) else FOREVER
        window, rule = _rule_at(windows, rule_id, at)
        over = rule is not None and window is not None and _is_over(rule, window, holder, at, level)
        yield _Stretch(at, end, level, window, rule, over)


def _rule_at(
    windows: Sequence[Window], rule_id: str, at: Instant
) -> tuple[Window | None, Rule | None]:
    for window in windows:
        if window.start <= at < window.end:
            return window, next((r for r in window.rules if r.id == rule_id), None)
    return None, None


def _is_over(rule: Rule, window: Window, holder: Holder, at: Instant, level: int) -> bool:
    state = SellerState(at, holder.seller, level)
    values = rule.condition.values(state, window.config)
    share = rule.model.share
    return rule.condition.holds(values) and level * 100 > limit_of(rule, window, state) * share


def limit_of(rule: Rule, window: Window, state: SellerState) -> int:
    """What the level must not exceed (for a `share` of it, the whole)."""
    attributes = ATTRIBUTES["seller"]
    return rule.above(lambda name: attributes[name].get(state, window.config))


def _go_on(runs: list[_Run], stretch: _Stretch, held: Instant, holder: Holder) -> None:
    """Go on with the last interval if it lasts or its gap is short; else begin a new one."""
    window, rule = stretch.window, stretch.rule
    assert window is not None  # noqa: S101 - what is over is judged by a rule in a window
    assert rule is not None  # noqa: S101
    span = rule.default_for
    breach = held
    if span.count:
        breach = window.config.calendar(holder.seller or None).add(held, span)
        breach = max(breach, stretch.start)
        if breach >= stretch.end:
            return
    if runs:
        last = runs[-1]
        if last.end is None or breach < last.shown_until:
            return
        if breach - last.end < rule.join_seconds or breach == last.end:
            last.end = None
            return
    runs.append(_begun(rule, window, holder, stretch, held, breach))


def _begun(
    rule: Rule, window: Window, holder: Holder, stretch: _Stretch, held: Instant, breach: Instant
) -> _Run:
    limit = limit_of(rule, window, SellerState(stretch.start, holder.seller, stretch.level))
    values = {
        "attributes": {"seller.level": stretch.level, "seller.limit": limit},
        "for": str(rule.default_for),
        "text": {"n": stretch.level, "limit": limit},
    }
    found = Found(
        rule.id, rule.version, rule.severity, rule.model.notice, holder.kind, holder.id,
        "", "", "", holder.seller, holder.seller, 0, "", held, held, 0, breach, None, None, values,
    )  # fmt: skip
    if not rule.model.notice:
        return _Run(found, None)
    until = window.config.calendar(holder.seller or None).add(breach, _NOTICE)
    return _Run(found, until, until)


def _finished(run: _Run) -> Found:
    found = run.found
    end = run.shown_until or run.end
    found.resolved_at = end
    found.resolution = None if end is None else "expired" if run.shown_until else "fixed"
    return found
