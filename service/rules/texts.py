"""Titles of violations for people: the rule's template with the violation's values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain import speech
from service.domain.config import Config
from service.domain.instant import Instant
from service.rules.schema import RuleModel

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the deal and the subject of a violation."""

    deal: str
    subject: str


def render_title(
    model: RuleModel,
    row: Mapping[str, Any],
    names: Names,
    config: Config,
    now: Instant,
    lang: str,
) -> str:
    """The title of a violation at an instant (spans run until then, or until it was resolved)."""
    template: str = getattr(model.title, lang)
    values = _values(row, names, config, now, lang)
    return _PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), template)


def advice(model: RuleModel, lang: str) -> str:
    """What to do about it."""
    text: str = getattr(model.advice, lang)
    return text


def _values(
    row: Mapping[str, Any], names: Names, config: Config, now: Instant, lang: str
) -> dict[str, str]:
    text = row["values"].get("text", {})
    end = min(now, row["resolved_at"]) if row["resolved_at"] is not None else now
    end = max(end, row["breach_at"])
    calendar = config.calendar(row["owner"] or row["seller"] or None)
    stage = config.stage_name(row["pipeline"], row["stage"]) or row["stage"]
    seconds = int(text.get("seconds") or 0)
    number = int(text.get("n") or 0)
    return {
        "text": f"«{names.subject}»" if lang == "ru" else f'"{names.subject}"',
        "late": speech.elapsed(end - row["breach_at"], lang),
        "wait": speech.elapsed(calendar.working_seconds(row["since"], end), lang),
        "deal": names.deal,
        "days": speech.working_days(row["since"], end, calendar, lang),
        "stage": stage,
        "norm": speech.span(row["values"].get("for", "0m"), lang),
        "fields": ", ".join(config.field_name(token) for token in text.get("missing", [])),
        "minutes": speech.elapsed(seconds, lang),
        "seller": config.seller_name(row["owner"] or row["seller"]) or row["seller"],
        "n": speech.deals(number, lang),
        "limit": str(text.get("limit", "")),
    }
