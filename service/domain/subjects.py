"""Folding of tasks and inquiries: versions in, pictures out."""

from collections.abc import Sequence
from typing import Any

from service.domain.facts import Fact
from service.domain.history import Change, settle
from service.domain.instant import FOREVER, Instant
from service.domain.story import LeadState, Postponement, TaskState


def fold_task(versions: Sequence[Fact]) -> list[TaskState]:
    """The pictures of a task, from its versions in order."""
    first = versions[0]
    created = last_told(versions, "created_at")
    state = TaskState(min(first.at, created) if created is not None else first.at)
    state.created_at = created
    for name in ("text", "task_kind", "created_by", "is_all_day", "responsible", "due_at"):
        value = first_told(versions, name)  # what is told first was so from the beginning
        if value is not None:
            setattr(state, name, value)
    state.first_due_at = state.due_at
    state.due_set_at = state.at if state.due_at is not None else None
    states = [state]
    lasting = _lasting(versions)
    for fact in versions:
        at = max(fact.at, states[-1].at)
        state = state.later(at)
        _apply_task(state, fact, lasting)
        if states and states[-1].at == at:
            states[-1] = state
        else:
            states.append(state)
    return states


def _lasting(versions: Sequence[Fact]) -> frozenset[Instant] | None:
    """When the deadline was moved and not at once moved back; None = always."""
    told = [f for f in versions if "due_at" in f.body]
    if len(told) < 3:
        return None
    dues = settle([Change(f.at, f.body["due_at"], f.body.get("author")) for f in told])
    return frozenset(change.at for change in dues)


def _apply_task(state: TaskState, fact: Fact, lasting: frozenset[Instant] | None) -> None:
    body = fact.body
    was_open = state.is_open
    for name in ("text", "task_kind", "created_by", "is_all_day", "is_deferred", "deleted"):
        if body.get(name) is not None:
            setattr(state, name, body[name])
    if "responsible" in body:
        state.responsible = body["responsible"] or ""
    state.starts_at = body.get("starts_at", state.starts_at)
    state.ends_at = body.get("ends_at", state.ends_at)
    if "result" in body:
        state.result = body["result"] or state.result
    if "due_at" in body:
        _move(state, body["due_at"], fact, counts=lasting is None or fact.at in lasting)
    if "is_open" in body:
        state.is_open = body["is_open"]
        if was_open and not state.is_open:
            state.closed_at, state.closed_by = fact.at, body.get("author")
        elif state.is_open:
            state.closed_at = state.closed_by = None


def _move(state: TaskState, due: Instant | None, fact: Fact, *, counts: bool) -> None:
    """Another deadline instead of one counts as a move, unless it was at once taken back."""
    before, state.due_at = state.due_at, due
    if due != before:
        state.due_set_at = fact.at if due is not None else None
    if state.first_due_at is None:
        state.first_due_at = due
    elif counts and before is not None and due is not None and due != before:
        move = Postponement(fact.at, before, fact.body.get("author"), due > before)
        state.moved = (*state.moved, move)


_OF_LEAD = ("state", "category", "source", "deal", "deleted", "closed_at", "decline_reason")
_KNOWN_ENDS = ("accepted", "declined")


def fold_lead(versions: Sequence[Fact]) -> list[LeadState]:
    """The pictures of an inquiry, from its versions in order.

    That it waits no longer (`processed`) says nothing of one whose end is known: a list of those
    that wait may be read before the hook of the acceptance is worked on.
    """
    created = last_told(versions, "created_at")
    start = versions[0].at if created is None else min(created, versions[0].at)
    state = LeadState(start, created_at=created)
    states = [state]
    for fact in versions:
        if fact.body.get("state") == "processed" and state.state in _KNOWN_ENDS:
            continue
        at = max(fact.at, states[-1].at)
        state = state.later(at)
        for name in _OF_LEAD:
            if fact.body.get(name) is not None:
                setattr(state, name, fact.body[name])
        state.author = fact.body.get("author")
        if state.state == "in_work" and state.taken_at is None:
            state.taken_at = at
        state.pipeline = fact.body.get("pipeline") or state.pipeline
        state.responsible = fact.body.get("responsible") or state.responsible
        if states and states[-1].at == at:
            states[-1] = state
        else:
            states.append(state)
    return states


def with_attempts(states: list[LeadState], attempts: Sequence[Instant]) -> list[LeadState]:
    """The pictures of an inquiry, with the attempts to reach the client."""
    found = states
    for number, at in enumerate(attempts, 1):
        cut: list[LeadState] = []
        for index, state in enumerate(found):
            following = found[index + 1].at if index + 1 < len(found) else FOREVER
            if state.at < at < following:
                cut += [state, state.later(at)]
            else:
                cut.append(state)
        for state in cut:
            if state.at >= at:
                state.attempts = number
                state.first_attempt_at = attempts[0]
        found = cut
    return found


def first_told(versions: Sequence[Fact], name: str) -> Any:
    """The oldest value; None if it was never told, or told as empty first."""
    for fact in versions:
        if name in fact.body:
            return fact.body[name]
    return None


def last_told(versions: Sequence[Fact], name: str) -> Any:
    """The newest value that is not null; None if it was never told."""
    for fact in reversed(versions):
        if fact.body.get(name) is not None:
            return fact.body[name]
    return None
