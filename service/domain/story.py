"""What was true when: a folded timeline as a sequence of pictures, each holding until the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self
from zoneinfo import ZoneInfo

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.facts import Fact
from service.domain.instant import Instant

_UTC = ZoneInfo("UTC")

if TYPE_CHECKING:
    from service.domain.asked import Asked
    from service.domain.siblings import Sibling


@dataclass(frozen=True, slots=True)
class World:
    """What folding asks of the account."""

    stage_kind: Callable[[str, str], StageKind]
    is_human: Callable[[str | None], bool]
    task_kind_name: Callable[[str], str | None] = lambda _: None
    is_late: Callable[[str, str], bool] = lambda _pipeline, _stage: False
    loss_reason_field: str | None = None
    source_field: str | None = None
    budget_field: str | None = None
    close_date_field: str | None = None
    paid_field: str | None = None
    currency: str = "RUB"
    zone: ZoneInfo = _UTC


class _State:
    """A picture that holds until the next one; copied cheaply (the judge's hot path)."""

    at: Instant

    def later(self, at: Instant) -> Self:
        """The same picture from `at` on."""
        clone = object.__new__(type(self))
        clone.__dict__ = self.__dict__.copy()
        clone.at = at
        return clone


@dataclass
class DealState(_State):
    """A deal between two facts. `at`: where this segment begins."""

    at: Instant
    kind: StageKind = StageKind.OPEN
    pipeline: str = ""
    stage: str = ""
    stage_entered_at: Instant | None = None
    moved_by: str | None = None  # who brought it into the stage; None = unknown
    handovers_recent: int = 0  # changes of the responsible in the last 14 days
    handover_places: tuple[tuple[str, str], ...] = ()  # where they were made
    previous_stage: str | None = None
    previous_pipeline: str | None = None
    visited: tuple[str, ...] = ()  # stages entered since the deal came into its pipeline, in order
    stage_note_at: Instant | None = None  # first trace from half an hour before the stage on
    amount: int = 0
    paid: int = 0  # so far, where a field holds it
    in_late_stage: bool = False
    amount_peak_late: int = 0  # the highest amount in late stages
    expected_close_on: str | None = None  # local date
    close_date_pushes: int = 0
    close_date_changed: bool = False  # it is not the first one any more
    currency: str = ""
    responsible: str = ""
    responsible_since: Instant | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    contacts: tuple[str, ...] | None = None  # None = the CRM has not told
    company: str | None = None
    fields: dict[str, str] | None = None
    source: str | None = None
    loss_reason: str | None = None
    deleted: bool = False
    created_at: Instant | None = None
    born_at: Instant | None = None  # acceptance where known, else creation
    inquired_at: Instant | None = None  # when the inquiry came that it was born of, else that
    created_by: str | None = None
    closed_at: Instant | None = None
    reopened_at: Instant | None = None
    reopens: int = 0
    closed_before: Instant | None = None  # before it was reopened the last time
    won_before: bool = False
    has_phone: bool = False
    has_email: bool = False
    open_tasks: int = 0
    next_due_at: Instant | None = None
    last_due_at: Instant | None = None
    next_due_set_at: Instant | None = None  # when the nearest deadline was set
    dues: tuple[Instant, ...] = ()  # deadlines of the open tasks
    last_task_closed_at: Instant | None = None
    first_attempt_at: Instant | None = None
    first_talk_at: Instant | None = None
    last_talk_at: Instant | None = None
    last_contact_at: Instant | None = None
    last_activity_at: Instant | None = None
    last_attempt_at: Instant | None = None
    first_attempt_since_talk_at: Instant | None = None
    missed_call_at: Instant | None = None  # the first one of the present unanswered row
    unanswered_since: Instant | None = None  # the same of missed calls and messages
    attempts: int = 0
    attempts_since_talk: int = 0
    talks: int = 0
    notes: int = 0
    same_client_open_deals: int = field(default=0, init=False)  # set where the judge cuts
    same_client_other_seller: bool = field(default=False, init=False)
    same_client_first: str = field(default="", init=False)  # the oldest of them

    @property
    def is_closed(self) -> bool:
        """Won or lost."""
        return self.kind is StageKind.WON or self.kind is StageKind.LOST


def turning(states: Sequence[DealState], told: Callable[[DealState], object]) -> list[DealState]:
    """The states in which what `told` reads of them is otherwise than just before."""
    found: list[DealState] = []
    before: object = None
    for state in states:
        now = told(state)
        if not found or now != before:
            found.append(state)
        before = now
    return found


def deal_is_judged(state: DealState, config: Config) -> bool:
    """Guards of rules.md 1.3 (1): not deleted, no test, not of an excluded or archived pipeline."""
    if state.deleted or state.pipeline in config.excluded:
        return False
    tests = config.standards.test_tags
    return not tests or tests.isdisjoint(tag.casefold() for tag in state.tags)


class Postponement(NamedTuple):
    """A deadline moved (mostly to a later instant): when, from which, by whom (None = unknown)."""

    at: Instant
    due_at: Instant
    author: str | None
    later: bool = True


@dataclass
class TaskState(_State):
    """A task between two facts."""

    at: Instant
    is_open: bool = True
    is_deferred: bool = False
    is_all_day: bool = False
    text: str = ""
    task_kind: str = ""
    responsible: str = ""
    created_at: Instant | None = None
    created_by: str | None = None
    due_at: Instant | None = None
    first_due_at: Instant | None = None
    starts_at: Instant | None = None  # of a meeting or slot, where the CRM tells it
    ends_at: Instant | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None
    result: str | None = None
    deleted: bool = False
    due_set_at: Instant | None = None
    moved: tuple[Postponement, ...] = ()
    trace_at: Instant | None = None  # what was written about it, from an hour before its end on
    has_twin: bool = False  # an older open task on the deal says the same
    is_copied: bool = False  # was written as the text of the seller's previous task on the deal
    deal: "DealState | None" = None  # its deal, in the judge's segments


@dataclass(frozen=True, slots=True)
class Call:
    """A call that took place."""

    id: str
    started_at: Instant
    seconds: int
    outgoing: bool
    answered: bool
    author: str
    contact: str | None
    trace_at: Instant | None = None
    meaningful_at: Instant | None = None  # the first trace that says something
    trace_text: str = ""
    waits: bool = False  # the first missed one of a row, of a client without an open deal
    returned_at: Instant | None = None  # of such a one: when it was answered (domain.missed)
    stranger: bool = False  # of such a one: the CRM knows neither a deal nor a person

    @property
    def ended_at(self) -> Instant:
        """Start plus duration."""
        return self.started_at + self.seconds


class Touch(NamedTuple):
    """Somebody tried to reach the client (an outgoing call), or they talked."""

    at: Instant
    until: Instant
    author: str
    talk: bool


@dataclass(frozen=True, slots=True)
class NoteSeen:
    """A note that a person wrote."""

    at: Instant
    author: str
    counts: bool  # long enough to be a trace
    text: str = ""
    id: str = ""


class MessageSeen(NamedTuple):
    """A message: when, "in", "out" or "closed", by whom of ours."""

    at: Instant
    direction: str
    author: str
    id: str = ""


class PaymentSeen(NamedTuple):
    """Money that came: when, how much of which currency; `id`: document and number in it."""

    at: Instant
    amount: int
    currency: str
    id: str


@dataclass
class LeadState(_State):
    """An incoming inquiry between two facts."""

    at: Instant
    state: str = "new"
    category: str = ""
    created_at: Instant | None = None
    taken_at: Instant | None = None
    closed_at: Instant | None = None
    decline_reason: str | None = None
    author: str | None = None  # who made the last version
    first_attempt_at: Instant | None = None
    attempts: int = 0
    source: str | None = None
    pipeline: str = ""
    responsible: str = ""
    deal: str | None = None
    deleted: bool = False
    same_client_waits: bool = False  # an older inquiry of the hour before it, set beside others


@dataclass(slots=True)
class Story:
    """A folded timeline. States are in order; each holds until the next one begins."""

    key: str
    kind: str
    id: str
    deal: list[DealState] = field(default_factory=list)
    tasks: dict[str, list[TaskState]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)  # of a deal or inquiry, lent ones too
    notes: list[NoteSeen] = field(default_factory=list)
    messages: list[MessageSeen] = field(default_factory=list)
    payments: list[PaymentSeen] = field(default_factory=list)
    lead: list[LeadState] = field(default_factory=list)
    edits: list[tuple[Instant, str]] = field(default_factory=list)  # of the deal: when, by whom
    handovers: list[tuple[Instant, str, str]] = field(default_factory=list)  # when, from, to
    inquiry: LeadState | None = None  # the inquiry a deal was born of, when known
    deal_of: str = ""  # for a contact's timeline: the deal that its calls are shown with
    older: Sequence["Sibling"] = ()  # the client's older deals (domain.siblings)
    asked: Sequence["Asked"] = ()  # the client's older inquiries (domain.asked)
    asked_after: frozenset[str] = frozenset()  # the deals that his younger inquiries became
    as_sibling: "Sibling | None" = None  # how others see it; made when first asked for
    updated_at: Instant = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What other timelines lend to this one (read only; they are judged at home)."""

    facts: Sequence[Fact] = ()  # calls, notes, persons, inquiries of the same client
    deal_of: str = ""
    is_switchboard: bool = False  # a person of very many deals: nothing is lent
