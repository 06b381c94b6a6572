"""The change feed on the wire."""

from typing import Any, Literal

from pydantic import Field

from service.api.schemas import Instant, Wire


class Change(Wire):
    """One change: merge by `id`, delete on `op=delete`."""

    type: str = Field(description="deal, task, violation, seller, plan, kpi_day")
    op: Literal["upsert", "delete"]
    id: str = Field(examples=["romashka.4815162"])
    account_id: str = Field(examples=["romashka"])
    at: Instant | None = Field(description="the object's `updated_at`; null where it has none")
    object: dict[str, Any] | None = Field(
        description="the row of the table's export; of a `kpi_day` `date metric seller_id rows`: "
        "all rows of `kpi_daily` that replace those of before"
    )


class ChangeList(Wire):
    """A piece of the feed."""

    data: list[Change]
    next_cursor: str = Field(description="always given; store it after processing")
    has_more: bool
