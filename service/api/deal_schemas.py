"""Shapes of deals and tasks on the wire (api.md 3.3)."""

from typing import Any

from pydantic import Field

from service.api.schemas import (
    Instant,
    LinkedRef,
    Listed,
    LocalDate,
    Money,
    Ref,
    StageRef,
    Wire,
)


class Deal(Wire):
    """A deal as it is now."""

    id: str = Field(examples=["romashka.4815162"])
    account: str
    crm_id: str
    name: str
    url: str | None
    pipeline: Ref | None
    stage: StageRef | None
    status: str = Field(description="open, won, lost, incoming")
    seller: Ref | None
    team: Ref | None
    source: str | None
    amount: Money | None
    created_at: Instant | None
    updated_at: Instant
    stage_since: Instant | None
    closed_at: Instant | None
    loss_reason: str | None
    open_tasks: int
    next_task_at: Instant | None
    last_touch_at: Instant | None
    violations_open: int
    deleted: bool


class DealList(Listed):
    """A page of deals."""

    data: list[Deal]


class Reach(Wire):
    """Whether the client can be reached; the values themselves are not kept."""

    has_phone: bool
    has_email: bool


class DealDetail(Deal):
    """A deal alone."""

    contact: Reach


class TimelineEntry(Wire):
    """Something that happened to a deal."""

    at: Instant
    kind: str = Field(
        description="created stage_changed seller_changed amount_changed field_changed task_set "
        "task_moved task_done call note message won lost reopened deleted violation_opened "
        "violation_resolved"
    )
    actor: Ref | None
    before: Any
    after: Any
    source: str = Field(description="hook, fetch, derived")


class Timeline(Listed):
    """A page of what happened, oldest first."""

    data: list[TimelineEntry]


class Task(Wire):
    """A task as it is now."""

    id: str = Field(examples=["romashka.9001"])
    account: str
    crm_id: str
    deal: LinkedRef | None
    seller: Ref | None
    kind: str | None
    title: str
    due_at: Instant | None
    due_date: LocalDate | None
    all_day: bool
    created_at: Instant | None
    done_at: Instant | None
    has_result: bool
    status: str = Field(description="open, done")
    overdue: bool
    overdue_seconds: int
    moves: int


class TaskList(Listed):
    """A page of tasks."""

    data: list[Task]
