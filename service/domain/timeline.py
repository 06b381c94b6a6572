"""A timeline: the facts about a deal (task, inquiry, contact) folded into what was true when.

`fold` is pure and does not depend on the order or repetition of its input. It knows no settings but
what a stage means and who is human; attributes that depend on settings are in `rules.attributes`.
"""

from collections.abc import Iterable
from operator import attrgetter

from service.domain.aftermath import note_copies, note_recreated, note_traces, note_twins
from service.domain.dealfold import DealFold
from service.domain.facts import Fact, Kind
from service.domain.instant import Instant
from service.domain.missed import note_missed
from service.domain.own import is_own
from service.domain.payments import payments_of
from service.domain.story import Context, Story, World
from service.domain.subjects import fold_lead, fold_task, with_attempts
from service.domain.told import Told, touches

_SIGNED = {Kind.TASK, Kind.NOTE}
_ORDER = attrgetter("at", "rank", "seen_at")


def _of_others(facts: Iterable[Fact]) -> list[Fact]:
    """Without tasks and notes that Dozor wrote itself."""
    told = list(facts)
    ours = {(f.kind, f.id) for f in told if f.kind in _SIGNED and is_own(f.body.get("text"))}
    return [f for f in told if (f.kind, f.id) not in ours] if ours else told


def fold(key: str, facts: Iterable[Fact], world: World, context: Context | None = None) -> Story:
    """Fold a timeline's facts (any order, repetitions allowed) into a `Story`."""
    context = context or Context()
    kind, _, subject = key.partition(":")
    story = Story(key, kind, subject, deal_of=context.deal_of)
    own = sorted(_of_others(facts), key=_ORDER)
    lent = sorted(_of_others(context.facts), key=_ORDER)
    story.updated_at = own[-1].at if own else 0
    by_subject: dict[tuple[Kind, str], list[Fact]] = {}
    for fact in own:
        by_subject.setdefault((fact.kind, fact.id), []).append(fact)
    for (fact_kind, fact_id), versions in by_subject.items():
        if fact_kind is Kind.TASK:
            story.tasks[fact_id] = fold_task(versions)
    note_recreated(story)
    told = Told(world, own, lent, story)
    story.calls = told.calls(lend=False)
    story.notes = told.notes(lend=False)
    story.messages = told.messages(lend=False)
    story.payments = payments_of(by_subject)
    deal_versions = by_subject.get((Kind.DEAL, subject), []) if kind == "deal" else []
    if deal_versions:
        story.deal = DealFold(deal_versions, told, story, world).states()
        story.edits = [
            (fact.at, fact.body["author"])
            for fact in deal_versions
            if world.is_human(fact.body.get("author"))
        ]
    if kind in {"deal", "lead"}:
        lend = kind == "deal"
        written = told.messages(lend=lend)
        story.touches = touches(told.calls(lend=lend), written, told.meetings(), world)
    note_traces(story, told, world)
    note_twins(story)
    note_copies(story)
    lead_versions = [f for f in (*own, *lent) if f.kind is Kind.LEAD]
    if lead_versions:
        states = fold_lead(lead_versions)
        if kind == "lead":
            story.lead = with_attempts(states, _tried(story, world))
        story.inquiry = states[-1]
    if not context.is_switchboard:
        note_missed(story, told, lent, world)
    return story


def _tried(story: Story, world: World) -> list[Instant]:
    """When people of ours tried to reach whoever asked: calls and messages."""
    called = [c.started_at for c in story.calls if c.outgoing and world.is_human(c.author)]
    written = [m.at for m in story.messages if m.direction == "out" and world.is_human(m.author)]
    return sorted(called + written)
