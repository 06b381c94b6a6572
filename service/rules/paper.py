"""The catalogue on paper: the tables of the READMEs, made from the rules themselves."""

from collections.abc import Iterable

from service.domain import speech
from service.rules.schema import ByStage, RuleModel

_NEEDS = {
    "absences": ("отпуска в настройках", "absences in the settings"),
    "client_keys": ("клиенты в сделках", "clients of deals"),
    "close_date": ("поле с датой закрытия", "a field with the closing date"),
    "commented_stages": ("список этапов `commented`", "the list `commented`"),
    "deadline_optional": ("задачи без срока (не amoCRM)", "tasks without a deadline (not amoCRM)"),
    "lead_calls": ("звонки по обращениям", "calls on inquiries"),
    "leads": ("обращения", "inquiries"),
    "loss_reason": ("причины отказа", "loss reasons"),
    "mandatory_stages": ("список этапов `mandatory`", "the list `mandatory`"),
    "required_fields": ("обязательные поля", "required fields"),
    "source": ("поле с источником", "a field with the source"),
    "telephony": ("телефония", "telephony"),
    "users": ("полный список сотрудников", "the complete list of users"),
}
_SEVERITY = {"critical": "🔴", "warning": "🟡", "info": "🔵"}


def table(models: Iterable[RuleModel], lang: str) -> str:
    """A table of rules: id, what it says, norm, whether it is on and what it needs."""
    index = 0 if lang == "ru" else 1
    head = (
        ("правило", "что случилось", "норма", "включено"),
        ("rule", "what it says", "norm", "on"),
    )[index]
    lines = [f"| | {' | '.join(head)} |", "|" + "---|" * (len(head) + 1)]
    for model in sorted(models, key=lambda m: (m.on, m.id)):
        name = getattr(model.name or model.title, lang)
        cells = (
            _SEVERITY[model.severity],
            f"`{model.id}`",
            name,
            norm(model, lang),
            _on(model, lang),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


_AT_ONCE = {"ru": "сразу", "en": "at once"}
_BY = {
    "stage": ("по этапам", "by stage"), "pipeline": ("по воронкам", "by pipeline"),
    "source": ("по источникам", "by source"), "category": ("по категориям", "by category"),
    "kind": ("по типам задач", "by kind of task"),
}  # fmt: skip


def norm(model: RuleModel, lang: str) -> str:
    """How long, and by which numbers."""
    span = model.for_.default if isinstance(model.for_, ByStage) else model.for_
    words = [] if span.startswith("0") else [speech.span(span, lang)]
    if isinstance(model.for_, ByStage):
        by = _BY[model.for_.by][0 if lang == "ru" else 1]
        words = [f"{words[0] if words else _AT_ONCE[lang]} ({by})"]
    words += [f"{name} {value}" for name, value in model.params.items()]
    return ", ".join(words) or _AT_ONCE[lang]


def _on(model: RuleModel, lang: str) -> str:
    index = 0 if lang == "ru" else 1
    words = [("да", "yes") if model.enabled else ("нет", "no")]
    needs = ", ".join(_NEEDS[need][index] for need in model.needs)
    said = words[0][index]
    return f"{said}; {('нужно: ', 'needs ')[index]}{needs}" if needs else said
