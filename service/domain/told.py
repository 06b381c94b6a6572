"""Calls, notes and the traces after talks: what was said on a timeline, and lent to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.domain.facts import Fact, Kind
from service.domain.instant import Instant
from service.domain.story import Call, MessageSeen, NoteSeen, Story, TaskState, Touch, World
from service.domain.subjects import fold_task, last_told
from service.domain.words import is_meaningful, is_note, means_meeting

TALK_MIN_SECONDS = 10


class Trace(NamedTuple):
    """Something written down: when, by whom, what; `says`: whether it says something."""

    at: Instant
    author: str
    says: bool
    text: str
    new_task: str = ""  # the task that was set, if that is the trace


class Told:
    """Calls and notes of a timeline (and those lent to it), and the traces after calls."""

    def __init__(
        self, world: World, own: Sequence[Fact], lent: Sequence[Fact], story: Story
    ) -> None:
        self._world = world
        self._own, self._lent = own, lent
        self._own_calls = _merge(own, Kind.CALL)
        self._lent_calls = _merge(lent, Kind.CALL)
        self._own_notes = _merge(own, Kind.NOTE)
        self._lent_notes = _merge(lent, Kind.NOTE)
        self._persons = [fact for fact in lent if fact.kind is Kind.CONTACT]
        self._tasks = dict(story.tasks)
        self._meant = list(story.tasks)  # those of its own
        lent_tasks: dict[str, list[Fact]] = {}
        for fact in lent:
            if fact.kind is Kind.TASK:
                lent_tasks.setdefault(fact.id, []).append(fact)
        self._tasks |= {task_id: fold_task(told) for task_id, told in lent_tasks.items()}
        self._traces: list[Trace] | None = None

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
        traces = [
            trace for trace in self.traces() if trace.at >= started and trace.author == author
        ]
        return Call(
            call_id,
            started,
            int(body.get("seconds") or 0),
            body.get("direction") == "out",
            bool(body.get("answered")),
            author,
            body.get("contact"),
            traces[0].at if traces else None,
            next((trace.at for trace in traces if trace.says), None),
            traces[0].text if traces else "",
        )

    def notes(self, *, lend: bool) -> list[NoteSeen]:
        """Notes by instant, of people only."""
        merged = dict(self._own_notes)
        if lend:
            merged |= self._lent_notes
        found = [
            _note(note_id, body["created_at"], body.get("author") or "", body.get("text") or "")
            for note_id, body in merged.items()
            if not body.get("deleted")
            and body.get("created_at") is not None
            and self._world.is_human(body.get("author"))
        ]
        return sorted(found, key=lambda n: (n.at, n.author))

    def messages(self, *, lend: bool) -> list[MessageSeen]:
        """Messages by instant; what a conversation was closed by counts when it was first told."""
        versions: dict[str, list[Fact]] = {}
        for fact in (*self._own, *self._lent) if lend else self._own:
            if fact.kind is Kind.MESSAGE:
                versions.setdefault(fact.id, []).append(fact)
        found = []
        for message, told in versions.items():
            instants = [f.body["created_at"] for f in told if f.body.get("created_at") is not None]
            if instants and not last_told(told, "deleted"):
                direction, author = last_told(told, "direction"), last_told(told, "author")
                found.append(MessageSeen(min(instants), direction or "", author or "", message))
        return sorted(found)

    @property
    def inquired_at(self) -> Instant | None:
        """When the inquiry came that is lent to the timeline, if one is."""
        told = [fact for fact in self._lent if fact.kind is Kind.LEAD]
        found: Instant | None = last_told(told, "created_at")
        return found

    def meetings(self) -> list[tuple[Instant, str]]:
        """(instant, seller) of the timeline's own meetings that stand closed with a result."""
        found = []
        for task_id in self._meant:
            last = self._tasks[task_id][-1]
            name = self._world.task_kind_name(last.task_kind)
            by = last.closed_by or last.responsible
            held = last.closed_at is not None and bool(last.result) and not last.deleted
            if held and means_meeting(last.task_kind, name) and self._world.is_human(by):
                found.append((last.closed_at or 0, by))
        return sorted(found)

    def reach(self) -> list[tuple[Instant, tuple[bool, bool]]]:
        """(instant, (some phone is known, some e-mail is known)) of the linked persons."""
        known: dict[str, dict[str, Any]] = {}
        steps = []
        for fact in self._persons:
            known.setdefault(fact.id, {}).update(fact.body)
            phone = any(body.get("has_phone") for body in known.values())
            steps.append((fact.at, (phone, any(b.get("has_email") for b in known.values()))))
        return steps

    def traces(self) -> list[Trace]:
        """All traces in order: long notes, results, new tasks that say something, messages."""
        if self._traces is None:
            found = [
                Trace(n.at, n.author, is_meaningful(n.text), n.text)
                for n in self.notes(lend=True)
                if n.counts
            ]
            for task_id, states in self._tasks.items():
                last = states[-1]
                name = self._world.task_kind_name(last.task_kind)
                text = states[0].text
                if last.created_at is not None and is_meaningful(text, name):
                    by = last.created_by or ""
                    found.append(Trace(last.created_at, by, says=True, text=text, new_task=task_id))
                found += _results(states)
            found += [
                Trace(m.at, m.author, says=True, text="")
                for m in self.messages(lend=True)
                if m.direction == "out" and self._world.is_human(m.author)
            ]
            self._traces = sorted(found)
        return self._traces

    def results(self) -> list[Trace]:
        """What came of the timeline's own tasks, by people."""
        found = [trace for task_id in self._meant for trace in _results(self._tasks[task_id])]
        return [trace for trace in found if self._world.is_human(trace.author)]


def _note(note_id: str, at: Instant, author: str, text: str) -> NoteSeen:
    return NoteSeen(at, author, is_note(text), text, note_id)


def _results(states: Sequence[TaskState]) -> list[Trace]:
    """When a task was done with a result, or got another; by its author or the responsible."""
    found: list[Trace] = []
    before: tuple[Instant | None, str | None] | None = None
    for state in states:
        if not state.result or state.is_open:
            before = None
        elif before != (state.closed_at, state.result):
            before = (state.closed_at, state.result)
            by = state.closed_by or state.responsible
            found.append(Trace(state.at, by, is_meaningful(state.result), state.result))
    return found


def _merge(facts: Sequence[Fact], kind: Kind) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for fact in facts:
        if fact.kind is kind:
            merged.setdefault(fact.id, {}).update(fact.body)
    return merged


def touches(
    calls: Sequence[Call],
    messages: Sequence[MessageSeen],
    meetings: Sequence[tuple[Instant, str]],
    world: World,
) -> list[Touch]:
    """Attempts and talks, in order: calls, meetings, and what people of ours wrote."""
    found = [
        Touch(call.started_at, call.ended_at, call.author, talk)
        for call in calls
        if (talk := call.answered and call.seconds >= TALK_MIN_SECONDS)
        or (call.outgoing and world.is_human(call.author))
    ]
    found += [
        Touch(message.at, message.at, message.author, talk=False)
        for message in messages
        if message.direction == "out" and world.is_human(message.author)
    ]
    found += [Touch(at, at, seller, talk=True) for at, seller in meetings]
    return sorted(found)
