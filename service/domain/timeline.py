"""A timeline: the facts about a deal (task, inquiry, contact) folded into what was true when.

`fold` is pure and does not depend on the order or repetition of its input. It knows no settings but
what a stage means and who is human; attributes that depend on settings are in `rules.attributes`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Self

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind
from service.domain.history import Change, settle
from service.domain.instant import Instant
from service.domain.words import is_meaningful, is_note

TALK_MIN_SECONDS = 10
_ORDER = attrgetter("at", "rank", "seen_at")


@dataclass(frozen=True, slots=True)
class World:
    """What folding asks of the account."""

    stage_kind: Callable[[str, str], StageKind]
    is_human: Callable[[str | None], bool]
    task_kind_name: Callable[[str], str | None] = lambda _: None
    loss_reason_field: str | None = None
    source_field: str | None = None
    budget_field: str | None = None


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
    previous_stage: str | None = None
    amount: int = 0
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
    created_by: str | None = None
    closed_at: Instant | None = None
    reopened_at: Instant | None = None
    reopens: int = 0
    has_phone: bool = False
    has_email: bool = False
    open_tasks: int = 0
    next_due_at: Instant | None = None
    last_due_at: Instant | None = None
    last_task_closed_at: Instant | None = None
    first_attempt_at: Instant | None = None
    first_talk_at: Instant | None = None
    last_contact_at: Instant | None = None
    last_activity_at: Instant | None = None
    attempts: int = 0
    talks: int = 0
    notes: int = 0

    @property
    def is_closed(self) -> bool:
        """Won or lost."""
        return self.kind in (StageKind.WON, StageKind.LOST)


def deal_is_judged(state: DealState, config: Config) -> bool:
    """Guards of rules.md 1.3 (1): neither deleted nor in an excluded or archived pipeline."""
    return not state.deleted and state.pipeline not in config.excluded


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
    closed_at: Instant | None = None
    closed_by: str | None = None
    result: str | None = None
    deleted: bool = False
    moves: int = 0


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

    @property
    def ended_at(self) -> Instant:
        """Start plus duration."""
        return self.started_at + self.seconds


@dataclass(frozen=True, slots=True)
class NoteSeen:
    """A note that a person wrote."""

    at: Instant
    author: str
    counts: bool  # long enough to be a trace


@dataclass
class LeadState(_State):
    """An incoming inquiry between two facts."""

    at: Instant
    state: str = "new"
    created_at: Instant | None = None
    closed_at: Instant | None = None
    source: str | None = None
    pipeline: str = ""
    responsible: str = ""
    deal: str | None = None
    deleted: bool = False


@dataclass(slots=True)
class Story:
    """A folded timeline. States are in order; each holds until the next one begins."""

    key: str
    kind: str
    id: str
    deal: list[DealState] = field(default_factory=list)
    tasks: dict[str, list[TaskState]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    notes: list[NoteSeen] = field(default_factory=list)
    lead: list[LeadState] = field(default_factory=list)
    inquiry: LeadState | None = None  # the inquiry a deal was born of, when known
    is_repeat: bool = False  # the client had a deal before
    deal_of: str = ""  # for a contact's timeline: the deal that its calls are shown with
    updated_at: Instant = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What other timelines lend to this one (read only; they are judged at home)."""

    facts: Sequence[Fact] = ()  # calls, notes, persons, inquiries of the same client
    earlier_deal: bool = False  # the client had a deal before this one
    deal_of: str = ""


