"""How a rule file is read: its faults with their places, and the rules that are sound."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError

from service.faults import errors_of, place_of, said
from service.rules.schema import (
    FORMS_OF_FOR,
    ByStage,
    NormBasis,
    RuleFile,
    RuleModel,
    RuleTest,
    Text,
)


class Fault(NamedTuple):
    """One fault of a rule file and where it stands (line and column from 1)."""

    line: int
    column: int
    path: str
    detail: str

    def said(self, name: str) -> str:
        """One sentence; `name` is what the file is called."""
        return f"{name}:{self.line}:{self.column}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule file holds: rules that can be used, and all faults of the others."""

    models: list[RuleModel]
    shape: list[Fault]
    meaning: list[Fault]

    def faults(self, name: str) -> list[str]:
        """All of them as sentences, in the order of the file."""
        return [fault.said(name) for fault in sorted((*self.shape, *self.meaning))]


def sound_ones(plain: Any) -> dict[int, RuleModel]:
    """The rules whose shape is right, by their number in the file."""
    given = plain.get("rules") if isinstance(plain, dict) else None
    found = {}
    for index, one in enumerate(given if isinstance(given, list) else ()):
        with suppress(ValidationError):
            found[index] = RuleModel.model_validate(one)
    return found


def plain_of(document: Any) -> Any:
    """Round-trip YAML nodes as plain values."""
    if isinstance(document, dict):
        return {str(key): plain_of(value) for key, value in document.items()}
    if isinstance(document, list):
        return [plain_of(value) for value in document]
    return document


def faults_of_shape(error: ValidationError, document: Any) -> Iterator[Fault]:
    """What pydantic found, misspelt names before what they left missing."""
    for one in sorted(errors_of(error), key=lambda fault: fault["type"] != "extra_forbidden"):
        yield _located(one, document)


def _located(fault: Any, document: Any) -> Fault:
    fault = {**fault, "loc": tuple(part for part in fault["loc"] if part not in FORMS_OF_FOR)}
    line, column = position(document, fault["loc"])
    where = place_of(fault)
    text = _no_field(fault) if fault["type"] == "extra_forbidden" else said(fault)
    if not where:
        where, text = "the file", "must be a map with the list `rules`"
    return Fault(line, column, place_of(fault), f"{where}: {text}")


def _no_field(first: Any) -> str:
    models = (RuleModel, ByStage, NormBasis, Text, RuleTest, RuleFile)
    known = {f.alias or name for model in models for name, f in model.model_fields.items()}
    near = get_close_matches(str(first["loc"][-1]), sorted(known), n=1)
    return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")


def position(document: Any, path: tuple[Any, ...]) -> tuple[int, int]:
    """Line and column (from 1) of the deepest part of `path` that the file has."""
    node, place = document, (0, 0)
    for part in path:
        try:
            marks: Any = node.lc
            found = marks.key(part) if isinstance(node, dict) else marks.item(part)
            node, place = node[part], found or place
        except (KeyError, IndexError, AttributeError, TypeError):
            break
    return place[0] + 1, place[1] + 1
