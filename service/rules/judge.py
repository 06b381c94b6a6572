"""The judge: a timeline and the rules in force -> violation intervals. Pure.

Inside a segment nothing changes; there a subject breaks a rule from
`max(since + for, start of the segment, effective_from)` on if `when` holds (rules.md 1.1). Adjacent
pieces of one rule and subject join into one interval that keeps the first piece's values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.story import Story
from service.domain.violation import Found
from service.rules.book import Rule, Window
from service.rules.expression import ConditionFailed
from service.rules.holders import NOTICE
from service.rules.program import Program
from service.rules.proof import proof
from service.rules.segments import Segment, Subject, subjects


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that had no answer for a subject."""

    rule: str
    subject: str
    error: str


def judge(story: Story, windows: Sequence[Window]) -> tuple[list[Found], list[Failure]]:
    """All violations of a timeline under the settings in force at each time."""
    found: list[Found] = []
    failures: list[Failure] = []
    plans = _plans(windows)
    for subject in subjects(story, windows[-1].config):
        plan = plans.get(subject.kind)
        if plan is None:
            continue
        first = subject.segments[0]
        alone = all(segment.seller == first.seller for segment in subject.segments)
        answers = [
            program.run(subject.segments, config) if end > first.start else program.nothing
            for program, config, end in plan.programs
        ]
        for chain in plan.chains:
            link = chain[0]
            if len(chain) == 1 and not answers[link.program][link.place]:
                continue  # most rules hold nowhere
            pieces: list[tuple[_Ruling, _Piece]] = []
            for link in chain:
                if link.window.end <= first.start:
                    continue
                holds = answers[link.program][link.place]
                if isinstance(holds, ConditionFailed):
                    about = f"{subject.kind}:{subject.id}"
                    failures.append(Failure(link.rule.id, about, str(holds)))
                    break
                if holds:
                    ruling = _Ruling(link, subject.segments, alone, holds)
                    pieces += [(ruling, piece) for piece in _pieces(ruling)]
            else:
                if pieces:
                    found += _intervals(subject, pieces, chain[-1].window.end)
    return found, failures


class _Link(NamedTuple):
    """A window in which a rule is in force, and where its condition is answered."""

    window: Window
    rule: Rule
    effective_from: Instant
    floor: Instant  # nothing is held before it
    program: int
    place: int


class _Plan(NamedTuple):
    """How subjects of a kind are judged: for each rule its links, and what answers them."""

    chains: list[list[_Link]]
    programs: list[tuple[Program, Config, Instant]]  # the instant: nothing is asked of it later


def _plans(windows: Sequence[Window]) -> dict[str, _Plan]:
    """By kind of subject; made once."""
    known = windows[-1].plans
    key = tuple(windows[:-1])
    if key not in known:
        kinds = {kind for window in windows for kind in window.judging}
        known[key] = {kind: _make_plan(windows, kind) for kind in kinds}
    found: dict[str, _Plan] = known[key]
    return found


def _make_plan(windows: Sequence[Window], kind: str) -> _Plan:
    """Rules that are judged under one version of the settings share a program."""
    sets: dict[int, tuple[Config, list[Rule]]] = {}
    chains = []
    for links in _merged(windows, kind):
        chain: list[_Link] = []
        for window, rule in links:
            _, rules = sets.setdefault(id(window.config), (window.config, []))
            number = list(sets).index(id(window.config))
            since = _effective_from(chain, window, rule)
            floor = since if chain else 0
            chain.append(_Link(window, rule, since, floor, number, len(rules)))
            rules.append(rule)
        chains.append(chain)
    ends = [0] * len(sets)
    for link in (link for chain in chains for link in chain):
        ends[link.program] = max(ends[link.program], link.window.end)
    sets_with_ends = zip(sets.values(), ends, strict=True)
    return _Plan(chains, [(Program(rules), config, end) for (config, rules), end in sets_with_ends])


def _effective_from(chain: Sequence[_Link], window: Window, rule: Rule) -> Instant:
    """From when on a version of a rule is in force without a break."""
    before = chain[-1] if chain else None
    follows = before is not None and before.window.end == window.start
    if before is not None and follows and before.rule.version == rule.version:
        return before.effective_from
    return window.start


def _merged(windows: Sequence[Window], kind: str) -> list[list[tuple[Window, Rule]]]:
    """For each rule its windows; neighbours that mean the same to it are one."""
    by_rule: dict[str, list[tuple[Window, Rule]]] = {}
    for window in windows:
        for rule in window.judging.get(kind, ()):
            chain = by_rule.setdefault(rule.id, [])
            if chain and _same(chain[-1], (window, rule)):
                start = chain.pop()[0].start
                chain.append((Window(start, window.end, window.config, window.rules), rule))
            else:
                chain.append((window, rule))
    return list(by_rule.values())


def _same(before: tuple[Window, Rule], after: tuple[Window, Rule]) -> bool:
    (old, was), (new, now) = before, after
    return (
        old.end == new.start
        and was.version == now.version
        and was.severity == now.severity
        and old.config.base_digest == new.config.base_digest
    )


class _Piece(NamedTuple):
    """A part of a violation: from the segment `first` to the segment `last`."""

    start: Instant
    end: Instant
    since: Instant
    held_since: Instant
    first: int
    last: int


class _Ruling(NamedTuple):
    """What a rule found true of a subject under one version of the settings."""

    link: _Link
    segments: Sequence[Segment]
    one_seller: bool
    holds: int  # segments in which the condition is true, as bits


