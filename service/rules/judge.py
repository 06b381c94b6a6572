"""The judge: a timeline and the rules in force -> violation intervals. Pure.

Inside a segment nothing changes; there a subject breaks a rule from
`max(since + for, start of the segment, effective_from)` on if `when` holds (rules.md 1.1). Adjacent
pieces of one rule and subject join into one interval that keeps the first piece's values.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.story import DealState, Story, deal_is_judged
from service.domain.violation import Found
from service.rules.attributes import CallState
from service.rules.book import Rule, Window
from service.rules.expression import ConditionFailed


class Segment(NamedTuple):
    """A stretch `[start, end)` in which a subject does not change."""

    start: Instant
    end: Instant
    state: Any
    judged: bool
    seller: str
    pipeline: str = ""
    stage: str = ""
    amount: int = 0
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, cut into segments."""

    kind: str
    id: str
    deal: str
    name: str
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that had no answer for a subject."""

    rule: str
    subject: str
    error: str


def subjects(story: Story, config: Config) -> Iterator[Subject]:
    """The deal, its tasks and its calls (or those of a timeline without a deal)."""
    deal_id = story.id if story.kind == "deal" else story.deal_of
    cuts = [at for at, _ in _guard_changes(story.deal, config)]
    if story.deal:
        yield Subject(
            "deal", story.id, story.id, story.deal[-1].name, _deal_segments(story, config)
        )
    for task_id, states in story.tasks.items():
        judged = _with_deal(story, cuts, states, config, lambda s: s.responsible)
        yield Subject("task", task_id, deal_id, states[-1].text, judged)
    for call in story.calls:
        states_of_call: list[Any] = [CallState(call.ended_at, call, call.trace_at)]
        if call.trace_at is not None and call.trace_at > call.ended_at:
            states_of_call = [
                CallState(call.ended_at, call, None),
                CallState(call.trace_at, call, call.trace_at),
            ]
        judged = _with_deal(story, cuts, states_of_call, config, lambda s: s.call.author)
        yield Subject("call", call.id, deal_id, "", judged)


def _deal_segments(story: Story, config: Config) -> list[Segment]:
    ends = [s.at for s in story.deal[1:]] + [FOREVER]
    return [
        Segment(
            s.at, end, s, deal_is_judged(s, config), s.responsible,
            s.pipeline, s.stage, s.amount, s.currency,
        )
        for s, end in zip(story.deal, ends, strict=True)
    ]  # fmt: skip


def _with_deal(
    story: Story,
    cuts: Sequence[Instant],
    states: Sequence[Any],
    config: Config,
    seller: Callable[[Any], str],
) -> list[Segment]:
    """Segments of a task or call, cut also where the guards of its deal change."""
    segments: list[Segment] = []
    for index, state in enumerate(states):
        end = states[index + 1].at if index + 1 < len(states) else FOREVER
        edges = [state.at, *(at for at in cuts if state.at < at < end), end]
        for left, right in pairwise(edges):
            if left >= right:
                continue
            deal = _deal_at(story.deal, left)
            judged = not getattr(state, "deleted", False) and (
                deal is None or deal_is_judged(deal, config)
            )
            place = (deal.pipeline, deal.stage, deal.amount, deal.currency) if deal else ("",) * 2
            segments.append(Segment(left, right, state, judged, seller(state), *place))
    return segments


def _guard_changes(deal: Sequence[DealState], config: Config) -> list[tuple[Instant, bool]]:
    changes: list[tuple[Instant, bool]] = []
    for state in deal:
        judged = deal_is_judged(state, config)
        if not changes or changes[-1][1] != judged:
            changes.append((state.at, judged))
    return changes


def _deal_at(deal: Sequence[DealState], at: Instant) -> DealState | None:
    found = deal[0] if deal else None
    for state in deal:
        if state.at > at:
            break
        found = state
    return found


def judge(story: Story, windows: Sequence[Window]) -> tuple[list[Found], list[Failure]]:
    """All violations of a timeline under the settings in force at each time."""
    found: list[Found] = []
    failures: list[Failure] = []
    latest = windows[-1].config
    for subject in subjects(story, latest):
        for chain in _chains(windows, subject.kind):
            try:
                found += _judge_chain(chain, subject)
            except ConditionFailed as error:
                failures.append(
                    Failure(chain[-1][1].id, f"{subject.kind}:{subject.id}", str(error))
                )
    return found, failures


def _chains(windows: Sequence[Window], kind: str) -> Iterator[list[tuple[Window, Rule]]]:
    """For each rule on this kind: the windows in which it is in force."""
    by_rule: dict[str, list[tuple[Window, Rule]]] = {}
    for window in windows:
        for rule in window.judging.get(kind, ()):
            by_rule.setdefault(rule.id, []).append((window, rule))
    yield from by_rule.values()


@dataclass(slots=True)
class _Piece:
    start: Instant
    end: Instant
    since: Instant
    held_since: Instant
    effective_from: Instant
    segment: Segment
    rule: Rule
    config: Config


def _judge_chain(chain: Sequence[tuple[Window, Rule]], subject: Subject) -> list[Found]:
    pieces: list[_Piece] = []
    previous: Window | None = None
    version = ""
    effective_from = 0
    for window, rule in chain:
        follows = previous is not None and previous.end == window.start
        if not follows or rule.version != version:
            effective_from = window.start
        if window.end > subject.segments[0].start:
            pieces += _pieces(subject, window, rule, effective_from, 0 if previous is None else 1)
        previous, version = window, rule.version
    return _intervals(subject, pieces, chain[-1][0].end)


def _pieces(
    subject: Subject, window: Window, rule: Rule, effective_from: Instant, changed: int
) -> Iterator[_Piece]:
    """Pieces of violation inside one window."""
    config = window.config
    holds, getters = rule.condition.holds, rule.condition.getters
    held: Instant | None = None
    floor = effective_from if changed else 0
    for segment in subject.segments:
        if segment.start >= window.end:
            break
        state = segment.state
        if not (segment.judged and holds(tuple([get(state, config) for get in getters]))):
            held = None
            continue
        if held is None:
            held = max(segment.start, floor)
        if segment.end <= window.start:
            continue
        since = _since(rule, state, config, held)
        if since is None:
            continue
        span = rule.span(segment.pipeline, segment.stage)
        deadline = config.calendar(segment.seller or None).add(since, span)
        start = max(deadline, segment.start, effective_from, window.start)
        end = min(segment.end, window.end)
        if start < end or (end == FOREVER):
            yield _Piece(start, end, since, held, effective_from, segment, rule, config)


def _since(rule: Rule, state: Any, config: Config, held: Instant) -> Instant | None:
    latest: Instant | None = None if rule.since else held
    for attribute in rule.since:
        at = attribute.get(state, config)
        if at is not None and (latest is None or at > latest):
            latest = at
    return latest


def _intervals(subject: Subject, pieces: list[_Piece], horizon: Instant) -> list[Found]:
    joined: list[list[_Piece]] = []
    for piece in pieces:
        if joined and joined[-1][-1].end == piece.start:
            joined[-1].append(piece)
        else:
            joined.append([piece])
    ordinals: dict[Instant, int] = {}
    found = []
    for group in joined:
        held = group[0].held_since
        ordinal = ordinals.get(held, 0)
        ordinals[held] = ordinal + 1
        found.append(_found(subject, group, ordinal, horizon))
    return found


def _found(subject: Subject, group: list[_Piece], ordinal: int, horizon: Instant) -> Found:
    first, last = group[0], group[-1]
    rule, segment = first.rule, first.segment
    open_end = last.end >= FOREVER
    return Found(
        rule.id,
        rule.version,
        rule.severity,
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
        first.effective_from,
        first.start,
        None if open_end else last.end,
        None if open_end else _resolution(subject, last, horizon),
        _values(first, last, subject),
        ordinal,
    )


def _resolution(subject: Subject, last: _Piece, horizon: Instant) -> str:
    if last.end == horizon:
        return "rule_changed"
    after = next((s for s in subject.segments if s.start >= last.end), None)
    if after is None:
        return "rule_changed"
    if not after.judged:
        return "gone"
    values = tuple([a.get(after.state, last.config) for a in last.rule.condition.attributes])
    return "moved" if last.rule.condition.holds(values) else "fixed"


def _values(first: _Piece, last: _Piece, subject: Subject) -> dict[str, Any]:
    """What proved it, and what the texts for people need."""
    config, rule, segment = first.config, first.rule, first.segment
    attributes = {a.name: a.get(segment.state, config) for a in rule.condition.attributes}
    attributes |= {a.name: a.get(segment.state, config) for a in rule.since}
    span = rule.span(segment.pipeline, segment.stage)
    text: dict[str, Any] = {"name": subject.name}
    if "deal.missing_fields" in attributes:
        now = next(a for a in rule.condition.attributes if a.name == "deal.missing_fields")
        text["missing"] = list(now.get(last.segment.state, last.config))
    if "call.seconds" in attributes:
        text["seconds"] = attributes["call.seconds"]
    return {
        "attributes": {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()},
        "for": str(span),
        "text": text,
    }
