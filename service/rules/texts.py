"""Titles of violations for people: the rule's template with the violation's values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain import speech
from service.domain.config import Config
from service.domain.instant import Instant, to_datetime
from service.rules.schema import RuleModel

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


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
    return PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), template)


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
    return {
        "text": f"«{names.subject}»" if lang == "ru" else f'"{names.subject}"',
        "late": speech.elapsed(end - row["breach_at"], lang),
        "wait": speech.elapsed(calendar.working_seconds(row["since"], end), lang),
        "age": speech.elapsed(end - row["since"], lang),
        "days": speech.working_days(row["since"], end, calendar, lang),
        "deal": names.deal,
        "stage": config.stage_name(row["pipeline"], row["stage"]) or row["stage"],
        "norm": speech.span(row["values"].get("for", "0m"), lang),
        "fields": ", ".join(config.field_name(token) for token in text.get("missing", [])),
        "minutes": speech.elapsed(int(text.get("seconds") or 0), lang),
        "seller": config.seller_name(row["owner"] or row["seller"]) or row["seller"],
        "n": speech.deals(int(text.get("n") or 0), lang),
        "count": str(text.get("n", "")),
        "limit": str(text.get("limit", "")),
        "load": _load(text, ("n", "minutes"), lang),
        "can": _load(text, ("limit", "working"), lang),
        "moves": str(text.get("moves", "")),
        "attempts": str(text.get("attempts", "")),
        "attempts_since": str(text.get("attempts_since", "")),
        "pushes": str(text.get("pushes", "")),
        "handovers": str(text.get("handovers", "")),
        "said": str(text.get("said", "")),
        "source": _source(text.get("source"), lang),
        "amount": speech.money(row["amount"], row["currency"] or config.currency, lang),
        "peak": speech.money(int(text.get("peak") or 0), row["currency"] or config.currency, lang),
        "next_due": _day(text.get("next_due"), config),
        "expected": _day(text["expected"] - 1 if text.get("expected") else None, config),
        "from_stage": _stage(text.get("from_stage"), config),
        "skipped": ", ".join(
            config.stage_name(row["pipeline"], stage) or stage for stage in text.get("skipped", [])
        ),
        "reason": _reason(text.get("reason"), config, lang),
        "day": f"{text['day'][6:]}.{text['day'][4:6]}.{text['day'][:4]}" if "day" in text else "",
        "time": to_datetime(row["since"]).astimezone(config.timezone).strftime("%d.%m %H:%M"),
        "portal": config.account_id,
        "full": config.seller_name(text.get("full", "")) or text.get("full", ""),
        "free": config.seller_name(text.get("free", "")) or text.get("free", ""),
        "move": str(text.get("move", "")),
        "team": _team(row, config),
        "pipeline": _pipeline(text.get("pipeline"), config),
        "other": str(text.get("other", "")),
        "away": config.seller_name(row["seller"]) or row["seller"],
        "away_until": _day(text.get("away_until"), config),
        "deputy": _deputy(text.get("deputy"), config, lang),
    }


PLACEHOLDERS = frozenset(
    {
        "text", "late", "wait", "age", "days", "deal", "stage", "norm", "fields", "minutes",
        "seller", "n", "count", "limit", "load", "can", "moves", "attempts", "attempts_since",
        "pushes", "handovers", "said", "source", "amount", "peak", "next_due", "expected",
        "from_stage", "skipped", "reason", "day", "time", "portal", "full", "free", "move", "team",
        "pipeline", "other", "away", "away_until", "deputy",
    }
)  # fmt: skip
"""What titles may name in braces."""


def _load(text: Mapping[str, Any], names: tuple[str, str], lang: str) -> str:
    """Of a day: how many tasks, or how much time where time is what is short."""
    if text.get("by") == "minutes":
        return speech.elapsed(60 * int(text.get(names[1]) or 0), lang)
    return speech.tasks(int(text.get(names[0]) or 0), lang)


def _day(at: Instant | None, config: Config) -> str:
    return "" if at is None else to_datetime(at).astimezone(config.timezone).strftime("%d.%m.%Y")


def _pipeline(pipeline_id: str | None, config: Config) -> str:
    known = config.directory.pipeline(pipeline_id or "")
    return known.name if known else pipeline_id or ""


def _team(row: Mapping[str, Any], config: Config) -> str:
    known = config.teams.get(row["subject_id"]) if row["subject_kind"] == "team" else None
    return known.name if known else str(row["subject_id"])


def _stage(place: list[str] | None, config: Config) -> str:
    return "" if not place else config.stage_name(place[0], place[1]) or place[1]


def _source(source: str | None, lang: str) -> str:
    return source or ("не указан" if lang == "ru" else "unknown")


def _deputy(deputy: str | None, config: Config, lang: str) -> str:
    """Who stands in; settings name him by id or name."""
    if not deputy:
        return "не назначен" if lang == "ru" else "none named"
    return config.seller_name(deputy) or deputy


def _reason(reason: str | None, config: Config, lang: str) -> str:
    names = {known.id: known.name for known in config.directory.loss_reasons}
    return names.get(reason or "", reason or "") or ("не указана" if lang == "ru" else "none given")
