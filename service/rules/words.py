"""What is said about rules in words."""

import re

from service.domain.account import RuleSettings
from service.rules.fitting import told_spans
from service.rules.schema import RuleModel

_PLACEHOLDER = re.compile(r"\s*\{[a-z_]+\}")


def rule_name(model: RuleModel | None, rule_id: str, lang: str) -> str:
    """A rule's short name: its `name`, else what stands before the first colon of its title.

    A title that begins with a value has no such part; then the rule's id is its name.
    """
    if model is None:
        return rule_id
    if model.name is not None:
        return str(getattr(model.name, lang))
    title: str = getattr(model.title, lang)
    if title.startswith("{"):
        return rule_id
    name = _PLACEHOLDER.sub("", title.partition(":")[0]).strip()
    return name or rule_id


def advice(model: RuleModel | None, lang: str) -> str | None:
    """What to do about it."""
    return None if model is None else str(getattr(model.advice, lang))


def span_text(model: RuleModel, own: RuleSettings | None = None) -> str:
    """`for` as written, with the account's changes: one span, or the default and those by stage."""
    spans = told_spans(model, own or RuleSettings.model_construct())
    named = [f"{name}: {span}" for name, span in spans.values.items()]
    return ", ".join([spans.default, *named])
