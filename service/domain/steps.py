"""Steps of levels: what goes up and down, when and for whom, from a folded timeline (rules.md 1.1).

A level is the running sum of its steps. A window ("n in W") is +1 at the fact and -1 when it ages
out: both instants are known when the fact is.
"""

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from operator import attrgetter
from typing import Any

from service.domain import conduct, hygiene
from service.domain.card import missing_fields
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.period import local_day
from service.domain.span import Span
from service.domain.step import Step, of_violations
from service.domain.story import (
    Call,
    DealState,
    LeadState,
    Story,
    TaskState,
    deal_is_judged,
    turning,
)
from service.domain.violation import Found

CLOSINGS_SECONDS = 900
LOSSES_SECONDS = 3600
MOST_TASK_SECONDS = 86_400  # a longer slot is no work of one day
INQUIRIES = Span(1, "wd")
ACTIONS = "actions"  # instants, no level: what a seller did in the CRM
ALWAYS = frozenset({
    "deals_open", "tasks_overdue", "hot_deals", "tasks_open", "hygiene_cost", "hygiene_muted",
    "deals_without_task", "deals_stuck", "meetings", "tasks_on_day", ACTIONS,
})  # fmt: skip
OF_VIOLATIONS = {"tasks_overdue": "task-overdue", "deals_without_task": "deal-no-task"}
SHOWN_OF_VIOLATIONS = {"deals_stuck": "deal-stuck"}  # no rule watches this level
LASTING = frozenset({"meetings"})  # levels that last as long as they last
OPENED, CLOSED = "violations_opened", "violations_closed"
"""How many violations that nobody ever muted began and ended; the rollups alone count them."""
INTEGRATED = frozenset({
    "deals_open", "deals_uncovered", "deals_without_task", "deals_stuck", "tasks_overdue",
    "card_required", "card_missing", "hygiene_cost", OPENED, CLOSED,
})  # fmt: skip
"""Levels that count in working time."""
APART = "-"  # the slot of what is read from the contributions alone; in no rollup
BY_SLOT = frozenset({"tasks_on_day", "minutes_on_day", "deals_in_pipeline"})
"""Levels that are counted apart by `slot`; in no rollup."""
LEVELS = (
    "deals_open", "deals_load", "hot_deals", "tasks_open", "inquiries_given", "inquiries_waiting",
    "losses_hour", "closings_quarter", "hygiene_cost", "hygiene_muted", "meetings",
    *sorted(BY_SLOT), *OF_VIOLATIONS,
)  # fmt: skip


def call_parts(call: Call) -> dict[str, int]:
    """What a call adds to each part, at its start and for whoever talked."""
    return {
        "calls": 1,
        "calls_out" if call.outgoing else "calls_in": 1,
        "calls_answered" if call.answered else "calls_missed": 1,
        "talk_seconds": call.seconds if call.answered else 0,
    }


Place = Callable[[DealState], tuple[Any, ...] | None]
"""Where a deal counts: whatever moves the step when it changes; None = it does not count."""


def level_steps(
    story: Story, found: Sequence[Found], config: Config, wanted: frozenset[str] = ALWAYS
) -> Iterator[Step]:
    """All steps of a timeline to the wanted levels, given its violations."""
    yield from steps_of_facts(story, config, wanted)
    yield from steps_of_violations(story, found, config, wanted)


def steps_of_facts(story: Story, config: Config, wanted: frozenset[str]) -> Iterator[Step]:
    """Those that the facts make, whatever the rules say."""
    if story.deal and deal_is_judged(story.deal[-1], config):
        yield from _of_deal(story, config, wanted)
    if not story.deal or deal_is_judged(story.deal[-1], config):
        yield from _of_tasks(story, config, wanted)
    yield from _of_conduct(story, config, wanted)
    if "inquiries_waiting" in wanted and story.lead:
        yield from _waiting(story, config)
    if "inquiries_given" in wanted and story.lead and _counts(story.lead[-1], config):
        yield from _given_lead(story, config)


