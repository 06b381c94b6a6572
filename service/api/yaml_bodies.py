"""YAML in request bodies: no aliases (a few bytes could stand for gigabytes), bounded nesting."""

from typing import Any

import yaml

from service.api.bodies import NESTING, check_document, check_json
from service.api.problems import bad_body

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_DEPTH = NESTING + 1


def read_document(body: bytes, content_type: str) -> Any:
    """A JSON or YAML document.

    Args:
        body: the bytes.
        content_type: of the request; whatever is not JSON is read as YAML.

    Raises:
        ApiError: bad_json, invalid_body.
    """
    if content_type.partition(";")[0].strip().lower().endswith("json"):
        check_json(body)
    try:
        document = yaml.load(read_text(body), Loader=_LOADER)  # noqa: S506 - the safe one, in C
    except yaml.YAMLError as error:
        line, column, what = place_of(error)
        detail = f"The body is not YAML: line {line}, column {column}: {what}."
        raise bad_body("#", detail, "bad_json") from None
    except (ValueError, OverflowError) as error:
        detail = f"The body is not YAML: a value cannot be read: {error}."
        raise bad_body("#", detail, "bad_json") from None
    check_document(document)
    return document


def read_text(body: bytes) -> str:
    """The text of a YAML body, known to be free of aliases and deep nesting.

    Raises:
        ApiError: bad_json.
        yaml.YAMLError: it is no YAML; see `place_of`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise bad_body("#", "The body is not UTF-8.", "bad_json") from None
    _check_events(text)
    return text


def place_of(error: yaml.YAMLError) -> tuple[int, int, str]:
    """Line, column (from 1) and what is wrong there."""
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or "it cannot be read")
    return (mark.line + 1, mark.column + 1, what) if mark else (1, 1, what)


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise bad_body("#", "Aliases (*name) are not supported here.", "bad_json")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_DEPTH:
            raise bad_body("#", f"The body is nested deeper than {NESTING} levels.", "bad_json")
