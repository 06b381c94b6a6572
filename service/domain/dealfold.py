"""Folding of a deal: all changes in order, a picture after each instant."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from service.domain import fieldfold
from service.domain.dealsteps import apply_step
from service.domain.directory import StageKind
from service.domain.facts import Fact
from service.domain.history import Change, settle
from service.domain.instant import Instant
from service.domain.money import minor_units
from service.domain.period import local_date
from service.domain.story import DealState, Story, TaskState, World
from service.domain.subjects import last_told
from service.domain.told import TALK_MIN_SECONDS, Told

DISTRIBUTION_SECONDS = 1800
HANDOVER_SECONDS = 14 * 86_400
NOTE_BEFORE_SECONDS = 1800  # a note written just before a move explains it
BEFORE_SECONDS = 86_400  # what came longer before a deal and its inquiry is no part of it


class DealFold:
    """Sweeps a deal's changes in order and takes a picture after each instant."""

    def __init__(self, versions: Sequence[Fact], told: Told, story: Story, world: World) -> None:
        self._versions = versions
        self._told = told
        self._story = story
        self._world = world
        self._steps: list[tuple[Instant, int, str, Any]] = []
        self._fields: list[Change] = []  # all custom fields, from each instant on

    def states(self) -> list[DealState]:
        """All segments of the deal."""
        created = last_told(self._versions, "created_at")
        start = self._versions[0].at if created is None else min(created, self._versions[0].at)
        self._collect(start, 0 if created is None else self._lived_from(start))
        self._steps.sort(key=lambda step: step[:2])
        state = DealState(start)
        state.created_at = created
        state.created_by = last_told(self._versions, "created_by")
        state.born_at = self._born(created)
        states: list[DealState] = []
        for at, _, name, value in self._steps:
            at_or_start = max(at, start)
            if states and states[-1].at == at_or_start:
                apply_step(states[-1], name, value)
                continue
            state = (states[-1] if states else state).later(at_or_start)
            apply_step(state, name, value)
            states.append(state)
        _born_when_open(states)
        born = [s.born_at for s in states[-1:] if s.born_at is not None]  # of all it is the same
        inquired = min([*self._asked(), *born], default=None)
        for state in states:
            state.inquired_at = inquired
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

    def _collect(self, start: Instant, since: Instant) -> None:
        self._fields = fieldfold.pictures(self._versions, start)
        self._collect_places(start)
        self._collect_handovers(start)
        self._collect_amounts(start)
        self._collect_reasons()
        for name in ("name", "currency", "company", "contacts", "tags"):
            self._collect_plain(name, self._changes(start, name))
        self._collect_plain("fields", self._fields)
        self._collect_edits()
        chosen = self._world.source_field
        source = self._of_field(chosen) if chosen else self._changes(start, "source")
        self._collect_plain("source", source)
        self._collect_gone()
        self._collect_close_dates(start)
        self._collect_tasks()
        self._collect_talks(since)
        self._collect_messages(since)
        self._collect_reach(start)

    def _lived_from(self, start: Instant) -> Instant:
        """From when on a client's calls, notes and messages are about this deal.

        What came long before it and its inquiry was about an earlier one.
        """
        return min([start, *self._asked()]) - BEFORE_SECONDS

    def _asked(self) -> list[Instant]:
        """When the inquiry came, by the deal and by the inquiry itself."""
        told = (last_told(self._versions, "inquired_at"), self._told.inquired_at)
        return [at for at in told if at is not None]

    def _changes(self, start: Instant, name: str) -> list[Change]:
        told = [
            Change(fact.at, fact.body[name], fact.body.get("author"))
            for fact in self._versions
            if name in fact.body
        ]
        if told and told[0].at > start:
            told[0] = told[0]._replace(at=start)
        return told

    def _of_field(self, field: str) -> list[Change]:
        """How a custom field changed; None = empty."""
        return [change._replace(value=change.value.get(field)) for change in self._fields]

    def _add(self, at: Instant, order: int, name: str, value: Any) -> None:
        self._steps.append((at, order, name, value))

    def _collect_places(self, start: Instant) -> None:
        """Where it stood; whoever made it put it where it began, whoever edited it since."""
        pipeline = ""
        told: list[Change] = []
        for fact in self._versions:
            body = fact.body
            pipeline = body.get("pipeline") or pipeline
            if body.get("stage") is not None:
                told.append(Change(fact.at, (pipeline, body["stage"]), body.get("author")))
        if told and (told[0].at > start or told[0].author is None):
            maker = last_told(self._versions, "created_by")
            told[0] = told[0]._replace(at=start, author=maker)
        noted = [t.at for t in self._told.traces() if self._world.is_human(t.author)]
        for change in settle(told):
            kind = self._world.stage_kind(*change.value)
            late = self._world.is_late(*change.value)
            first = bisect_left(noted, change.at - NOTE_BEFORE_SECONDS)
            note = noted[first] if first < len(noted) and noted[first] < change.at else None
            self._add(change.at, 1, "place", (*change.value, kind, late, change.author, note))
            self._add(change.at, 9, "peak", change.at)
            self._collect_act(change)
        for at in noted:
            self._add(at, 7, "trace", at)

    def _collect_act(self, change: Change) -> None:
        """What people change is activity on the deal."""
        if self._world.is_human(change.author):
            self._add(change.at, 8, "activity", change.at)

    def _collect_edits(self) -> None:
        """Changes of custom fields by people."""
        changed = {
            name
            for before, after in pairwise(self._fields)
            if before.value != after.value
            for name in before.value.keys() | after.value.keys()
            if before.value.get(name) != after.value.get(name)
        }
        for name in changed:
            for change in settle(self._of_field(name))[1:]:
                self._collect_act(change)

    def _collect_handovers(self, start: Instant) -> None:
        """Who has it; hand-overs by people count for a fortnight, the first distribution not."""
        told = [c._replace(value=c.value or "") for c in self._changes(start, "responsible")]
        settled = settle(told)
        for change in settled:
            self._add(change.at, 2, "responsible", change.value)
        self._story.handovers = [
            (change.at, before.value, change.value)
            for before, change in pairwise(settled)
            if before.value and self._is_by_people(change)
        ]
        handed = [
            change.at
            for change in settled[1:]
            if change.at - start > DISTRIBUTION_SECONDS and self._is_by_people(change)
        ]
        for at in handed:
            self._add(at, 2, "handed", 1)
            self._add(at + HANDOVER_SECONDS, 2, "handed", -1)

    def _is_by_people(self, change: Change) -> bool:
        """Made by a person, as far as it is known."""
        return change.author is None or self._world.is_human(change.author)

    def _collect_amounts(self, start: Instant) -> None:
        """The CRM's own amount, or that of a mapped custom field; and what was paid so far."""
        chosen = self._world.budget_field
        own = [c._replace(value=int(c.value or 0)) for c in self._changes(start, "amount")]
        for number, change in enumerate(settle(self._money_of(chosen) if chosen else own)):
            self._add(change.at, 2, "amount", change.value)
            self._add(change.at, 9, "peak", change.at)
            if number:
                self._collect_act(change)
        paid = self._world.paid_field
        for change in settle(self._money_of(paid) if paid else []):
            self._add(change.at, 2, "paid", change.value)

    def _money_of(self, field: str) -> list[Change]:
        """Money that a custom field holds, in the deal's currency."""
        currency = last_told(self._versions, "currency") or self._world.currency
        held = self._of_field(field)
        return [change._replace(value=amount_told(change.value, currency)) for change in held]

    def _collect_reasons(self) -> None:
        """Each telling counts: a reason kept over a reopening is told again after the next loss."""
        chosen = self._world.loss_reason_field
        own = [(f.at, f.body["loss_reason"]) for f in self._versions if "loss_reason" in f.body]
        for at, reason in fieldfold.tellings(self._versions, chosen) if chosen else own:
            self._add(at, 3, "loss_reason", reason)

    def _collect_plain(self, name: str, told: Sequence[Change]) -> None:
        last: object = _NOTHING
        for change in told:
            if change.value != last:
                last = change.value
                self._add(change.at, 2, name, change.value)

    def _collect_close_dates(self, start: Instant) -> None:
        """The date by which it should be won: the CRM's own, or a mapped custom field."""
        chosen = self._world.close_date_field
        told = self._of_field(chosen) if chosen else self._changes(start, "expected_close_on")
        zone = self._world.zone
        for change in settle([c._replace(value=local_date_told(c.value, zone)) for c in told]):
            self._add(change.at, 2, "close_date", change.value)

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
            done = before is None or before.is_open
            if done and not state.is_open:
                closed = at
            now[task_id] = state
            waiting = [s for s in now.values() if s.is_open and not s.deleted]
            due = [(s.due_at, s.due_set_at) for s in waiting]
            self._add(at, 6, "tasks", (due, closed))
        for states in self._story.tasks.values():
            first = states[0]
            if first.created_at is not None and self._world.is_human(first.created_by):
                self._add(first.created_at, 8, "activity", first.created_at)
            acts = [(s.at, s.closed_by) for s in states if s.closed_at == s.at]
            for at, author in [*acts, *((move.at, move.author) for move in states[-1].moved)]:
                if self._world.is_human(author):
                    self._add(at, 8, "activity", at)
        for result in self._told.results():
            self._add(result.at, 7, "note", result.at)
            self._add(result.at, 8, "activity", result.at)

    def _collect_talks(self, since: Instant) -> None:
        for call in self._told.calls(lend=True):
            if call.started_at < since:
                continue
            human = self._world.is_human(call.author)
            talk = call.answered and call.seconds >= TALK_MIN_SECONDS
            if human and call.outgoing:
                self._add(call.started_at, 7, "attempt", call.started_at)
            if talk:
                self._add(call.started_at, 7, "talk", call.started_at)
            if not call.outgoing and not call.answered:
                self._add(call.started_at, 6, "missed", call.started_at)
            if talk or (human and call.outgoing):
                self._add(call.started_at, 8, "activity", call.started_at)
        for at, _ in self._told.meetings():
            self._add(at, 7, "talk", at)
            self._add(at, 8, "activity", at)
        for note in self._told.notes(lend=True):
            if note.at >= since:
                self._add(note.at, 7, "note", note.at)
                self._add(note.at, 8, "activity", note.at)

    def _collect_messages(self, since: Instant) -> None:
        for message in self._told.messages(lend=True):
            if message.at < since:
                continue
            if message.direction in _OF_CLIENT:
                self._add(message.at, 7, _OF_CLIENT[message.direction], message.at)
                if message.direction == "in":
                    self._add(message.at, 8, "activity", message.at)
                continue
            human = self._world.is_human(message.author)
            if human or not message.author:  # whose it is may be told later: no false alarm
                self._add(message.at, 7, "sent", message.at)
            if human:
                self._add(message.at, 8, "activity", message.at)

    def _collect_reach(self, start: Instant) -> None:
        """Whether the client can be reached, from the images of the linked persons."""
        for at, reach in self._told.reach():
            self._add(max(at, start), 2, "reach", reach)


def amount_told(value: Any, currency: str) -> int:
    """Minor units, from what a custom field holds: `1000.50`, or Bitrix24's `1000.50|RUB`."""
    return minor_units(str(value or "0").partition("|")[0], currency)


def local_date_told(value: Any, zone: ZoneInfo) -> str | None:
    """A local date as `2026-03-31`, from what CRMs write; None = none that could be meant.

    amoCRM writes dates as seconds since 1970.
    """
    text = str(value or "").strip()
    if text.isdecimal() and 9 <= len(text) <= 10:
        return local_date(int(text), zone).isoformat()
    text = text[:10]
    if len(text) == 10 and text[2] == text[5] == ".":
        text = f"{text[6:]}-{text[3:5]}-{text[:2]}"
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else None
    except ValueError:
        return None


def _born_when_open(states: list[DealState]) -> None:
    """A deal that began in the incoming stage is born when it first leaves it."""
    if not states or states[0].kind is not StageKind.INCOMING:
        return
    first_open = next((s.at for s in states if s.kind is not StageKind.INCOMING), None)
    for state in states:
        state.born_at = first_open if first_open is not None else None


_OF_CLIENT = {"in": "wrote", "closed": "closed"}
_NOTHING = object()
