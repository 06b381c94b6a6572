"""Norms of sellers by working day: too little at the end of work, made good on a later day.

A day is judged at the end of the seller's work. The violation ends at the instant of a later day at
which that day's norm is reached, or when the norm applies no more. Counts are scaled by the hours
worked that day (a half day asks for half); the hygiene index is taken over the day's working time
and is unknown with too few open deals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from service.domain import hygiene
from service.domain.calendar import WorkCalendar
from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.period import Period, day_start, local_date, to_day
from service.domain.violation import Found
from service.rules.attributes import SellerState
from service.rules.book import Rule, Window
from service.rules.holders import (
    Carried,
    Event,
    Holder,
    Stretch,
    Track,
    collect,
    edges_of,
    rule_at,
)
from service.rules.pace import Planned, pace, plan_at, target
from service.rules.paced import PACED, planned_metric

_FAR_DAYS = 1000  # an absence longer than this ends the looking ahead
_SCALES = {"calls_out": 1, "talk_minutes": 60}


class Day(NamedTuple):
    """A working day of a seller: its beginning, its working pieces, their length."""

    on: date
    start: Instant
    pieces: Sequence[tuple[Instant, Instant]]
    seconds: int

    @property
    def ends(self) -> Instant:
        """The end of work."""
        return self.pieces[-1][1]


class Measured(NamedTuple):
    """What a day came to. `below` None: it is not known; `reached`: when the norm was met."""

    below: bool | None
    reached: Instant | None
    total: int
    norm: int


class _Meter(Protocol):
    def measure(self, day: Day, rule: Rule, config: Config) -> Measured: ...


def judge_norm(
    rule_id: str,
    holder: Holder,
    track: Track,
    windows: Sequence[Window],
    carried: Carried | None = None,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of one norm for one seller from the local day of `start` on."""
    rule = next(r for w in reversed(windows) for r in w.rules if r.id == rule_id)
    meter: _Meter = _METERS.get(rule.model.counts or "", _Counts)(track)
    return collect(
        _Norm(rule_id, holder, track, windows, carried is not None, start).stretches(meter),
        holder,
        carried,
    )


@dataclass(slots=True)
class _Norm:
    rule_id: str
    holder: Holder
    track: Track
    windows: Sequence[Window]
    broken: bool
    start: Instant

    def stretches(self, meter: _Meter) -> Iterator[Stretch]:
        """Alternating stretches: kept, broken, kept ...; what is not known ends a violation."""
        row = 0
        for day in self._days():
            window, rule = rule_at(self.windows, self.rule_id, day.ends)
            if rule is None or window is None or not self._applies(day.ends):
                row = 0
                if self.broken:
                    yield self._kept(self._stopped_at(day), window, rule)
                continue
            told = meter.measure(day, rule, window.config)
            if self.broken and (told.below is None or told.reached is not None):
                at = day.ends if told.reached is None else told.reached
                row = 0
                yield self._kept(at, window, rule)
                continue
            row = row + 1 if told.below else 0
            if not self.broken and row >= rule.model.row:
                self.broken = True
                yield _broken(day, window, rule, told)

    def _kept(self, at: Instant, window: Window | None, rule: Rule | None) -> Stretch:
        self.broken = False
        return Stretch(at, FOREVER, False, window, rule)

    def _applies(self, at: Instant) -> bool:
        """Whether the rule is in force, and asks anything of the seller."""
        window, rule = rule_at(self.windows, self.rule_id, at)
        if rule is None or window is None:
            return False
        state = SellerState(at, self.holder.seller)
        return rule.condition.holds(rule.condition.values(state, window.config))

    def _stopped_at(self, day: Day) -> Instant:
        """When the norm stopped applying: with settings, or when the seller left."""
        edges = edges_of(self.holder, self.windows, self.start)
        found = day.start
        for at in sorted((at for at in edges if at <= day.ends), reverse=True):
            if self._applies(at):
                break
            found = at
        return found

    def _days(self) -> Iterator[Day]:
        """Working days from the start on, until enough after the last event have been seen."""
        config = self.windows[-1].config
        zone = config.timezone
        events = [event.at for event in self.track.events]
        events += [_month_end(e.subject, zone) for e in self.track.events if e.part == PLAN]
        last = max([self.start, *events, *(w.start for w in self.windows)])
        rows = {r.model.row for w in self.windows for r in w.rules if r.id == self.rule_id}
        left = max(rows)
        calendar = config.calendar(self.holder.seller)
        on = local_date(self.start, config.timezone)
        for _ in range((local_date(last, config.timezone) - on).days + _FAR_DAYS):
            day = _day(on, calendar, config)
            if day is not None:
                yield day
                left -= day.start > last
                if not left:
                    return
            on += timedelta(days=1)


def _month_end(month: str, zone: ZoneInfo) -> Instant:
    """Where a planned month is over: its plan says nothing of later days."""
    return day_start(to_day(Period.parse(month).last + timedelta(days=1)), zone)