def steps_of_violations(
    story: Story, found: Sequence[Found], config: Config, wanted: frozenset[str]
) -> Iterator[Step]:
    """Those that violations make: how many are open, and what neglect costs."""
    if not found:
        return
    for metric, rule in (OF_VIOLATIONS | SHOWN_OF_VIOLATIONS).items():
        if metric in wanted:
            yield from of_violations(story, metric, rule, found)
    yield from of_violations(story, "deals_stuck_value", "deal-stuck", found, lambda s: s.amount)
    if "hygiene_cost" in wanted and story.deal and deal_is_judged(story.deal[-1], config):
        yield from _of_neglect(story, found)


def _of_conduct(story: Story, config: Config, wanted: frozenset[str]) -> Iterator[Step]:
    """What sellers do (robots and strangers do not count)."""
    if ACTIONS in wanted:
        for at, who in conduct.actions(story, config):
            yield Step(ACTIONS, story.kind, story.id, at, 1, who)
    if "meetings" in wanted:
        for task_id, who, start, end in conduct.meetings(story, config):
            yield Step("meetings", "task", task_id, start, 1, who)
            yield Step("meetings", "task", task_id, end, -1, who)


def _of_neglect(story: Story, found: Sequence[Found]) -> Iterator[Step]:
    """What neglect of an open deal costs, and where somebody had muted it."""
    for piece in hygiene.costs(story, found):
        step = Step("hygiene_cost", "deal", story.id, piece.start, piece.cost, piece.seller,
                    piece.pipeline, source=piece.rule)  # fmt: skip
        yield step
        if piece.end < FOREVER:
            yield step._replace(at=piece.end, delta=-piece.cost)
    for muted in hygiene.mutings(story, found):
        step = Step("hygiene_muted", "deal", story.id, muted.start, 1, muted.seller,
                    muted.pipeline)  # fmt: skip
        yield step
        if muted.end < FOREVER:
            yield step._replace(at=muted.end, delta=-1)


def _of_deal(story: Story, config: Config, wanted: frozenset[str]) -> Iterator[Step]:
    def is_open(state: DealState) -> tuple[Any, ...] | None:
        there = state.kind is StageKind.OPEN and deal_is_judged(state, config)
        return (state.responsible, state.pipeline) if there else None

    def is_uncovered(state: DealState) -> tuple[Any, ...] | None:
        return None if state.open_tasks else is_open(state)

    def is_hot(state: DealState) -> tuple[Any, ...] | None:
        hot = config.standards.is_hot(state.pipeline, state.stage, state.amount, state.tags)
        return is_open(state) if hot else None

    def in_stage(state: DealState) -> tuple[Any, ...] | None:
        place = is_open(state)
        return None if place is None else (*place, state.stage)

    states = turning(story.deal, _PLACED)
    yield from _while(story, "deals_open", states, is_open)
    yield from _while(story, "deals_uncovered", states, is_uncovered)
    yield from _card(story, config)
    if "hot_deals" in wanted:
        yield from _while(story, "hot_deals", states, is_hot)
    yield from _apart(story, config, is_open, in_stage, wanted)
    if "losses_hour" in wanted:
        yield from _losses(story, config)
    if "inquiries_given" in wanted:
        yield from _given(story, config)


def _apart(
    story: Story, config: Config, is_open: Place, in_stage: Place, wanted: frozenset[str]
) -> Iterator[Step]:
    """Open deals by the pipelines that have a limit, and weighted by stage."""
    limited = config.standards.limited_pipelines if "deals_in_pipeline" in wanted else ()
    if limited:
        for step in _while(story, "deals_in_pipeline", story.deal, is_open):
            if step.pipeline in limited:
                yield step._replace(slot=step.pipeline)
    weights = config.standards.weights
    if weights:
        for step in _while(story, "deals_load", story.deal, in_stage):
            weight = weights.get((step.pipeline, step.stage), 1)
            if weight:
                yield step._replace(delta=step.delta * weight)


