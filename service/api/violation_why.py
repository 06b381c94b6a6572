"""The proof of a violation: condition, values, how the clock was counted, what would end it."""

from collections.abc import Mapping
from typing import Any

from service.api.rule_texts import advice
from service.api.violation_views import Viewer
from service.domain import speech
from service.domain.calendar import WorkCalendar
from service.domain.instant import Instant, iso, to_datetime
from service.domain.span import Span
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.schema import RuleModel
from service.rules.texts import Names, render_title

Row = Mapping[str, Any]
_TEXTS = {
    "ru": {
        "waited": "Отсчёт с {since}; допустимо {span}, срок истёк {breach}.",
        "waits": "Отсчёт с {since}; допустимо {span}, срок истекает {breach}.",
        "at_once": "Нарушение с {breach}.",
        "will_be": "Нарушение наступит {breach}.",
        "ended": "Закрыто {resolved}.",
    },
    "en": {
        "waited": "Counted from {since}; {span} allowed, run out at {breach}.",
        "waits": "Counted from {since}; {span} allowed, runs out at {breach}.",
        "at_once": "In breach since {breach}.",
        "will_be": "In breach from {breach}.",
        "ended": "Resolved at {resolved}.",
    },
}


def why(view: Viewer, row: Row) -> dict[str, Any]:
    """The member `why` of a violation."""
    call, names = view.call, view.names[row["account_id"]]
    model = call.book.models.get(row["rule"])
    proof = row["values"]
    span = Span.parse(proof.get("for", "0m"))
    return {
        "text": _text(view, row, span),
        "when": model.when if model else None,
        "values": _values(model, proof.get("attributes", {}), row["breach_at"]),
        "clock": _clock(names.config.calendar(row["seller"] or None), row, span),
        "resolves_when": advice(model, call.lang),
    }


def _text(view: Viewer, row: Row, span: Span) -> str:
    lang, at = view.call.lang, view.at
    texts = _TEXTS[lang]
    zone = view.names[row["account_id"]].config.timezone

    def local(instant: Instant) -> str:
        return to_datetime(instant).astimezone(zone).strftime("%d.%m.%Y %H:%M")

    past = row["breach_at"] <= at
    if span.count:
        middle = texts["waited" if past else "waits"]
    else:
        middle = texts["at_once" if past else "will_be"]
    resolved = row["resolved_at"]
    parts = {
        "since": local(row["since"]),
        "span": speech.span(str(span), lang),
        "breach": local(row["breach_at"]),
    }
    sentences = [f"{_title(view, row)}.", middle.format(**parts)]
    if resolved is not None and resolved <= at:
        sentences.append(texts["ended"].format(resolved=local(resolved)))
    return " ".join(sentences)


def _title(view: Viewer, row: Row) -> str:
    """The rule's title with the values of this violation."""
    model = view.call.book.models.get(row["rule"])
    if model is None:
        return str(row["rule"])
    config = view.names[row["account_id"]].config
    deal, subject = view.labels(row)
    return render_title(model, row, Names(deal, subject), config, view.at, view.call.lang)


def _values(
    model: RuleModel | None, attributes: Mapping[str, Any], at: Instant
) -> list[dict[str, Any]]:
    known: Mapping[str, Attribute] = ATTRIBUTES[model.on] if model else {}
    return [
        {
            "name": name,
            "title": known[name].doc if name in known else name,
            "value": _plain(known.get(name), value),
            "at": iso(at),
        }
        for name, value in sorted(attributes.items())
    ]


def _plain(attribute: Attribute | None, value: Any) -> Any:
    """Instants as the API tells them."""
    is_instant = attribute is not None and attribute.type == "instant"
    return iso(value) if is_instant and isinstance(value, int) else value


def _clock(calendar: WorkCalendar, row: Row, span: Span) -> dict[str, Any]:
    since, breach = row["since"], row["breach_at"]
    effective = row["effective_from"]
    counted, skipped = max(0, breach - since), []
    if span.is_working and breach > since:
        counted = calendar.working_seconds(since, breach)
        skipped = [
            {"from": iso(left), "to": iso(right), "reason": reason}
            for left, right, reason in calendar.skipped(since, breach)
        ]
    return {
        "since": iso(since),
        "held_since": iso(row["held_since"]),
        "effective_from": iso(effective) if effective > 0 else None,
        "for": str(span),
        "counted_seconds": counted,
        "skipped": skipped,
    }
