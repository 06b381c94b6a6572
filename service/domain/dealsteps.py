"""What one step changes in the picture of a deal."""

from collections.abc import Callable
from datetime import date
from typing import Any

from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.story import DealState

ONE_ATTEMPT_SECONDS = 600  # a row of dials is one attempt
PUSH_DAYS = 7


def apply_step(state: DealState, name: str, value: Any) -> None:
    """Apply one step; a name without a handler is an attribute."""
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(state, value)
    else:
        setattr(state, name, value)


def _place(
    state: DealState, value: tuple[str, str, StageKind, bool, str | None, Instant | None]
) -> None:
    pipeline, stage, kind, state.in_late_stage, state.moved_by, state.stage_note_at = value
    known = bool(state.stage)
    before, closed_at = state.kind, state.closed_at
    was_closed, was_lost = known and state.is_closed, known and before is StageKind.LOST
    state.previous_stage, state.previous_pipeline = state.stage or None, state.pipeline or None
    same = known and state.pipeline == pipeline
    state.visited = (*state.visited, stage) if same else (stage,)
    state.pipeline, state.stage, state.kind = pipeline, stage, kind
    state.stage_entered_at = state.at
    if was_lost != (kind is StageKind.LOST):
        state.loss_reason = None  # of an earlier loss, whatever the CRM keeps
    if state.is_closed:
        state.closed_at = state.at
    else:
        state.closed_at = None
        if was_closed:
            state.reopened_at = state.at
            state.reopens += 1
            state.closed_before, state.won_before = closed_at, before is StageKind.WON


def _responsible(state: DealState, value: str) -> None:
    state.responsible = value
    state.responsible_since = state.at


def _handed(state: DealState, delta: int) -> None:
    state.handovers_recent += delta
    if delta > 0:
        state.handover_places = (*state.handover_places, (state.pipeline, state.stage))
    else:
        state.handover_places = state.handover_places[1:]


def _contacts(state: DealState, value: list[str] | None) -> None:
    state.contacts = None if value is None else tuple(value)


def _tasks(
    state: DealState,
    value: tuple[list[tuple[Instant | None, Instant | None]], Instant | None],
) -> None:
    waiting, state.last_task_closed_at = value
    dues = sorted((due, made) for due, made in waiting if due is not None)
    state.open_tasks = len(waiting)
    state.next_due_at, state.next_due_set_at = dues[0] if dues else (None, None)
    state.last_due_at = dues[-1][0] if dues else None
    state.dues = tuple(due for due, _ in dues)


def _attempt(state: DealState, at: Instant) -> None:
    last = state.last_attempt_at
    if last is None or at - last > ONE_ATTEMPT_SECONDS:
        state.attempts += 1
        state.attempts_since_talk += 1
    elif state.first_attempt_since_talk_at is None:
        state.attempts_since_talk += 1  # a talk ends the row
    state.last_attempt_at = at
    if state.first_attempt_at is None:
        state.first_attempt_at = at
    if state.first_attempt_since_talk_at is None:
        state.first_attempt_since_talk_at = at
    state.missed_call_at = state.unanswered_since = None


def _talk(state: DealState, at: Instant) -> None:
    state.talks += 1
    state.first_talk_at = at if state.first_talk_at is None else state.first_talk_at
    state.last_talk_at = state.last_contact_at = at
    state.attempts_since_talk, state.first_attempt_since_talk_at = 0, None
    state.missed_call_at = state.unanswered_since = None


def _missed(state: DealState, at: Instant) -> None:
    if state.missed_call_at is None:
        state.missed_call_at = at
    if state.unanswered_since is None:
        state.unanswered_since = at


def _wrote(state: DealState, at: Instant) -> None:
    """The client's message is a talk that waits for an answer; it answers no missed call.

    A call of the very same second is the answer.
    """
    missed, waits = state.missed_call_at, state.unanswered_since
    answered = at in (state.last_attempt_at, state.last_talk_at)
    _talk(state, at)
    state.missed_call_at = missed
    if waits is None and not answered:
        waits = at
    state.unanswered_since = waits


def _sent(state: DealState, at: Instant) -> None:
    """Our message is an attempt, a contact, and an answer."""
    _attempt(state, at)
    state.last_contact_at = at


def _closed(state: DealState, _at: Instant) -> None:
    """Somebody said that the conversation needs no answer; a missed call still does."""
    state.unanswered_since = state.missed_call_at


def _trace(state: DealState, at: Instant) -> None:
    if state.stage_note_at is None:
        state.stage_note_at = at


def _tags(state: DealState, value: list[str] | None) -> None:
    state.tags = tuple(value or ())


def _peak(state: DealState, _at: Instant) -> None:
    """Stage and amount of an instant are told: the highest amount in late stages is kept."""
    if state.in_late_stage and state.kind is StageKind.OPEN:
        state.amount_peak_late = max(state.amount_peak_late, state.amount)


def _close_date(state: DealState, value: str | None) -> None:
    before, state.expected_close_on = state.expected_close_on, value
    state.close_date_changed = state.close_date_changed or before is not None
    if before is None or value is None:
        return
    old, new = date.fromisoformat(before), date.fromisoformat(value)
    later_month = (new.year, new.month) > (old.year, old.month)
    if later_month or (new - old).days > PUSH_DAYS:
        state.close_date_pushes += 1


def _note(state: DealState, _at: Instant) -> None:
    state.notes += 1


def _activity(state: DealState, at: Instant) -> None:
    state.last_activity_at = at


def _reach(state: DealState, value: tuple[bool, bool]) -> None:
    state.has_phone, state.has_email = value


_HANDLERS: dict[str, Callable[[DealState, Any], None]] = {
    "place": _place,
    "responsible": _responsible,
    "handed": _handed,
    "contacts": _contacts,
    "tasks": _tasks,
    "attempt": _attempt,
    "talk": _talk,
    "missed": _missed,
    "wrote": _wrote,
    "sent": _sent,
    "closed": _closed,
    "trace": _trace,
    "peak": _peak,
    "tags": _tags,
    "close_date": _close_date,
    "note": _note,
    "activity": _activity,
    "reach": _reach,
}
