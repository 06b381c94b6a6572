"""The check of a rule file for `POST /v1/rules/validate`.

All faults of shape with their places; if there are none, the first fault of meaning (unknown
attribute, wrong type, missing null guard).
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from service.api.bodies import faults_of
from service.api.yaml_bodies import place_of, read_text
from service.errors import ConfigError
from service.files import load_yaml
from service.rules.book import parse_rules
from service.rules.schema import RuleFile

_PLACE = re.compile(r"^[^:]*:(\d+):(\d+): (.*)$", re.DOTALL)
_NEAR = re.compile(r"did you mean ([\w.\-]+)\?")


def verdict(body: bytes) -> dict[str, Any]:
    """`{"valid", "errors": [...]}` of a rule file.

    Raises:
        ApiError: the body is no text, or could hurt (aliases, depth).
    """
    faults = _faults(body)
    return {"valid": not faults, "errors": faults}


def _faults(body: bytes) -> list[dict[str, Any]]:
    try:
        text = read_text(body)
        document = load_yaml(text, "body", "rt")
    except yaml.YAMLError as error:
        return [_fault(*place_of(error))]
    except ConfigError as error:
        return [_fault_of_meaning(str(error))]
    try:
        RuleFile.model_validate(_plain(document))
    except ValidationError as error:
        return _faults_of_shape(error, document)
    try:
        parse_rules(text, "body")
    except ConfigError as error:
        return [_fault_of_meaning(str(error))]
    return []


def _faults_of_shape(error: ValidationError, document: Any) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = [
        {**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()
    ]
    found = []
    for entry, known in zip(errors, faults_of(errors, RuleFile), strict=True):
        path = entry["loc"][1:]
        line, column = _position(document, path)
        told = _fault(line, column, known["detail"], known["code"], known["did_you_mean"])
        found.append(told | {"path": ".".join(str(part) for part in path) or None})
    return found


def _fault_of_meaning(sentence: str) -> dict[str, Any]:
    placed, near = _PLACE.match(sentence), _NEAR.search(sentence)
    line, column, detail = (
        (int(placed[1]), int(placed[2]), placed[3]) if placed else (1, 1, sentence)
    )
    code = "unknown_name" if near else "invalid_rule"
    return _fault(line, column, detail, code, [near[1]] if near else [])


def _fault(
    line: int, column: int, detail: str, code: str = "invalid_rule", near: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "line": line,
        "column": column,
        "path": None,
        "code": "invalid_rule" if code == "invalid_body" else code,
        "detail": detail,
        "did_you_mean": list(near),
    }


def _plain(document: Any) -> Any:
    """Round-trip YAML nodes as plain values with text keys."""
    if isinstance(document, dict):
        return {str(key): _plain(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_plain(value) for value in document]
    return document


def _position(document: Any, path: Sequence[Any]) -> tuple[int, int]:
    """Line and column (from 1) of the deepest part of `path` that the file has."""
    node, place = document, (0, 0)
    for part in path:
        marks = getattr(node, "lc", None)
        inside = marks is not None and _has(node, part)
        found = _mark(marks, node, part) if inside else None
        if found is None:
            break
        node, place = node[part], found
    return place[0] + 1, place[1] + 1


def _has(node: Any, part: Any) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int) and part < len(node)


def _mark(marks: Any, node: Any, part: Any) -> tuple[int, int] | None:
    found: tuple[int, int] | None = marks.key(part) if isinstance(node, dict) else marks.item(part)
    return found
