"""What is known of a task only from its neighbours: the trace of its closing, its twin, a copy."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.story import Story, TaskState, World
from service.domain.told import TALK_MIN_SECONDS, Told

TRACE_BEFORE_SECONDS = 3600  # the call and its note may come before the task is closed
TWIN_SECONDS = 86_400  # deadlines further apart are instalments, not twins


def note_traces(story: Story, told: Told, world: World) -> None:
    """When each closed task left a trace on its deal: from an hour before its closing on."""
    closed = [t for t, states in story.tasks.items() if any(not s.is_open for s in states)]
    if not closed:
        return
    others = _signs(story, told, world)
    for task_id in closed:
        own = [
            trace.at
            for trace in told.traces()
            if trace.new_task != task_id and (trace.author == "" or world.is_human(trace.author))
        ]
        story.tasks[task_id] = _with_traces(story.tasks[task_id], sorted([*others, *own]))


def _signs(story: Story, told: Told, world: World) -> list[Instant]:
    """Talks with the client and moves of the deal: they say what came of a task."""
    talks = [
        call.started_at
        for call in told.calls(lend=True)
        if call.answered and call.seconds >= TALK_MIN_SECONDS and world.is_human(call.author)
    ]
    moves = [
        state.at
        for before, state in zip(story.deal, story.deal[1:], strict=False)
        if (before.pipeline, before.stage) != (state.pipeline, state.stage)
        and state.kind is not StageKind.INCOMING
    ]
    return [*talks, *moves]


def _with_traces(states: Sequence[TaskState], traces: Sequence[Instant]) -> list[TaskState]:
    found: list[TaskState] = []
    for index, state in enumerate(states):
        if state.is_open or state.closed_at is None:
            found.append(state)
            continue
        place = bisect_left(traces, state.closed_at - TRACE_BEFORE_SECONDS)
        trace = traces[place] if place < len(traces) else None
        end = states[index + 1].at if index + 1 < len(states) else FOREVER
        if trace is not None and trace <= state.at:
            state.trace_at = trace
        found.append(state)
        if trace is not None and state.at < trace < end:
            written = state.later(trace)
            written.trace_at = trace
            found.append(written)
    return found


def note_twins(story: Story) -> None:
    """Mark open tasks that repeat an older open one: equal text, kind, responsible and day."""
    if len(story.tasks) < 2:
        return
    alike: dict[tuple[str, str], list[str]] = {}
    for task_id in sorted(story.tasks, key=lambda t: (story.tasks[t][0].at, t)):
        for key in dict.fromkeys(map(_said, story.tasks[task_id])):
            if key[0]:
                alike.setdefault(key, []).append(task_id)
    older: dict[str, dict[str, None]] = {}  # of each task those that ever said the same
    for twins in alike.values():
        for number, task_id in enumerate(twins[1:], 1):
            older.setdefault(task_id, {}).update(dict.fromkeys(twins[:number]))
    for task_id, others in older.items():
        _mark(story, task_id, list(others))


def _said(state: TaskState) -> tuple[str, str]:
    return state.text.strip().casefold(), state.task_kind


def note_copies(story: Story) -> None:
    """Mark texts that were written as the previous task of the same seller says; deleted ones not.

    What is compared is the text that the previous task had when this one was written.
    """
    if len(story.tasks) < 2:
        return
    previous: dict[str, Sequence[TaskState]] = {}
    born = sorted(
        (states[-1].created_at or states[0].at, task_id)
        for task_id, states in story.tasks.items()
        if not states[-1].deleted
    )
    for _, task_id in born:
        states = story.tasks[task_id]
        before = previous.get(states[0].responsible)
        if before is not None:
            _mark_copies(states, before)
        previous[states[0].responsible] = states


def _mark_copies(states: Sequence[TaskState], before: Sequence[TaskState]) -> None:
    text, copied = "", False
    for state in states:
        now = _plain(state.text)
        if now != text:
            model = _at(before, state.at)
            text, copied = now, model is not None and _plain(model.text) == now
        state.is_copied = copied


def _plain(text: str) -> str:
    """Without what does not tell texts apart: case and blanks."""
    return " ".join(text.split()).casefold()


def _mark(story: Story, task_id: str, older: Sequence[str]) -> None:
    cuts = sorted({s.at for other in (*older, task_id) for s in story.tasks[other]})
    states: list[TaskState] = []
    for at in cuts:
        state = _at(story.tasks[task_id], at)
        if state is None:
            continue
        twin = any(_same(_at(story.tasks[other], at), state) for other in older)
        if state.at == at or not states or states[-1].has_twin != twin:
            state = state if state.at == at else state.later(at)
            state.has_twin = twin
            states.append(state)
    story.tasks[task_id] = states


def _at(states: Iterable[TaskState], at: Instant) -> TaskState | None:
    found = None
    for state in states:
        if state.at > at:
            break
        found = state
    return found


def _same(older: TaskState | None, younger: TaskState) -> bool:
    return (
        older is not None
        and older.is_open
        and younger.is_open
        and not older.deleted
        and not younger.deleted
        and older.responsible == younger.responsible
        and _said(older) == _said(younger) != ("", younger.task_kind)
        and older.due_at is not None
        and younger.due_at is not None
        and abs(older.due_at - younger.due_at) < TWIN_SECONDS
    )
