"""The figures, declared (kpis.md 2-5): one entry each, nothing about how they are asked for.

`sum` and `level` add up one contribution part; `ratio` divides two sums, at every grain anew.
"""

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["count", "money", "ratio", "seconds"]
Kind = Literal["sum", "ratio", "level"]
Direction = Literal["up", "down", "neutral"]
ALL_GRAINS = ("day", "week", "month", "quarter", "year")
DIMENSIONS = ("account", "seller", "team", "pipeline", "source", "stage", "weekday", "currency")


@dataclass(frozen=True)
class Metric:
    """One figure. `part`: the contributions it sums; a ratio names its two metrics instead."""

    slug: str
    ru: str
    en: str
    formula: str
    kind: Kind = "sum"
    unit: Unit = "count"
    part: str = ""
    numerator: str = ""
    denominator: tuple[str, ...] = ()
    direction: Direction = "up"
    attributed_to: str = "responsible at the instant of the fact"
    subject_kind: str = "deal"
    plannable: bool = False
    telephony: bool = False
    version: int = 1
    dimensions: tuple[str, ...] = field(default=DIMENSIONS)

    @property
    def missing(self) -> str:
        """What stands where there is nothing: `zero`, or `null`."""
        return "null" if self.kind == "ratio" or self.telephony else "zero"

    @property
    def parts(self) -> tuple[str, ...]:
        """All contribution parts that the figure needs."""
        if self.kind != "ratio":
            return (self.part or self.slug,)
        names = (self.numerator, *self.denominator)
        return tuple(part for name in names for part in METRICS[name].parts)

    def title(self, lang: str) -> str:
        """The title in Russian or English."""
        return self.ru if lang == "ru" else self.en


_AUTHOR = "who talked"
_LIST: tuple[Metric, ...] = (
    Metric(
        "inquiries", "Обращения", "Inquiries",
        "+1 per incoming lead and per deal born without one, at its creation",
        attributed_to="who took it; nobody until then", plannable=True,
    ),
    Metric(
        "deals_created", "Новые сделки", "Deals created",
        "+1 at acceptance, or at creation outside incoming", plannable=True,
    ),
    Metric(
        "deals_won", "Продажи", "Deals won",
        "+1 at the move into a won stage, -1 at reopening", plannable=True,
    ),
    Metric(
        "deals_lost", "Отказы", "Deals lost",
        "+1 at the move into a lost stage, -1 at reopening", direction="down",
    ),
    Metric(
        "lost_target", "Отказы без спама", "Deals lost without spam",
        "losses whose reason is not a spam reason, at the loss or at the change of reason",
        direction="down",
    ),
    Metric(
        "won_with_amount", "Продажи с суммой", "Deals won with an amount",
        "won deals whose amount is above 0", plannable=False,
    ),
    Metric(
        "receipts", "Поступления", "Receipts",
        "amount of won deals at the win, differences later, minus at reopening",
        unit="money", plannable=True, attributed_to="responsible at the win",
    ),
    Metric(
        "average_check", "Средний чек", "Average deal value",
        "receipts / deals won with an amount", kind="ratio", unit="money",
        numerator="receipts", denominator=("won_with_amount",), plannable=True,
        attributed_to="responsible at the win",
    ),
    Metric(
        "sales_per_inquiry", "Продаж на обращение (за период)", "Sales per inquiry",
        "deals won with an amount / inquiries, each by its own instant in the period",
        kind="ratio", unit="ratio", numerator="won_with_amount", denominator=("inquiries",),
        attributed_to="responsible at the win; inquiries: who took it",
    ),
    Metric(
        "conversion", "Конверсия (за период)", "Win rate by period",
        "deals won / (deals won + deals lost without spam), both closed in the period",
        kind="ratio", unit="ratio", numerator="deals_won",
        denominator=("deals_won", "lost_target"), plannable=True,
    ),
    Metric(
        "deals_open", "Сделки в работе", "Open deals",
        "open deals at the end of the period", kind="level", direction="neutral",
    ),
    Metric(
        "calls", "Звонки", "Calls", "+1 per call, at its start", attributed_to=_AUTHOR,
        subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "calls_out", "Исходящие звонки", "Outgoing calls", "+1 per outgoing call",
        attributed_to=_AUTHOR, subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "calls_in", "Входящие звонки", "Incoming calls", "+1 per incoming call",
        attributed_to=_AUTHOR, subject_kind="call", direction="neutral", telephony=True,
    ),
    Metric(
        "calls_answered", "Состоявшиеся звонки", "Answered calls", "+1 per answered call",
        attributed_to=_AUTHOR, subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "calls_missed", "Несостоявшиеся звонки", "Calls not answered",
        "+1 per call that nobody answered", attributed_to=_AUTHOR, subject_kind="call",
        direction="down", telephony=True,
    ),
    Metric(
        "talk_seconds", "Минуты на линии", "Talk time",
        "duration of answered calls, at their start", unit="seconds", attributed_to=_AUTHOR,
        subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "tasks_set", "Поставлено задач", "Tasks set", "+1 per task, at its creation",
        attributed_to="responsible at creation", subject_kind="task", direction="neutral",
        plannable=True,
    ),
    Metric(
        "tasks_done", "Выполнено задач", "Tasks done",
        "+1 at completion, -1 at reopening", subject_kind="task", plannable=True,
    ),
    Metric(
        "tasks_due", "Задачи со сроком", "Tasks due",
        "tasks whose last deadline lies in the period and has passed; deleted ones are out",
        attributed_to="responsible at the deadline", subject_kind="task", direction="neutral",
    ),
    Metric(
        "tasks_due_done", "Сделано к сроку", "Done by the deadline",
        "of tasks_due, those done by it",
        attributed_to="responsible at the deadline", subject_kind="task",
    ),
    Metric(
        "tasks_on_time", "Выполнено в срок", "Done on time",
        "tasks done by their deadline / tasks whose deadline lies in the period",
        kind="ratio", unit="ratio", numerator="tasks_due_done", denominator=("tasks_due",),
        attributed_to="responsible at the deadline", subject_kind="task", plannable=True,
    ),
    Metric(
        "tasks_overdue", "Просрочено задач", "Tasks overdue",
        "open intervals of the rule task-overdue at the end of the period", kind="level",
        subject_kind="task", direction="down",
    ),
    Metric(
        "became_overdue", "Стали просроченными", "Became overdue",
        "breaches of the rule task-overdue in the period", subject_kind="task", direction="down",
    ),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.slug: metric for metric in _LIST}