def fold(key: str, facts: Iterable[Fact], world: World, context: Context | None = None) -> Story:
    """Fold a timeline's facts (any order, repetitions allowed) into a `Story`."""
    context = context or Context()
    kind, _, subject = key.partition(":")
    story = Story(key, kind, subject, is_repeat=context.earlier_deal, deal_of=context.deal_of)
    own = sorted(facts, key=_ORDER)
    lent = sorted(context.facts, key=_ORDER)
    story.updated_at = own[-1].at if own else 0
    by_subject: dict[tuple[Kind, str], list[Fact]] = {}
    for fact in own:
        by_subject.setdefault((fact.kind, fact.id), []).append(fact)
    for (fact_kind, fact_id), versions in by_subject.items():
        if fact_kind is Kind.TASK:
            story.tasks[fact_id] = _fold_task(versions)
    told = _Told(world, own, lent, story)
    story.calls = told.calls(lend=False)
    story.notes = told.notes(lend=False)
    deal_versions = by_subject.get((Kind.DEAL, subject), []) if kind == "deal" else []
    if deal_versions:
        story.deal = _DealFold(deal_versions, told, story, world).states()
    lead_versions = [f for f in (*own, *lent) if f.kind is Kind.LEAD]
    if lead_versions:
        states = _fold_lead(lead_versions)
        if kind == "lead":
            story.lead = states
        story.inquiry = states[-1]
    return story


# --- tasks, leads ---------------------------------------------------------------------------------


def _fold_task(versions: Sequence[Fact]) -> list[TaskState]:
    first = versions[0]
    created = _last_told(versions, "created_at")
    state = TaskState(min(first.at, created) if created is not None else first.at)
    state.created_at = created
    states: list[TaskState] = []
    for fact in versions:
        at = state.at if not states else max(fact.at, states[-1].at)
        state = state.later(at)
        _apply_task(state, fact)
        if states and states[-1].at == at:
            states[-1] = state
        else:
            states.append(state)
    return states


def _apply_task(state: TaskState, fact: Fact) -> None:
    body = fact.body
    was_open, old_due = state.is_open, state.due_at
    for name in ("text", "task_kind", "created_by", "is_all_day", "is_deferred", "deleted"):
        if body.get(name) is not None:
            setattr(state, name, body[name])
    if "responsible" in body:
        state.responsible = body["responsible"] or ""
    if "result" in body:
        state.result = body["result"] or state.result
    if "due_at" in body:
        state.due_at = body["due_at"]
        if state.first_due_at is None:
            state.first_due_at = state.due_at
        elif old_due is not None and state.due_at is not None and state.due_at > old_due:
            state.moves += 1
    if "is_open" in body:
        state.is_open = body["is_open"]
        if was_open and not state.is_open:
            state.closed_at, state.closed_by = fact.at, body.get("author")
        elif state.is_open:
            state.closed_at = state.closed_by = None


def _fold_lead(versions: Sequence[Fact]) -> list[LeadState]:
    created = _last_told(versions, "created_at")
    start = versions[0].at if created is None else min(created, versions[0].at)
    state = LeadState(start, created_at=created)
    states: list[LeadState] = []
    for fact in versions:
        at = start if not states else fact.at
        state = state.later(at)
        for name in ("state", "source", "deal", "deleted", "closed_at"):
            if fact.body.get(name) is not None:
                setattr(state, name, fact.body[name])
        state.pipeline = fact.body.get("pipeline") or state.pipeline
        state.responsible = fact.body.get("responsible") or state.responsible
        if states and states[-1].at == at:
            states[-1] = state
        else:
            states.append(state)
    return states


def _last_told(versions: Sequence[Fact], name: str) -> Any:
    for fact in reversed(versions):
        if fact.body.get(name) is not None:
            return fact.body[name]
    return None


# --- calls and notes ------------------------------------------------------------------------------


