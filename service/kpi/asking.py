"""What an inquiry adds to the figures: that it came, was answered, became a deal (kpis.md 2).

An accepted inquiry is counted with its deal, so that it is one and not two. Parts of cohorts are
dated at the inquiry's creation and say by `age` when it came to that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from service.domain.asked import is_told_again
from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.span import Span
from service.domain.story import DealState, LeadState, Story, Touch
from service.kpi.contribution import Contribution, corrects, of_deal
from service.kpi.parts import restated

QUALIFIED_SECONDS = 14 * 86_400  # of lead_quality: within these
CALL_BEFORE_SECONDS = 600  # an inquiry written down so soon after an answered call was born of it

Norm = Callable[[Instant, DealState | LeadState], Span | None]
"""(when it was asked, the deal or lead then) -> in what time a first touch is due."""


def no_norm(_at: Instant, _asked: DealState | LeadState) -> Span | None:
    """Nothing says in what time."""
    return None


@dataclass(frozen=True)
class _Inquiry:
    """One inquiry: the row it is counted by, and when it is due to be answered."""

    row: Contribution
    config: Config
    due_at: Instant | None

    @property
    def at(self) -> Instant:
        """Its creation."""
        return self.row.at

    def part(self, name: str, value: int, age: int = 0, key: str = "") -> Contribution:
        """A part dated at the creation, for whom and where the inquiry counts."""
        return self.row._replace(metric=name, key=key or str(age), value=value, age=age)

    def answers(self, touches: Sequence[Touch]) -> Iterator[Contribution]:
        """How soon it was answered; without any answer, that it is due."""
        if any(_bore(touch, self.at) for touch in touches):
            yield self.part("inquiries_answered", -1)
            yield self.part("response_born", 1)
            return
        touch = next((t for t in touches if t.at > self.at), None)
        if touch is not None:
            yield from self._answered(touch)
        if self.due_at is not None:
            end = self.due_at if touch is None else min(self.due_at, touch.at)
            yield self.part("response_due", 1, max(0, end - self.at), "due")
            if touch is not None and touch.at <= self.due_at:
                yield self.part("response_in_norm", 1, touch.at - self.at, "due")

    def _answered(self, touch: Touch) -> Iterator[Contribution]:
        age = touch.at - self.at
        yield self.part("inquiries_answered", -1, age, "answer")
        calendar = self.config.calendar(self.row.seller)
        seconds = calendar.working_seconds(self.at, touch.at)
        who = touch.author if self.config.is_human(touch.author) else self.row.seller
        yield self.part("response", seconds, age, "answer")._replace(seller=who)

    def leaves(self, verdicts: Sequence[tuple[Instant, bool]]) -> Iterator[Contribution]:
        """It is no inquiry of ours from each verdict on, until that is taken back."""
        for at, out in verdicts:
            value, age = (-1 if out else 1), max(0, at - self.at)
            left = self.row._replace(metric="inquiries_left", key=str(at), at=at, value=value)
            zone, part = self.config.timezone, restated("inquiries_left")
            yield corrects(left, self.at, zone)
            yield corrects(left._replace(metric=part, key=f"{at}-", value=-value), self.at, zone)
            yield left._replace(metric=part, key=f"{at}:{age}", at=self.at, value=value, age=age)


def _bore(touch: Touch, asked: Instant) -> bool:
    return touch.talk and touch.at <= asked <= touch.until + CALL_BEFORE_SECONDS


# --- of a deal ------------------------------------------------------------------------------------


def inquiry_of_deal(
    story: Story, states: Sequence[DealState], first: DealState, born: Instant,
    config: Config, norm: Norm,
) -> Iterator[Contribution]:  # fmt: skip
    """A deal is an inquiry of its own, or the end of the one it was born of (one, not two)."""
    asked = story.inquiry.created_at if story.inquiry is not None else None
    if asked is None and story.older and config.is_human(first.created_by):
        return  # a repeat deal made by hand
    at = born if asked is None else asked
    if _is_told_again(story, first, at, config) or _has_asked(story, story.inquiry, config):
        return
    row = of_deal(story, "inquiries", "inquiry", at, first, 1)
    yield row
    span = norm(at, first)
    due = None if span is None else config.calendar(first.responsible).add(at, span)
    inquiry = _Inquiry(row, config, due)
    if asked is not None and born > asked:
        yield inquiry.part("inquiry_no_deal", -1, 0, "new")
        yield inquiry.part("inquiry_no_deal", 1, born - asked, "born")
    yield from inquiry.answers(story.touches)
    if any(s.is_closed for s in states):
        spam = config.spam_reasons
        yield from inquiry.leaves(
            _turns(states, lambda s: s.kind is StageKind.LOST and s.loss_reason in spam)
        )
        for turn, won in _turns(states, lambda s: s.kind is StageKind.WON):
            yield inquiry.part("inquiry_won", 1 if won else -1, max(0, turn - at))
    qualified = next((s.at for s in states if is_qualified(s, config)), None)
    if qualified is not None and qualified - at <= QUALIFIED_SECONDS:
        yield inquiry.part("inquiry_qualified", 1, max(0, qualified - at), "qualified")


def _is_told_again(story: Story, first: DealState, at: Instant, config: Config) -> bool:
    """The client's second form: a deal of his is as young as that, in the same pipeline."""
    limit = config.document.same_inquiry_hours * 3600
    return any(
        one.wins is not None
        and one.id not in story.asked_after
        and abs(at - one.born_at) < limit
        and [stretch.pipeline for stretch in one.stretches][:1] == [first.pipeline]
        for one in story.older
    )


