"""What a timeline adds to the figures: a pure function, no clock (kpis.md 1-5).

A contribution is (metric part, subject, instant, seller, pipeline, stage, source, value, currency);
its `key` makes it unique within metric and subject. Steps of a state (won, lost, amount, open) are
differences between neighbouring segments; both corrections of a win belong to the seller of the win
(kpis.md 1.9). What lies ahead (a deadline) contributes at its own future instant.
"""

from collections.abc import Callable, Iterator, Sequence

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.steps import ALWAYS, level_steps
from service.domain.story import DealState, Story, deal_is_judged
from service.domain.violation import Found
from service.kpi.callparts import of_calls, of_notes
from service.kpi.contribution import Contribution, state_at
from service.kpi.efforts import of_efforts
from service.kpi.parts import APART, RANKED, UNROLLED
from service.kpi.taskparts import of_tasks

__all__ = ["Contribution", "contribute"]


def contribute(
    story: Story, found: Sequence[Found], config: Config, levels: frozenset[str] = ALWAYS
) -> list[Contribution]:
    """All contributions of a timeline, given its violations; `levels`: those that are wanted."""
    rows: list[Contribution] = []
    if story.deal:
        rows += _deal(story, config)
    if story.lead:
        rows += _inquiry(story, config)
    rows += of_tasks(story, config)
    rows += of_calls(story, config)
    rows += of_notes(story, config)
    rows += _overdue(found)
    rows += [
        Contribution(
            step.metric, step.kind, step.subject, step.key, step.at, step.seller, step.pipeline,
            step.stage, step.source, step.delta, step.currency, step.slot,
        )
        for step in level_steps(story, found, config, levels)
    ]  # fmt: skip
    return [
        row._replace(slot=APART) if row.metric in UNROLLED else row
        for row in rows
        if row.value or row.metric in RANKED
    ]


# --- deals ----------------------------------------------------------------------------------------


def _deal(story: Story, config: Config) -> Iterator[Contribution]:
    """A deal that is deleted or excluded now has never been business (kpis.md 1.10)."""
    if not deal_is_judged(story.deal[-1], config):
        return
    born = story.deal[-1].born_at
    states = [s for s in story.deal if s.kind is not StageKind.INCOMING]
    if born is None or not states:
        return
    first = state_at(story.deal, born) or states[0]
    yield _row(story, "deals_created", "born", born, first, 1)
    yield from _inquiry_of_deal(story, first, born, config)
    yield from of_efforts(story, states, config)
    if any(s.is_closed for s in states):
        yield from _outcomes(story, states, config)


def _outcomes(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """Won, lost and their money, of a deal that was closed at least once."""
    yield from _cycle(story, states)
    yield from _outcome(story, "deals_won", states, lambda s: s.kind is StageKind.WON)
    yield from _outcome(story, "deals_lost", states, lambda s: s.kind is StageKind.LOST)
    spam = config.spam_reasons
    yield from _outcome(
        story,
        "lost_target",
        states,
        lambda s: s.kind is StageKind.LOST and s.loss_reason not in spam,
    )
    yield from _outcome(
        story,
        "won_with_amount",
        states,
        lambda s: s.kind is StageKind.WON and s.amount > 0,
        money=True,
    )
    yield from _outcome(
        story, "receipts", states, lambda s: s.amount if s.kind is StageKind.WON else 0, money=True
    )


def _row(
    story: Story, metric: str, key: str, at: Instant, state: DealState, value: int
) -> Contribution:
    return Contribution(
        metric, "deal", story.id, key, at, state.responsible, state.pipeline, state.stage,
        state.source or "", value,
    )  # fmt: skip


def _inquiry_of_deal(
    story: Story, first: DealState, born: Instant, config: Config
) -> Iterator[Contribution]:
    """A deal is an inquiry of its own, or the end of the one it was born of (one, not two)."""
    if story.inquiry is not None and story.inquiry.created_at is not None:
        yield _row(story, "inquiries", "inquiry", story.inquiry.created_at, first, 1)
    elif not (story.is_repeat and config.is_human(first.created_by)):
        yield _row(story, "inquiries", "inquiry", born, first, 1)


def _outcome(
    story: Story,
    metric: str,
    states: Sequence[DealState],
    measure: Callable[[DealState], int],
    *,
    money: bool = False,
) -> Iterator[Contribution]:
    """Differences of a measure; whatever corrects a closing belongs to the closing's seller."""
    before, owner = 0, states[0]
    previous: DealState | None = None
    for state in states:
        value = int(measure(state))
        closing = state if _closes(previous, state) else owner
        if value != before:
            who = owner if before and not value else closing
            yield Contribution(
                metric, "deal", story.id, str(state.at), state.at, who.responsible,
                who.pipeline, who.stage, who.source or "", value - before,
                who.currency if money else "",
            )  # fmt: skip
        before, previous, owner = value, state, closing


def _cycle(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """Seconds from birth to the win that stands now."""
    last, born = states[-1], states[-1].born_at
    if last.kind is not StageKind.WON or born is None or last.closed_at is None:
        return
    won = next(s for s in states if s.at >= last.closed_at)
    if won.at >= born:
        yield _row(story, "cycle", "win", won.at, won, won.at - born)


def _closes(previous: DealState | None, state: DealState) -> bool:
    if not state.is_closed:
        return False
    return previous is None or previous.kind is not state.kind


# --- inquiries ------------------------------------------------------------------------------------


def _inquiry(story: Story, config: Config) -> Iterator[Contribution]:
    """An inquiry that has not become a deal; an accepted one is counted with its deal."""
    last = story.lead[-1]
    if last.deleted or last.created_at is None or last.pipeline in config.excluded:
        return
    if last.state == "accepted" and last.deal:
        return
    yield Contribution(
        "inquiries", "lead", story.id, "inquiry", last.created_at, last.responsible,
        last.pipeline, "", last.source or "", 1,
    )  # fmt: skip


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
