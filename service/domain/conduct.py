"""What sellers do in the CRM, and when they sit in meetings: read off a folded timeline."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.story import Story, TaskState
from service.domain.words import is_meaningful, means_meeting

APART_SECONDS = 600  # of actions closer together than this not all are told
POSTPONED_WITHIN_SECONDS = 8 * 3600  # working time left: earlier it is planning
ONE_MOVE_SECONDS = 600


def actions(story: Story, config: Config) -> list[tuple[Instant, str]]:
    """(instant, seller) of what people did here: calls, notes, tasks, changes of the deal.

    Thinned out: of a dense row one in ten minutes and the last are told, so a silence of twenty
    minutes or more begins and ends exactly where it does.
    """
    by_seller: dict[str, set[Instant]] = {}
    for at, who in _acts(story):
        if config.is_human(who):
            by_seller.setdefault(who, set()).add(at)
    return sorted(
        (at, who) for who, instants in by_seller.items() for at in _thinned(sorted(instants))
    )


def _acts(story: Story) -> Iterator[tuple[Instant, str]]:
    yield from story.edits
    for call in story.calls:
        if call.outgoing or call.answered:
            yield call.started_at, call.author
    for message in story.messages:
        if message.direction == "out":
            yield message.at, message.author
    for note in story.notes:
        yield note.at, note.author
    for states in story.tasks.values():
        yield from _of_task(states)


def _of_task(states: Sequence[TaskState]) -> Iterator[tuple[Instant, str]]:
    last = states[-1]
    if last.created_at is not None:
        yield last.created_at, last.created_by or ""
    for state in states:
        if state.closed_at == state.at:
            yield state.at, state.closed_by or ""
    for move in last.moved:
        yield move.at, move.author or ""


def _thinned(instants: Sequence[Instant]) -> Iterator[Instant]:
    kept = instants[0]
    yield kept
    for at, following in pairwise([*instants[1:], instants[-1] + APART_SECONDS + 1]):
        if at - kept >= APART_SECONDS or following - at > APART_SECONDS:
            kept = at
            yield at


def meetings(story: Story, config: Config) -> Iterator[tuple[str, str, Instant, Instant]]:
    """(task, seller, from, to) of meetings with a beginning; one given up before is none."""
    for task_id, states in story.tasks.items():
        last = states[-1]
        start, end = last.starts_at, last.ends_at or last.due_at
        if last.deleted or start is None or end is None or not is_meeting(last, config):
            continue
        if start < end and (last.closed_at is None or last.closed_at > start):
            yield task_id, last.responsible, start, end


def is_meeting(task: TaskState, config: Config) -> bool:
    """Whether a task is one to meet the client, by the name of its kind."""
    return means_meeting(task.task_kind, _kind_name(task, config))


def _kind_name(task: TaskState, config: Config) -> str | None:
    return next((k.name for k in config.directory.task_kinds if k.id == task.task_kind), None)


def says_what(task: TaskState, config: Config) -> bool:
    """Whether the text of a task says what to do (rules.md 1.2)."""
    if task.text.strip().casefold() in config.standards.stop_texts:
        return False
    return is_meaningful(task.text, _kind_name(task, config))


def postponements(task: TaskState, config: Config) -> list[Instant]:
    """Moves of the deadline made when less than 8 working hours were left, or after it."""
    if not task.moved:
        return []
    calendar = config.calendar(task.responsible or None)
    found: list[Instant] = []
    for move in task.moved:
        if not move.later or (move.author is not None and not config.is_human(move.author)):
            continue
        if found and move.at - found[-1] <= ONE_MOVE_SECONDS:
            continue
        left = calendar.working_seconds(move.at, move.due_at) if move.at < move.due_at else 0
        if left < POSTPONED_WITHIN_SECONDS:
            found.append(move.at)
    return found
