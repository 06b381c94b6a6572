"""The judge: a timeline and the rules in force -> violation intervals. Pure.

Inside a segment nothing changes; there a subject breaks a rule from
`max(since + for, start of the segment, effective_from)` on if `when` holds (rules.md 1.1). Adjacent
pieces of one rule and subject join into one interval that keeps the first piece's values.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.domain.span import Span
from service.domain.story import Story
from service.domain.violation import Found
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.book import Rule, Window
from service.rules.expression import ConditionFailed
from service.rules.segments import Segment, Subject, subjects

_NOTICE = Span(1, "wd")


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that had no answer for a subject."""

    rule: str
    subject: str
    error: str


class _Columns:
    """The values of attributes over a subject's segments, each read once for all rules."""

    def __init__(self, segments: Sequence[Segment], config: Config) -> None:
        self._states = [segment.state for segment in segments]
        self._config = config
        self._known: dict[tuple[str, bool], list[Any]] = {}

    def of(self, attribute: Attribute) -> list[Any]:
        """One attribute."""
        key = (attribute.name, False)
        found = self._known.get(key)
        return self._read(key, attribute) if found is None else found

    def _read(self, key: tuple[str, bool], attribute: Attribute) -> list[Any]:
        if key[1]:  # only whether it is there
            found = [None if value is None else True for value in self.of(attribute)]
        elif attribute.field:
            found = list(map(attrgetter(attribute.field), self._states))
        else:
            get, config = attribute.get, self._config
            found = [get(state, config) for state in self._states]
        self._known[key] = found
        return found

    def holds(self, rule: Rule, segments: Sequence[Segment]) -> list[bool]:
        """Where the rule's condition is true."""
        known = self._known
        columns = []
        for key, attribute in rule.condition.columns:
            column = known.get(key)
            columns.append(self._read(key, attribute) if column is None else column)
        found = rule.condition.column(columns, len(segments))
        if rule.condition_by_place:
            found = self._by_place(rule, segments, columns, found)
        return found

    @staticmethod
    def _by_place(
        rule: Rule, segments: Sequence[Segment], columns: Sequence[Sequence[Any]], found: list[bool]
    ) -> list[bool]:
        """With the numbers of the stage that each segment lies in."""
        rows = list(zip(*columns, strict=True)) if columns else [()] * len(segments)
        chosen = [rule.condition_by_place.get((s.pipeline, s.stage)) for s in segments]
        return [
            holds if own is None else own.holds(row)
            for holds, own, row in zip(found, chosen, rows, strict=True)
        ]


def judge(story: Story, windows: Sequence[Window]) -> tuple[list[Found], list[Failure]]:
    """All violations of a timeline under the settings in force at each time."""
    found: list[Found] = []
    failures: list[Failure] = []
    latest = windows[-1].config
    for subject in subjects(story, latest):
        columns: dict[int, _Columns] = {}
        for chain in _chains(windows, subject.kind):
            try:
                found += _judge_chain(chain, subject, columns)
            except ConditionFailed as error:
                failures.append(
                    Failure(chain[-1][1].id, f"{subject.kind}:{subject.id}", str(error))
                )
    return found, failures


def _chains(windows: Sequence[Window], kind: str) -> Iterable[list[tuple[Window, Rule]]]:
    """For each rule on this kind: the windows in which it is in force."""
    if len(windows) == 1:
        return windows[0].chains.get(kind, ())
    known = _CHAINS.get(windows[-1])
    if known is None or known[0] != list(windows):
        known = _CHAINS[windows[-1]] = (list(windows), {})
    if kind not in known[1]:
        known[1][kind] = _make_chains(windows, kind)
    return known[1][kind]


_Chain = list[tuple[Window, Rule]]
_CHAINS: WeakKeyDictionary[Window, tuple[list[Window], dict[str, list[_Chain]]]] = (
    WeakKeyDictionary()
)


def _make_chains(windows: Sequence[Window], kind: str) -> list[_Chain]:
    """Neighbouring windows that mean the same to a rule are one: it is judged once."""
    by_rule: dict[str, _Chain] = {}
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


@dataclass(slots=True)
class _Piece:
    start: Instant
    end: Instant
    since: Instant
    held_since: Instant
    effective_from: Instant
    segment: Segment  # where it begins
    last: int  # the number of the segment in which it ends
    rule: Rule
    config: Config


def _judge_chain(
    chain: Sequence[tuple[Window, Rule]], subject: Subject, columns: dict[int, _Columns]
) -> list[Found]:
    pieces: list[_Piece] = []
    previous: Window | None = None
    version = ""
    effective_from = 0
    for window, rule in chain:
        if len(chain) > 1:
            follows = previous is not None and previous.end == window.start
            if not follows or rule.version != version:
                effective_from = window.start
            version = rule.version
        else:
            effective_from = window.start
        if window.end > subject.segments[0].start:
            table = columns.get(id(window.config))
            if table is None:
                table = columns[id(window.config)] = _Columns(subject.segments, window.config)
            held = table.holds(rule, subject.segments)
            if True in held:
                floor = 0 if previous is None else effective_from
                sinces = [table.of(attribute) for attribute in rule.since]
                pieces += _pieces(subject, window, rule, held, sinces, effective_from, floor)
        previous = window
    return _intervals(subject, pieces, chain[-1][0].end) if pieces else []


