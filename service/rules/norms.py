"""Norms of sellers by working day: too little at the end of work, made good on a later day.

A day is judged at the end of the seller's work. The violation ends at the instant of a later day at
which that day's norm is reached, or when the norm applies no more. Counts are scaled by the hours
worked that day (a half day asks for half); the hygiene index is taken over the day's working time
and is unknown with too few open deals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple, Protocol

from service.domain import hygiene
from service.domain.calendar import WorkCalendar
from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.period import day_start, local_date, to_day
from service.domain.violation import Found
from service.rules.attributes import SellerState
from service.rules.book import Rule, Window
from service.rules.holders import Carried, Event, Holder, Stretch, Track, collect, rule_at

_FAR_DAYS = 1000  # an absence longer than this ends the looking ahead
_SHORT_SECONDS = 3600  # working time: a deal open for less is left out of a day's index
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
    meter: _Meter = _Hygiene(track) if rule.model.counts == "hygiene" else _Counts(track)
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
            if rule is None or window is None or not self._applies(rule, window, day):
                row = 0
                if self.broken:
                    yield self._kept(self._since_when(day, window, rule), window, rule)
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

    def _applies(self, rule: Rule, window: Window, day: Day) -> bool:
        state = SellerState(day.ends, self.holder.seller)
        return rule.condition.holds(rule.condition.values(state, window.config))

    def _since_when(self, day: Day, window: Window | None, rule: Rule | None) -> Instant:
        """When the norm stopped applying: at a change of settings, or with the day."""
        if rule is None and window is not None and window.start > day.start - 86_400 * 7:
            return window.start
        return day.start

    def _days(self) -> Iterator[Day]:
        """Working days from the start on, until one after the last event has been seen."""
        config = self.windows[-1].config
        events = [event.at for event in self.track.events]
        last = max([self.start, *events, *(w.start for w in self.windows)])
        calendar = config.calendar(self.holder.seller)
        on = local_date(self.start, config.timezone)
        for _ in range((local_date(last, config.timezone) - on).days + _FAR_DAYS):
            day = _day(on, calendar, config)
            if day is not None:
                yield day
                if day.start > last:
                    return
            on += timedelta(days=1)


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
    """Events of a day against the norm of a full day."""

    def __init__(self, track: Track) -> None:
        self._events = track.events
        self._next = 0

    def measure(self, day: Day, rule: Rule, config: Config) -> Measured:
        norm = rule.below * _SCALES[rule.model.counts or ""] * day.seconds
        full = _full_day(config)
        total = at_end = 0
        reached: Instant | None = None
        end = day_start(to_day(day.on + timedelta(days=1)), config.timezone)
        for event in self._of_day(day.start, end):
            total += event.delta
            at_end = total if event.at <= day.ends else at_end
            if reached is None and total * full >= norm:
                reached = event.at
        scale = _SCALES[rule.model.counts or ""] * full
        return Measured(
            at_end * full < norm, reached, at_end // _SCALES[rule.model.counts or ""],
            -(-norm // scale),
        )  # fmt: skip

    def _of_day(self, start: Instant, end: Instant) -> Iterator[Event]:
        while self._next < len(self._events) and self._events[self._next].at < end:
            event = self._events[self._next]
            self._next += 1
            if event.at >= start:
                yield event


def _full_day(config: Config) -> int:
    """Working seconds of the account's longest weekday: what the norm is meant for."""
    week = config.calendar(None).week
    return max(sum(right - left for left, right in hours) * 60 for hours in week)


class _Hygiene:
    """The day's hygiene index, exact: tenths of cost and open deals, integrated over the day."""

    def __init__(self, track: Track) -> None:
        self._events = track.events
        self._next = 0
        self._open = _before(track, "deals_open")
        self._cost = _before(track, "hygiene_cost")

    def measure(self, day: Day, rule: Rule, config: Config) -> Measured:
        weight = cost = 0
        of_day: list[Event] = []
        for number, (left, right) in enumerate(day.pieces):
            between = self._go_to(left)
            of_day += between if number else []
            at = left
            while at < right:
                following = self._following(right)
                weight += self._open * (following - at)
                cost += self._cost * (following - at)
                at = following
                of_day += self._go_to(at)
        for seconds, spent in _short(of_day, day):
            weight -= seconds
            cost -= spent
        norm, least = rule.below, int(rule.params.get("least", 5))
        if self._open < least or weight <= 0:
            return Measured(None, None, 0, norm)
        below = 100 * (hygiene.WHOLE * weight - cost) < norm * hygiene.WHOLE * weight
        shown = round(hygiene.index(cost, weight) or 0)
        return Measured(below, None if below else day.ends, shown, norm)

    def _following(self, right: Instant) -> Instant:
        more = self._next < len(self._events)
        return min(right, self._events[self._next].at) if more else right

    def _go_to(self, at: Instant) -> list[Event]:
        """Take in all events up to an instant."""
        begun = self._next
        while self._next < len(self._events) and self._events[self._next].at <= at:
            event = self._events[self._next]
            self._next += 1
            if event.part == "deals_open":
                self._open += event.delta
            else:
                self._cost += event.delta
        return self._events[begun : self._next]


def _before(track: Track, part: str) -> int:
    return sum(value for (name, _), value in track.before.items() if name == part)


def _short(events: Sequence[Event], day: Day) -> Iterator[tuple[int, int]]:
    """(working seconds, cost) of deals that were open for less than an hour of the day."""
    by_deal: dict[str, list[Event]] = {}
    for event in events:
        by_deal.setdefault(event.subject, []).append(event)
    for told in by_deal.values():
        opened = [event for event in told if event.part == "deals_open"]
        if not opened:
            continue
        seconds, spent = _of_deal(told, opened, day)
        if seconds < _SHORT_SECONDS:
            yield seconds, spent


def _of_deal(told: Sequence[Event], opened: Sequence[Event], day: Day) -> tuple[int, int]:
    """Open seconds and cost of one deal in a day, from its events alone.

    What it cost before its first closing in the day is what fell away until then.
    """
    is_open = opened[0].delta < 0
    cost = 0
    if is_open:
        cost = -sum(e.delta for e in told if e.part != "deals_open" and e.at <= opened[0].at)
    seconds = spent = 0
    at = day.pieces[0][0]
    for event in (*told, Event(day.ends, "", "", 0)):
        worked = _inside(at, event.at, day)
        seconds += worked if is_open else 0
        spent += cost * worked
        at = event.at
        if event.part == "deals_open":
            is_open = is_open + event.delta > 0
        elif event.part:
            cost += event.delta
    return seconds, spent


def _inside(left: Instant, right: Instant, day: Day) -> int:
    return sum(max(0, min(right, b) - max(left, a)) for a, b in day.pieces)
