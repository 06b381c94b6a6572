"""The second layer's common part: whose verdict it is, and intervals made of stretches.

A holder (seller, team, account) is cut into stretches in which neither what is counted nor the
settings change. Judging starts at any instant with what was going on then, so a late fact re-judges
from its own instant on and nothing older is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.violation import Found
from service.rules.book import Rule, Window

NOTICE = Span(1, "wd")


class Holder(NamedTuple):
    """Whose verdict it is. `sellers`: those that count for it (of a team, its members).

    `slot`: what is judged apart for the same holder: a local day, a source.
    """

    kind: str
    id: str
    sellers: tuple[str, ...]
    slot: str = ""

    @property
    def seller(self) -> str:
        """The seller, if it is one; "" for a team or an account."""
        return self.id if self.kind == "seller" else ""

    @property
    def subject(self) -> str:
        """The violation's subject: the holder, or its slot."""
        return f"{self.id}:{self.slot}" if self.slot else self.id

    @property
    def timeline(self) -> str:
        """The key under which its violations are stored."""
        return f"{self.kind}:{self.subject}"


class Event(NamedTuple):
    """A change of what is counted: `delta` of `part` for a seller at an instant."""

    at: Instant
    part: str
    seller: str
    delta: int
    subject: str = ""  # where single deals matter


@dataclass(slots=True)
class Track:
    """What a holder is judged on: sums just before the first event, and events in order."""

    before: dict[tuple[str, str], int] = field(default_factory=dict)  # by (part, seller)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Carried:
    """An interval that began before the judged stretch: it goes on, or ended just before it."""

    found: Found
    ended_at: Instant | None  # None = it reaches into the stretch


@dataclass(frozen=True, slots=True)
class Stretch:
    """`[start, end)` in which nothing changes; `rule` None: it is not in force there.

    `held`: since when it is over without a break; `since`: what the clock starts from; `breach`: no
    violation before it.
    """

    start: Instant
    end: Instant
    over: bool
    window: Window | None = None
    rule: Rule | None = None
    held: Instant = 0
    since: Instant = 0
    breach: Instant = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    found: Found
    end: Instant | None
    why: str | None = None
    shown_until: Instant = 0  # of a notice: it ends then, whatever is counted


def rule_at(
    windows: Sequence[Window], rule_id: str, at: Instant
) -> tuple[Window | None, Rule | None]:
    """The settings and the rule in force at an instant."""
    for window in windows:
        if window.start <= at < window.end:
            return window, next((r for r in window.rules if r.id == rule_id), None)
    return None, None


def collect(
    stretches: Iterable[Stretch], holder: Holder, carried: Carried | None = None
) -> list[Found]:
    """Intervals of violation, the carried one (as it is now) included."""
    runs = [] if carried is None else [_carried_run(carried)]
    for stretch in stretches:
        start = max(stretch.start, stretch.breach)
        if stretch.over and start < stretch.end:
            _go_on(runs, stretch, start, holder)
        elif runs and runs[-1].end is None:
            runs[-1].end = stretch.start
            runs[-1].why = "rule_changed" if stretch.rule is None else "fixed"
    return [_finished(run) for run in runs]


def _carried_run(carried: Carried) -> _Run:
    found = carried.found
    shown = found.resolved_at if found.notice and found.resolved_at is not None else 0
    return _Run(found, carried.ended_at, found.resolution, shown)


def _go_on(runs: list[_Run], stretch: Stretch, start: Instant, holder: Holder) -> None:
    """Go on with the last interval if it lasts or its gap is short; else begin a new one."""
    if stretch.rule is None or stretch.window is None:
        return
    if runs:
        last = runs[-1]
        if last.end is None and start > stretch.start:
            last.end = stretch.start
            last.why = "fixed" if stretch.held == stretch.start else "moved"
        if last.end is None or start < last.shown_until:
            return
        if start - last.end < stretch.rule.join_seconds or start == last.end:
            last.end = None
            return
    runs.append(_begun(stretch, stretch.rule, stretch.window, start, holder))


def _begun(stretch: Stretch, rule: Rule, window: Window, start: Instant, holder: Holder) -> _Run:
    values = {
        "attributes": dict(stretch.attributes),
        "for": str(rule.default_for),
        "text": dict(stretch.text),
    }
    found = Found(
        rule.id, rule.version, rule.severity, rule.model.notice, holder.kind, holder.subject,
        "", "", "", holder.seller, holder.seller, 0, "", stretch.since, stretch.held, 0, start,
        None, None, values,
    )  # fmt: skip
    if not rule.model.notice:
        return _Run(found, None)
    until = window.config.calendar(holder.seller or None).add(start, NOTICE)
    return _Run(found, until, "expired", until)


def _finished(run: _Run) -> Found:
    found = run.found
    end = run.shown_until or run.end
    found.resolved_at = end if end is not None and end < FOREVER else None
    found.resolution = None if found.resolved_at is None else run.why
    return found


def edges_of(holder: Holder, windows: Sequence[Window], start: Instant) -> set[Instant]:
    """Instants after `start` at which settings change, or a seller goes away, comes or leaves."""
    standards = windows[-1].config.standards
    found = {window.start for window in windows}
    found.update(at for seller in holder.sellers for at in standards.edges(seller))
    return {at for at in found if at > start}
