"""Pydantic's errors as sentences for people: the place, and what would be right there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

_PLAIN = {
    "missing": "is required",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text; put it in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a map (name: value)",
    "model_type": "must be a map (name: value)",
    "extra_forbidden": "there is no such name here",
}
_WITH_VALUE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "string_pattern_mismatch": lambda ctx: f"must have the form {ctx['pattern']}",
}


def first_of(error: ValidationError) -> Any:
    """The first fault: `loc`, `type`, `msg`, `ctx`; a misspelt name before what it left missing."""
    return min(errors_of(error), key=lambda fault: fault["type"] != "extra_forbidden")


def errors_of(error: ValidationError) -> Sequence[Any]:
    """All faults."""
    return error.errors(include_url=False, include_input=False)


def said(fault: Any) -> str:
    """What is wrong, without the place: `must be a whole number`."""
    kind = fault["type"]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _WITH_VALUE:
        return _WITH_VALUE[kind](fault["ctx"])
    text: str = fault["msg"]
    return text.removeprefix("Value error, ").replace("Input should be", "must be")


def place_of(fault: Any) -> str:
    """`rules.0.title`; empty = the whole document."""
    return ".".join(str(part) for part in fault["loc"])
