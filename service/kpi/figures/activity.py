"""Activity (kpis.md 4). Calls count at their start, for who talked."""

from fractions import Fraction

from service.kpi.metric import Metric

_AUTHOR = "who talked"
_PEOPLE = ("account", "seller", "team", "person")
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
        "dials", "Попытки дозвона", "Attempts",
        "outgoing calls and messages of people; those within 10 minutes of the one before to the "
        "same client are one attempt",
        adds=("calls_out", "messages_out"), takes=("redials",), attributed_to=_AUTHOR,
        subject_kind="call",
        plannable=True, telephony=True,
    ),
    Metric(
        "calls_reached", "Дозвоны", "Outgoing calls answered", "outgoing calls that were answered",
        adds=("calls_out", "calls_missed_in"), takes=("calls_missed",), attributed_to=_AUTHOR,
        subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "reach_rate", "Дозвон", "Reach rate", "answered outgoing calls / outgoing calls",
        kind="ratio", unit="ratio", numerator="calls_reached", denominator=("calls_out",),
        attributed_to=_AUTHOR, subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "talk_seconds", "Минуты на линии", "Talk time",
        "duration of answered calls, at their start", unit="seconds", attributed_to=_AUTHOR,
        subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "talks", "Разговоры", "Talks", "answered calls of at least 10 s, either direction",
        adds=("calls_answered",), takes=("short_talks",), attributed_to=_AUTHOR,
        subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "talks_time", "Время разговоров", "Time of talks",
        "duration of answered calls of at least 10 s", unit="seconds", adds=("talk_seconds",),
        takes=("short_talk_seconds",), attributed_to=_AUTHOR, subject_kind="call", telephony=True,
    ),
    Metric(
        "average_talk", "Средний разговор", "Average talk", "time of talks / talks, in seconds",
        kind="ratio", unit="seconds", numerator="talks_time", denominator=("talks",),
        direction="neutral", attributed_to=_AUTHOR, subject_kind="call", telephony=True,
    ),
    Metric(
        "missed_calls", "Пропущенные звонки", "Missed calls",
        "incoming calls that nobody answered",
        attributed_to="responsible for the deal at the call; nobody without a deal",
        subject_kind="call", direction="down", telephony=True,
    ),
    Metric(
        "calls_unreturned", "Пропущенные без перезвона", "Missed calls not returned",
        "missed calls after which nobody tried to reach or talked to the client within 30 working "
        "minutes, at the call's start, once that time is over",
        attributed_to="responsible for the deal at the call; nobody without a deal",
        subject_kind="call", direction="down", telephony=True,
    ),
    Metric(
        "missed_unreturned", "Не перезвонили", "Missed, not returned",
        "missed calls not returned within 30 working minutes / missed calls, at their start",
        kind="ratio", unit="ratio", cohort=True, numerator="calls_unreturned",
        denominator=("missed_calls",), direction="down", subject_kind="call", telephony=True,
        attributed_to="responsible for the deal at the call; nobody without a deal",
    ),
    Metric(
        "messages_out", "Исходящие сообщения", "Messages sent",
        "messages (chats, mails, SMS) that people wrote to clients; robots' are out",
        attributed_to="author", subject_kind="message", direction="neutral", plannable=True,
        needs="messages",
    ),
    Metric(
        "messages_in", "Входящие сообщения", "Messages received",
        "messages (chats, mails, SMS) that clients wrote", subject_kind="message",
        direction="neutral", plannable=True, needs="messages",
    ),
    Metric(
        "meetings", "Встречи", "Meetings",
        "meeting tasks (by the name of their kind) closed with a result, at the closing; "
        "-1 at reopening", part="meetings_held", subject_kind="task", plannable=True,
    ),
    Metric(
        "notes", "Записи", "Notes", "+1 per note of a person", attributed_to="author",
        subject_kind="note", direction="neutral",
    ),
    Metric(
        "talks_long", "Разговоры от 30 секунд", "Talks of 30 s or more",
        "answered calls of at least 30 s", adds=("calls_answered",), takes=("brief_talks",),
        attributed_to=_AUTHOR, subject_kind="call", telephony=True,
    ),
    Metric(
        "talks_documented", "Разговоры с записью (число)", "Documented talks",
        "answered calls of at least 30 s after which the talker wrote something down within a "
        "working hour of the end: a note, a result, a new task that says what to do",
        adds=("calls_answered",), takes=("brief_talks", "bare_talks"), attributed_to=_AUTHOR,
        subject_kind="call", telephony=True,
    ),
    Metric(
        "talk_documented", "Разговоры с записью", "Talks documented",
        "documented talks / answered calls of at least 30 s, at the call's start", kind="ratio",
        unit="ratio", numerator="talks_documented", denominator=("talks_long",),
        attributed_to=_AUTHOR, subject_kind="call", plannable=True, telephony=True,
    ),
    Metric(
        "touches_won", "Касания проданных сделок", "Touches of deals won",
        "attempts and talks of a won deal from its beginning to the win, at the win; taken back "
        "at reopening", direction="neutral", attributed_to="responsible at the win",
        telephony=True,
    ),
    Metric(
        "touches_per_sale", "Касаний на продажу", "Touches per sale",
        "attempts and talks on won deals over their whole life / deals won", kind="ratio",
        unit="number", numerator="touches_won", denominator=("deals_won",), direction="neutral",
        attributed_to="responsible at the win", telephony=True,
    ),
    Metric(
        "calls_per_deal", "Звонков на сделку", "Calls per deal",
        "calls / deals created, each by its own instant in the period: for trends only",
        kind="ratio", unit="number", numerator="calls", denominator=("deals_created",),
        direction="neutral", attributed_to="who talked; responsible at creation", telephony=True,
    ),
    Metric(
        "minutes_per_sale", "Минут разговора на продажу", "Talk minutes per sale",
        "talk time in minutes / deals won, each by its own instant in the period: for trends only",
        kind="ratio", unit="minutes", numerator="talk_seconds", denominator=("deals_won",),
        scale=Fraction(1, 60), direction="neutral",
        attributed_to="who talked; responsible at the win", telephony=True,
    ),
    Metric(
        "proposals", "Отправлено КП", "Proposals",
        "deals at their first entry into a stage whose name says that a proposal goes out "
        "(КП, коммерческое предложение, proposal, quote)", plannable=True, needs="proposals",
    ),
    Metric(
        "proposals_per_sale", "КП на продажу", "Proposals per sale",
        "proposals / deals won, each by its own instant in the period: for trends only",
        kind="ratio", unit="number", numerator="proposals", denominator=("deals_won",),
        direction="neutral", needs="proposals",
    ),
    Metric(
        "calls_lived", "Звонки сделок когорты", "Calls of a cohort",
        "calls so far on the deals created in the period, over their whole life",
        direction="neutral", attributed_to="responsible at the creation", telephony=True,
    ),
    Metric(
        "calls_per_deal_cohort", "Звонков на сделку (когорта)", "Calls per deal of a cohort",
        "calls so far on the deals created in the period / those deals", kind="ratio",
        unit="number", numerator="calls_lived", denominator=("deals_created",),
        direction="neutral", attributed_to="responsible at the creation", telephony=True,
    ),
    Metric(
        "talk_seconds_won", "Разговоры проданных сделок", "Talk time of deals won",
        "talk time on a won deal from its beginning to the win, at the win; taken back at "
        "reopening", unit="seconds", direction="neutral", attributed_to="responsible at the win",
        telephony=True,
    ),
    Metric(
        "minutes_per_sale_cohort", "Минут разговора на продажу (вся жизнь сделки)",
        "Talk minutes per sale, whole life",
        "talk time in minutes on the deals won in the period over their whole life / deals won",
        kind="ratio", unit="minutes", numerator="talk_seconds_won", denominator=("deals_won",),
        scale=Fraction(1, 60), direction="neutral", attributed_to="responsible at the win",
        telephony=True,
    ),
    Metric(
        "proposals_won", "Проданные сделки с КП", "Deals won with a proposal",
        "deals won in the period for which a proposal had gone out; taken back at reopening",
        direction="neutral", attributed_to="responsible at the win", needs="proposals",
    ),
    Metric(
        "proposals_per_sale_cohort", "КП на продажу (вся жизнь сделки)",
        "Proposals per sale, whole life",
        "proposals on the deals won in the period over their whole life / deals won", kind="ratio",
        unit="number", numerator="proposals_won", denominator=("deals_won",), direction="neutral",
        attributed_to="responsible at the win", needs="proposals",
    ),
    Metric(
        "active_days", "Дни работы в CRM", "Days active",
        "working days on which a seller did something in the CRM: calls, notes, tasks, changes "
        "of deals", subject_kind="seller", attributed_to="author", dimensions=(*_PEOPLE, "weekday"),
    ),
    Metric(
        "meeting_time", "Время встреч", "Time of meetings",
        "time of meetings whose beginning and end the CRM tells (Bitrix24; amoCRM tells none)",
        unit="seconds", subject_kind="task", dimensions=_PEOPLE,
    ),
    Metric(
        "selling_time", "Время на продажи", "Selling time",
        "talk time + time of meetings", unit="seconds", adds=("talk_seconds", "meeting_time"),
        subject_kind="call", dimensions=_PEOPLE, telephony=True,
    ),
    Metric(
        "working_time", "Рабочее время", "Working time",
        "working time of sellers as long as they are active, their absences out, up to now",
        unit="seconds", subject_kind="seller", direction="neutral", attributed_to="the seller",
        dimensions=_PEOPLE,
    ),
    Metric(
        "selling_time_share", "Доля времени на продажи", "Selling time share",
        "(talk time + time of meetings) / working time: only what the CRM sees", kind="ratio",
        unit="ratio", numerator="selling_time", denominator=("working_time",),
        subject_kind="call", dimensions=_PEOPLE, telephony=True,
    ),
)  # fmt: skip