_PLACED = attrgetter(
    "kind",
    "pipeline",
    "stage",
    "responsible",
    "source",
    "amount",
    "tags",
    "deleted",
    "open_tasks",
)


def _while(story: Story, metric: str, states: Sequence[DealState], where: Place) -> Iterator[Step]:
    """The deal as a part of its sellers' level, from its birth on (decisions.md 15)."""
    return (step for step, _ in _moves(story, metric, states, where))


def _moves(
    story: Story, metric: str, states: Sequence[DealState], where: Place
) -> Iterator[tuple[Step, DealState]]:
    """Its steps, each with the state in which it came or was."""
    born = story.deal[-1].born_at
    if born is None:
        return
    place: DealState | None = None
    for state in states:
        at, now = max(state.at, born), where(state)
        if place is not None and now is not None and where(place) == now:
            continue
        if place is not None:
            yield _deal_step(story, metric, at, -1, place), place
            place = None
        if now is not None:
            yield _deal_step(story, metric, at, 1, state), state
            place = state


def _deal_step(story: Story, metric: str, at: Instant, delta: int, state: DealState) -> Step:
    return Step(
        metric, "deal", story.id, at, delta, state.responsible, state.pipeline, state.stage,
        state.source or "",
    )  # fmt: skip


def _card(story: Story, config: Config) -> Iterator[Step]:
    """What open deals have to hold at their stage (`card_required`), and what of it is missing."""
    if not config.has_required:
        return

    held: dict[int, dict[str, int]] = {}
    for state in story.deal:
        asked = len(config.required(state.pipeline, state.stage))
        missing = len(missing_fields(state, config)) if asked else 0
        held[id(state)] = {"card_required": asked, "card_missing": missing}
    for metric in ("card_required", "card_missing"):

        def where(state: DealState, metric: str = metric) -> tuple[Any, ...] | None:
            is_open = state.kind is StageKind.OPEN and deal_is_judged(state, config)
            count = held[id(state)][metric] if is_open else 0
            return (state.responsible, state.pipeline, state.stage, count) if count else None

        for step, state in _moves(story, metric, story.deal, where):
            yield step._replace(delta=step.delta * held[id(state)][metric])


def _losses(story: Story, config: Config) -> Iterator[Step]:
    """Each loss counts for its author (unknown: the responsible) for an hour; robots for nobody."""
    before: DealState | None = None
    for state in story.deal:
        lost = state.kind is StageKind.LOST
        if lost and (before is None or before.kind is not StageKind.LOST):
            by = state.responsible if state.moved_by is None else state.moved_by
            if config.is_human(by):
                step = _deal_step(story, "losses_hour", state.at, 1, state)._replace(seller=by)
                yield step
                yield step._replace(at=state.at + LOSSES_SECONDS, delta=-1)
        before = state


def _given(story: Story, config: Config) -> Iterator[Step]:
    """A new deal counts for whoever got it for a working day; its inquiry comes before it."""
    born, inquiry = story.deal[-1].born_at, story.inquiry
    if born is None or (inquiry is not None and inquiry.responsible and _counts(inquiry, config)):
        return
    first = next((s for s in reversed(story.deal) if s.at <= born), story.deal[0])
    if not first.responsible:
        return
    step = _deal_step(story, "inquiries_given", born, 1, first)
    yield step
    ended = config.calendar(first.responsible).add(born, INQUIRIES)
    yield step._replace(at=ended, delta=-1)


def _given_lead(story: Story, config: Config) -> Iterator[Step]:
    """The same of an inquiry, from when somebody has it."""
    first = next((state for state in story.lead if state.responsible), None)
    if first is None:
        return
    who = first.responsible
    step = Step("inquiries_given", "lead", story.id, first.at, 1, who, first.pipeline)
    yield step
    yield step._replace(at=config.calendar(who).add(first.at, INQUIRIES), delta=-1)