def _day(on: date, calendar: WorkCalendar, config: Config) -> Day | None:
    pieces = calendar.day_pieces(on)
    if not pieces:
        return None
    seconds = sum(right - left for left, right in pieces)
    return Day(on, day_start(to_day(on), config.timezone), pieces, seconds)


def _broken(day: Day, window: Window, rule: Rule, told: Measured) -> Stretch:
    attributes: Mapping[str, Any] = {"seller.count": told.total, "seller.norm": told.norm}
    text = {"n": told.total, "limit": told.norm, "day": str(to_day(day.on))}
    return Stretch(
        day.ends, FOREVER, True, window, rule, day.ends, day.pieces[0][0], day.ends, attributes,
        text,
    )  # fmt: skip


class _Counts:
    """Events of a day against the norm of a full day; not known before the very first event."""

    def __init__(self, track: Track) -> None:
        self._events = track.events
        self._next = 0
        self._known = any(track.before.values())

    def measure(self, day: Day, rule: Rule, config: Config) -> Measured:
        norm = rule.below * _SCALES[rule.model.counts or ""] * day.seconds
        full = config.calendar(None).full_day_seconds  # what the norm is meant for
        total = at_end = 0
        reached: Instant | None = None
        end = day_start(to_day(day.on + timedelta(days=1)), config.timezone)
        for event in self._of_day(day.start, end):
            self._known = self._known or event.at <= day.ends
            total += event.delta
            at_end = total if event.at <= day.ends else at_end
            if reached is None and total * full >= norm:
                reached = event.at
        scale = _SCALES[rule.model.counts or ""] * full
        below = at_end * full < norm if self._known else None
        self._known = self._known or total > 0
        return Measured(
            below, reached, at_end // _SCALES[rule.model.counts or ""],
            -(-norm // scale),
        )  # fmt: skip

    def _of_day(self, start: Instant, end: Instant) -> Iterator[Event]:
        while self._next < len(self._events) and self._events[self._next].at < end:
            event = self._events[self._next]
            self._next += 1
            if event.at >= start:
                yield event
            else:  # of a day that nobody asks anything of
                self._known = True


class _Hygiene:
    """The hygiene index of each day, in whole points."""

    def __init__(self, track: Track) -> None:
        before = {part: value for (part, _), value in track.before.items()}
        changes = [
            hygiene.Change(e.at, _ALL if e.part == "hygiene_cost" else "", e.delta, e.subject)
            for e in track.events
        ]
        levels = {("", ""): before.get("deals_open", 0), (_ALL, ""): before.get("hygiene_cost", 0)}
        self._meter = hygiene.Meter(levels, changes)

    def measure(self, day: Day, rule: Rule, config: Config) -> Measured:
        taken = self._meter.take(day.pieces)
        norm, least = rule.below, int(rule.params.get("least", hygiene.LEAST_DEALS))
        if self._meter.open_deals < least or taken.weight <= 0:
            return Measured(None, None, 0, norm)
        whole = hygiene.WHOLE * taken.weight
        below = 100 * (whole - taken.cost) < norm * whole
        return Measured(below, None if below else day.ends, int(taken.index or 0), norm)


_ALL = "*"  # which rule costs what is no matter of the norm


class _Pace:
    """Per cent of what the plan of the month asks for by the end of the day."""

    def __init__(self, track: Track) -> None:
        self._plans = [
            Planned(event.at, event.subject, event.delta if event.delta >= 0 else None)
            for event in track.events
            if event.part == PLAN
        ]
        self._seller = next((event.seller for event in track.events), "")
        self._facts = [e for e in track.events if e.part != PLAN]

    def measure(self, day: Day, rule: Rule, config: Config) -> Measured:
        paced = PACED[planned_metric(rule.params)]
        first = day_start(to_day(day.on.replace(day=1)), config.timezone)
        values: dict[str, int] = {}
        for event in self._facts:
            if first <= event.at <= day.ends:
                values[event.part] = values.get(event.part, 0) + event.delta
        fact = paced.sum_up(values, paced.above)
        plan = plan_at(self._plans, f"{day.on:%Y-%m}", day.ends)
        calendar = config.calendar(self._seller or None)
        if paced.below:
            below = paced.sum_up(values, paced.below)
            found = target(plan, fact * paced.scale, below, day.on, calendar, rule.below)
        else:
            sales = max(0, values.get(SALES, 0)) if paced.money else 0
            found = pace(plan, fact, sales, day.on, calendar, rule.below)
        reached = day.ends if found.is_behind is False else None
        return Measured(found.is_behind, reached, found.percent or 0, rule.below)


PLAN = "plan"  # an event whose `delta` is the plan (negative: taken back), `subject` its month
SALES = "won_with_amount"
_METERS: Mapping[str, Callable[[Track], _Meter]] = {"hygiene": _Hygiene, "plan_pace": _Pace}
