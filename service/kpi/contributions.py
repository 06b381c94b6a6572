"""What a timeline adds to the figures: a pure function, no clock (kpis.md 1-5).

A contribution is (metric part, subject, instant, seller, pipeline, stage, source, value, currency);
its `key` makes it unique within metric and subject. Steps of a state (won, lost, amount, open) are
differences between neighbouring segments; both corrections of a win belong to the seller of the win
(kpis.md 1.9). What lies ahead (a deadline) contributes at its own future instant.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.steps import ALWAYS, call_parts, level_steps
from service.domain.story import Story, TaskState, deal_is_judged
from service.domain.violation import Found
from service.kpi.asking import Norm, inquiry_of_deal, inquiry_of_lead, no_norm
from service.kpi.contribution import Contribution, of_deal, state_at
from service.kpi.outcomes import cohort, outcomes
from service.kpi.parts import APART, RANKED, UNROLLED
from service.kpi.stages import stages


def contribute(
    story: Story,
    found: Sequence[Found],
    config: Config,
    levels: frozenset[str] = ALWAYS,
    norm: Norm = no_norm,
) -> list[Contribution]:
    """All contributions of a timeline, given its violations.

    `levels`: those that are wanted; `norm`: in what time an inquiry is to be answered.
    """
    rows: list[Contribution] = []
    if story.deal:
        rows += _deal(story, config, norm)
    if story.lead:
        rows += inquiry_of_lead(story, config, norm)
    for task_id, states in story.tasks.items():
        rows += _task(story, task_id, states, config)
    rows += _calls(story, config)
    rows += _overdue(found)
    rows += [
        Contribution(
            step.metric, step.kind, step.subject, step.key, step.at, step.seller, step.pipeline,
            step.stage, step.source, step.delta, "", step.slot,
        )
        for step in level_steps(story, found, config, levels)
    ]  # fmt: skip
    return [
        row._replace(slot=APART) if row.metric in UNROLLED else row
        for row in rows
        if row.value or row.metric in RANKED
    ]


# --- deals and inquiries --------------------------------------------------------------------------


def _deal(story: Story, config: Config, norm: Norm) -> Iterator[Contribution]:
    """A deal that is deleted or excluded now has never been business (kpis.md 1.10)."""
    if not deal_is_judged(story.deal[-1], config):
        return
    born = story.deal[-1].born_at
    states = [s for s in story.deal if s.kind is not StageKind.INCOMING]
    if born is None or not states:
        return
    first = state_at(story.deal, born) or states[0]
    yield of_deal(story, "deals_created", "born", born, first, 1)
    yield from inquiry_of_deal(story, states, first, born, config, norm)
    lived = [s for s, after in pairwise(states) if after.at > born] + states[-1:]
    yield from stages(story, lived, born, config)
    if any(s.is_closed for s in states):
        yield from outcomes(story, states, config)
        yield from cohort(story, states, first, born, config)


# --- tasks ----------------------------------------------------------------------------------------


def _task(
    story: Story, task_id: str, states: Sequence[TaskState], config: Config
) -> Iterator[Contribution]:
    last = states[-1]
    if last.deleted or (story.deal and not deal_is_judged(story.deal[-1], config)):
        return

    def row(metric: str, key: str, at: Instant, seller: str, value: int) -> Contribution:
        deal = state_at(story.deal, at) or (story.deal[0] if story.deal else None)
        place = (deal.pipeline, deal.stage, deal.source or "") if deal else ("", "", "")
        return Contribution(metric, "task", task_id, key, at, seller, *place, value)

    if last.created_at is not None:
        yield row("tasks_set", "set", last.created_at, states[0].responsible, 1)
    done = False
    for state in states:
        if state.is_open == done:
            done = not state.is_open
            yield row("tasks_done", str(state.at), state.at, state.responsible, 1 if done else -1)
    due = None if last.is_deferred else last.due_at
    if due is not None:
        seller = _responsible_at(states, due)
        yield row("tasks_due", "due", due, seller, 1)
        if last.closed_at is not None and last.closed_at <= due:
            yield row("tasks_due_done", "due", due, seller, 1)


def _responsible_at(states: Sequence[TaskState], at: Instant) -> str:
    seller = states[0].responsible
    for state in states:
        if state.at > at:
            break
        seller = state.responsible
    return seller


# --- calls ----------------------------------------------------------------------------------------


def _calls(story: Story, config: Config) -> Iterator[Contribution]:
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return
    for call in story.calls:
        deal = state_at(story.deal, call.started_at) or (story.deal[0] if story.deal else None)
        place = (deal.pipeline, deal.stage, deal.source or "") if deal else ("", "", "")
        for metric, value in call_parts(call).items():
            yield Contribution(
                metric, "call", call.id, "call", call.started_at, call.author, *place, value
            )


# --- overdue tasks --------------------------------------------------------------------------------


def _overdue(found: Sequence[Found]) -> Iterator[Contribution]:
    """Each breach of the rule task-overdue; its level is among the steps."""
    for one in found:
        ended = FOREVER if one.resolved_at is None else one.resolved_at
        if one.rule == "task-overdue" and ended > one.breach_at:
            yield Contribution(
                "became_overdue", "task", one.subject_id, str(one.breach_at), one.breach_at,
                one.seller, one.pipeline, one.stage, "", 1,
            )  # fmt: skip
