"""Deals and money (kpis.md 3): what was created, won, lost, and for how much."""

from service.kpi.metric import Metric

_WIN = "responsible at the win"
_BORN = "responsible at the creation"
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
        "+1 at the move into a lost stage, -1 at reopening; by the last open stage and the reason",
        direction="down",
    ),
    Metric(
        "stage_lost_from", "На каком этапе теряем", "Lost from stage",
        "losses by the last open stage", part="deals_lost", direction="down",
    ),
    Metric(
        "loss_reasons", "Причины отказов", "Loss reasons",
        "losses with this reason / all losses; a loss without a reason is a row of its own",
        kind="derived", unit="ratio", factors=("deals_lost", "losses_all", "value_lost"),
        direction="neutral",
    ),
    Metric(
        "losses_all", "Отказы по всем причинам", "Losses of all reasons",
        "losses of the row whatever their reason", part="deals_lost", direction="neutral",
    ),
    Metric(
        "value_lost", "Потерянная сумма", "Value lost",
        "amount of lost deals at the loss, minus at reopening", unit="money", direction="down",
        attributed_to="responsible at the loss",
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
        "won_without_amount", "Продажи без суммы", "Deals won without an amount",
        "won deals, as they stand, whose amount is 0", direction="down", attributed_to=_WIN,
    ),
    Metric(
        "receipts", "Поступления", "Receipts",
        "amount of won deals at the win, differences later, minus at reopening; with "
        "`receipts_from: payments` in the settings each payment, at its own instant and for the "
        "responsible then: a change of the paid amount (`fields.paid`) or, without that field, "
        "what invoices of the deal say; refunds are below 0",
        unit="money", plannable=True, attributed_to=_WIN,
    ),
    Metric(
        "deal_value_won", "Сумма продаж", "Value won",
        "amount of won deals at the win, differences later, minus at reopening",
        unit="money", adds=("receipts", "value_won_shift"), plannable=True, attributed_to=_WIN,
    ),
    Metric(
        "average_check", "Средний чек", "Average deal value",
        "receipts / deals won with an amount", kind="ratio", unit="money",
        numerator="receipts", denominator=("won_with_amount",), plannable=True,
        beside=(("without_amount", "won_without_amount"),), attributed_to=_WIN,
    ),
    Metric(
        "median_check", "Медианный чек", "Median deal value",
        "amounts of won deals, as they stand, in the period of the win",
        kind="percentile", unit="money", part="check_value", percents=(50, 90),
        attributed_to=_WIN,
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
        denominator=("deals_won", "lost_target"), beside=(("open_aging", "open_aging"),),
        plannable=True,
    ),
    Metric(
        "cohort_created", "Сделки когорты", "Deals of a cohort",
        "deals created in the period that are not lost as spam so far",
        adds=("deals_created", "created_spam"), attributed_to=_BORN,
    ),
    Metric(
        "cohort_won", "Продажи когорты", "Won of a cohort",
        "deals created in the period that are won so far", attributed_to=_BORN,
    ),
    Metric(
        "cohort_closed", "Закрыто из когорты", "Closed of a cohort",
        "deals created in the period that are won, or lost not as spam, so far",
        adds=("cohort_won", "cohort_lost"), direction="neutral", attributed_to=_BORN,
    ),
    Metric(
        "cohort_mature", "Зрелость когорты", "Maturity of a cohort",
        "deals of the cohort that are closed so far / all of them", kind="ratio", unit="ratio",
        cohort=True, numerator="cohort_closed", denominator=("cohort_created",),
        direction="neutral", attributed_to=_BORN,
    ),
    Metric(
        "conversion_cohort", "Конверсия когорты", "Cohort conversion",
        "of deals created in the period: won so far / created, spam out; with `within=30d` of "
        "those at least 30 days old what was won in 30 days",
        kind="ratio", unit="ratio", cohort=True, numerator="cohort_won",
        denominator=("cohort_created",), beside=(("mature", "cohort_mature"),),
        attributed_to=_BORN, plannable=True,
    ),
    Metric(
        "inquiries_won", "Обращения, ставшие продажей", "Inquiries that were won",
        "inquiries created in the period whose deal is won so far", part="inquiry_won",
        attributed_to="who took the inquiry",
    ),
    Metric(
        "conversion_inquiry_sale", "Из обращения в продажу", "Inquiry to sale",
        "inquiries created in the period whose deal is won so far / those that are not spam so far",
        kind="ratio", unit="ratio", cohort=True, numerator="inquiries_won",
        denominator=("inquiries_target_cohort",), attributed_to="who took the inquiry",
        plannable=True,
    ),
    Metric(
        "repeat_sales", "Повторные продажи", "Repeat sales",
        "+1 per won deal of a client one of whose older deals was won before, -1 at reopening",
        beside=(("receipts", "repeat_receipts"),), attributed_to=_WIN, plannable=True,
    ),
    Metric(
        "repeat_receipts", "Поступления от повторных продаж", "Receipts of repeat sales",
        "amounts of repeat sales", unit="money", attributed_to=_WIN,
    ),
    Metric(
        "repeat_share", "Доля повторных", "Repeat share", "repeat sales / deals won",
        kind="ratio", unit="ratio", numerator="repeat_sales", denominator=("deals_won",),
        attributed_to=_WIN, plannable=True,
    ),
    Metric(
        "peak_amount", "Наибольшая сумма поздних этапов", "Peak amount of late stages",
        "of won deals: the highest amount they had in late stages or at the win",
        unit="money", direction="neutral", attributed_to=_WIN,
    ),
    Metric(
        "amount_given_up", "Уступленная сумма", "Amount given up in money",
        "of won deals: peak amount minus won amount", unit="money", direction="down",
        attributed_to=_WIN,
    ),
    Metric(
        "discount_share", "Снижение суммы", "Amount given up",
        "(peak amount of late stages - won amount) / peak amount, summed", kind="ratio",
        unit="ratio", numerator="amount_given_up", denominator=("peak_amount",), direction="down",
        attributed_to=_WIN,
    ),
)  # fmt: skip
