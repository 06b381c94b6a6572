"""One rule of the second layer, judged again for one holder from what is stored.

Each form says from where it has to be judged so that nothing older matters: a level from the
changed instant (or the beginning of the run above the limit that reaches into it), a silence from
the event before it, a norm from the beginning of its local day.
"""

from collections.abc import Sequence
from datetime import timedelta

from service.domain.instant import Instant
from service.domain.period import day_start, local_date, local_day, to_day
from service.domain.steps import BY_SLOT
from service.domain.violation import Found
from service.pipeline.derive import violation_row
from service.rules.book import Rule, Window
from service.rules.holders import Carried, Event, Holder, Track
from service.rules.levels import over_since
from service.rules.norms import PLAN
from service.rules.paced import planned_metric
from service.rules.second import HEARD, judge_second, parts_of
from service.rules.silences import USUAL_DAYS
from service.store import heard
from service.store import levels as store
from service.store.derived import Derived, Row
from service.store.handles import Connection

LOOK_BACK_SECONDS = 14 * 86_400  # how far a run above the limit is followed back at first
_USUAL_SECONDS = (2 * USUAL_DAYS + 15) * 86_400  # ten working days, over any holidays
Judged = tuple[str, Derived, Derived]  # timeline, what is stored, what should be


class Reader:
    """What several rules rest on is read once for all of them."""

    def __init__(self, connection: Connection, account_id: str) -> None:
        self.connection = connection
        self.account_id = account_id
        self._levels: dict[tuple[str, tuple[str, ...], int], dict[str, int]] = {}
        self._steps: dict[
            tuple[str, tuple[str, ...], int, str], list[tuple[Instant, str, int]]
        ] = {}
        self._last: dict[tuple[str, str, str, Instant], Instant | None] = {}
        self._stored: dict[tuple[str, str], list[Row]] | None = None

    def read_stored(self) -> dict[tuple[str, str], list[Row]]:
        """All that is stored of the second layer, by (rule, timeline); asked once."""
        if self._stored is None:
            self._stored = store.all_intervals(self.connection, self.account_id)
        return self._stored

    def stored(self, rule: str, timeline: str, since: Instant) -> list[Row]:
        """Intervals that end (or may end) at or after `since`, in order."""
        if self._stored is None:
            return store.intervals(self.connection, self.account_id, rule, timeline, since)
        return [
            row
            for row in self._stored.get((rule, timeline), [])
            if row["resolved_at"] is None or row["resolved_at"] >= since
        ]

    def levels(self, part: str, sellers: Sequence[str], day: int) -> dict[str, int]:
        """Running sums before a local day; no sellers: the account's."""
        key = (part, tuple(sellers), day)
        if key not in self._levels:
            self._levels[key] = store.levels_before(self.connection, self.account_id, *key)
        return self._levels[key]

    def steps(
        self, part: str, sellers: Sequence[str], day: int, slot: str = ""
    ) -> list[tuple[Instant, str, int]]:
        """(instant, seller, delta) from a local day on."""
        key = (part, tuple(sellers), day, slot)
        if key not in self._steps:
            self._steps[key] = store.steps_from(self.connection, self.account_id, *key)
        return self._steps[key]

    def last(self, stream: str, seller: str, slot: str, at: Instant) -> Instant | None:
        """The last event of a stream before an instant."""
        key = (stream, seller, slot, at)
        if key not in self._last:
            self._last[key] = (
                heard.last_before(self.connection, self.account_id, at)
                if stream == HEARD
                else store.last_before(self.connection, self.account_id, *key)
            )
        return self._last[key]