class _Told:
    """Calls and notes of a timeline (and those lent to it), and the traces after calls."""

    def __init__(
        self, world: World, own: Sequence[Fact], lent: Sequence[Fact], story: Story
    ) -> None:
        self._world = world
        self._own_calls = _merge(own, Kind.CALL)
        self._lent_calls = _merge(lent, Kind.CALL)
        self._own_notes = _merge(own, Kind.NOTE)
        self._lent_notes = _merge(lent, Kind.NOTE)
        self._persons = [fact for fact in lent if fact.kind is Kind.CONTACT]
        self._tasks = list(story.tasks.values())
        lent_tasks: dict[str, list[Fact]] = {}
        for fact in lent:
            if fact.kind is Kind.TASK:
                lent_tasks.setdefault(fact.id, []).append(fact)
        self._tasks += [_fold_task(versions) for versions in lent_tasks.values()]
        self._traces: list[tuple[Instant, str]] | None = None

    def calls(self, *, lend: bool) -> list[Call]:
        """Calls by start; the same PBX call told twice is one."""
        merged = dict(self._own_calls)
        if lend:
            merged |= self._lent_calls
        found: dict[object, Call] = {}
        for call_id, body in sorted(merged.items()):
            if body.get("deleted") or body.get("started_at") is None:
                continue
            call = self._call(call_id, body)
            same = (body.get("uniq"), call.outgoing) if body.get("uniq") else call_id
            found.setdefault(same, call)
        return sorted(found.values(), key=lambda c: (c.started_at, c.id))

    def _call(self, call_id: str, body: dict[str, Any]) -> Call:
        author = body.get("author") or ""
        started = body["started_at"]
        return Call(
            call_id,
            started,
            int(body.get("seconds") or 0),
            body.get("direction") == "out",
            bool(body.get("answered")),
            author,
            body.get("contact"),
            next((at for at, who in self.traces() if at >= started and who == author), None),
        )

    def notes(self, *, lend: bool) -> list[NoteSeen]:
        """Notes by instant, of people only."""
        merged = dict(self._own_notes)
        if lend:
            merged |= self._lent_notes
        found = [
            NoteSeen(body["created_at"], body.get("author") or "", is_note(body.get("text") or ""))
            for body in merged.values()
            if not body.get("deleted")
            and body.get("created_at") is not None
            and self._world.is_human(body.get("author"))
        ]
        return sorted(found, key=lambda n: (n.at, n.author))

    def reach(self) -> list[tuple[Instant, tuple[bool, bool]]]:
        """(instant, (some phone is known, some e-mail is known)) of the linked persons."""
        known: dict[str, dict[str, Any]] = {}
        steps = []
        for fact in self._persons:
            known.setdefault(fact.id, {}).update(fact.body)
            phone = any(body.get("has_phone") for body in known.values())
            steps.append((fact.at, (phone, any(b.get("has_email") for b in known.values()))))
        return steps

    def traces(self) -> list[tuple[Instant, str]]:
        """(instant, by whom) of all traces: long notes, results, new tasks that say something."""
        if self._traces is None:
            found = [(n.at, n.author) for n in self.notes(lend=True) if n.counts]
            for states in self._tasks:
                last = states[-1]
                name = self._world.task_kind_name(last.task_kind)
                if last.created_at is not None and is_meaningful(states[0].text, name):
                    found.append((last.created_at, last.created_by or ""))
                found += _results(states)
            self._traces = sorted(found)
        return self._traces


def _results(states: Sequence[TaskState]) -> list[tuple[Instant, str]]:
    """Instants at which a task got its result, by the author or the responsible."""
    for state in states:
        if state.result and not state.is_open:
            return [(state.at, state.closed_by or state.responsible)]
    return []


def _merge(facts: Sequence[Fact], kind: Kind) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for fact in facts:
        if fact.kind is kind:
            merged.setdefault(fact.id, {}).update(fact.body)
    return merged


# --- deals ----------------------------------------------------------------------------------------

_PLAIN = ("name", "currency", "company", "created_by", "created_at")


