"""The five forms of a rule (rules.md 1.1), and what each of them may and must say."""

import re
from collections.abc import Sequence

from service.domain.steps import LEVELS
from service.domain.violation import SECOND_KINDS
from service.errors import ConfigError
from service.rules.attributes import SILENCE_ONLY, STREAMS
from service.rules.fitting import VARIES
from service.rules.schema import ByStage, RuleModel

SECOND = frozenset(SECOND_KINDS)
"""Whose verdicts rest on the first layer's results."""


def check_form(model: RuleModel) -> None:
    """Whether a rule says what its form asks for, and nothing else.

    Raises:
        ConfigError: names the field.
    """
    _check_level(model)
    _check_norm(model)
    if isinstance(model.for_, ByStage) and model.on not in SECOND:
        known = VARIES[model.on]
        if model.for_.by not in known:
            raise ConfigError(f"for: a {model.on} does not go by {model.for_.by}{_or(known)}")
    if model.critical_when and model.on in SECOND:
        raise ConfigError(f"critical_when: a {model.on} has no such thing")
    for name, of in ((model.above, "above"), (model.below, "below")):
        param = (name or "").removeprefix("param.")
        if name is not None and name.startswith("param.") and param not in model.params:
            raise ConfigError(f"{of}: there is no parameter {param!r}")
    silent = model.form == "state" and model.on in SECOND
    if silent and not any(name in STREAMS for name in model.since_names):
        raise ConfigError(f"since: a state of a {model.on} starts at one of {', '.join(STREAMS)}")
    used = {name for name in SILENCE_ONLY if re.search(rf"\b{re.escape(name)}\b", model.when)}
    if used and not silent:
        raise ConfigError(f"when: {min(used)} is known to rules on silence only")
    if model.on in SECOND and model.form not in {"level", "norm", "state"}:
        raise ConfigError(f"form: a {model.on} is judged by level, norm or state")


def _or(known: Sequence[str]) -> str:
    return f"; it may go by {', '.join(known)}"


def _check_level(model: RuleModel) -> None:
    if (model.form == "level") != (model.level is not None):
        raise ConfigError("`level` belongs to form level, and to no other")
    if model.level is not None and model.level not in LEVELS:
        raise ConfigError(f"level: {model.level!r} is none of {', '.join(LEVELS)}")
    if model.form == "level" and model.on not in SECOND:
        raise ConfigError("on: a level is that of a seller, team or account")


def _check_norm(model: RuleModel) -> None:
    if (model.form == "norm") != (model.counts is not None):
        raise ConfigError("`counts` belongs to form norm, and to no other")
    if (model.form == "norm") != (model.below is not None):
        raise ConfigError("`below` belongs to form norm, and to no other")
    if model.form == "norm" and (model.on != "seller" or not (model.below or "").startswith("p")):
        raise ConfigError("below: a norm is a seller's, and written as param.<name>")
