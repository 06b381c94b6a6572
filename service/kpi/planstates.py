"""The states of a plan: draft -> approved -> closed, and back with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from service.domain.instant import Instant
from service.domain.period import Period
from service.kpi.plantree import is_holding
from service.store import plans as store

State = Literal["draft", "approved", "closed"]
BEFORE: dict[str, tuple[str, ...]] = {
    "approved": ("draft",), "closed": ("approved",), "draft": ("approved", "closed"),
}  # fmt: skip


class WrongState(ValueError):  # noqa: N818 - an answer, not a failure
    """Plans that cannot go there. `code`: as in problems."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Move:
    """Which plans of an account go to which state."""

    account_id: str
    period: Period
    metrics: Sequence[str] | None
    state: State


def rows_within(connection: Connection, account_id: str, period: Period,
                metrics: Sequence[str] | None) -> list[dict[str, Any]]:  # fmt: skip
    """All rows whose period lies in a period."""
    equal = {} if metrics is None else {"metric": metrics}
    rows = store.plans(connection, [account_id], **equal)
    return [row for row in rows if is_holding(period, Period.parse(row["period"]))]


def move(connection: Connection, wanted: Move, author: str, reason: str, now: Instant) -> int:
    """Put all plans of a period into a state; how many were in another one.

    Raises:
        WrongState: there is no plan, or one that cannot go there.
    """
    store.hold(connection, wanted.account_id)
    rows = rows_within(connection, wanted.account_id, wanted.period, wanted.metrics)
    if not rows:
        detail = f"There is no plan of {wanted.account_id} in {wanted.period.name}."
        raise WrongState("conflict", detail)
    allowed = (*BEFORE[wanted.state], wanted.state)
    for row in rows:
        if row["status"] not in allowed:
            code = "plan_closed" if row["status"] == "closed" else "conflict"
            detail = (
                f"The plan of {row['metric']} in {row['period']} is {row['status']};"
                f" only {' or '.join(BEFORE[wanted.state])} ones become {wanted.state}."
            )
            raise WrongState(code, detail)
    results = [
        store.put(connection, {**row, "status": wanted.state}, author, reason, now) for row in rows
    ]
    return sum(result == "updated" for result in results)