class _DealFold:
    """Sweeps a deal's changes in order and takes a picture after each instant."""

    def __init__(self, versions: Sequence[Fact], told: _Told, story: Story, world: World) -> None:
        self._versions = versions
        self._told = told
        self._story = story
        self._world = world
        self._steps: list[tuple[Instant, int, str, Any]] = []

    def states(self) -> list[DealState]:
        """All segments of the deal."""
        created = _last_told(self._versions, "created_at")
        start = self._versions[0].at if created is None else min(created, self._versions[0].at)
        self._collect(start)
        self._steps.sort(key=lambda step: step[:2])
        state = DealState(start)
        state.created_at = created
        state.created_by = _last_told(self._versions, "created_by")
        state.born_at = self._born(created)
        states: list[DealState] = []
        for at, _, name, value in self._steps:
            at_or_start = max(at, start)
            if states and states[-1].at == at_or_start:
                _apply_deal(states[-1], name, value)
                continue
            state = (states[-1] if states else state).later(at_or_start)
            _apply_deal(state, name, value)
            states.append(state)
        _born_when_open(states)
        return states

    def _born(self, created: Instant | None) -> Instant | None:
        """Acceptance where it is known; a deal made after its inquiry came was made by accepting.

        (A hook of the acceptance has no instant of its own, only that of its receipt.)
        """
        accepted = _last_told(self._versions, "accepted_at")
        inquired = _last_told(self._versions, "inquired_at")
        if accepted is None or (
            created is not None and inquired is not None and created > inquired
        ):
            return created
        return int(accepted)

    def _collect(self, start: Instant) -> None:
        self._collect_places(start)
        self._collect_settled(start, "responsible", lambda value: value or "")
        self._collect_amounts(start)
        self._collect_reasons()
        for name in ("name", "currency", "company", "contacts", "tags", "fields", "source"):
            self._collect_plain(start, name)
        self._collect_gone()
        self._collect_tasks()
        self._collect_talks()
        self._collect_reach(start)

    def _changes(self, start: Instant, name: str) -> list[Change]:
        told = [
            Change(fact.at, fact.body[name], fact.body.get("author"))
            for fact in self._versions
            if name in fact.body
        ]
        if told and told[0].at > start:
            told[0] = replace(told[0], at=start)
        return told

    def _add(self, at: Instant, order: int, name: str, value: Any) -> None:
        self._steps.append((at, order, name, value))

    def _collect_places(self, start: Instant) -> None:
        pipeline = ""
        told: list[Change] = []
        for fact in self._versions:
            body = fact.body
            pipeline = body.get("pipeline") or pipeline
            if body.get("stage") is not None:
                told.append(Change(fact.at, (pipeline, body["stage"]), body.get("author")))
        if told and told[0].at > start:
            told[0] = replace(told[0], at=start)
        for change in settle(told):
            kind = self._world.stage_kind(*change.value)
            self._add(change.at, 1, "place", (*change.value, kind))
            if self._world.is_human(change.author):
                self._add(change.at, 8, "activity", change.at)

    def _collect_settled(
        self, start: Instant, name: str, tidy: Callable[[Any], Any], order: int = 2
    ) -> None:
        told = [replace(c, value=tidy(c.value)) for c in self._changes(start, name)]
        for change in settle(told):
            self._add(change.at, order, name, change.value)

    def _collect_amounts(self, start: Instant) -> None:
        self._collect_settled(start, "amount", lambda value: int(value or 0))

    def _collect_reasons(self) -> None:
        """Each telling counts: a reason kept over a reopening is told again after the next loss."""
        chosen = self._world.loss_reason_field
        for fact in self._versions:
            if chosen is None and "loss_reason" in fact.body:
                self._add(fact.at, 3, "loss_reason", fact.body["loss_reason"])
            elif chosen is not None and "fields" in fact.body:
                self._add(fact.at, 3, "loss_reason", (fact.body["fields"] or {}).get(chosen))

    def _collect_plain(self, start: Instant, name: str) -> None:
        last: object = _NOTHING
        for change in self._changes(start, name):
            if change.value != last:
                last = change.value
                self._add(change.at, 2, name, change.value)
        if name == "fields" and self._world.source_field is not None:
            for change in self._changes(start, "fields"):
                value = (change.value or {}).get(self._world.source_field)
                self._add(change.at, 4, "source", value)

    def _collect_gone(self) -> None:
        """A deletion without an instant of its own is not before what is known (decisions 25)."""
        gone: Instant | None = None
        newest = 0
        for fact in self._versions:
            if fact.body.get("restored"):
                if gone is not None:
                    self._add(gone, 5, "deleted", True)
                self._add(fact.at, 5, "deleted", False)
                gone = None
            elif fact.body.get("deleted"):
                gone = fact.at if gone is None else gone
            newest = max(newest, fact.at)
        if gone is not None:
            self._add(max(gone, newest), 5, "deleted", True)

    def _collect_tasks(self) -> None:
        moments = sorted(
            ((state.at, task_id, state) for task_id, states in self._story.tasks.items()
             for state in states),
            key=lambda moment: moment[:2],
        )  # fmt: skip
        now: dict[str, TaskState] = {}
        closed: Instant | None = None
        for at, task_id, state in moments:
            before = now.get(task_id)
            if before is not None and before.is_open and not state.is_open:
                closed = at
            now[task_id] = state
            due = [s.due_at for s in now.values() if s.is_open and not s.deleted]
            self._add(at, 6, "tasks", (due, closed))
        for states in self._story.tasks.values():
            first = states[0]
            if first.created_at is not None and self._world.is_human(first.created_by):
                self._add(first.created_at, 8, "activity", first.created_at)

    def _collect_talks(self) -> None:
        for call in self._told.calls(lend=True):
            human = self._world.is_human(call.author)
            talk = call.answered and call.seconds >= TALK_MIN_SECONDS
            if human and call.outgoing:
                self._add(call.started_at, 7, "attempt", call.started_at)
            if talk:
                self._add(call.started_at, 7, "talk", call.started_at)
            if human and (talk or call.outgoing):
                self._add(call.started_at, 8, "activity", call.started_at)
        for note in self._told.notes(lend=True):
            self._add(note.at, 7, "note", note.at)
            self._add(note.at, 8, "activity", note.at)

    def _collect_reach(self, start: Instant) -> None:
        """Whether the client can be reached, from the images of the linked persons."""
        for at, reach in self._told.reach():
            self._add(max(at, start), 2, "reach", reach)


