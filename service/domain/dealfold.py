"""Folding of a deal: all changes in order, a picture after each instant."""

from collections.abc import Callable, Sequence
from typing import Any

from service.domain.directory import StageKind
from service.domain.facts import Fact
from service.domain.history import Change, settle
from service.domain.instant import Instant
from service.domain.story import DealState, Story, TaskState, World
from service.domain.subjects import last_told
from service.domain.told import Told

TALK_MIN_SECONDS = 10

_PLAIN = ("name", "currency", "company", "created_by", "created_at")


class DealFold:
    """Sweeps a deal's changes in order and takes a picture after each instant."""

    def __init__(self, versions: Sequence[Fact], told: Told, story: Story, world: World) -> None:
        self._versions = versions
        self._told = told
        self._story = story
        self._world = world
        self._steps: list[tuple[Instant, int, str, Any]] = []

    def states(self) -> list[DealState]:
        """All segments of the deal."""
        created = last_told(self._versions, "created_at")
        start = self._versions[0].at if created is None else min(created, self._versions[0].at)
        self._collect(start)
        self._steps.sort(key=lambda step: step[:2])
        state = DealState(start)
        state.created_at = created
        state.created_by = last_told(self._versions, "created_by")
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
        accepted = last_told(self._versions, "accepted_at")
        inquired = last_told(self._versions, "inquired_at")
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
            told[0] = told[0]._replace(at=start)
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
            told[0] = told[0]._replace(at=start)
        for change in settle(told):
            kind = self._world.stage_kind(*change.value)
            self._add(change.at, 1, "place", (*change.value, kind))
            if self._world.is_human(change.author):
                self._add(change.at, 8, "activity", change.at)

    def _collect_settled(
        self, start: Instant, name: str, tidy: Callable[[Any], Any], order: int = 2
    ) -> None:
        told = [Change(c.at, tidy(c.value), c.author) for c in self._changes(start, name)]
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
