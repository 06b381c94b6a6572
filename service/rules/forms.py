"""The five forms of a rule (rules.md 1.1), and what each of them may and must say."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from service.domain.steps import LEVELS
from service.domain.violation import SECOND_KINDS
from service.errors import ConfigError
from service.rules.attributes import ATTRIBUTES, SILENCE_ONLY, STREAMS
from service.rules.fitting import VARIES
from service.rules.schema import ByStage, RuleModel

_PARAM = "param."
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
    for name in ("critical_when", "info_when"):
        if getattr(model, name) and model.on in SECOND:
            raise ConfigError(f"{name}: a {model.on} has no such thing")
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
    if model.form == "level" and (model.above is not None or model.on != "team"):
        _check_number(model, "above", model.above or "param.limit")


def _check_norm(model: RuleModel) -> None:
    if (model.form == "norm") != (model.counts is not None):
        raise ConfigError("`counts` belongs to form norm, and to no other")
    if (model.form == "norm") != (model.below is not None):
        raise ConfigError("`below` belongs to form norm, and to no other")
    if model.below is not None:
        if model.on != "seller" or not model.below.startswith(_PARAM):
            raise ConfigError("below: a norm is a seller's, and written as param.<name>")
        _check_number(model, "below", model.below)


def _check_number(model: RuleModel, field: str, name: str) -> None:
    """What a level or count is compared with: a parameter, of a seller also an attribute."""
    if name.startswith(_PARAM):
        value = model.params.get(name.removeprefix(_PARAM))
        if value is None:
            raise ConfigError(f"{field}: there is no parameter {name.removeprefix(_PARAM)!r}")
        if type(value) is not int:
            raise ConfigError(f"{field}: {name} must be a whole number")
        return
    numbers = [a.name for a in ATTRIBUTES["seller"].values() if a.type == "int"]
    if model.on != "seller" or name not in numbers:
        near = get_close_matches(name, numbers, n=1) if model.on == "seller" else []
        hint = f"; did you mean {near[0]}?" if near else "; write param.<name>"
        raise ConfigError(f"{field}: {name!r} is no number of a {model.on}{hint}")
