"""What sellers do in the CRM, and when they sit in meetings: read off a folded timeline."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.story import Story, TaskState

APART_SECONDS = 600  # of actions closer together than this not all are told
_MEETING = re.compile(r"встреч|визит|meeting|visit", re.IGNORECASE)


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
    kinds = {kind.id for kind in config.directory.task_kinds if _MEETING.search(kind.name)}
    for task_id, states in story.tasks.items():
        last = states[-1]
        start, end = last.starts_at, last.ends_at or last.due_at
        is_meeting = last.task_kind in kinds or _MEETING.search(last.task_kind)
        if last.deleted or not is_meeting or start is None or end is None:
            continue
        if start < end and (last.closed_at is None or last.closed_at > start):
            yield task_id, last.responsible, start, end
