"""Deals and money (kpis.md 3): the way through the stages, and what is still in work."""

from collections.abc import Mapping

from service.kpi.metric import Metric, Number
from service.kpi.parts import STANDING, STAYS

_ENTRY = "responsible at the first entry into the stage"


def velocity(factors: Mapping[str, Number]) -> Number:
    """Open deals x win rate x average check / cycle in days, in minor units per day."""
    deals, rate = factors["deals_open_avg"], factors["conversion"]
    check, cycle = factors["average_check"], factors["cycle"]
    if deals is None or rate is None or check is None or not cycle:
        return None
    return round(deals * rate * check / (cycle / 86_400))


FIGURES: tuple[Metric, ...] = (
    Metric(
        "stage_entries", "Вошли в этап", "Entered the stage",
        "first entries into a stage; one that is skipped counts as entered",
        adds=("stage_entered", "stage_skipped"), direction="neutral", attributed_to=_ENTRY,
    ),
    Metric(
        "stage_passes", "Прошли этап", "Passed the stage",
        "of the entries: those that went to any later stage or were won so far",
        adds=("stage_passed", "stage_skipped"), attributed_to=_ENTRY,
    ),
    Metric(
        "stage_entered", "Вошли в этап без пропусков", "Entered the stage, skips out",
        "first entries into a stage that the deal stood at", adds=("stage_entered", "stage_late"),
        direction="neutral",
        attributed_to=_ENTRY,
    ),
    Metric(
        "stage_passed", "Прошли этап без пропусков", "Passed the stage, skips out",
        "of those: the ones that went to any later stage or were won so far",
        adds=("stage_passed", "stage_late_passed"), attributed_to=_ENTRY,
    ),
    Metric(
        "stage_lost", "Потеряны с этапа", "Lost of the stage's entries",
        "of the entries: those that are lost so far without having passed on", direction="down",
        attributed_to=_ENTRY,
    ),
    Metric(
        "stage_lost_strict", "Потеряны с этапа без пропусков", "Lost of the entries, skips out",
        "of the entries that the deal stood at: those lost so far without having passed on",
        adds=("stage_lost", "stage_late_lost"), direction="down", attributed_to=_ENTRY,
    ),
    Metric(
        "stage_conversion", "Конверсия этапа", "Stage conversion",
        "of deals that entered the stage in the period: went to any later stage or won so far / "
        "entered; skipped stages count as passed unless `strict`",
        kind="ratio", unit="ratio", cohort=True, numerator="stage_passes",
        denominator=("stage_entries",), attributed_to=_ENTRY, plannable=True,
    ),
    Metric(
        "cycle_unknown", "Продажи без известного цикла", "Sales of unknown cycle",
        "won deals whose birth lies after the win", direction="neutral",
    ),
    Metric(
        "cycle", "Цикл сделки", "Sales cycle",
        "seconds from birth to win of deals won in the period; reopened ones from their birth",
        kind="percentile", unit="seconds", percents=(50, 75), direction="down", plannable=True,
        beside=(("open_age", "open_aging"), ("unknown", "cycle_unknown")),
        attributed_to="responsible at the win",
    ),
    Metric(
        "time_in_stage", "Время на этапе", "Time in stage",
        "seconds of all stays in the stage, of deals that left it last in the period",
        kind="percentile", unit="seconds", percents=(50, 75, 90), direction="down",
        beside=(("open_age", "open_aging"),), attributed_to="responsible at the leaving",
        plannable=True,
    ),
    Metric(
        "open_aging", "Возраст открытых", "Age of open deals",
        "seconds since birth of the deals that are open at the end of the period",
        kind="percentile", unit="seconds", of_level=True, adds=(STANDING, *STAYS),
        percents=(50, 75, 90), direction="down",
    ),
    Metric(
        "deals_open", "Сделки в работе", "Open deals",
        "open deals at the end of the period", kind="level", staged="stage_open",
        direction="neutral", plannable=True,
    ),
    Metric(
        "deals_open_avg", "Сделки в работе в среднем", "Open deals, average",
        "open deals, mean over the account's working time of the period", kind="derived",
        unit="number", factors=("deals_open",), notes=(), direction="neutral",
    ),
    Metric(
        "pipeline_value", "Сумма в работе", "Pipeline value",
        "amounts of the deals that are open at the end of the period", kind="level", unit="money",
    ),
    Metric(
        "pipeline_weighted", "Взвешенный прогноз воронки", "Weighted pipeline",
        "amounts in work x the stage's probability: won / closed of the deals that entered it in "
        "the 180 days before the month; under 20 closed the pipeline's mean (`stages_by_mean`); "
        "null where nothing was closed by then",
        kind="derived", unit="money", factors=("pipeline_value",), notes=("stages_by_mean",),
    ),
    Metric(
        "coverage", "Запас воронки", "Pipeline coverage",
        "weighted pipeline / (plan of receipts of the month - receipts); null where it is met",
        kind="derived", unit="number", factors=("pipeline_weighted", "receipts"),
        notes=("pipeline_weighted", "plan_left"),
    ),
    Metric(
        "sales_velocity", "Скорость продаж", "Sales velocity",
        "open deals (average) x conversion x average check / median cycle in days, of the 90 days "
        "up to the end of the period; money a day, not additive",
        kind="derived", unit="money", trailing=90, recipe=velocity,
        factors=("deals_open_avg", "conversion", "average_check", "cycle"),
    ),
)  # fmt: skip
