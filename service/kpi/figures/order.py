"""Order and load (kpis.md 6)."""

from fractions import Fraction

from service.kpi.metric import Metric

_DURING = "responsible during each piece"
_AT_BREACH = "seller at the breach"
_PEOPLE = ("account", "seller", "team", "person")
_TIMED = (*_PEOPLE, "pipeline")
_BY_RULE = (*_PEOPLE, "pipeline", "stage", "rule", "severity")
_HOUR = Fraction(1, 3600)
FIGURES: tuple[Metric, ...] = (
    Metric(
        "hygiene_weight", "Часы сделок под контролем", "Deal-hours judged",
        "open deal-hours in working time of the responsible; a deal open for under a working hour "
        "of the period is left out", unit="hours", scale=_HOUR / 10, direction="neutral",
        attributed_to=_DURING, dimensions=_TIMED,
    ),
    Metric(
        "hygiene_kept", "Часы сделок в порядке", "Deal-hours in order",
        "hygiene_weight less its cost: each instant costs by the gravest open, unmuted debt of "
        "the deal, its tasks and calls: info 0.1, warning 0.4, critical 1.0", unit="hours",
        adds=("hygiene_weight",), takes=("hygiene_cost_time",), scale=_HOUR / 10,
        attributed_to=_DURING, dimensions=_TIMED,
    ),
    Metric(
        "hygiene_index", "Индекс порядка", "Hygiene index",
        "100 x (1 - cost / weight) over open deals and working time; null with fewer than 5 open "
        "deals at the end of the period", kind="ratio", unit="points", scale=Fraction(100),
        numerator="hygiene_kept", denominator=("hygiene_weight",), attributed_to=_DURING,
        plannable=True, dimensions=_TIMED, least=("deals_open", 5),
    ),
    Metric(
        "hygiene_weight_by_amount", "Часы сделок под контролем с весом по сумме",
        "Deal-hours judged, by amount",
        "hygiene_weight, each hour as often as the deal weighs by its amount then: 1, 2 or 3 "
        "(setting `hygiene.amount_classes`)", unit="hours", scale=_HOUR / 10, direction="neutral",
        attributed_to=_DURING, needs="amount_classes", dimensions=_TIMED,
    ),
    Metric(
        "hygiene_kept_by_amount", "Часы сделок в порядке с весом по сумме",
        "Deal-hours in order, by amount",
        "hygiene_weight_by_amount less its cost: that of hygiene_kept, as often as the deal weighs "
        "by its amount then", unit="hours", adds=("hygiene_weight_by_amount",),
        takes=("hygiene_cost_time_by_amount",), scale=_HOUR / 10, attributed_to=_DURING,
        needs="amount_classes", dimensions=_TIMED,
    ),
    Metric(
        "hygiene_index_weighted", "Индекс порядка с весом по сумме",
        "Hygiene index, weighted by amount",
        "the hygiene index with deals counted 1, 2 or 3 times by their amount at each instant "
        "(setting `hygiene.amount_classes`; in another currency once); null without the setting "
        "and with fewer than 5 open deals at the end of the period", kind="ratio", unit="points",
        scale=Fraction(100), numerator="hygiene_kept_by_amount",
        denominator=("hygiene_weight_by_amount",), attributed_to=_DURING, plannable=True,
        needs="amount_classes", dimensions=_TIMED, least=("deals_open", 5),
    ),
    Metric(
        "violations_opened", "Новые нарушения", "Violations opened",
        "violations whose breach lies in the period; those muted then are out",
        attributed_to=_AT_BREACH, subject_kind="violation", direction="down",
        dimensions=(*_BY_RULE, "weekday"),
    ),
    Metric(
        "violations_open", "Открытые нарушения", "Violations open",
        "violations open at the end of the period; those muted then are out", kind="level",
        attributed_to=_AT_BREACH, subject_kind="violation", direction="down", plannable=True,
        dimensions=_BY_RULE,
    ),
    Metric(
        "violation_hours", "Часы нарушений", "Violation hours",
        "length of violations inside the period in working hours of the seller; muted time is out",
        unit="hours", scale=_HOUR, attributed_to=_AT_BREACH, subject_kind="violation",
        direction="down", dimensions=_BY_RULE,
    ),
    Metric(
        "time_to_fix", "Время исправления", "Time to fix",
        "working hours from the breach to the end of violations that were put right in the period "
        "(not those that vanished with their subject, or whose rule changed): median; survivors "
        "only, see the age of open ones", kind="percentile", unit="hours", scale=_HOUR,
        percents=(50, 90), attributed_to=_AT_BREACH, subject_kind="violation", direction="down",
        dimensions=_BY_RULE, beside=(("open_age", "violations_age"),),
    ),
    Metric(
        "violations_age", "Возраст открытых нарушений", "Age of open violations",
        "working hours from the breach to the end of the period of violations that are open then, "
        "muted ones out: median", kind="percentile", unit="hours", scale=_HOUR, of_level=True,
        percents=(50, 90), attributed_to=_AT_BREACH, subject_kind="violation", direction="down",
        dimensions=_BY_RULE,
    ),
    Metric(
        "card_required", "Обязательные поля", "Required fields",
        "fields that open deals have to hold at their stage, at the end of the period",
        kind="level", direction="neutral",
    ),
    Metric(
        "card_filled", "Заполненные поля", "Filled required fields",
        "of card_required, those that are filled", kind="level", adds=("card_required",),
        takes=("card_missing",),
    ),
    Metric(
        "card_completeness", "Заполненность карточек", "Card completeness",
        "filled required fields / required fields over open deals, at the end of the period; null "
        "if none is required", kind="ratio", unit="ratio", numerator="card_filled",
        denominator=("card_required",), plannable=True,
    ),
    Metric(
        "card_required_hours", "Часы обязательных полей", "Required field-hours",
        "required fields of open deals x working hours of the responsible",
        part="time:card_required", unit="hours", scale=_HOUR, direction="neutral",
        attributed_to=_DURING, dimensions=_TIMED,
    ),
    Metric(
        "card_filled_hours", "Часы заполненных полей", "Filled field-hours",
        "filled required fields of open deals x working hours of the responsible",
        adds=("time:card_required",), takes=("time:card_missing",), unit="hours", scale=_HOUR,
        attributed_to=_DURING, dimensions=_TIMED,
    ),
    Metric(
        "card_completeness_avg", "Заполненность карточек в среднем", "Card completeness, average",
        "filled required fields / required fields over open deals and working time", kind="ratio",
        unit="ratio", numerator="card_filled_hours", denominator=("card_required_hours",),
        attributed_to=_DURING, dimensions=_TIMED,
    ),
    Metric(
        "load_weight", "Взвешенные сделки", "Weighted deals",
        "open deals, weighted by stage where weights are set, of sellers who have a limit, at the "
        "end of the period", kind="level", direction="neutral", dimensions=_PEOPLE,
    ),
    Metric(
        "load_limit", "Лимит сделок", "Limit of deals",
        "limits of open deals of the sellers who are listed, active and judged, at the end of the "
        "period", kind="level", direction="neutral", subject_kind="seller", dimensions=_PEOPLE,
        attributed_to="the seller",
    ),
    Metric(
        "load", "Загрузка", "Load",
        "weighted open deals / limit at the end of the period; 0.8 to 1 is full", kind="ratio",
        unit="ratio", numerator="load_weight", denominator=("load_limit",), direction="neutral",
        plannable=True, limit=True, dimensions=_PEOPLE,
    ),
    Metric(
        "sellers_present", "Продавцы на месте", "Sellers present",
        "sellers with a limit above 0 who are not absent, at the end of the period", kind="level",
        direction="neutral", subject_kind="seller", dimensions=_PEOPLE, attributed_to="the seller",
    ),
    Metric(
        "deals_per_seller", "Сделок на продавца", "Deals per seller",
        "open deals / sellers present with a limit above 0, at the end of the period",
        kind="ratio", unit="number", numerator="deals_open", denominator=("sellers_present",),
        direction="neutral", plannable=True, limit=True, dimensions=_PEOPLE,
    ),
    Metric(
        "load_spread", "Неравномерность", "Load spread",
        "highest less lowest load among the sellers, in points, at the end of the period; null "
        "under 2 sellers", kind="derived", notes=("highest", "lowest"),
        factors=("load_weight", "load_limit"), unit="points",
        direction="down", subject_kind="seller", dimensions=("account", "team"),
        attributed_to="the seller",
    ),
    Metric(
        "overload_hours", "Часы перегруза", "Overload hours",
        "length of the intervals of the rule seller-too-many-deals inside the period, in working "
        "hours of the seller", unit="hours", scale=_HOUR, subject_kind="violation",
        direction="down", attributed_to="the seller", dimensions=_PEOPLE,
    ),
    Metric(
        "deals_stuck", "Зависшие сделки", "Stuck deals",
        "open intervals of the rule deal-stuck at the end of the period", kind="level",
        direction="down", plannable=True,
    ),
    Metric(
        "deals_stuck_avg", "Зависшие сделки в среднем", "Stuck deals, average",
        "stuck deals, mean over the account's working time of the period", kind="derived",
        unit="number", factors=("deals_stuck",), notes=(), direction="down",
    ),
    Metric(
        "deals_stuck_value", "Сумма зависших сделок", "Value of stuck deals",
        "amounts of the deals in deals_stuck", kind="level", unit="money", direction="down",
        plannable=True,
    ),
    Metric(
        "reassignments", "Передачи", "Hand-overs",
        "+1 per change of the responsible by a person (or nobody knows by whom)",
        direction="neutral", attributed_to="who gave the deal away",
    ),
    Metric(
        "reassignments_to", "Принятые передачи", "Hand-overs taken",
        "+1 per change of the responsible by a person (or nobody knows by whom)",
        direction="neutral", attributed_to="who got the deal",
    ),
)  # fmt: skip
