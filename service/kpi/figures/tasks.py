"""Tasks, quantity and quality (kpis.md 5)."""

from service.kpi.metric import Metric

FIGURES: tuple[Metric, ...] = (
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
        subject_kind="task", direction="down", plannable=True,
    ),
    Metric(
        "became_overdue", "Стали просроченными", "Became overdue",
        "breaches of the rule task-overdue in the period", subject_kind="task", direction="down",
        plannable=True,
    ),
)  # fmt: skip
