"""What a timeline adds to the figures: a pure function, no clock (kpis.md 1-5).

A contribution is (metric part, subject, instant, seller, pipeline, stage, source, value, currency);
its `key` makes it unique within metric and subject. Steps of a state (won, lost, amount, open) are
differences between neighbouring segments; both corrections of a win belong to the seller of the win
(kpis.md 1.9). What lies ahead (a deadline) contributes at its own future instant.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

from service.domain import steps
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.hygiene import brief_stays
from service.domain.instant import FOREVER
from service.domain.monthtime import into
from service.domain.step import Step
from service.domain.story import Story, deal_is_judged, turning
from service.domain.violation import Found
from service.kpi.asking import Norm, inquiry_of_deal, inquiry_of_lead, no_norm
from service.kpi.callparts import of_calls, of_messages, of_notes
from service.kpi.contribution import Contribution, of_deal, place_at, state_at
from service.kpi.efforts import of_cohort, of_efforts
from service.kpi.outcomes import cohort, outcomes, payments
from service.kpi.parts import BRIEF, RANKED
from service.kpi.stages import stages
from service.kpi.taskparts import of_tasks

_TOLD = attrgetter(
    "kind", "pipeline", "stage", "responsible", "source", "amount", "currency", "loss_reason",
    "closed_at", "born_at", "amount_peak_late", "paid", "deleted", "tags",
)  # fmt: skip
"""All of a deal that figures tell apart: the states between say nothing new."""


OF_VIOLATIONS = frozenset({
    "became_overdue", *steps.OF_VIOLATIONS, *steps.SHOWN_OF_VIOLATIONS, "deals_stuck_value",
    "hygiene_cost", "hygiene_muted",
})  # fmt: skip
"""What violations alone add to; all other contributions are those of facts."""


def of_facts(
    story: Story, config: Config, levels: frozenset[str] = steps.ALWAYS, norm: Norm = no_norm
) -> list[Contribution]:
    """What the facts of a timeline add, whatever its violations.

    `levels`: those that are wanted; `norm`: in what time an inquiry is to be answered.
    """
    rows: list[Contribution] = []
    if story.deal:
        rows += _deal(story, config, norm)
    if story.lead:
        rows += inquiry_of_lead(story, config, norm)
    rows += of_tasks(story, config)
    rows += of_calls(story, config)
    rows += of_notes(story, config)
    rows += of_messages(story, config)
    moves = list(steps.steps_of_facts(story, config, levels))
    rows += _brief(story, moves, config)
    rows += [_of_step(step, config) for step in moves]
    return [row for row in rows if row.value or row.metric in RANKED]


def of_violations(
    story: Story,
    found: Sequence[Found],
    config: Config,
    levels: frozenset[str] = steps.ALWAYS,
) -> list[Contribution]:
    """What the violations of a timeline add."""
    moves = steps.steps_of_violations(story, found, config, levels)
    rows = [*_overdue(found), *(_of_step(step, config) for step in moves)]
    return [row for row in rows if row.value]


def _of_step(step: Step, config: Config) -> Contribution:
    return Contribution(
        step.metric, step.kind, step.subject, step.key, step.at, step.seller, step.pipeline,
        step.stage, step.source, step.delta, step.currency, step.slot,
        age=into(config, step.metric, step.seller, step.at),
    )  # fmt: skip


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
    states = turning(states, _TOLD)
    lived = [s for s, after in pairwise(states) if after.at > born] + states[-1:]
    yield from stages(story, lived, born, config)
    yield from of_efforts(story, states, config)
    yield from of_cohort(story, first, born)
    if config.paid_field is not None:
        yield from payments(story, states)
    if any(s.is_closed for s in states):
        yield from outcomes(story, states, config)
        yield from cohort(story, states, first, born, config)


def _brief(story: Story, moves: Sequence[Step], config: Config) -> Iterator[Contribution]:
    """Short stays of the deal with a seller, for the hygiene index (`hygiene.brief_stays`)."""
    opened = [(one.at, one.delta, one.seller) for one in moves if one.metric == "deals_open"]
    for end, seller, seconds in brief_stays(opened, config.calendar):
        place = place_at(story, end)
        yield Contribution(BRIEF, "deal", story.id, f"{end}", end, seller, *place, seconds,
                           slot=steps.APART)  # fmt: skip


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
