"""Which attributes a deal, task, call or seller offers to conditions (rules.md 1.4).

An attribute is one entry here: name, type, what it means, how it is read off a state. Instants are
whole seconds or null, lists are tuples of texts. None of them looks at the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.story import Call, DealState, TaskState, deal_is_judged
from service.domain.words import is_meaningful

Type = Literal["bool", "int", "instant", "text", "text?", "list"]
Getter = Callable[[Any, Config], Any]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name that conditions may use."""

    name: str
    type: Type
    doc: str
    get: Getter

    @property
    def nullable(self) -> bool:
        """Whether the value may be null."""
        return self.type in {"instant", "text?"}


def _is_open(state: DealState, config: Config) -> bool:
    return state.kind is StageKind.OPEN and deal_is_judged(state, config)


def missing_fields(state: DealState, config: Config) -> tuple[str, ...]:
    """Required but empty: virtual names and custom field ids, in the order of the requirement."""
    asked = config.required(state.pipeline, state.stage)
    return tuple(token for token in asked if not _is_filled(token, state))


def _is_filled(token: str, state: DealState) -> bool:
    if token == "contact":  # noqa: S105 - the name of a field
        return state.contacts is None or bool(state.contacts)
    if token == "company":  # noqa: S105
        return bool(state.company)
    if token == "phone":  # noqa: S105
        return state.contacts is None or state.has_phone
    if token == "budget":  # noqa: S105
        return state.amount > 0
    if token == "source":  # noqa: S105
        return bool(state.source)
    return state.fields is None or bool((state.fields.get(token) or "").strip())


def _late(state: DealState, config: Config) -> bool:
    number = config.stage_no(state.pipeline, state.stage)
    return number * 2 > config.stage_count(state.pipeline)


def _made_by_human(state: DealState | TaskState, config: Config) -> bool:
    return config.is_human(state.created_by)


_DEAL: tuple[Attribute, ...] = (
    Attribute("deal.is_open", "bool", "open, not incoming, not deleted, not excluded", _is_open),
    Attribute("deal.is_won", "bool", "in a won stage", lambda s, _: s.kind is StageKind.WON),
    Attribute("deal.is_lost", "bool", "in a lost stage", lambda s, _: s.kind is StageKind.LOST),
    Attribute("deal.pipeline", "text", "pipeline id", lambda s, _: s.pipeline),
    Attribute("deal.stage", "text", "stage id", lambda s, _: s.stage),
    Attribute(
        "deal.stage_no",
        "int",
        "number among the pipeline's open stages, from 1",
        lambda s, c: c.stage_no(s.pipeline, s.stage),
    ),
    Attribute(
        "deal.stages",
        "int",
        "how many open stages the pipeline has",
        lambda s, c: c.stage_count(s.pipeline),
    ),
    Attribute("deal.is_late", "bool", "in the upper half of the open stages", _late),
    Attribute("deal.tags", "list", "tags", lambda s, _: tuple(s.tags)),
    Attribute("deal.amount", "int", "minor units", lambda s, _: s.amount),
    Attribute("deal.currency", "text", "currency", lambda s, _: s.currency),
    Attribute("deal.name", "text", "title", lambda s, _: s.name),
    Attribute(
        "deal.created_at",
        "instant",
        "acceptance where known, else creation",
        lambda s, _: s.born_at,
    ),
    Attribute("deal.created_by_human", "bool", "made by a listed user", _made_by_human),
    Attribute("deal.closed_at", "instant", "entered a final stage", lambda s, _: s.closed_at),
    Attribute(
        "deal.stage_entered_at", "instant", "entered the stage", lambda s, _: s.stage_entered_at
    ),
    Attribute("deal.reopened_at", "instant", "last reopening", lambda s, _: s.reopened_at),
    Attribute("deal.reopens", "int", "how often it was reopened", lambda s, _: s.reopens),
    Attribute("deal.responsible", "text?", "seller", lambda s, _: s.responsible or None),
    Attribute(
        "deal.responsible_since", "instant", "last hand-over", lambda s, _: s.responsible_since
    ),
    Attribute("deal.source", "text?", "source", lambda s, _: s.source or None),
    Attribute("deal.loss_reason", "text?", "loss reason", lambda s, _: s.loss_reason or None),
    Attribute("deal.has_contact", "bool", "a person is linked", lambda s, _: bool(s.contacts)),
    Attribute("deal.has_company", "bool", "a company is linked", lambda s, _: bool(s.company)),
    Attribute("deal.has_phone", "bool", "some phone is known", lambda s, _: s.has_phone),
    Attribute("deal.has_email", "bool", "some e-mail is known", lambda s, _: s.has_email),
    Attribute("deal.missing_fields", "list", "required but empty", missing_fields),
    Attribute("deal.open_tasks", "int", "open tasks", lambda s, _: s.open_tasks),
    Attribute("deal.next_due_at", "instant", "nearest deadline", lambda s, _: s.next_due_at),
    Attribute("deal.last_due_at", "instant", "latest deadline", lambda s, _: s.last_due_at),
    Attribute(
        "deal.last_task_closed_at",
        "instant",
        "last completion of a task",
        lambda s, _: s.last_task_closed_at,
    ),
    Attribute("deal.first_attempt_at", "instant", "first attempt", lambda s, _: s.first_attempt_at),
    Attribute("deal.first_talk_at", "instant", "first talk", lambda s, _: s.first_talk_at),
    Attribute("deal.last_contact_at", "instant", "last contact", lambda s, _: s.last_contact_at),
    Attribute(
        "deal.last_activity_at", "instant", "last human activity", lambda s, _: s.last_activity_at
    ),
    Attribute("deal.attempts", "int", "attempts so far", lambda s, _: s.attempts),
    Attribute("deal.talks", "int", "talks so far", lambda s, _: s.talks),
    Attribute("deal.notes", "int", "human notes so far", lambda s, _: s.notes),
)

