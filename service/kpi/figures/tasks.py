"""Tasks, quantity and quality (kpis.md 5)."""

from fractions import Fraction

from service.kpi.metric import Metric

_AT_DEADLINE = "responsible at the deadline"
_AT_FIRST = "responsible at the first deadline"
_TIMED = ("account", "seller", "team", "person", "pipeline")
_DUE_FIRST = ("tasks_due", "tasks_due_shift")
FIGURES: tuple[Metric, ...] = (
    Metric(
        "tasks_set", "Поставлено задач", "Tasks set", "+1 per task, at its creation",
        attributed_to="responsible at creation", subject_kind="task", direction="neutral",
        plannable=True,
    ),
    Metric(
        "tasks_set_by_robot", "Поставлено роботами", "Tasks set by robots",
        "of tasks_set, those that no person set", attributed_to="responsible at creation",
        subject_kind="task", direction="neutral",
    ),
    Metric(
        "tasks_set_by_author", "Поставлено задач (по автору)", "Tasks set, by author",
        "+1 per task, at its creation, for whoever set it; nobody where a robot did or it is not "
        "known", adds=("tasks_set", "tasks_authored"), attributed_to="author", subject_kind="task",
        direction="neutral",
    ),
    Metric(
        "tasks_done", "Выполнено задач", "Tasks done",
        "+1 at completion, -1 at reopening", subject_kind="task", plannable=True,
    ),
    Metric(
        "tasks_due", "Задачи со сроком", "Tasks due",
        "tasks whose last deadline lies in the period and has passed; deleted ones are out",
        attributed_to=_AT_DEADLINE, subject_kind="task", direction="neutral",
    ),
    Metric(
        "tasks_due_done", "Сделано к сроку", "Done by the deadline",
        "of tasks_due, those done by it", attributed_to=_AT_DEADLINE, subject_kind="task",
    ),
    Metric(
        "tasks_on_time", "Выполнено в срок", "Done on time",
        "tasks done by their deadline / tasks whose deadline lies in the period",
        kind="ratio", unit="ratio", numerator="tasks_due_done", denominator=("tasks_due",),
        attributed_to=_AT_DEADLINE, subject_kind="task", plannable=True,
    ),
    Metric(
        "tasks_due_first", "Задачи с первым сроком", "Tasks first due",
        "tasks whose first deadline lies in the period and has passed; deleted ones are out",
        adds=_DUE_FIRST, attributed_to=_AT_FIRST, subject_kind="task", direction="neutral",
    ),
    Metric(
        "tasks_due_first_done", "Сделано к первому сроку", "Done by the first deadline",
        "of tasks_due_first, those done by it", adds=("tasks_due_done", "tasks_due_done_shift"),
        attributed_to=_AT_FIRST, subject_kind="task",
    ),
    Metric(
        "tasks_on_time_first_deadline", "Выполнено в первый срок", "Done by the first promise",
        "tasks done by their first deadline / tasks whose first deadline lies in the period",
        kind="ratio", unit="ratio", numerator="tasks_due_first_done",
        denominator=("tasks_due_first",), attributed_to=_AT_FIRST, subject_kind="task",
        plannable=True,
    ),
    Metric(
        "tasks_overdue", "Просрочено задач", "Tasks overdue",
        "open intervals of the rule task-overdue at the end of the period", kind="level",
        subject_kind="task", direction="down", plannable=True,
    ),
    Metric(
        "tasks_overdue_avg", "Просрочено задач в среднем", "Tasks overdue, average",
        "tasks overdue, mean over the account's working time of the period", kind="derived",
        unit="number", factors=("tasks_overdue",), notes=(), subject_kind="task", direction="down",
    ),
    Metric(
        "became_overdue", "Стали просроченными", "Became overdue",
        "breaches of the rule task-overdue in the period", subject_kind="task", direction="down",
        plannable=True,
    ),
    Metric(
        "overdue_hours", "Часы просрочки", "Overdue hours",
        "length of the intervals of the rule task-overdue inside the period, in working hours of "
        "the responsible", part="time:tasks_overdue", unit="hours", scale=Fraction(1, 3600),
        attributed_to="responsible during each piece", subject_kind="task", direction="down",
        dimensions=_TIMED,
    ),
    Metric(
        "postponements", "Переносы (число)", "Postponements made",
        "deadlines moved to a later instant by people with under 8 working hours left, or after "
        "them; several within 10 minutes are one", subject_kind="task", direction="down",
    ),
    Metric(
        "postponement_rate", "Переносы", "Postponements",
        "postponements / tasks whose deadline lies in the period", kind="ratio", unit="ratio",
        numerator="postponements", denominator=("tasks_due",), direction="down",
        subject_kind="task",
    ),
    Metric(
        "tasks_with_result", "Задачи с результатом (число)", "Tasks with a result",
        "of tasks_due_first, those done with a trace: a note, a result, a talk, a move, a message, "
        "a next task", adds=_DUE_FIRST, takes=("tasks_resultless",), attributed_to=_AT_FIRST,
        subject_kind="task",
    ),
    Metric(
        "tasks_with_text", "Задачи с содержанием (число)", "Tasks that say what to do",
        "of tasks_due_first, those whose text is meaningful", adds=_DUE_FIRST,
        takes=("tasks_textless",), attributed_to=_AT_FIRST, subject_kind="task",
    ),
    Metric(
        "tasks_well_done", "Задачи, выполненные хорошо", "Tasks done well",
        "of tasks_due_first, those done by it, with a trace and a meaningful text",
        adds=_DUE_FIRST, takes=("tasks_poor",), attributed_to=_AT_FIRST, subject_kind="task",
    ),
    Metric(
        "tasks_quality", "Качество задач", "Task quality",
        "tasks done by the first deadline, with a trace and a meaningful text / tasks whose first "
        "deadline lies in the period", kind="ratio", unit="ratio", numerator="tasks_well_done",
        denominator=("tasks_due_first",), attributed_to=_AT_FIRST, subject_kind="task",
        plannable=True, beside=(
            ("on_time", "tasks_on_time_first_deadline"),
            ("with_result", "tasks_quality_with_result"),
            ("with_text", "tasks_quality_with_text"),
        ),
    ),
    Metric(
        "tasks_quality_with_result", "Качество задач: результат", "Task quality: result",
        "tasks done with a trace / tasks whose first deadline lies in the period", kind="ratio",
        unit="ratio", numerator="tasks_with_result", denominator=("tasks_due_first",),
        attributed_to=_AT_FIRST, subject_kind="task",
    ),
    Metric(
        "tasks_quality_with_text", "Качество задач: содержание", "Task quality: text",
        "tasks that say what to do / tasks whose first deadline lies in the period", kind="ratio",
        unit="ratio", numerator="tasks_with_text", denominator=("tasks_due_first",),
        attributed_to=_AT_FIRST, subject_kind="task",
    ),
    Metric(
        "deals_without_task", "Сделки без задач", "Deals without a task",
        "open intervals of the rule deal-no-task at the end of the period", kind="level",
        direction="down", plannable=True,
    ),
    Metric(
        "deals_without_task_avg", "Сделки без задач в среднем", "Deals without a task, average",
        "deals without a task, mean over the account's working time of the period",
        kind="derived", unit="number", factors=("deals_without_task",), notes=(), direction="down",
    ),
    Metric(
        "deals_without_task_share", "Доля сделок без задач", "Share of deals without a task",
        "deals without a task / open deals, at the end of the period", kind="ratio", unit="ratio",
        numerator="deals_without_task", denominator=("deals_open",), direction="down",
    ),
    Metric(
        "open_deal_hours", "Часы открытых сделок", "Open deal-hours",
        "working hours of the responsible in which a deal was open, summed over deals",
        part="time:deals_open", unit="hours", scale=Fraction(1, 3600), direction="neutral",
        attributed_to="responsible during each piece", dimensions=_TIMED,
    ),
    Metric(
        "covered_deal_hours", "Часы сделок с задачей", "Deal-hours with a next step",
        "of open_deal_hours, those in which the deal had an open task", adds=("time:deals_open",),
        takes=("time:deals_uncovered",), unit="hours", scale=Fraction(1, 3600),
        attributed_to="responsible during each piece", dimensions=_TIMED,
    ),
    Metric(
        "next_step_coverage", "Есть следующий шаг", "Next-step coverage",
        "deal-hours with an open task / open deal-hours, in working time of the responsible",
        kind="ratio", unit="ratio", numerator="covered_deal_hours",
        denominator=("open_deal_hours",), attributed_to="responsible during each piece",
        plannable=True, dimensions=_TIMED,
    ),
)  # fmt: skip
