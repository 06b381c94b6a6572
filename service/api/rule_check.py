"""The check of a rule file for `POST /v1/rules/validate`.

All faults of shape with their places, and of the rules whose shape is right all faults of meaning
(unknown attribute, wrong type, missing null guard).
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from service.api.bodies import faults_of, pointer
from service.api.problems import fault, from_faults
from service.api.yaml_bodies import place_of, read_text
from service.errors import ApiError, ConfigError
from service.files import load_yaml
from service.rules.loading import read_rules
from service.rules.reading import plain_of, position
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
    found = []
    try:
        RuleFile.model_validate(plain_of(document))
    except ValidationError as error:
        found = _faults_of_shape(error, document)
    for known in read_rules(text, "body").meaning:
        found.append(_fault_of_meaning(known.said("body")) | {"path": known.path})
    return found


def refuse(faults: Sequence[dict[str, Any]]) -> ApiError:
    """A file that cannot be used, with every fault and its place."""
    errors = []
    for known in faults:
        where = f"line {known['line']}, column {known['column']}: " if known["line"] else ""
        path = pointer(known["path"].split(".") if known["path"] else [])
        code = "invalid_body" if known["code"] == "invalid_rule" else known["code"]
        detail, near = f"{where}{known['detail']}", known["did_you_mean"]
        errors.append(fault(code, detail, pointer=path, did_you_mean=near))
    return from_faults(errors, "invalid_body")


def _faults_of_shape(error: ValidationError, document: Any) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = [
        {**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()
    ]
    found = []
    for entry, known in zip(errors, faults_of(errors, RuleFile), strict=True):
        path = entry["loc"][1:]
        line, column = position(document, path)
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