class Bench:
    """Judges one rule of one account."""

    def __init__(self, reader: Reader, windows: Sequence[Window], rule: Rule) -> None:
        self._reader = reader
        self._connection = reader.connection
        self._account_id = reader.account_id
        self._windows = windows
        self._rule = rule
        self._config = windows[-1].config
        self._parts = parts_of(rule, self._config)

    def judged(self, holder: Holder, at: Instant) -> Judged:
        """One holder from a changed instant on."""
        if self._rule.model.form == "norm":
            return self._norm(holder, at)
        if self._rule.model.form == "state":
            return self._silence(holder, at)
        if holder.slot:
            return self._verdict(holder, self._track(holder, 0), 0)
        if self._rule.default_for.count:
            return self._waiting(holder, at)
        day = local_day(at, self._config.timezone) if at else 0
        return self._verdict(holder, self._track(holder, day), at)

    def at_once(self, holders: Sequence[tuple[Holder, Instant]]) -> list[Judged]:
        """Sellers judged by a level without a wait: those of one day are read together."""
        by_day: dict[int, list[tuple[Holder, Instant]]] = {}
        for holder, at in holders:
            day = local_day(at, self._config.timezone) if at else 0
            by_day.setdefault(day, []).append((holder, at))
        found = []
        for day, some in sorted(by_day.items()):
            tracks = self._tracks([holder.id for holder, _ in some], day)
            found += [self._verdict(holder, tracks[holder.id], at) for holder, at in some]
        return found

    @property
    def reads_together(self) -> bool:
        """Whether `at_once` is for this rule."""
        model = self._rule.model
        plain = model.form == "level" and model.on == "seller" and not self._rule.default_for.count
        return plain and self._parts[0] not in BY_SLOT

    def whole(self, holder: Holder) -> list[Found]:
        """Everything that this rule finds for a holder, from the beginning."""
        begin, track = 0, self._track(holder, 0)
        if self._rule.model.form == "norm":
            first = self._first_day(holder)
            if first is None:
                return []
            begin = day_start(first, self._config.timezone)
        return judge_second(self._rule, holder, track, self._windows, None, begin)

    # --- the forms ------------------------------------------------------------------------------

    def _waiting(self, holder: Holder, at: Instant) -> Judged:
        """A run above the limit that reaches into the changed instant, from its beginning on."""
        back = LOOK_BACK_SECONDS
        while True:
            begin = max(0, at - back)
            day = local_day(begin, self._config.timezone) if begin else 0
            track = self._track(holder, day)
            edge = min(begin, track.events[0].at) if track.events else begin
            since = over_since(self._rule.id, holder, track, self._windows, edge, at)
            if since is not None or not begin or not any(track.before.values()):
                break
            back *= 4
        return self._verdict(holder, track, at if since is None else since)

    def _silence(self, holder: Holder, at: Instant) -> Judged:
        stream = self._parts[0]
        last = self._reader.last(stream, holder.seller, holder.slot, at)
        if last is None:
            return self._verdict(holder, self._track(holder, 0), 0, carry=False)
        begin = last - _USUAL_SECONDS if holder.kind == "account" else last
        track = self._track(holder, local_day(begin, self._config.timezone))
        if holder.kind == "seller":  # of the stream, nothing before the last event matters
            track.events = [e for e in track.events if e.part != stream or e.at >= last]
        return self._verdict(holder, track, last, carry=False)

    def _norm(self, holder: Holder, at: Instant) -> Judged:
        first = self._first_day(holder)
        zone = self._config.timezone
        if first is None:
            return self._verdict(holder, None, 0, carry=False)
        if self._parts[0] == PLAN:
            # a plan of any month may have changed: all of them are judged again, they are few
            track = self._track(holder, first)
            return self._verdict(holder, track, day_start(first, zone), carry=False)
        on = local_date(at, zone)
        calendar = self._config.calendar(holder.seller)
        back = self._rule.model.row - 1
        while back and to_day(on) > first:
            on -= timedelta(days=1)
            back -= bool(calendar.day_seconds(on))
        day = max(to_day(on), first)
        return self._verdict(holder, self._track(holder, day), day_start(day, zone))

    def _first_day(self, holder: Holder) -> int | None:
        if self._parts[0] == PLAN:
            months = [month for _, month, _ in self._plans(holder)]
            return int(min(months).replace("-", "")) * 100 + 1 if months else None
        asked = (self._connection, self._account_id, self._parts[0], holder.seller)
        return store.first_day(*asked)

    # --- reading and comparing ------------------------------------------------------------------

    def _tracks(self, sellers: Sequence[str], day: int) -> dict[str, Track]:
        """Tracks of single sellers, read together."""
        part = self._parts[0]
        found = {
            seller: Track({(part, seller): level})
            for seller, level in self._reader.levels(part, sellers, day).items()
        }
        for at, seller, delta in self._reader.steps(part, sellers, day):
            found[seller].events.append(Event(at, part, seller, delta))
        return found

    def _track(self, holder: Holder, day: int) -> Track:
        """What a holder is judged on, from a local day on."""
        if self._parts[0] == HEARD:
            since = day_start(day, self._config.timezone) if day else 0
            return Track({}, _heard(heard.stretches(self._connection, self._account_id, since)))
        if self._rule.model.counts == "hygiene":
            return self._track_of_deals(holder, day)
        if self._parts[0] == PLAN:
            return self._track_of_plan(holder, day)
        track = Track()
        for part in self._parts:
            if day and not holder.slot:
                levels = self._reader.levels(part, holder.sellers, day)
                track.before |= {(part, seller): level for seller, level in levels.items()}
            track.events += [
                Event(at, part, seller, delta)
                for at, seller, delta in self._reader.steps(part, holder.sellers, day, holder.slot)
            ]
        if len(self._parts) > 1:
            track.events.sort()
        return track

    def _track_of_deals(self, holder: Holder, day: int) -> Track:
        """Open deals and what they cost, step by step and deal by deal."""
        seller = holder.seller
        track = Track()
        for part in self._parts:
            levels = self._reader.levels(part, holder.sellers, day)
            track.before |= {(part, who): level for who, level in levels.items()}
        told = store.steps_of_deals(self._connection, self._account_id, self._parts, seller, day)
        track.events = [Event(at, part, seller, delta, deal) for at, part, deal, delta in told]
        return track

    def _track_of_plan(self, holder: Holder, day: int) -> Track:
        """Plans as they were written, and what was done from the beginning of a month on."""
        plans = self._plans(holder)
        track = Track({}, [Event(at, PLAN, holder.seller, v, month) for at, month, v in plans])
        for part in self._parts[1:]:
            track.events += [
                Event(at, part, seller, delta)
                for at, seller, delta in self._reader.steps(
                    part, holder.sellers, day // 100 * 100 + 1
                )
            ]
        return track

    def _plans(self, holder: Holder) -> list[tuple[Instant, str, int]]:
        asked = (
            self._connection,
            self._account_id,
            planned_metric(self._rule.params),
            holder.seller,
        )
        return store.plans_of(*asked)

    def _verdict(
        self, holder: Holder, track: Track | None, at: Instant, *, carry: bool = True
    ) -> Judged:
        """What is stored of one holder from `at` on, and what should be.

        `track`: may begin before `at`; None = there is nothing to judge.
        """
        rule = self._rule
        since = at - max(rule.join_seconds, 1)
        stored = self._reader.stored(rule.id, holder.timeline, since)
        old, carried = _stored(stored, rule, at, carry=carry)
        new = Derived()
        if track is None:
            return holder.timeline, old, new
        if rule.model.form == "level":
            track = _from(track, at)
        found = judge_second(rule, holder, track, self._windows, carried, at)
        for one in found:
            row = violation_row(self._windows[-1].config, holder.timeline, one)
            new.violations[row["id"]] = row
        return holder.timeline, old, new


