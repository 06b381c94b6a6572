"""Shapes of violations on the wire (api.md 3.4)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import (
    Id,
    Instant,
    LinkedRef,
    Listed,
    ListEnd,
    Money,
    Ref,
    SubjectRef,
    Wire,
)


class RuleRef(Wire):
    """The rule that was broken, in the version that judged."""

    id: str = Field(examples=["task-overdue"])
    version: str
    title: str = Field(examples=["Просрочена задача"])


class Ack(Wire):
    """An acknowledgement: the first one stays."""

    by: str
    at: Instant
    comment: str


class Mute(Wire):
    """A mute of the rule for this subject, or one of a wider scope."""

    id: str | None = Field(description="of one of a wider scope; null: of this subject's own")
    until: Instant
    reason: str
    by: str
    at: Instant


class Violation(Wire):
    """An interval `[breach_at, resolved_at)` in which a subject broke a rule."""

    id: str = Field(examples=["vio_06A8RWJ3K5V2N7Q4X9TZ1BCDEF"])
    account: str = Field(examples=["romashka"])
    rule: RuleRef
    severity: str = Field(description="info, warning, critical")
    status: str = Field(description="open, upcoming, resolved, void")
    subject: SubjectRef
    deal: LinkedRef | None
    seller: Ref | None = Field(description="responsible at the breach")
    owner: Ref | None = Field(description="responsible now")
    team: Ref | None
    pipeline: Ref | None
    amount: Money | None
    since: Instant
    held_since: Instant
    breach_at: Instant
    resolved_at: Instant | None
    resolution: str | None = Field(description="fixed, moved, gone, rule_changed")
    ack: Ack | None
    mute: Mute | None
    muted: bool
    muted_seconds: int | None = Field(
        description="seconds of the interval up to now in which it was muted, counted apart; null "
        "for sellers, teams and accounts"
    )
    bulk: bool = Field(description="one author's change of very many deals began it")
    alerted_at: Instant | None


class ViolationList(Listed):
    """A page of violations."""

    data: list[Violation]


class WhyValue(Wire):
    """An attribute that proved the violation, as it was at an instant."""

    name: str = Field(examples=["task.due_at"])
    title: str = Field(examples=["срок"])
    value: Any
    text: str = Field(
        description="the value in words: money with its currency, names for ids",
        examples=["12.11.2026 18:00"],
    )
    at: Instant


class Skipped(Wire):
    """A stretch that did not count: a day off, an absence."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: Instant = Field(alias="from")
    to: Instant
    reason: str


class WhyClock(Wire):
    """How the deadline was counted. `for`: the span allowed."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    since: Instant
    held_since: Instant
    effective_from: Instant | None = Field(description="null: since ever")
    for_: str = Field(alias="for", examples=["5wd"])
    counted_seconds: int = Field(description="working seconds if the span counts working time")
    skipped: list[Skipped]


class Why(Wire):
    """What proves the violation."""

    text: str
    story: list[str] = Field(
        description="all of it in sentences: what, since when, what did not count, why, what next"
    )
    when: str | None
    values: list[WhyValue]
    clock: WhyClock
    resolves_when: str | None


class Remark(Wire):
    """What somebody said or did: ack, unack, mute, unmute, comment, appeal, granted, denied."""

    action: str
    by: str
    at: Instant
    until: Instant | None
    text: str


class Appeal(Wire):
    """Somebody disputes the violation. `state`: open, granted, denied."""

    state: str
    by: str
    at: Instant
    reason: str
    decided_by: str | None
    decided_at: Instant | None
    decision: str | None = Field(description="what was said with the decision")


class BulkChange(Wire):
    """One author changed very many deals within minutes."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    by: Ref | None = Field(description="null: a robot, an integration or a form")
    from_: Instant = Field(alias="from")
    to: Instant
    deals: int


class ViolationDetail(Violation):
    """A violation alone: with its proof, and what people said of it."""

    why: Why
    appeal: Appeal | None
    bulk_change: BulkChange | None = Field(description="the bulk change that began it")
    history: list[Remark]
    alerting: str | None = Field(
        description="sent, pending, failed, or why not: muted, silenced, inhibited, "
        "after_the_fact, grouped, "
        "quiet_hours, ceiling, policy; null: not due yet"
    )


class SummaryRow(BaseModel):
    """Counts of one group; the fields of `by`, each with its name where it has one."""

    model_config = ConfigDict(extra="allow")
    count: int
    amount: int | None
    currency: str | None
    oldest_breach_at: Instant


class SummaryMeta(Wire):
    """The instant that the summary is of."""

    as_of: Instant


class Summary(ListEnd):
    """Counts by group, the largest first."""

    data: list[SummaryRow]
    meta: SummaryMeta


class AckBody(BaseModel):
    """What goes with an acknowledgement."""

    model_config = ConfigDict(extra="forbid")
    comment: str = Field(default="", max_length=2000)


class MuteBody(BaseModel):
    """Until when, and why."""

    model_config = ConfigDict(extra="forbid")
    until: str = Field(
        description="in the future, at most 90 days", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(min_length=1, max_length=2000)


class CommentBody(BaseModel):
    """What there is to say."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=2000)


class AppealBody(BaseModel):
    """Why it is none, or not his."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=2000)


class DecisionBody(BaseModel):
    """`granted`: it does not count from now on."""

    model_config = ConfigDict(extra="forbid")
    granted: bool
    comment: str = Field(default="", max_length=2000)


ViolationId = Id