def _counts(inquiry: LeadState, config: Config) -> bool:
    """Whether it is one of a pipeline that is judged."""
    return not inquiry.deleted and inquiry.pipeline not in config.excluded


def _of_tasks(story: Story, config: Config, wanted: frozenset[str]) -> Iterator[Step]:
    pipeline = story.deal[-1].pipeline if story.deal else ""
    for task_id, states in story.tasks.items():
        if "tasks_open" in wanted:
            yield from _open_task(task_id, states, pipeline)
        if "closings_quarter" in wanted:
            yield from _closings(task_id, states, pipeline, config)
        if "tasks_on_day" in wanted:
            yield from _on_day(task_id, states, pipeline, config)


def _open_task(task_id: str, states: Sequence[TaskState], pipeline: str) -> Iterator[Step]:
    owner: str | None = None
    for state in states:
        now = state.responsible if state.is_open and not state.deleted else None
        if now == owner:
            continue
        if owner is not None:
            yield Step("tasks_open", "task", task_id, state.at, -1, owner, pipeline)
        if now is not None:
            yield Step("tasks_open", "task", task_id, state.at, 1, now, pipeline)
        owner = now


def _on_day(
    task_id: str, states: Sequence[TaskState], pipeline: str, config: Config
) -> Iterator[Step]:
    """An open task on the local day of its deadline, and the minutes that it takes there.

    Of the minutes only those beyond (or short of) the default ones are steps of their own.
    """
    place: tuple[str, str] | None = None
    longer = 0
    for state in states:
        now, more = None, 0
        if state.is_open and not state.deleted and state.due_at is not None:
            now = (state.responsible, str(local_day(state.due_at, config.timezone)))
            more = task_minutes(state, config) - config.standards.default_minutes
        if (now, more) == (place, longer):
            continue
        step = Step("tasks_on_day", "task", task_id, state.at, -1, "", pipeline)
        if place is not None and now != place:
            yield step._replace(seller=place[0], slot=place[1])
        if place is not None and longer:
            yield step._replace(
                metric="minutes_on_day", delta=-longer, seller=place[0], slot=place[1]
            )
        if now is not None and now != place:
            yield step._replace(delta=1, seller=now[0], slot=now[1])
        if now is not None and more:
            yield step._replace(metric="minutes_on_day", delta=more, seller=now[0], slot=now[1])
        place, longer = now, more


def task_minutes(state: TaskState, config: Config) -> int:
    """How long a task takes: its slot in the calendar, else what is usual for its kind."""
    standards = config.standards
    start, end = state.starts_at, state.ends_at if state.ends_at is not None else state.due_at
    if start is not None and end is not None and 0 < end - start <= MOST_TASK_SECONDS:
        return ceil((end - start) / 60)
    return standards.kind_minutes.get(state.task_kind, standards.default_minutes)


def _closings(
    task_id: str, states: Sequence[TaskState], pipeline: str, config: Config
) -> Iterator[Step]:
    """Closings without a trace, by whoever closed; a trace that comes later takes its step back."""
    for state in states:
        if state.closed_at != state.at or state.deleted or not config.is_human(state.closed_by):
            continue
        traced = any(s.trace_at is not None for s in states if s.closed_at == state.at)
        if not traced:
            by = state.closed_by or ""
            yield Step("closings_quarter", "task", task_id, state.at, 1, by, pipeline)
            yield Step(
                "closings_quarter", "task", task_id, state.at + CLOSINGS_SECONDS, -1, by, pipeline
            )


def _waiting(story: Story, config: Config) -> Iterator[Step]:
    """An inquiry that nobody has sorted yet, for the whole account."""
    waits = False
    for state in story.lead:
        now = state.state == "new" and not state.deleted and state.pipeline not in config.excluded
        if now != waits:
            delta = 1 if now else -1
            yield Step("inquiries_waiting", "lead", story.id, state.at, delta, "", state.pipeline)
        waits = now