def _has_asked(story: Story, inquiry: LeadState | None, config: Config) -> bool:
    """The client's second form: an inquiry of his came as shortly before, in the same pipeline."""
    if inquiry is None or inquiry.created_at is None:
        return False
    deal = story.id if story.kind == "deal" else ""
    hours = config.document.same_inquiry_hours
    return is_told_again(inquiry.created_at, inquiry.pipeline, deal, story.asked, hours)


def is_qualified(state: DealState, config: Config) -> bool:
    """Whether a deal stands at the qualified stage of its pipeline or after it, or is won."""
    if state.kind is StageKind.WON:
        return True
    number = config.stage_no(state.pipeline, state.stage)
    return number >= config.standards.qualified_no(state.pipeline) and number > 0


def _turns(
    states: Sequence[DealState], holds: Callable[[DealState], bool]
) -> list[tuple[Instant, bool]]:
    """When something began and ended to hold."""
    found: list[tuple[Instant, bool]] = []
    before = False
    for state in states:
        now = holds(state)
        if now != before:
            found.append((state.at, now))
        before = now
    return found


# --- of a lead ------------------------------------------------------------------------------------


def inquiry_of_lead(story: Story, config: Config, norm: Norm) -> Iterator[Contribution]:
    """An inquiry that has not become a deal; an accepted one is counted with its deal."""
    last = story.lead[-1]
    if last.deleted or last.created_at is None or last.pipeline in config.excluded:
        return
    yield from _waiting(story, config)
    yield from _declined(story)
    if (last.state == "accepted" and last.deal) or _has_asked(story, last, config):
        return
    row = Contribution(
        "inquiries", "lead", story.id, "inquiry", last.created_at, last.responsible,
        last.pipeline, "", last.source or "", 1,
    )  # fmt: skip
    yield row
    span = norm(row.at, last)
    due = None if span is None else config.calendar(last.responsible).add(row.at, span)
    inquiry = _Inquiry(row, config, due)
    yield inquiry.part("inquiry_no_deal", -1, 0, "new")
    yield from inquiry.answers(story.touches)
    yield from inquiry.leaves(_refusals(story.lead))


def _refusals(states: Sequence[LeadState]) -> list[tuple[Instant, bool]]:
    found: list[tuple[Instant, bool]] = []
    before = False
    for state in states:
        now = state.state == "declined"
        if now != before:
            found.append((state.at, now))
        before = now
    return found


def _declined(story: Story) -> Iterator[Contribution]:
    """Refusals, by who refused and why."""
    held: Contribution | None = None
    for state in story.lead:
        now = state.state == "declined"
        if now and held is None:
            held = Contribution(
                "inquiries_declined", "lead", story.id, str(state.at), state.at,
                state.author or state.responsible, state.pipeline, "", state.source or "", 1,
                reason=state.decline_reason or "",
            )  # fmt: skip
            yield held
        elif not now and held is not None:
            yield held._replace(key=str(state.at), at=state.at, value=-1)
            held = None


def _waiting(story: Story, config: Config) -> Iterator[Contribution]:
    """An inquiry that is neither accepted nor declined, with whoever has it."""
    held: Contribution | None = None
    for state in story.lead:
        waits = state.state in {"new", "in_work"} and not state.deleted
        now = None
        if waits and state.pipeline not in config.excluded:
            now = Contribution(
                "inquiries_unprocessed", "lead", story.id, f"{state.at}+", state.at,
                state.responsible, state.pipeline, "", state.source or "", 1,
            )  # fmt: skip
        if held is not None and now is not None and _place(held) == _place(now):
            continue
        if held is not None:
            yield held._replace(key=f"{state.at}-", at=state.at, value=-1)
        if now is not None:
            yield now
        held = now


def _place(row: Contribution) -> tuple[str, str, str]:
    return row.seller, row.pipeline, row.source