def _born_when_open(states: list[DealState]) -> None:
    """A deal that began in the incoming stage is born when it first leaves it."""
    if not states or states[0].kind is not StageKind.INCOMING:
        return
    first_open = next((s.at for s in states if s.kind is not StageKind.INCOMING), None)
    for state in states:
        state.born_at = first_open if first_open is not None else None


def _apply_deal(state: DealState, name: str, value: Any) -> None:
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(state, value)
    else:
        setattr(state, name, value)


def _place(state: DealState, value: tuple[str, str, StageKind]) -> None:
    pipeline, stage, kind = value
    known = bool(state.stage)
    was_closed = known and state.is_closed
    state.previous_stage = state.stage or None
    state.pipeline, state.stage, state.kind = pipeline, stage, kind
    state.stage_entered_at = state.at
    if state.is_closed:
        if not was_closed:
            state.loss_reason = None
        state.closed_at = state.at
    else:
        state.closed_at = None
        if was_closed:
            state.reopened_at = state.at
            state.reopens += 1
            state.loss_reason = None


def _responsible(state: DealState, value: str) -> None:
    state.responsible = value
    state.responsible_since = state.at


def _contacts(state: DealState, value: list[str] | None) -> None:
    state.contacts = None if value is None else tuple(value)


def _tasks(state: DealState, value: tuple[list[Instant | None], Instant | None]) -> None:
    dues, state.last_task_closed_at = value
    known = [due for due in dues if due is not None]
    state.open_tasks = len(dues)
    state.next_due_at = min(known, default=None)
    state.last_due_at = max(known, default=None)


def _attempt(state: DealState, at: Instant) -> None:
    state.attempts += 1
    state.first_attempt_at = at if state.first_attempt_at is None else state.first_attempt_at


def _talk(state: DealState, at: Instant) -> None:
    state.talks += 1
    state.first_talk_at = at if state.first_talk_at is None else state.first_talk_at
    state.last_contact_at = at


def _note(state: DealState, _at: Instant) -> None:
    state.notes += 1


def _activity(state: DealState, at: Instant) -> None:
    state.last_activity_at = at


def _reach(state: DealState, value: tuple[bool, bool]) -> None:
    state.has_phone, state.has_email = value


_HANDLERS: dict[str, Callable[[DealState, Any], None]] = {
    "place": _place,
    "responsible": _responsible,
    "contacts": _contacts,
    "tasks": _tasks,
    "attempt": _attempt,
    "talk": _talk,
    "note": _note,
    "activity": _activity,
    "reach": _reach,
}
_NOTHING = object()