def _heard(stretches: Sequence[tuple[Instant, Instant]]) -> list[Event]:
    """Of a stretch in which something was heard all the time, its two ends matter."""
    instants = sorted({at for stretch in stretches for at in stretch})
    return [Event(at, HEARD, "", 1) for at in instants]


def _from(track: Track, at: Instant) -> Track:
    """The same track, beginning at an instant."""
    before = dict(track.before)
    for event in track.events:
        if event.at < at:
            key = (event.part, event.seller)
            before[key] = before.get(key, 0) + event.delta
    return Track(before, [event for event in track.events if event.at >= at])


def _stored(
    rows: Sequence[Row], rule: Rule, at: Instant, *, carry: bool
) -> tuple[Derived, Carried | None]:
    """The stored intervals that are judged again, and the one that comes from before."""
    old = Derived()
    old.violations = {row["id"]: row for row in rows if row["breach_at"] >= at}
    earlier = [row for row in rows if row["breach_at"] < at]
    if not carry:
        return old, None
    carried = _carried(earlier[-1] if earlier else None, rule, at)
    if carried is not None:
        old.violations[earlier[-1]["id"]] = earlier[-1]
    return old, carried


def _carried(row: Row | None, rule: Rule, at: Instant) -> Carried | None:
    """The interval that reaches into the stretch, or ended so shortly before that it may join."""
    if row is None:
        return None
    ended = row["resolved_at"]
    if ended is not None and ended < at and at - ended >= max(rule.join_seconds, 1):
        return None
    found = Found(
        rule=row["rule"], rule_version=row["rule_version"], severity=row["severity"],
        notice=row["notice"], subject_kind=row["subject_kind"], subject_id=row["subject_id"],
        deal=row["deal"], pipeline=row["pipeline"], stage=row["stage"], seller=row["seller"],
        owner=row["owner"], amount=row["amount"], currency=row["currency"], since=row["since"],
        held_since=row["held_since"], effective_from=row["effective_from"],
        breach_at=row["breach_at"], resolved_at=row["resolved_at"],
        resolution=row["resolution"], values=row["values"],
    )  # fmt: skip
    return Carried(found, ended if ended is not None and ended < at else None)
