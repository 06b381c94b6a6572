"""`derive(timeline) -> everything derived`: pure, the same for a live fact and for a rebuild."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import msgspec

from service import __version__
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.mutes import Mutes
from service.domain.period import local_day
from service.domain.siblings import Sibling, sibling_of
from service.domain.span import Span
from service.domain.story import DealState, LeadState, Story, TaskState
from service.domain.violation import Found
from service.kpi import contributions
from service.kpi.contribution import Contribution
from service.kpi.parts import APART, UNROLLED
from service.rules.book import Window
from service.rules.judge import Failure, judge
from service.store.derived import Derived, Marks, Row

NO_MUTES = Mutes()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a timeline gives, and rules that failed on it.

    Violations and contributions are in `derived` by their marks alone until their rows are wanted.
    """

    key: str  # of the timeline
    derived: Derived
    found: list[Found]
    of_violations: list[Contribution]
    of_facts: list[Contribution]  # none of a settled timeline: they are as they are stored
    failures: list[Failure]

    def write_verdicts(self, config: Config) -> None:
        """Put rows of violations and of what they add to the figures into `derived`."""
        rows = [violation_row(config, self.key, interval) for interval in self.found]
        self.derived.violations.update((row["id"], row) for row in rows)
        self._write(self.of_violations, config)

    def write_facts(self, config: Config) -> None:
        """Put rows of what facts add to the figures into `derived`."""
        self._write(self.of_facts, config)

    def _write(self, measured: Sequence[Contribution], config: Config) -> None:
        self.derived.contributions.update(contribution_row(one, config) for one in measured)


def derive(
    story: Story,
    windows: Sequence[Window],
    mutes: Mutes = NO_MUTES,
    settled: Marks | None = None,
) -> Verdict:
    """Violations, contributions and present images of one timeline.

    `settled`: its marks, if its facts are as they were and were read with these settings: then
    only what rules say is made.
    """
    config = windows[-1].config
    found, failures = judge(story, windows)
    derived = Derived()
    for interval in found:
        interval.muted = mutes.pieces(interval)
    of_violations = contributions.of_violations(story, found, config, windows[-1].levels)
    verdicts = _mark_of_verdicts(found, of_violations, config)
    if settled is not None:
        derived.marks = settled._replace(verdicts=verdicts)
        return Verdict(story.key, derived, found, of_violations, [], failures)
    norm = partial(first_touch_norm, windows)
    of_facts = contributions.of_facts(story, config, windows[-1].levels, norm)
    derived.marks = Marks(settings_mark(windows), _mark_of_facts(of_facts, config), verdicts)
    if story.deal:
        derived.deal = _deal_row(story, config)
    for task_id, states in story.tasks.items():
        if not states[-1].deleted:
            derived.tasks[task_id] = _task_row(story, task_id, states)
    return Verdict(story.key, derived, found, of_violations, of_facts, failures)


_KEPT = sorted(UNROLLED)


def _mark_of_facts(of_facts: Sequence[Contribution], config: Config) -> int:
    """A fingerprint of all that their rows are made of."""
    return _fingerprint((of_facts, str(config.timezone), _KEPT)) if of_facts else 0


def _mark_of_verdicts(
    found: Sequence[Found], of_violations: Sequence[Contribution], config: Config
) -> int:
    """A fingerprint of all that their rows are made of."""
    return _fingerprint((found, of_violations, config.base_digest, _KEPT)) if found else 0


def _fingerprint(what: object) -> int:
    packed = msgspec.msgpack.encode(what)
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), signed=True)


def settings_mark(windows: Sequence[Window]) -> int:
    """A fingerprint of all that images and contributions of facts depend on beside the facts."""
    window = windows[-1]
    known: dict[tuple[Window, ...], int] = window.marks
    key = tuple(windows[:-1])
    if key not in known:
        norms = [(w.start, _norm_rules(w)) for w in windows]
        turns = [norms[0], *(now for last, now in pairwise(norms) if now[1] != last[1])]
        said = (__version__, window.config.base_digest, sorted(window.levels), turns)
        known[key] = _fingerprint(said)
    return known[key]


def _norm_rules(window: Window) -> list[tuple[str, str]]:
    """The rules in force that say in what time an inquiry is to be touched first."""
    return [
        (rule.id, rule.version)
        for kind in ("lead", "deal")
        for rule in window.judging.get(kind, ())
        if rule.id == _first_touch_rule(kind)
    ]


def _first_touch_rule(kind: str) -> str:
    return f"{kind}-no-first-touch"