_TASK: tuple[Attribute, ...] = (
    Attribute("task.is_open", "bool", "not done, not deleted", lambda s, _: s.is_open),
    Attribute(
        "task.due_at",
        "instant",
        "deadline; null also while deferred or waiting for approval",
        lambda s, _: None if s.is_deferred else s.due_at,
    ),
    Attribute("task.first_due_at", "instant", "first deadline", lambda s, _: s.first_due_at),
    Attribute("task.is_all_day", "bool", "for a whole day", lambda s, _: s.is_all_day),
    Attribute("task.kind", "text", "type id", lambda s, _: s.task_kind),
    Attribute("task.text", "text", "text", lambda s, _: s.text),
    Attribute(
        "task.text_is_meaningful", "bool", "says what to do", lambda s, _: is_meaningful(s.text)
    ),
    Attribute("task.created_at", "instant", "set", lambda s, _: s.created_at),
    Attribute("task.created_by_human", "bool", "set by a listed user", _made_by_human),
    Attribute("task.closed_at", "instant", "completed", lambda s, _: s.closed_at),
)


@dataclass(slots=True)
class CallState:
    """A call after its end; `trace_at` appears when somebody wrote something."""

    at: int
    call: Call
    trace_at: int | None


@dataclass(slots=True)
class SellerState:
    """A seller between two steps of a level."""

    at: int
    seller: str
    level: int


_CALL: tuple[Attribute, ...] = (
    Attribute("call.answered", "bool", "somebody talked", lambda s, _: s.call.answered),
    Attribute("call.seconds", "int", "duration", lambda s, _: s.call.seconds),
    Attribute("call.at", "instant", "start", lambda s, _: s.call.started_at),
    Attribute("call.ended_at", "instant", "end", lambda s, _: s.call.ended_at),
    Attribute("call.trace_at", "instant", "first trace by the talker", lambda s, _: s.trace_at),
    Attribute(
        "call.direction", "text", "in or out", lambda s, _: "out" if s.call.outgoing else "in"
    ),
    Attribute("call.seller", "text?", "who talked", lambda s, _: s.call.author or None),
)


def _seller_active(state: SellerState, config: Config) -> bool:
    seller = config.directory.seller(state.seller)
    return seller is None or seller.active_at(state.at)


_SELLER: tuple[Attribute, ...] = (
    Attribute("seller.is_active", "bool", "works here", _seller_active),
    Attribute("seller.limit", "int", "own limit of open deals", lambda s, c: c.limit(s.seller)),
    Attribute("seller.level", "int", "the level that the rule watches", lambda s, _: s.level),
)

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "deal": {a.name: a for a in _DEAL},
    "task": {a.name: a for a in _TASK},
    "call": {a.name: a for a in _CALL},
    "seller": {a.name: a for a in _SELLER},
}
