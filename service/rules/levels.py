"""Levels of sellers, teams and accounts: in violation while a running sum is above its limit.

The sum is that of +1/-1 steps from the first layer (rules.md 1.1). A level rule may allow some time
above the limit (`for`); one that is counted apart by local day speaks from the evening before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.period import day_start, to_date, to_day
from service.domain.violation import Found
from service.rules.attributes import ATTRIBUTES, SellerState, TeamState
from service.rules.book import Rule, Window
from service.rules.holders import (
    Carried,
    Holder,
    Stretch,
    Track,
    collect,
    edges_of,
    rule_at,
)

MINUTES = "minutes_on_day"  # of tasks, beyond the default ones
EVENING_HOUR = 16  # of the working day before: when the coming day is planned
_LOOK_BACK_DAYS = 30


def judge_level(
    rule_id: str,
    holder: Holder,
    track: Track,
    windows: Sequence[Window],
    carried: Carried | None = None,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of one level rule for one holder from `start` on, the carried one included."""
    return collect(_waited(rule_id, holder, track, windows, start), holder, carried)


def _waited(
    rule_id: str, holder: Holder, track: Track, windows: Sequence[Window], start: Instant
) -> Iterator[Stretch]:
    """Stretches with the instant from which each one is a violation."""
    held: Instant | None = None
    for stretch in stretches(rule_id, holder, track, windows, start):
        if not stretch.over or stretch.rule is None or stretch.window is None:
            held = None
            yield stretch
            continue
        held = stretch.start if held is None else held
        breach = held
        if stretch.rule.default_for.count:
            calendar = stretch.window.config.calendar(holder.seller or None)
            breach = calendar.add(held, stretch.rule.default_for)
        yield replace(stretch, held=held, since=held, breach=breach)


def over_since(
    rule_id: str,
    holder: Holder,
    track: Track,
    windows: Sequence[Window],
    start: Instant,
    at: Instant,
) -> Instant | None:
    """Since when the level was above its limit just before `at`; None = since before `start`.

    An instant `at` itself: it was not above it.
    """
    since: Instant | None = None
    was = False
    for stretch in stretches(rule_id, holder, track, windows, start):
        if stretch.start >= at:
            break
        if not stretch.over:
            since, was = at, True
        elif since == at:
            since = stretch.start
    return since if was else None


def stretches(
    rule_id: str, holder: Holder, track: Track, windows: Sequence[Window], start: Instant
) -> Iterator[Stretch]:
    """Stretches between instants at which the level, the settings or somebody's state change."""
    levels: dict[str, int] = {seller: value for (_, seller), value in track.before.items()}
    instants = {start, *(event.at for event in track.events), *edges_of(holder, windows, start)}
    by_day = any(
        rule.id == rule_id and rule.model.level == "tasks_on_day"
        for window in windows
        for rule in window.rules
    )
    gate = _gate(holder, windows[-1].config) if by_day else (0, FOREVER)
    instants.update(at for at in gate if start < at < FOREVER)
    cuts = sorted(instants)
    events = iter(track.events)
    event = next(events, None)
    longer = 0
    for index, at in enumerate(cuts):
        while event is not None and event.at <= at:
            if event.part == MINUTES:
                longer += event.delta
            else:
                levels[event.seller] = levels.get(event.seller, 0) + event.delta
            event = next(events, None)
        end = cuts[index + 1] if index + 1 < len(cuts) else FOREVER
        stretch = _stretch(at, end, rule_id, holder, levels, windows, gate)
        yield _by_minutes(stretch, holder, longer) if by_day else stretch


def _stretch(
    at: Instant,
    end: Instant,
    rule_id: str,
    holder: Holder,
    levels: Mapping[str, int],
    windows: Sequence[Window],
    gate: tuple[Instant, Instant],
) -> Stretch:
    window, rule = rule_at(windows, rule_id, at)
    if rule is None or window is None or not gate[0] <= at < gate[1]:
        return Stretch(at, end, False, window, rule)
    config = window.config
    if holder.kind == "team":
        team = TeamState.of(at, holder.id, levels, config)
        over = rule.condition.holds(rule.condition.values(team, config)) and (
            rule.model.above is None or team.level > rule.above(lambda _: 0)
        )
        told = _told(rule, team, config)
        limits = [limit for name, limit in told.items() if name.startswith("team.limit_")]
        text = team.words | ({"limit": limits[0]} if limits else {})
        return Stretch(at, end, over, window, rule, attributes=told, text=text)
    state = SellerState(at, holder.seller, sum(levels.values()), source=holder.slot)
    limit = limit_of(rule, window, state)
    over = (
        rule.condition.holds(rule.condition.values(state, config))
        and state.level * 100 > limit * rule.model.share
    )
    attributes = {f"{holder.kind}.level": state.level, f"{holder.kind}.limit": limit}
    text = {"n": state.level, "limit": limit}
    if holder.slot:
        text["day" if rule.model.level == "tasks_on_day" else "pipeline"] = holder.slot
    return Stretch(at, end, over, window, rule, attributes=attributes, text=text)


def _by_minutes(stretch: Stretch, holder: Holder, longer: int) -> Stretch:
    """A day is overbooked by its minutes too, where its tasks are not too many."""
    rule, window = stretch.rule, stretch.window
    if rule is None or window is None or not stretch.text:
        return stretch
    config = window.config
    minutes = stretch.text["n"] * config.standards.default_minutes + longer
    seconds = config.calendar(holder.seller or None).day_seconds(to_date(int(holder.slot)))
    working = seconds // 60
    share = int(rule.params.get("share_of_day", 100))
    told = {"minutes": minutes, "working": working * share // 100}
    state = SellerState(stretch.start, holder.seller, stretch.text["n"], source=holder.slot)
    judged = rule.condition.holds(rule.condition.values(state, config))
    full = judged and share > 0 and minutes * 100 > working * share
    by_minutes = {"by": "minutes"} if full and not stretch.over else {}
    return replace(
        stretch,
        over=stretch.over or full,
        attributes={**stretch.attributes, "seller.minutes": minutes,
                    "seller.working_minutes": working},
        text={**stretch.text, **told, **by_minutes},
    )  # fmt: skip


def _told(rule: Rule, state: Any, config: Config) -> dict[str, Any]:
    return {a.name: a.get(state, config) for a in rule.condition.attributes}


def limit_of(rule: Rule, window: Window, state: SellerState) -> int:
    """What the level must not exceed (for a `share` of it, the whole)."""
    attributes = ATTRIBUTES["seller"]
    return rule.above(lambda name: attributes[name].get(state, window.config))


def _gate(holder: Holder, config: Config) -> tuple[Instant, Instant]:
    """When the level may be a violation: of a day, from the evening before until its end."""
    day = to_date(int(holder.slot))
    calendar = config.calendar(holder.seller or None)
    if not calendar.day_seconds(day):
        return (FOREVER, FOREVER)  # nobody works then: deal-on-absent-seller speaks
    before = _working_day_before(day, config, holder.seller)
    evening = datetime.combine(before, time(EVENING_HOUR), config.timezone)
    return int(evening.timestamp()), day_start(to_day(day + timedelta(days=1)), config.timezone)


def _working_day_before(day: date, config: Config, seller: str) -> date:
    calendar = config.calendar(seller or None)
    for back in range(1, _LOOK_BACK_DAYS):
        before = day - timedelta(days=back)
        if calendar.day_seconds(before):
            return before
    return day - timedelta(days=1)
