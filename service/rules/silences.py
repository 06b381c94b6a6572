"""Silences: nothing happened for too long. A seller who does nothing, a source that brings nothing.

The clock starts at the last event (or, where the rule says so, at the beginning of each working
day) and stands still during meetings; the next event ends the violation. What else the rule asks
for (open deals, how much a source usually brings) is looked at wherever it changes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import timedelta

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.period import day_start, local_date, to_day
from service.domain.violation import Found
from service.rules.attributes import SellerState
from service.rules.book import Rule, Window
from service.rules.holders import Event, Holder, Stretch, Track, collect, edges_of, rule_at

USUAL_DAYS = 10  # working days in which it is counted how much a source usually brings
_MORNINGS = 14  # working days after which a wait that no day is long enough for is given up
_MEETINGS = "meetings"


def judge_silence(
    rule_id: str,
    holder: Holder,
    track: Track,
    windows: Sequence[Window],
    stream: str,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of one rule on silence from `start` (an event, or before the first) on."""
    return collect(_Silence(rule_id, holder, track, windows, stream, start).stretches(), holder)


class _Silence:
    def __init__(
        self,
        rule_id: str,
        holder: Holder,
        track: Track,
        windows: Sequence[Window],
        stream: str,
        start: Instant,
    ) -> None:
        self._rule_id = rule_id
        self._holder = holder
        self._windows = windows
        self._heard = sorted({e.at for e in track.events if e.part == stream and e.delta > 0})
        self._pauses = pauses(track)
        apart = {stream, _MEETINGS}
        others = [e for e in track.events if e.part not in apart]
        self._level = sum(value for (part, _), value in track.before.items() if part not in apart)
        self._level += sum(e.delta for e in others if e.at < start)
        self._others = [e for e in others if e.at >= start]
        cuts = {*self._heard, *(e.at for e in self._others), *edges_of(holder, windows, start)}
        self._cuts = sorted(at for at in cuts if at >= start)
        self._begun: Instant | None = None

    def stretches(self) -> Iterator[Stretch]:
        pending = iter(self._others)
        event: Event | None = next(pending, None)
        level, held = self._level, None
        for number, at in enumerate(self._cuts):
            while event is not None and event.at <= at:
                level += event.delta
                event = next(pending, None)
            end = self._cuts[number + 1] if number + 1 < len(self._cuts) else FOREVER
            stretch = self._stretch(at, end, level, held)
            held = stretch.held if stretch.over else None
            yield stretch

    def _stretch(self, at: Instant, end: Instant, level: int, held: Instant | None) -> Stretch:
        window, rule = rule_at(self._windows, self._rule_id, at)
        number = bisect_right(self._heard, at)
        last = self._heard[number - 1] if number else None
        if rule is None or window is None or (last is None and not rule.model.since_morning):
            return Stretch(at, end, False, window, rule)
        config = window.config
        recent = 0 if last is None or self._holder.kind != "account" else self._recent(last, config)
        state = SellerState(
            at, self._holder.seller, level, open_deals=level, last_action_at=last, recent=recent,
            source=self._holder.slot,
        )  # fmt: skip
        if not rule.condition.holds(rule.condition.values(state, config)):
            return Stretch(at, end, False, window, rule)
        held = at if held is None or at == last else held
        if last is None and self._begun is None:
            self._begun = at  # nothing was ever done: the clock starts where it was first asked for
        since, breach = self._breach(rule, config, last or self._begun or at)
        told = (*rule.condition.attributes, *rule.since)
        attributes = {a.name: a.get(state, config) for a in told}
        text = {"source": self._holder.slot} if self._holder.slot else {}
        return Stretch(at, end, True, window, rule, held, since, breach, attributes, text)

    def _recent(self, last: Instant, config: Config) -> int:
        """How many events there were in the ten working days up to the last one."""
        on = local_date(last, config.timezone)
        calendar = config.calendar(None)
        left = USUAL_DAYS - bool(calendar.day_seconds(on))
        while left:
            on -= timedelta(days=1)
            left -= bool(calendar.day_seconds(on))
        begin = day_start(to_day(on), config.timezone)
        return bisect_right(self._heard, last) - bisect_left(self._heard, begin)

    def _breach(self, rule: Rule, config: Config, last: Instant) -> tuple[Instant, Instant]:
        """(where the clock starts, when it has run out) after the last event."""
        if not rule.model.since_morning:
            return last, self._run_out(rule, config, last)
        calendar = config.calendar(self._holder.seller or None)
        since = last
        for _ in range(_MORNINGS):
            on = local_date(calendar.next_working(since), config.timezone)
            breach = self._run_out(rule, config, since)
            if local_date(breach, config.timezone) == on:
                return since, breach
            tomorrow = day_start(to_day(on + timedelta(days=1)), config.timezone)
            since = calendar.next_working(tomorrow)
        return since, FOREVER

    def _run_out(self, rule: Rule, config: Config, since: Instant) -> Instant:
        """When the span is used up; working time in meetings does not count."""
        calendar, span = config.calendar(self._holder.seller or None), rule.default_for
        breach = calendar.add(since, span)
        if not span.is_working:
            return breach
        lost = 0
        while True:
            inside = sum(
                calendar.working_seconds(max(left, since), min(right, breach))
                for left, right in self._pauses
                if left < breach and since < right
            )
            if inside <= lost:
                return breach
            breach, lost = calendar.later(breach, inside - lost), inside


def pauses(track: Track) -> list[tuple[Instant, Instant]]:
    """Stretches in which a seller sits in a meeting."""
    found: list[tuple[Instant, Instant]] = []
    count = sum(value for (part, _), value in track.before.items() if part == _MEETINGS)
    begun = 0
    for event in track.events:
        if event.part != _MEETINGS:
            continue
        before, count = count, count + event.delta
        if before <= 0 < count:
            begun = event.at
        elif count <= 0 < before:
            found.append((begun, event.at))
    return found
