"""Which attributes deals, tasks, calls, inquiries and sellers offer to conditions (rules.md 1.4).

Instants are whole seconds or null, lists are tuples of texts. None of them looks at the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from service.domain.account import TEAM_TOTALS
from service.domain.card import missing_fields
from service.domain.conduct import kind_names, postponements, says_what
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.story import Call, LeadState, TaskState
from service.rules.attribute import Attribute, plain, seller_active
from service.rules.deal_attributes import DEAL

__all__ = [
    "ATTRIBUTES", "MORNING", "SILENCE_ONLY", "STREAMS", "Attribute", "CallState", "SellerState",
    "TeamState", "missing_fields",
]  # fmt: skip


def _last_postponed(state: TaskState, config: Config) -> Instant | None:
    moves = postponements(state, config)
    return moves[-1] if moves else None


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
        lambda s, c: len(postponements(s, c)),
    ),
    Attribute("task.last_postponed_at", "instant", "last of them", _last_postponed),
    plain("task.is_all_day", "bool", "for a whole day"),
    plain("task.kind", "text", "type id", "task_kind"),
    Attribute("task.kind_names", "list", "title and id of its type", kind_names),
    plain("task.text", "text", "text"),
    Attribute("task.text_is_meaningful", "bool", "says what to do", says_what),
    Attribute(
        "task.text_is_copied",
        "bool",
        "says something, and the same as the seller's previous task on the deal",
        lambda s, c: s.is_copied and says_what(s, c),
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
    returned_at: int | None = None


@dataclass(slots=True)
class SellerState:
    """A seller (or account) in a stretch in which nothing that counts changes.

    `level`: what a level rule watches; the rest is known to rules on silence only.
    """

    at: int
    seller: str
    level: int = 0
    open_deals: int = 0
    last_action_at: int | None = None
    recent: int = 0
    source: str = ""


@dataclass(slots=True)
class TeamState:
    """A team in such a stretch: those of its sellers that are present and have a limit."""

    at: int
    team: str
    level: int  # the sum over all its sellers
    present: int
    fullest: int  # per cent of the own limit, rounded up
    emptiest: int  # rounded down
    words: dict[str, Any]

    @classmethod
    def of(cls, at: int, team_id: str, levels: Mapping[str, int], config: Config) -> "TeamState":
        """The picture of a team, given the level of each seller."""
        members = config.memberships.members(team_id, at)
        level = sum(levels.get(seller, 0) for seller in members)
        loads = [
            (Fraction(levels.get(seller, 0) * 100, limit), seller, limit)
            for seller in members
            if (limit := _limit_present(seller, at, config)) > 0
        ]
        if not loads:
            return cls(at, team_id, level, 0, 0, 0, {"n": level})
        (most, full, high), (least, free, low) = max(loads), min(loads)
        held, has = levels.get(full, 0), levels.get(free, 0)
        move = max(0, (held * low - has * high) // (high + low))
        words = {"full": full, "free": free, "n": level, "move": move}
        return cls(at, team_id, level, len(loads), ceil(most), floor(least), words)


def _limit_present(seller: str, at: int, config: Config) -> int:
    """The limit of a seller who is there and judged; else 0."""
    away = config.standards.absence_at(seller, at) is not None
    if away or not seller_active(seller, at, config) or config.standards.is_exempt(seller):
        return 0
    return config.limit(seller, at)


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
    Attribute(
        "call.missed_without_deal",
        "bool",
        "the first missed one of an unanswered row, of a client without an open deal",
        lambda s, _: s.call.waits,
    ),
    Attribute(
        "call.by_stranger",
        "bool",
        "of such a one: the CRM knows neither a deal nor a person",
        lambda s, _: s.call.stranger,
    ),
    plain("call.returned_at", "instant", "when somebody answered that, or a deal was opened"),
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
    plain("lead.same_client_waits", "bool", "an older inquiry of the client waits, of that hour"),
    Attribute(
        "lead.closed_by_robot",
        "bool",
        "the last change was a robot's",
        lambda s, _: s.author == "0",
    ),
)


def _limit_of(name: str) -> Attribute:
    def get(state: SellerState, config: Config) -> int:
        return config.standards.limit(name, state.seller, state.at)

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
    Attribute(
        "seller.limit", "int", "own limit of open deals", lambda s, c: c.limit(s.seller, s.at)
    ),
    *map(_limit_of, ("open_tasks", "due_today", "overdue_tasks", "hot_deals")),
    Attribute(
        "seller.limit_in_pipeline",
        "int",
        "open deals that one seller may have in the pipeline that is judged",
        lambda s, c: c.standards.pipeline_limit(s.source),
    ),
    plain("seller.level", "int", "the level that the rule watches"),
    plain("seller.open_deals", "int", "open deals (rules on silence)"),
    plain("seller.last_action_at", "instant", "last action in the CRM (rules on silence)"),
    plain("seller.work_start_at", "instant", "the beginning of each working day", "at"),
)


def _team_total(name: str) -> Attribute:
    def get(state: TeamState, config: Config) -> int:
        return config.standards.team_totals.get(state.team, {}).get(name, 0)

    doc = f"limit of {name.replace('_', ' ')} of all its sellers together; 0 = none"
    return Attribute(f"team.limit_{name}", "int", doc, get)


_TEAM: tuple[Attribute, ...] = (
    *map(_team_total, TEAM_TOTALS),
    plain("team.level", "int", "the level that the rule watches, of all its sellers"),
    plain("team.present", "int", "sellers with a limit who are there"),
    plain("team.fullest", "int", "load of the fullest one, per cent of the own limit"),
    plain("team.emptiest", "int", "load of the emptiest one, per cent of the own limit"),
)

_ACCOUNT: tuple[Attribute, ...] = (
    plain("account.level", "int", "the level that the rule watches", "level"),
    plain("account.source", "text", "the source that is silent", "source"),
    plain("account.recent", "int", "inquiries in ten working days up to the last one", "recent"),
    plain("account.last_inquiry_at", "instant", "last inquiry of the source", "last_action_at"),
    plain("account.last_fact_at", "instant", "last time anything was heard", "last_action_at"),
)

STREAMS = {
    "seller.last_action_at": "actions",
    "account.last_inquiry_at": "inquiries",
    "account.last_fact_at": "heard",
}
"""What starts the clock of rules on silence, and the stream of events that it is the last of."""

MORNING = "seller.work_start_at"
SILENCE_ONLY = frozenset(
    {*STREAMS, MORNING, "seller.open_deals", "account.recent", "account.source"}
)
"""Attributes that only rules on silence know."""

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "deal": {a.name: a for a in DEAL},
    "task": {a.name: a for a in _TASK},
    "call": {a.name: a for a in _CALL},
    "lead": {a.name: a for a in _LEAD},
    "seller": {a.name: a for a in _SELLER},
    "team": {a.name: a for a in _TEAM},
    "account": {a.name: a for a in _ACCOUNT},
}
