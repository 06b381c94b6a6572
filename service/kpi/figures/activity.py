"""Activity (kpis.md 4)."""

from service.kpi.metric import Metric

_AUTHOR = "who talked"
FIGURES: tuple[Metric, ...] = (
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
)  # fmt: skip
