"""What proved a violation: the values of the attributes, and the words that texts need of them."""

from typing import Any

from service.domain.config import Config
from service.rules.attributes import ATTRIBUTES
from service.rules.book import Rule
from service.rules.segments import Segment, Subject


def proof(subject: Subject, rule: Rule, config: Config, span: tuple[int, int]) -> dict[str, Any]:
    """What is kept with a violation. `span`: the numbers of its first and last segment."""
    first, last = span
    segment = subject.segments[first]
    state = segment.state
    attributes = {a.name: a.get(state, config) for a in rule.told}
    for name in rule.told_lists:
        attributes[name] = list(attributes[name])
    if "deal.same_client_open_deals" in attributes:
        attributes["deal.same_client_first"] = state.same_client_first
    text = {"name": subject.name} | _words(subject, segment, attributes)
    if attributes.get("deal.absent_since") is not None:
        text |= _away(segment, config)
    for name in ("deal.missing_fields", "deal.junk_fields"):
        if name in attributes:
            now = ATTRIBUTES["deal"][name].get(subject.segments[last].state, config)
            text["missing"] = list(now)
    return {
        "attributes": attributes,
        "for": str(rule.span_in(segment)),
        "text": text,
    }


def _away(segment: Segment, config: Config) -> dict[str, Any]:
    """Until when the seller is away, and who stands in."""
    away = config.standards.absence_at(segment.seller, segment.start)
    return {"away_until": away.end - 1, "deputy": away.deputy} if away else {}


def _words(subject: Subject, segment: Segment, attributes: dict[str, Any]) -> dict[str, Any]:
    """What the titles name beside the attributes that proved it."""
    state = segment.state
    words: dict[str, Any] = {}
    if subject.kind == "call":
        words["seconds"] = state.call.seconds
        if state.call.trace_text:
            words["said"] = state.call.trace_text[:80]
    elif subject.kind == "task":
        words["moves"] = attributes.get("task.postponements", 0)
        if attributes.keys() & {"task.text_is_meaningful", "task.text_is_copied"}:
            words["name"] = state.text  # what was wrong, not what was mended
    elif subject.kind == "lead":
        words["source"] = state.source or ""
    elif subject.kind == "deal":
        words |= {
            name: attributes[key]
            for name, key in _DEAL_WORDS.items()
            if attributes.get(key) is not None
        }
        if state.previous_stage is not None and state.is_closed:
            words["from_stage"] = [state.previous_pipeline or "", state.previous_stage]
        if "deal.skipped_stages" in attributes:
            words["skipped"] = list(attributes["deal.skipped_stages"])
        if "deal.was_hot_at_close" in attributes:
            words["reason"] = state.loss_reason or ""
    return words


_DEAL_WORDS = {
    "attempts": "deal.attempts", "attempts_since": "deal.attempts_since_talk",
    "handovers": "deal.handovers_recent", "pushes": "deal.close_date_pushes",
    "peak": "deal.amount_peak_late",
    "next_due": "deal.next_due_at",
    "expected": "deal.expected_close_on", "other": "deal.same_client_first",
}  # fmt: skip
