"""Shapes of mutes on the wire."""

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import Instant, LinkedRef, Listed, Ref, StageRef, Wire


class MutedRule(Wire):
    """The rule that is muted."""

    id: str = Field(examples=["task-overdue"])
    title: str


class ScopeMute(Wire):
    """Nothing is told of the violations that are equal in all that is given; null = any."""

    id: str
    account: str
    rule: MutedRule | None
    deal: LinkedRef | None
    seller: Ref | None = Field(description="responsible at the breach")
    pipeline: Ref | None
    stage: StageRef | None
    at: Instant
    until: Instant = Field(description="as it was said")
    reason: str
    by: str
    state: str = Field(description="active, ended")
    ended_at: Instant | None
    ended_by: str | None = Field(description="null: it ended by itself, or has not ended")


class ScopeMuteList(Listed):
    """A page of mutes, the newest first."""

    data: list[ScopeMute]


class ScopeMuteBody(BaseModel):
    """What to mute (at least one of rule, deal, seller, pipeline, stage), until when, and why."""

    model_config = ConfigDict(extra="forbid")
    account: str
    rule: str | None = Field(None, examples=["task-overdue"])
    deal: str | None = Field(None, examples=["romashka.4815162"])
    seller: str | None = Field(None, examples=["romashka.7"])
    pipeline: str | None = Field(None, examples=["romashka.31"])
    stage: str | None = Field(None, examples=["romashka.31.142"])
    until: str = Field(
        description="in the future, at most 90 days", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(min_length=1, max_length=2000)
