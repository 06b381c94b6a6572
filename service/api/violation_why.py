"""The proof of a violation: condition, values, how the clock was counted, what would end it."""

from collections.abc import Mapping
from typing import Any

from service.api.violation_views import Viewer
from service.domain.config import Config
from service.domain.instant import iso
from service.domain.span import Span
from service.rules.attribute_words import attribute_name
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.explain import clock, sentence, skipped_days, story, value_said
from service.rules.schema import RuleModel
from service.rules.texts import Names, render_title
from service.rules.words import advice

Row = Mapping[str, Any]


def why(view: Viewer, row: Row) -> dict[str, Any]:
    """The member `why` of a violation."""
    call, names = view.call, view.names[row["account_id"]]
    model = names.book.model(row["rule"])
    proof = row["values"]
    span = Span.parse(proof.get("for", "0m"))
    return {
        "text": _text(view, row),
        "story": story(row, model, _title(view, row), names.config, view.at, call.lang)
        if model
        else [],
        "when": model.when if model else None,
        "values": _values(model, row, names.config, call.lang),
        "clock": _clock(names.config, row, span),
        "resolves_when": advice(model, call.lang),
    }


def _text(view: Viewer, row: Row) -> str:
    config = view.names[row["account_id"]].config
    return " ".join([sentence(_title(view, row)), *clock(row, config, view.at, view.call.lang)])


def _title(view: Viewer, row: Row) -> str:
    """The rule's title with the values of this violation."""
    names = view.names[row["account_id"]]
    model = names.book.model(row["rule"])
    if model is None:
        return str(row["rule"])
    config = names.config
    deal, subject = view.labels(row)
    return render_title(model, row, Names(deal, subject), config, view.at, view.call.lang)


def _values(model: RuleModel | None, row: Row, config: Config, lang: str) -> list[dict[str, Any]]:
    known: Mapping[str, Attribute] = ATTRIBUTES[model.on] if model else {}
    return [
        {
            "name": name,
            "title": attribute_name(name, lang),
            "value": _plain(known.get(name), value),
            "text": value_said(known.get(name), name, value, row, config, lang),
            "at": iso(row["breach_at"]),
        }
        for name, value in sorted(row["values"].get("attributes", {}).items())
    ]


def _plain(attribute: Attribute | None, value: Any) -> Any:
    """Instants as the API tells them."""
    is_instant = attribute is not None and attribute.type == "instant"
    return iso(value) if is_instant and isinstance(value, int) else value


def _clock(config: Config, row: Row, span: Span) -> dict[str, Any]:
    since, breach = row["since"], row["breach_at"]
    effective = row["effective_from"]
    counted = max(0, breach - since)
    if span.is_working and breach > since:
        counted = config.calendar(row["seller"] or None).working_seconds(since, breach)
    skipped = [
        {"from": iso(left), "to": iso(right), "reason": reason}
        for left, right, reason in skipped_days(row, config)
    ]
    return {
        "since": iso(since),
        "held_since": iso(row["held_since"]),
        "effective_from": iso(effective) if effective > 0 else None,
        "for": str(span),
        "counted_seconds": counted,
        "skipped": skipped,
    }
