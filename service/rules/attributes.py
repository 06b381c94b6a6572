"""Which attributes deals, tasks, calls, inquiries and sellers offer to conditions (rules.md 1.4).

Instants are whole seconds or null, lists are tuples of texts. None of them looks at the clock.
"""

from dataclasses import dataclass

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.story import Call, LeadState, TaskState
from service.domain.words import is_meaningful
from service.rules.attribute import Attribute, plain, seller_active
from service.rules.deal_attributes import DEAL, missing_fields

__all__ = ["ATTRIBUTES", "Attribute", "CallState", "SellerState", "missing_fields"]

POSTPONED_WITHIN_SECONDS = 8 * 3600  # working time left: earlier it is planning
ONE_MOVE_SECONDS = 600


def _postponed(state: TaskState, config: Config) -> list[Instant]:
    """Moves of the deadline made when less than 8 working hours were left, or after it."""
    if not state.moved:
        return []
    calendar = config.calendar(state.responsible or None)
    found: list[Instant] = []
    for move in state.moved:
        if move.author is not None and not config.is_human(move.author):
            continue
        if found and move.at - found[-1] <= ONE_MOVE_SECONDS:
            continue
        left = calendar.working_seconds(move.at, move.due_at) if move.at < move.due_at else 0
        if left < POSTPONED_WITHIN_SECONDS:
            found.append(move.at)
    return found


def _last_postponed(state: TaskState, config: Config) -> Instant | None:
    moves = _postponed(state, config)
    return moves[-1] if moves else None


def _says(state: TaskState, config: Config) -> bool:
    kind = next((k.name for k in config.directory.task_kinds if k.id == state.task_kind), None)
    if state.text.strip().casefold() in config.standards.stop_texts:
        return False
    return is_meaningful(state.text, kind)


def _due(state: TaskState, _: Config) -> Instant | None:
    return None if state.is_deferred else state.due_at


_TASK: tuple[Attribute, ...] = (
    plain("task.is_open", "bool", "not done, not deleted"),
    Attribute(
        "task.due_at", "instant", "deadline; null also while deferred or waiting for approval", _due
    ),
    plain("task.due_set_at", "instant", "when the deadline was set"),
    plain("task.first_due_at", "instant", "first deadline"),
    Attribute(
        "task.postponements",
        "int",
        "deadline moved on when under 8 working hours were left",
        lambda s, c: len(_postponed(s, c)),
    ),
    Attribute("task.last_postponed_at", "instant", "last of them", _last_postponed),
    plain("task.is_all_day", "bool", "for a whole day"),
    plain("task.kind", "text", "type id", "task_kind"),
    plain("task.text", "text", "text"),
    Attribute("task.text_is_meaningful", "bool", "says what to do", _says),
    Attribute(
        "task.text_is_copied",
        "bool",
        "says something, and the same as the seller's previous task on the deal",
        lambda s, c: s.is_copied and _says(s, c),
    ),
    plain("task.created_at", "instant", "set"),
    Attribute(
        "task.created_by_human",
        "bool",
        "set by a listed user",
        lambda s, c: c.is_human(s.created_by),
    ),
    plain("task.closed_at", "instant", "completed"),
    Attribute(
        "task.closed_by_human", "bool", "completed by a user", lambda s, c: c.is_human(s.closed_by)
    ),
    plain("task.trace_at", "instant", "what was written of it, from an hour before its end on"),
    Attribute("task.responsible", "text?", "seller", lambda s, _: s.responsible or None),
    Attribute(
        "task.responsible_active",
        "bool",
        "the responsible works here",
        lambda s, c: seller_active(s.responsible, s.at, c),
    ),
    Attribute("task.on_deal", "bool", "hangs on a deal", lambda s, _: s.deal is not None),
    Attribute(
        "task.deal_is_open",
        "bool",
        "its deal is not closed",
        lambda s, _: s.deal is not None and not s.deal.is_closed,
    ),
    Attribute(
        "task.deal_closed_at",
        "instant",
        "when its deal was closed",
        lambda s, _: s.deal.closed_at if s.deal is not None else None,
    ),
    plain("task.twin_open", "bool", "an older open task says the same", "has_twin"),
)


@dataclass(slots=True)
class CallState:
    """A call after its end; a later state follows each trace that changes something."""

    at: int
    call: Call
    trace_at: int | None
    says: bool = False


@dataclass(slots=True)
class SellerState:
    """A seller (team, account) between two steps of a level."""

    at: int
    seller: str
    level: int


_CALL: tuple[Attribute, ...] = (
    Attribute("call.answered", "bool", "somebody talked", lambda s, _: s.call.answered),
    Attribute("call.seconds", "int", "duration", lambda s, _: s.call.seconds),
    Attribute("call.at", "instant", "start", lambda s, _: s.call.started_at),
    Attribute("call.ended_at", "instant", "end", lambda s, _: s.call.ended_at),
    plain("call.trace_at", "instant", "first trace by the talker"),
    plain("call.trace_is_meaningful", "bool", "some trace says something", "says"),
    Attribute(
        "call.direction", "text", "in or out", lambda s, _: "out" if s.call.outgoing else "in"
    ),
    Attribute("call.seller", "text?", "who talked", lambda s, _: s.call.author or None),
)


def _declined_as_spam(state: LeadState, config: Config) -> bool:
    return state.decline_reason in config.spam_reasons


_LEAD: tuple[Attribute, ...] = (
    plain("lead.state", "text", "new, in_work, accepted, declined or processed"),
    plain("lead.category", "text", "form, call, chat, mail ..., as the CRM names it"),
    plain("lead.created_at", "instant", "when it came"),
    plain("lead.taken_at", "instant", "when somebody took it"),
    plain("lead.closed_at", "instant", "accepted or declined"),
    Attribute("lead.responsible", "text?", "who has it", lambda s, _: s.responsible or None),
    Attribute("lead.source", "text?", "source", lambda s, _: s.source or None),
    plain("lead.first_attempt_at", "instant", "first attempt"),
    plain("lead.attempts", "int", "attempts so far"),
    plain("lead.decline_reason", "text?", "why it was declined"),
    Attribute("lead.decline_is_spam", "bool", "declined as not our client", _declined_as_spam),
    Attribute(
        "lead.closed_by_robot",
        "bool",
        "the last change was a robot's",
        lambda s, _: s.author == "0",
    ),
)


def _limit_of(name: str) -> Attribute:
    def get(state: SellerState, config: Config) -> int:
        return config.standards.limit(name, state.seller)

    return Attribute(f"seller.limit_{name}", "int", f"own limit of {name.replace('_', ' ')}", get)


_SELLER: tuple[Attribute, ...] = (
    Attribute(
        "seller.is_active", "bool", "works here", lambda s, c: seller_active(s.seller, s.at, c)
    ),
    Attribute(
        "seller.is_judged",
        "bool",
        "works here and is not exempt (an assistant, the head)",
        lambda s, c: seller_active(s.seller, s.at, c) and not c.standards.is_exempt(s.seller),
    ),
    Attribute("seller.limit", "int", "own limit of open deals", lambda s, c: c.limit(s.seller)),
    *map(_limit_of, ("open_tasks", "due_today", "overdue_tasks", "hot_deals")),
    plain("seller.level", "int", "the level that the rule watches"),
)

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "deal": {a.name: a for a in DEAL},
    "task": {a.name: a for a in _TASK},
    "call": {a.name: a for a in _CALL},
    "lead": {a.name: a for a in _LEAD},
    "seller": {a.name: a for a in _SELLER},
}
ATTRIBUTES["team"] = ATTRIBUTES["account"] = ATTRIBUTES["seller"]
