"""Inflow (kpis.md 2)."""

from service.kpi.metric import Metric

_TOOK = "who took it; nobody until then"
_LEFT = ("inquiries", "inquiries_left")
FIGURES: tuple[Metric, ...] = (
    Metric(
        "inquiries", "Обращения", "Inquiries",
        "+1 per incoming lead and per deal born without one, at its creation; a client's next form "
        "in one pipeline within 24 hours (setting `same_inquiry_hours`) is the same inquiry",
        attributed_to=_TOOK, plannable=True,
    ),
    Metric(
        "inquiries_target", "Целевые обращения", "Qualified inquiries",
        "inquiries, -1 where one is declined or lost with a spam reason",
        adds=_LEFT, attributed_to=_TOOK, plannable=True,
    ),
    Metric(
        "inquiries_target_cohort", "Целевые обращения когорты", "Qualified inquiries of a cohort",
        "inquiries created in the period that are not declined and not lost as spam so far",
        adds=(*_LEFT, "inquiries_left_restated"), attributed_to=_TOOK,
    ),
    Metric(
        "inquiries_qualified", "Обращения, дошедшие до квалификации", "Inquiries that qualified",
        "inquiries whose deal reached the qualified stage within 14 days of their creation",
        part="inquiry_qualified", attributed_to=_TOOK,
    ),
    Metric(
        "lead_quality", "Качество лидов", "Lead quality",
        "of inquiries that are at least 14 days old: those that reached the qualified stage in 14 "
        "days / all; younger ones are counted in `immature`",
        kind="ratio", unit="ratio", cohort=True, horizon=14 * 86_400,
        numerator="inquiries_qualified", denominator=("inquiries",), attributed_to=_TOOK,
        plannable=True,
    ),
    Metric(
        "inquiries_dealt", "Обращения, ставшие сделкой", "Inquiries that became a deal",
        "inquiries created in the period that became a deal so far",
        adds=("inquiries", "inquiry_no_deal"), attributed_to=_TOOK,
    ),
    Metric(
        "lead_to_deal", "Из обращения в сделку", "Lead to deal",
        "inquiries created in the period that became a deal so far / all of them",
        kind="ratio", unit="ratio", cohort=True, numerator="inquiries_dealt",
        denominator=("inquiries",), attributed_to=_TOOK, plannable=True,
    ),
    Metric(
        "inquiries_declined", "Отклонено", "Declined",
        "+1 where an inquiry is declined, -1 where that is taken back", direction="down",
        attributed_to="who declined it", subject_kind="lead",
    ),
    Metric(
        "inquiries_unprocessed", "Неразобранные", "Unprocessed",
        "inquiries that are neither accepted nor declined at the end of the period",
        kind="level", direction="down", attributed_to=_TOOK, subject_kind="lead",
    ),
    Metric(
        "inquiries_unanswered", "Без ответа", "Unanswered inquiries",
        "inquiries created in the period without an attempt or talk so far",
        adds=("inquiries", "inquiries_answered"), direction="down", attributed_to=_TOOK,
    ),
    Metric(
        "first_response", "Скорость первого ответа (медиана)", "First response, median",
        "seconds from an inquiry's creation to the first attempt or talk, in the period of the "
        "creation; inquiries born of an answered call are left out",
        kind="percentile", unit="seconds", part="response", ranks="age", percents=(50, 90),
        beside=(("unanswered", "inquiries_unanswered"),), direction="down",
        attributed_to="who answered", plannable=True,
    ),
    Metric(
        "first_response_wt", "Скорость первого ответа в рабочем времени (медиана)",
        "First response in working time, median",
        "the same in working seconds of the responsible",
        kind="percentile", unit="seconds", part="response", percents=(50, 90),
        beside=(("unanswered", "inquiries_unanswered"),), direction="down",
        attributed_to="who answered", plannable=True,
    ),
    Metric(
        "response_in_norm", "Ответы в норматив", "Answers within the norm",
        "inquiries touched first within the norm of the rule of the first touch",
        attributed_to=_TOOK,
    ),
    Metric(
        "response_due", "Обращения с истёкшим нормативом или ответом",
        "Inquiries answered or past the norm",
        "inquiries that were touched, or whose norm has run out",
        direction="neutral", attributed_to=_TOOK,
    ),
    Metric(
        "answered_in_norm", "Ответ в норматив", "Answered within norm",
        "inquiries touched first within the norm in force at their creation / inquiries that were "
        "touched or whose norm has run out",
        kind="ratio", unit="ratio", cohort=True, numerator="response_in_norm",
        denominator=("response_due",), attributed_to=_TOOK, plannable=True,
    ),
)  # fmt: skip
