"""Why a violation is one, told to people: a short story in Russian or English."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.domain import speech
from service.domain.config import Config
from service.domain.instant import Instant, to_datetime
from service.domain.span import Span
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.schema import RuleModel

Row = Mapping[str, Any]
_TEXTS = {
    "ru": {
        "waited": "Отсчёт с {since}; допустимо {span}, срок истёк {breach}.",
        "waits": "Отсчёт с {since}; допустимо {span}, срок истекает {breach}.",
        "at_once": "Нарушение с {breach}.",
        "will_be": "Нарушение наступит {breach}.",
        "ended": "Закрыто {resolved}: {why}.",
        "skipped": "Не считались: {days}.",
        "proof": "Что это показало: {values}.",
        "until": "Закроется так: {advice}.",
        "rule": "Правило {rule}, версия {version}, {severity}.",
        "fixed": "исправлено", "moved": "отсчёт начался заново", "gone": "сделки больше нет",
        "rule_changed": "правило изменилось", "expired": "уведомление показано рабочий день",
        "yes": "да", "no": "нет", "none": "нет",
        "weekend": "выходной", "holiday": "праздник", "off": "выходной по настройкам",
        "absent": "отсутствие", "critical": "критично", "warning": "предупреждение",
        "info": "к сведению",
    },
    "en": {
        "waited": "Counted from {since}; {span} allowed, run out at {breach}.",
        "waits": "Counted from {since}; {span} allowed, runs out at {breach}.",
        "at_once": "In breach since {breach}.",
        "will_be": "In breach from {breach}.",
        "ended": "Resolved at {resolved}: {why}.",
        "skipped": "Not counted: {days}.",
        "proof": "What proved it: {values}.",
        "until": "What ends it: {advice}.",
        "rule": "Rule {rule}, version {version}, {severity}.",
        "fixed": "fixed", "moved": "the clock started anew", "gone": "the deal is gone",
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
    if span.count:
        said = texts["waited" if past else "waits"]
    else:
        said = texts["at_once" if past else "will_be"]
    sentences = [
        said.format(
            since=local(row["since"], config),
            span=speech.span(str(span), lang),
            breach=local(row["breach_at"], config),
        )
    ]
    resolved = row["resolved_at"]
    if resolved is not None and resolved <= now:
        why = texts.get(row["resolution"] or "", "")
        sentences.append(texts["ended"].format(resolved=local(resolved, config), why=why))
    return sentences


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
    lines = [f"{title}."]
    lines += clock(row, config, now, lang)
    days = skipped_days(row, config)
    if days:
        told = ", ".join(f"{local(left, config)[:5]} ({texts[reason]})" for left, _, reason in days)
        lines.append(texts["skipped"].format(days=told))
    proof = list(_proof(model, row["values"].get("attributes", {}), config, texts))
    if proof:
        lines.append(texts["proof"].format(values=", ".join(proof)))
    if row["resolved_at"] is None or row["resolved_at"] > now:
        advice: str = getattr(model.advice, lang)
        lines.append(texts["until"].format(advice=advice.rstrip(".?")))
    lines.append(
        texts["rule"].format(
            rule=row["rule"], version=row["rule_version"], severity=texts[row["severity"]]
        )
    )
    return lines


def _proof(
    model: RuleModel, attributes: Mapping[str, Any], config: Config, texts: Mapping[str, str]
) -> Iterator[str]:
    known: Mapping[str, Attribute] = ATTRIBUTES[model.on]
    for name, value in attributes.items():
        attribute = known.get(name)
        yield f"{name} = {_said(attribute, value, config, texts)}"


def _said(attribute: Attribute | None, value: Any, config: Config, texts: Mapping[str, str]) -> str:
    if value is None:
        return texts["none"]
    if isinstance(value, bool):
        return texts["yes" if value else "no"]
    if attribute is not None and attribute.type == "instant":
        return local(value, config)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(config.field_name(str(item)) for item in value) or texts["none"]
    return str(value)


def local(at: Instant, config: Config) -> str:
    """An instant on the account's wall clock."""
    return to_datetime(at).astimezone(config.timezone).strftime("%d.%m.%Y %H:%M")
