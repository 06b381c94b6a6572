"""What tasks add to the figures (kpis.md 5).

A task counts at its last deadline; what is judged by the first one is kept as the difference, so
only tasks whose deadline was moved, or that were done badly, cost more than the rest.
"""

from collections.abc import Callable, Iterator, Sequence

from service.domain.conduct import is_meeting, postponements, says_what
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.story import Story, TaskState, deal_is_judged
from service.kpi.contribution import Contribution, place_at

Row = Callable[[str, str, Instant, str, int], Contribution]


def of_tasks(story: Story, config: Config) -> Iterator[Contribution]:
    """All tasks of a timeline."""
    if story.deal and not deal_is_judged(story.deal[-1], config):
        return
    for task_id, states in story.tasks.items():
        if not states[-1].deleted:
            yield from _of_task(story, task_id, states, config)


def _of_task(
    story: Story, task_id: str, states: Sequence[TaskState], config: Config
) -> Iterator[Contribution]:
    def row(metric: str, key: str, at: Instant, seller: str, value: int) -> Contribution:
        return Contribution(metric, "task", task_id, key, at, seller, *place_at(story, at), value)

    last = states[-1]
    if last.created_at is not None:
        seller = states[0].responsible
        yield row("tasks_set", "set", last.created_at, seller, 1)
        if last.created_by and not config.is_human(last.created_by):
            yield row("tasks_set_by_robot", "set", last.created_at, seller, 1)
        author = (last.created_by or "") if config.is_human(last.created_by) else ""
        if author != seller:
            yield row("tasks_authored", "from", last.created_at, seller, -1)
            yield row("tasks_authored", "to", last.created_at, author, 1)
    yield from _turns(states, row, "tasks_done", lambda s: not s.is_open)
    if is_meeting(last, config):
        yield from _turns(states, row, "meetings_held", lambda s: bool(s.result) and not s.is_open)
    for at in postponements(last, config):
        yield row("postponements", str(at), at, _responsible_at(states, at), 1)
    if not last.is_deferred:
        yield from _by_deadline(states, row)
        yield from _by_first_deadline(states, row, config)


def _turns(
    states: Sequence[TaskState], row: Row, metric: str, holds: Callable[[TaskState], bool]
) -> Iterator[Contribution]:
    """+1 when something becomes true of a task, -1 when it is so no more."""
    before = False
    for state in states:
        if holds(state) != before:
            before = not before
            yield row(metric, str(state.at), state.at, state.responsible, 1 if before else -1)


def _by_deadline(states: Sequence[TaskState], row: Row) -> Iterator[Contribution]:
    last = states[-1]
    if last.due_at is None:
        return
    seller = _responsible_at(states, last.due_at)
    yield row("tasks_due", "due", last.due_at, seller, 1)
    if _is_done_by(last, last.due_at):
        yield row("tasks_due_done", "due", last.due_at, seller, 1)


def _is_done_by(task: TaskState, at: Instant) -> bool:
    return task.closed_at is not None and task.closed_at <= at


def _by_first_deadline(
    states: Sequence[TaskState], row: Row, config: Config
) -> Iterator[Contribution]:
    """How the task stands to its first deadline, where that is not the last one; what was poor."""
    last = states[-1]
    first, due = last.first_due_at, last.due_at
    if first is None:
        return
    seller = _responsible_at(states, first)
    in_time = _is_done_by(last, first)
    if first != due:
        yield row("tasks_due_shift", "first", first, seller, 1)
        if in_time:
            yield row("tasks_due_done_shift", "first", first, seller, 1)
        if due is not None:
            then = _responsible_at(states, due)
            yield row("tasks_due_shift", "due", due, then, -1)
            if _is_done_by(last, due):
                yield row("tasks_due_done_shift", "due", due, then, -1)
    key = "first" if first != due else "due"
    has_result = last.closed_at is not None and last.trace_at is not None
    says = says_what(last, config)
    for metric, is_poor in (
        ("tasks_textless", not says),
        ("tasks_resultless", not has_result),
        ("tasks_poor", not (in_time and has_result and says)),
    ):
        if is_poor:
            yield row(metric, key, first, seller, 1)


def _responsible_at(states: Sequence[TaskState], at: Instant) -> str:
    seller = states[0].responsible
    for state in states:
        if state.at > at:
            break
        seller = state.responsible
    return seller