def first_touch_norm(
    windows: Sequence[Window], at: Instant, asked: DealState | LeadState
) -> Span | None:
    """In what time an inquiry of that instant had to be touched first; None = no rule says it."""
    kinds: tuple[str, ...] = ("lead", "deal")
    stage = ""
    if isinstance(asked, DealState):
        kinds, stage = ("deal",), asked.stage
    window = next((w for w in windows if w.start <= at < w.end), windows[0])
    for name in kinds:
        for rule in window.judging.get(name, ()):
            if rule.id == _first_touch_rule(name):
                return rule.span_of(asked, asked.pipeline, stage)
    return None


def violation_row(config: Config, timeline: str, found: Found) -> Row:
    """A violation as the table wants it. The tick looks at it when its next instant comes."""
    calendar, ended = config.calendar(found.seller or None), found.resolved_at
    begun_on, begun_at = calendar.monthtime(found.breach_at)
    ended_on, ended_at = (0, 0) if ended is None else calendar.monthtime(ended)
    return {
        "id": found.violation_id(config.account_id),
        "timeline": timeline,
        "rule": found.rule,
        "rule_version": found.rule_version,
        "severity": found.severity,
        "notice": found.notice,
        "subject_kind": found.subject_kind,
        "subject_id": found.subject_id,
        "deal": found.deal,
        "pipeline": found.pipeline,
        "stage": found.stage,
        "seller": found.seller,
        "owner": found.owner,
        "amount": found.amount,
        "currency": found.currency,
        "since": found.since,
        "held_since": found.held_since,
        "effective_from": found.effective_from,
        "breach_at": found.breach_at,
        "resolved_at": found.resolved_at,
        "resolution": found.resolution,
        "values": found.values,
        "muted": [list(piece) for piece in found.muted],
        "due_at": found.breach_at,
        "breach_day": begun_on,
        "breach_worked": begun_at,
        "resolved_day": ended_on,
        "resolved_worked": ended_at,
        "resolved_after": 0 if ended is None else calendar.working_seconds(found.breach_at, ended),
    }


def contribution_row(row: Contribution, config: Config) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """(key columns, other columns) of a contribution."""
    key = (row.metric, row.subject_kind, row.subject_id, row.key)
    day = local_day(row.at, config.timezone)
    slot = APART if row.metric in UNROLLED else row.slot
    return key, (
        row.at, day, row.seller, row.pipeline, row.stage, row.source, row.value, row.currency,
        slot, row.reason, row.age,
    )  # fmt: skip


def _deal_row(story: Story, config: Config) -> Row:
    now, kin = story.deal[-1], sibling_of(story, config)
    return {
        "id": story.id,
        "name": now.name,
        "pipeline": now.pipeline,
        "stage": now.stage,
        "status": now.kind.value,
        "seller": now.responsible,
        "source": now.source,
        "amount": now.amount,
        "currency": now.currency or config.currency,
        "born_at": now.born_at,
        "created_at": now.created_at,
        "updated_at": story.updated_at,
        "stage_since": now.stage_entered_at,
        "closed_at": now.closed_at,
        "expected_close_on": now.expected_close_on if _is_in_work(kin) else None,
        "loss_reason": _loss_reason(now, config),
        "open_tasks": now.open_tasks,
        "next_task_at": now.next_due_at,
        "last_touch_at": now.last_activity_at,
        "first_touch_at": next(
            (s.last_activity_at for s in story.deal if s.last_activity_at), None
        ),
        "has_contact": bool(now.contacts),
        "deleted": now.deleted,
        "presence": list(map(list, kin.stretches if kin else ())),
        "wins": _wins(kin),
    }


def _is_in_work(kin: Sibling | None) -> bool:
    """Whether it is open now and counts."""
    return kin is not None and bool(kin.stretches) and kin.stretches[-1].end == FOREVER


def _wins(kin: Sibling | None) -> list[list[Instant]] | None:
    """When it was won; None of a deal that counts nowhere."""
    if kin is None:
        return []
    return None if kin.wins is None else list(map(list, kin.wins))


def _loss_reason(now: DealState, config: Config) -> str | None:
    if now.kind is not StageKind.LOST or not now.loss_reason:
        return None
    names = {reason.id: reason.name for reason in config.directory.loss_reasons}
    return names.get(now.loss_reason, now.loss_reason)


def _task_row(story: Story, task_id: str, states: Sequence[TaskState]) -> Row:
    now = states[-1]
    return {
        "id": task_id,
        "timeline": story.key,
        "deal": story.id if story.kind == "deal" else "",
        "seller": now.responsible,
        "task_kind": now.task_kind,
        "title": now.text,
        "is_open": now.is_open,
        "is_all_day": now.is_all_day,
        "due_at": now.due_at,
        "created_at": now.created_at,
        "done_at": now.closed_at,
        "updated_at": now.at,
        "has_result": bool(now.result),
        "moves": len(now.moved),
    }
