"""What the figures are made of whose plan a rule can watch: parts of the first layer.

Additive figures have a pace; ratios are compared with their target (kpis.md 8.3). Cohorts are not
here: what became of their members is known only later. Neither are levels and time.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

FEW = 5  # below the line of a ratio: it says nothing yet


class Paced(NamedTuple):
    """Parts above and below the line (none below: a sum).

    `takes`: parts that are taken off; `scale`: what the quotient is multiplied by to stand beside
    its plan; `money`: one sale more or less is no verdict.
    """

    above: tuple[str, ...]
    below: tuple[str, ...] = ()
    takes: frozenset[str] = frozenset()
    scale: int = 1
    money: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts."""
        return tuple(dict.fromkeys((*self.above, *self.below)))

    def sum_up(self, values: Mapping[str, int], names: Iterable[str]) -> int:
        """Parts put together."""
        return sum(values.get(n, 0) * (-1 if n in self.takes else 1) for n in names)


def planned_metric(params: Mapping[str, object]) -> str:
    """The figure whose plan a rule watches, by its parameters."""
    return str(params.get("metric", "receipts"))


def no_pace(metric: str) -> str:
    """Why a figure cannot be watched."""
    return f"no plan of {metric[:40]!r} can be watched; choose one of {', '.join(PACED)}"


def _sum(*parts: str, less: tuple[str, ...] = (), money: bool = False) -> Paced:
    return Paced((*parts, *less), (), frozenset(less), money=money)


def _share(
    above: tuple[str, ...], below: tuple[str, ...], less: tuple[str, ...] = (), scale: int = 100
) -> Paced:
    return Paced(above, below, frozenset(less), scale)


_DUE_FIRST = ("tasks_due", "tasks_due_shift")
PACED: Mapping[str, Paced] = {
    "receipts": _sum("receipts", money=True),
    "deal_value_won": _sum("receipts", "value_won_shift", money=True),
    "inquiries": _sum("inquiries"),
    "inquiries_target": _sum("inquiries", "inquiries_left"),
    "deals_created": _sum("deals_created"),
    "deals_won": _sum("deals_won"),
    "repeat_sales": _sum("repeat_sales"),
    "proposals": _sum("proposals"),
    "calls": _sum("calls"),
    "calls_out": _sum("calls_out"),
    "calls_answered": _sum("calls_answered"),
    "calls_reached": _sum("calls_out", "calls_missed_in", less=("calls_missed",)),
    "dials": _sum("calls_out", "messages_out", less=("redials",)),
    "talk_seconds": _sum("talk_seconds"),
    "talks": _sum("calls_answered", less=("short_talks",)),
    "messages_out": _sum("messages_out"),
    "messages_in": _sum("messages_in"),
    "meetings": _sum("meetings_held"),
    "tasks_set": _sum("tasks_set"),
    "tasks_done": _sum("tasks_done"),
    "average_check": _share(("receipts",), ("won_with_amount",), scale=1),
    "conversion": _share(("deals_won",), ("deals_won", "lost_target")),
    "repeat_share": _share(("repeat_sales",), ("deals_won",)),
    "reach_rate": _share(
        ("calls_out", "calls_missed_in", "calls_missed"), ("calls_out",), ("calls_missed",)
    ),
    "talk_documented": _share(
        ("calls_answered", "brief_talks", "bare_talks"), ("calls_answered", "brief_talks"),
        ("brief_talks", "bare_talks"),
    ),
    "tasks_on_time": _share(("tasks_due_done",), ("tasks_due",)),
    "tasks_on_time_first_deadline": _share(("tasks_due_done", "tasks_due_done_shift"), _DUE_FIRST),
    "tasks_quality": _share((*_DUE_FIRST, "tasks_poor"), _DUE_FIRST, ("tasks_poor",)),
}  # fmt: skip
