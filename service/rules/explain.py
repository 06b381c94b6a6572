"""Why a violation is one, told to people: a short story in Russian or English."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from service.domain import speech
from service.domain.config import Config
from service.domain.instant import Instant, to_datetime
from service.domain.span import Span
from service.domain.violation import SECOND_KINDS
from service.rules.attribute_words import VALUES, attribute_name
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.schema import RuleModel

Row = Mapping[str, Any]
_TEXTS = {
    "ru": {
        "waited": "Отсчёт с {since}; допустимо {span}, срок истёк {breach}.",
        "waits": "Отсчёт с {since}; допустимо {span}, срок истекает {breach}.",
        "later": "Отсчёт с {since}; допустимо {span}, срок истёк {end}; нарушение с {breach}.",
        "at_once": "Нарушение с {breach}.",
        "will_be": "Нарушение наступит {breach}.",
        "ended": "Закрыто {resolved}: {why}.",
        "skipped": "Не считались: {days}.",
        "proof": "Что это показало: {values}.",
        "until": "Закроется так: {advice}.",
        "rule": "Правило {rule}, версия {version}, {severity}.",
        "fixed": "исправлено", "moved": "отсчёт начался заново", "gone": "больше не проверяется",
        "rule_changed": "правило изменилось", "expired": "уведомление показано рабочий день",
        "yes": "да", "no": "нет", "none": "нет",
        "weekend": "выходной", "holiday": "праздник", "off": "выходной по настройкам",
        "absent": "отсутствие", "critical": "критично", "warning": "предупреждение",
        "info": "к сведению",
    },
    "en": {
        "waited": "Counted from {since}; {span} allowed, run out at {breach}.",
        "waits": "Counted from {since}; {span} allowed, runs out at {breach}.",
        "later": "Counted from {since}; {span} allowed, run out at {end}; "
        "in breach since {breach}.",
        "at_once": "In breach since {breach}.",
        "will_be": "In breach from {breach}.",
        "ended": "Resolved at {resolved}: {why}.",
        "skipped": "Not counted: {days}.",
        "proof": "What proved it: {values}.",
        "until": "What ends it: {advice}.",
        "rule": "Rule {rule}, version {version}, {severity}.",
        "fixed": "fixed", "moved": "the clock started anew", "gone": "it is no longer watched",
        "rule_changed": "the rule changed", "expired": "a notice, shown for a working day",
        "yes": "yes", "no": "no", "none": "none",
        "weekend": "weekend", "holiday": "holiday", "off": "day off by the settings",
        "absent": "absence", "critical": "critical", "warning": "warning", "info": "info",
    },
}  # fmt: skip


def clock(row: Row, config: Config, now: Instant, lang: str) -> list[str]:
    """From when it was counted, how long was allowed, and how it ended."""
    texts = _TEXTS[lang]
    span = Span.parse(row["values"].get("for", "0m"))
    past = row["breach_at"] <= now
    end = _run_out(row, span, config)
    if not span.count:
        said = texts["at_once" if past else "will_be"]
    elif past and end < row["breach_at"]:
        said = texts["later"]
    else:
        said = texts["waited" if past else "waits"]
    sentences = [
        said.format(
            since=local(row["since"], config),
            span=speech.span(str(span), lang),
            end=local(end, config),
            breach=local(row["breach_at"], config),
        )
    ]
    resolved = row["resolved_at"]
    if resolved is not None and resolved <= now:
        why = texts.get(row["resolution"] or "", "")
        sentences.append(texts["ended"].format(resolved=local(resolved, config), why=why))
    return sentences


def _run_out(row: Row, span: Span, config: Config) -> Instant:
    """When the time was used up: before the breach if the condition, or the rule, came later."""
    if row["subject_kind"] in SECOND_KINDS:
        return int(row["breach_at"])
    return config.calendar(row["seller"] or None).add(row["since"], span)


def skipped_days(row: Row, config: Config) -> list[tuple[Instant, Instant, str]]:
    """Whole days that did not count between `since` and the breach, with the reason."""
    span = Span.parse(row["values"].get("for", "0m"))
    if not span.is_working or row["breach_at"] <= row["since"]:
        return []
    return config.calendar(row["seller"] or None).skipped(row["since"], row["breach_at"])


def story(
    row: Row, model: RuleModel, title: str, config: Config, now: Instant, lang: str
) -> list[str]:
    """The whole story, a sentence a line: what, since when, what did not count, why, what next."""
    texts = _TEXTS[lang]
    lines = [sentence(title)]
    lines += clock(row, config, now, lang)
    days = skipped_days(row, config)
    if days:
        told = ", ".join(f"{local(left, config)[:5]} ({texts[reason]})" for left, _, reason in days)
        lines.append(texts["skipped"].format(days=told))
    proof = list(_proof(model, row, config, lang))
    if proof:
        lines.append(texts["proof"].format(values="; ".join(proof)))
    if row["resolved_at"] is None or row["resolved_at"] > now:
        advice: str = getattr(model.advice, lang)
        lines.append(texts["until"].format(advice=advice.rstrip(".?")))
    lines.append(
        texts["rule"].format(
            rule=row["rule"], version=row["rule_version"], severity=texts[row["severity"]]
        )
    )
    return lines


def _proof(model: RuleModel, row: Row, config: Config, lang: str) -> Iterator[str]:
    known: Mapping[str, Attribute] = ATTRIBUTES[model.on]
    for name, value in row["values"].get("attributes", {}).items():
        said = value_said(known.get(name), name, value, row, config, lang)
        yield f"{attribute_name(name, lang)}: {said}"


def value_said(
    attribute: Attribute | None, name: str, value: Any, row: Row, config: Config, lang: str
) -> str:
    """What an attribute was, as people say it: money with its currency, names for ids."""
    texts = _TEXTS[lang]
    if value is None or value in ("", []):
        return texts["none"]
    if isinstance(value, bool):
        return texts["yes" if value else "no"]
    if attribute is not None and attribute.type == "instant":
        return local(value, config)
    if name in _NAMED:
        return _NAMED[name](value, row, config, lang)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def _money(value: Any, row: Row, config: Config, lang: str) -> str:
    return speech.money(value, row["currency"] or config.currency, lang)


def _seller(value: Any, _row: Row, config: Config, _lang: str) -> str:
    return config.seller_name(value) or str(value)


def _stage(value: Any, row: Row, config: Config, _lang: str) -> str:
    stages = [value] if isinstance(value, str) else value
    return ", ".join(config.stage_name(row["pipeline"], stage) or stage for stage in stages)


def _pipeline(value: Any, _row: Row, config: Config, _lang: str) -> str:
    found = config.directory.pipeline(value)
    return found.name if found else str(value)


def _fields(value: Any, _row: Row, config: Config, _lang: str) -> str:
    return ", ".join(map(config.field_name, value))


def _reason(value: Any, _row: Row, config: Config, _lang: str) -> str:
    return next((r.name for r in config.directory.loss_reasons if r.id == value), str(value))


def _task_kind(value: Any, _row: Row, config: Config, _lang: str) -> str:
    return next((k.name for k in config.directory.task_kinds if k.id == value), str(value))


def _word(value: Any, _row: Row, _config: Config, lang: str) -> str:
    return VALUES[value][lang == "en"] if value in VALUES else str(value)


_NAMED: Mapping[str, Callable[[Any, Row, Config, str], str]] = {
    "deal.amount": _money, "deal.amount_peak_late": _money,
    "deal.responsible": _seller, "task.responsible": _seller, "lead.responsible": _seller,
    "call.seller": _seller,
    "deal.stage": _stage, "deal.skipped_stages": _stage, "deal.pipeline": _pipeline,
    "deal.missing_fields": _fields, "deal.junk_fields": _fields,
    "deal.loss_reason": _reason, "lead.decline_reason": _reason, "task.kind": _task_kind,
    "deal.last_move": _word, "call.direction": _word, "lead.state": _word,
}  # fmt: skip
"""Attributes whose values are ids, minor units or words of the API."""


def sentence(title: str) -> str:
    """A title with one full stop, also where it ends with an abbreviation."""
    return f"{title.removesuffix('.')}."


def local(at: Instant, config: Config) -> str:
    """An instant on the account's wall clock."""
    return to_datetime(at).astimezone(config.timezone).strftime("%d.%m.%Y %H:%M")