def _pieces(ruling: _Ruling) -> list[_Piece]:
    """Pieces of violation inside one window."""
    link, segments = ruling.link, ruling.segments
    window, config = link.window, link.window.config
    earliest = max(link.effective_from, window.start)
    pieces: list[_Piece] = []
    for since, span, seller, held, first, last in _clocks(ruling):
        deadline = config.calendar(seller or None).add(since, span)
        start = max(deadline, segments[first].start, earliest)
        end = min(segments[last].end, window.end)
        if start >= end != FOREVER:
            continue
        begun = first
        while segments[begun].end <= start:
            begun += 1
        if pieces and pieces[-1].end == start:
            pieces[-1] = pieces[-1]._replace(end=end, last=last)
        else:
            pieces.append(_Piece(start, end, since, held, begun, last))
    return pieces


class _Clock(NamedTuple):
    """Neighbouring segments, held since `held`, in which the clock runs from the same instant."""

    since: Instant
    span: Span
    seller: str
    held: Instant
    first: int
    last: int


def _clocks(ruling: _Ruling) -> list[_Clock]:
    """The clocks that may run out before their last segment ends."""
    rule, segments, end = ruling.link.rule, ruling.segments, ruling.link.window.end
    found: list[_Clock] = []
    left = ruling.holds
    while left:
        lowest = left & -left
        run = left & ~(left + lowest)  # neighbouring bits, from the lowest on
        left ^= run
        first, last = lowest.bit_length() - 1, run.bit_length() - 1
        begun = segments[first]
        if begun.start >= end:
            break
        held = max(begun.start, ruling.link.floor)
        if not rule.since_held:
            _add_clocks(ruling, None, held, range(first, last + 1), found)
        elif segments[last].end > held + rule.soonest:
            if rule.since or rule.for_varies or not ruling.one_seller:
                _add_clocks(ruling, held, held, range(first, last + 1), found)
            else:
                found.append(_Clock(held, rule.default_for, begun.seller, held, first, last))
    return found


def _add_clocks(
    ruling: _Ruling, floor: Instant | None, held: Instant, run: range, found: list[_Clock]
) -> None:
    """`floor`: no clock starts before it; None = it starts where the attributes say."""
    rule, config, segments = ruling.link.rule, ruling.link.window.config, ruling.segments
    getters = [attribute.get for attribute in rule.since]
    span, soonest = rule.default_for, rule.soonest
    begun, asked = 0, None
    for index in run:
        segment = segments[index]
        since = floor
        for get in getters:
            at = get(segment.state, config)
            if at is not None and (since is None or at > since):
                since = at
        if rule.for_varies:
            span = rule.span_in(segment)
        now = None if since is None else (since, span, segment.seller)
        if now != asked:
            if asked is not None and segments[index - 1].end > asked[0] + soonest:
                found.append(_Clock(*asked, held, begun, index - 1))
            begun, asked = index, now
    if asked is not None and segments[run[-1]].end > asked[0] + soonest:
        found.append(_Clock(*asked, held, begun, run[-1]))


def _intervals(
    subject: Subject, pieces: Sequence[tuple[_Ruling, _Piece]], horizon: Instant
) -> list[Found]:
    """Pieces that follow each other are one violation."""
    ordinals: dict[Instant, int] = {}
    found = []
    begun = pieces[0]
    for number, (ruling, piece) in enumerate(pieces):
        following = pieces[number + 1] if number + 1 < len(pieces) else None
        if following is not None and following[1].start == piece.end:
            continue
        held = begun[1].held_since
        ordinal = ordinals.get(held, 0)
        ordinals[held] = ordinal + 1
        found.append(_found(subject, begun, (ruling, piece), ordinal, horizon))
        if following is not None:
            begun = following
    return found


def _found(
    subject: Subject,
    begun: tuple[_Ruling, _Piece],
    ended: tuple[_Ruling, _Piece],
    ordinal: int,
    horizon: Instant,
) -> Found:
    ruling, first = begun
    rule, config = ruling.link.rule, ruling.link.window.config
    segment = subject.placed(subject.segments[first.first], first.start)
    resolved, resolution = ended[1].end, _resolution(subject, *ended, horizon)
    if rule.model.notice:  # it is no debt: it is shown for a working day
        over = config.calendar(segment.seller or None).add(first.start, NOTICE)
        if over < resolved:
            resolved, resolution = over, "expired"
    open_end = resolved >= FOREVER
    return Found(
        rule.id,
        rule.version,
        _severity(rule, segment, config),
        rule.model.notice,
        subject.kind,
        subject.id,
        subject.deal,
        segment.pipeline,
        segment.stage,
        segment.seller,
        subject.segments[-1].seller,
        segment.amount,
        segment.currency,
        first.since,
        first.held_since,
        ruling.link.effective_from,
        first.start,
        None if open_end else resolved,
        None if open_end else resolution,
        proof(subject, rule, config, (first.first, ended[1].last)),
        ordinal,
    )


def _severity(rule: Rule, segment: Segment, config: Config) -> str:
    """As the rule says; another where its `critical_when` or `info_when` holds at the breach."""
    for severity, condition in (("critical", rule.critical), ("info", rule.mild)):
        if condition is not None and condition.holds(condition.values(segment.state, config)):
            return severity
    return rule.severity


def _resolution(subject: Subject, ruling: _Ruling, piece: _Piece, horizon: Instant) -> str:
    if piece.end == horizon:
        return "rule_changed"
    following = piece.last + 1
    if following >= len(subject.segments):
        return "rule_changed"
    after = subject.segments[following]
    if after.start < piece.end:
        return "rule_changed"
    if not after.judged:
        return "gone"
    return "moved" if ruling.holds >> following & 1 else "fixed"
