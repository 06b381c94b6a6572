"""`derive(timeline) -> everything derived`: pure, the same for a live fact and for a rebuild."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.mutes import Mutes
from service.domain.period import local_day
from service.domain.siblings import Sibling, sibling_of
from service.domain.span import Span
from service.domain.story import DealState, Story, TaskState
from service.domain.violation import Found
from service.kpi.contribution import Contribution
from service.kpi.contributions import contribute
from service.kpi.parts import APART, UNROLLED
from service.rules.book import Window
from service.rules.judge import Failure, judge
from service.store.derived import Derived, Row

NO_MUTES = Mutes()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a timeline gives, and rules that failed on it.

    Contributions are in `derived` by their mark alone until `measure` puts their rows there.
    """

    derived: Derived
    measured: list[Contribution]
    failures: list[Failure]

    def measure(self, config: Config) -> None:
        """Make the rows of the contributions."""
        self.derived.contributions = dict(contribution_row(one, config) for one in self.measured)


def derive(story: Story, windows: Sequence[Window], mutes: Mutes = NO_MUTES) -> Verdict:
    """Violations, contributions and present images of one timeline."""
    config = windows[-1].config
    found, failures = judge(story, windows)
    derived = Derived()
    for interval in found:
        interval.muted = mutes.pieces(interval)
        row = violation_row(config, story.key, interval)
        derived.violations[row["id"]] = row
    norm = partial(first_touch_norm, windows)
    measured = contribute(story, found, config, windows[-1].levels, norm)
    derived.mark = mark_of(measured, config)
    if story.deal:
        derived.deal = _deal_row(story, config)
    for task_id, states in story.tasks.items():
        if not states[-1].deleted:
            derived.tasks[task_id] = _task_row(story, task_id, states)
    return Verdict(derived, measured, failures)


_KEPT = sorted(UNROLLED)


def mark_of(measured: Sequence[Contribution], config: Config) -> int:
    """A fingerprint of all that the rows of contributions are made of; 0 = there are none."""
    if not measured:
        return 0
    packed = msgspec.msgpack.encode((measured, str(config.timezone), _KEPT))
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), signed=True)


def first_touch_norm(
    windows: Sequence[Window], kind: str, at: Instant, pipeline: str, stage: str
) -> Span | None:
    """In what time an inquiry of that instant had to be touched first; None = no rule says it."""
    window = next((w for w in windows if w.start <= at < w.end), windows[0])
    for name in ("lead", "deal") if kind == "lead" else ("deal",):
        for rule in window.judging.get(name, ()):
            if rule.id == f"{name}-no-first-touch":
                return rule.span(pipeline, stage)
    return None


def violation_row(config: Config, timeline: str, found: Found) -> Row:
    """A violation as the table wants it. The tick looks at it when its next instant comes."""
    calendar, ended = config.calendar(found.seller or None), found.resolved_at
    begun_on, begun_at = calendar.daytime(found.breach_at)
    ended_on, ended_at = (0, 0) if ended is None else calendar.daytime(ended)
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
        "loss_reason": _loss_reason(now, config),
        "open_tasks": now.open_tasks,
        "next_task_at": now.next_due_at,
        "last_touch_at": _last_touch(now),
        "has_contact": bool(now.contacts),
        "deleted": now.deleted,
        "presence": list(map(list, kin.stretches if kin else ())),
        "wins": _wins(kin),
    }


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


def _last_touch(now: DealState) -> Instant | None:
    return now.last_activity_at


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