def _pieces(
    subject: Subject,
    window: Window,
    rule: Rule,
    holds: Sequence[bool],
    sinces: Sequence[Sequence[Instant | None]],
    effective_from: Instant,
    floor: Instant,
) -> list[_Piece]:
    """Pieces of violation inside one window. `floor`: nothing was held before it."""
    config, varies, since_held = window.config, rule.for_varies, rule.model.since_held
    soonest = rule.default_for.at_least
    earliest = max(effective_from, window.start)
    pieces: list[_Piece] = []
    held: Instant | None = None
    asked: tuple[Instant, Span, str] | None = None
    deadline = 0
    for index, segment in enumerate(subject.segments):
        if segment.start >= window.end:
            break
        if not (holds[index] and segment.judged):
            held = None
            continue
        if held is None:
            held = max(segment.start, floor)
        since = _latest(sinces, index, held if since_held else None)
        if since is None:
            continue
        span = rule.span_in(segment) if varies else rule.default_for
        if segment.end <= since + (span.at_least if varies else soonest):
            continue
        question = (since, span, segment.seller)
        if asked != question:
            asked = question
            deadline = config.calendar(segment.seller or None).add(since, span)
        start = max(deadline, segment.start, earliest)
        end = min(segment.end, window.end)
        if start >= end != FOREVER:
            continue
        if pieces and pieces[-1].end == start:
            pieces[-1].end, pieces[-1].last = end, index
        else:
            pieces.append(
                _Piece(start, end, since, held, effective_from, segment, index, rule, config)
            )
    return pieces


def _latest(
    sinces: Sequence[Sequence[Instant | None]], index: int, latest: Instant | None
) -> Instant | None:
    """The latest known instant that starts the clock in a segment."""
    for column in sinces:
        at = column[index]
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
    resolved, resolution = last.end, _resolution(subject, last, horizon)
    if rule.model.notice:  # it is no debt: it is shown for a working day
        over = first.config.calendar(segment.seller or None).add(first.start, _NOTICE)
        if over < resolved:
            resolved, resolution = over, "expired"
    open_end = resolved >= FOREVER
    return Found(
        rule.id,
        rule.version,
        _severity(rule, segment, first.config),
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
        None if open_end else resolved,
        None if open_end else resolution,
        _values(first, last, subject),
        ordinal,
    )


def _severity(rule: Rule, segment: Segment, config: Config) -> str:
    """As the rule says; raised where its `critical_when` holds at the breach."""
    if rule.critical is None:
        return rule.severity
    holds = rule.critical.holds(rule.critical.values(segment.state, config))
    return "critical" if holds else rule.severity


def _resolution(subject: Subject, last: _Piece, horizon: Instant) -> str:
    if last.end == horizon:
        return "rule_changed"
    after = subject.segments[last.last + 1] if last.last + 1 < len(subject.segments) else None
    if after is None or after.start < last.end:
        return "rule_changed"
    if not after.judged:
        return "gone"
    condition = last.rule.condition_at(after.pipeline, after.stage)
    values = condition.values(after.state, last.config)
    return "moved" if condition.holds(values) else "fixed"


def _values(first: _Piece, last: _Piece, subject: Subject) -> dict[str, Any]:
    """What proved it, and what the texts for people need."""
    config, rule, segment = first.config, first.rule, first.segment
    attributes = {a.name: a.get(segment.state, config) for a in rule.condition.attributes}
    attributes |= {a.name: a.get(segment.state, config) for a in rule.since}
    if rule.critical is not None:
        attributes |= {a.name: a.get(segment.state, config) for a in rule.critical.attributes}
    if "deal.same_client_open_deals" in attributes:
        attributes["deal.same_client_first"] = segment.state.same_client_first
    span = rule.span_in(segment)
    text: dict[str, Any] = {"name": subject.name}
    text |= _words(subject, segment, attributes)
    for name in ("deal.missing_fields", "deal.junk_fields"):
        if name in attributes:
            now = ATTRIBUTES["deal"][name].get(subject.segments[last.last].state, last.config)
            text["missing"] = list(now)
    return {
        "attributes": {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()},
        "for": str(span),
        "text": text,
    }


def _words(subject: Subject, segment: Segment, attributes: dict[str, Any]) -> dict[str, Any]:
    """What the titles name beside the attributes that proved it."""
    state = segment.state
    words: dict[str, Any] = {}
    if subject.kind == "call":
        words["seconds"] = state.call.seconds
        if state.call.trace_text:
            words["said"] = state.call.trace_text[:80]
    elif subject.kind == "task":
        words["moves"] = attributes.get("task.postponements", 0)
        if attributes.keys() & {"task.text_is_meaningful", "task.text_is_copied"}:
            words["name"] = state.text  # what was wrong, not what was mended
    elif subject.kind == "lead":
        words["source"] = state.source or ""
    elif subject.kind == "deal":
        words |= {
            name: attributes[key]
            for name, key in _DEAL_WORDS.items()
            if attributes.get(key) is not None
        }
        if state.previous_stage is not None and state.is_closed:
            words["from_stage"] = [state.previous_pipeline or "", state.previous_stage]
        if "deal.skipped_stages" in attributes:
            words["skipped"] = list(attributes["deal.skipped_stages"])
        if "deal.was_hot_at_close" in attributes:
            words["reason"] = state.loss_reason or ""
    return words


_DEAL_WORDS = {
    "attempts": "deal.attempts", "attempts_since": "deal.attempts_since_talk",
    "handovers": "deal.handovers_recent", "pushes": "deal.close_date_pushes",
    "peak": "deal.amount_peak_late",
    "next_due": "deal.next_due_at", "due": "deal.due_in_absence_at",
    "expected": "deal.expected_close_on", "other": "deal.same_client_first",
}  # fmt: skip
