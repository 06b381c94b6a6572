"""Workload on the wire (api.md 3.5)."""

from pydantic import Field

from service.api.schemas import Instant, ListEnd, Ref, Wire

STATUS = "ok, warning (from 80 % of the limit on), over, no_limit"


class KindLoad(Wire):
    """What a seller has of one limited kind."""

    name: str = Field(description="open_deals, open_tasks, due_today, overdue_tasks, hot_deals")
    count: int
    limit: int | None
    share: float | None = Field(description="count / limit")
    status: str = Field(description=STATUS)


class PipelineLoad(Wire):
    """A pipeline of which a seller has nearly as many open deals as he may, or more."""

    pipeline: Ref
    open_deals: int
    limit: int
    status: str = Field(description="warning, over")


class LoadTrend(Wire):
    """Against a week before."""

    week_ago: int
    change: int


class SellerLoad(Wire):
    """What one seller has."""

    seller: Ref
    team: Ref | None
    open_deals: int
    open_tasks: int
    due_today: int
    overdue_tasks: int
    hot_deals: int
    weighted: int = Field(description="open deals by the weights of their stages")
    limit: int | None
    share: float | None = Field(description="weighted / limit")
    status: str = Field(description=STATUS)
    since: Instant | None = Field(description="start of the status; null: no limit, or always")
    room: int | None
    limits: list[KindLoad]
    pipelines: list[PipelineLoad]
    trend: LoadTrend
    absent: bool
    absent_until: Instant | None
    deputy: Ref | None


class LoadTotals(Wire):
    """Sums over the rows."""

    open_deals: int
    weighted: int
    room: int
    open_tasks: int
    overdue_tasks: int
    due_today: int
    hot_deals: int


class LoadMove(Wire):
    """So many deals could move from a full seller to one with room; nothing is moved."""

    from_: Ref = Field(alias="from")
    to: Ref
    deals: int
    untouched: list[str] = Field(description="ids of deals that nobody has touched; at most 20")


class Workload(ListEnd):
    """Answer of `/v1/workload`."""

    data: list[SellerLoad]
    totals: LoadTotals
    proposals: list[LoadMove]
