"""Deals and money (kpis.md 3)."""

from service.kpi.metric import Metric

FIGURES: tuple[Metric, ...] = (
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
        "cycle", "Цикл сделки", "Sales cycle",
        "seconds from birth to win of deals won in the period; reopened ones from their birth",
        kind="percentile", unit="seconds", percents=(50, 75), direction="down", plannable=True,
        attributed_to="responsible at the win",
    ),
    Metric(
        "deals_open", "Сделки в работе", "Open deals",
        "open deals at the end of the period", kind="level", direction="neutral",
    ),
)  # fmt: skip
