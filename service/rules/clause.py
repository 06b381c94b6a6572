"""A condition's clauses: what stands between its topmost `&&`.

A clause that compares one attribute with a constant is said in Python by the program that judges
(`service.rules.program`); whatever else a condition asks goes to the expression engine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.rules.attribute import Attribute

_FLAG = re.compile(r"(!?)([a-z]+\.[a-z_]+)")
_COMPARED = re.compile(r"(size\()?([a-z]+\.[a-z_]+)(?(1)\))\s*(==|!=|<=|>=|<|>)\s*(.+)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,18}")
_QUOTED = re.compile(r"\"[^\"\\]*\"|'[^'\\]*'")
_WORDS = {"null": None, "true": True, "false": False}
_OPENING, _CLOSING = "([{", ")]}"
_PYTHON: dict[str, type] = {
    "bool": bool, "int": int, "int?": int, "instant": int, "text": str, "text?": str,
}  # fmt: skip


@dataclass(frozen=True)
class Clause:
    """`attribute`, `!attribute`, or `[size of] attribute`, an operator and a constant."""

    attribute: Attribute
    operator: str  # "" and "!": a flag and its negation
    constant: Any = None
    measured: bool = False

    @property
    def guards(self) -> bool:
        """Whether it is false where the attribute is null, and true elsewhere."""
        return self.operator == "!=" and self.constant is None

    @property
    def needs_guard(self) -> bool:
        """Whether there is no answer for null: order is asked of what may be null."""
        return self.attribute.nullable and self.operator in {"<", "<=", ">", ">="}

    def said(self, value: str) -> str:
        """The clause in Python, of an expression for the attribute's value."""
        if self.operator in {"", "!"}:
            return f"not {value}" if self.operator else value
        if self.constant is None:
            return f"{value} is {'not ' if self.operator == '!=' else ''}None"
        return f"{f'len({value})' if self.measured else value} {self.operator} {self.constant!r}"


def split(text: str) -> list[str]:
    """The parts between the topmost `&&`; a text that is more than that is one part.

    So is one with a comment or an escaped character: only the engine reads those.
    """
    if "//" in text or "\\" in text:
        return [text.strip()]
    parts = [""]
    depth, quote, previous = 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif depth == 0 and (character == "?" or character == previous == "|"):
            return [text.strip()]
        depth += (character in _OPENING) - (character in _CLOSING) if not quote else 0
        if depth == 0 and not quote and character == previous == "&":
            parts[-1] = parts[-1][:-1]
            parts.append("")
            previous = ""
            continue
        parts[-1] += character
        previous = character
    return [part.strip() for part in parts]


def read_clause(
    text: str, attributes: Mapping[str, Attribute], params: Mapping[str, Any]
) -> Clause | None:
    """A clause that is as simple as that; None = it is not."""
    flag = _FLAG.fullmatch(text)
    if flag is not None:
        attribute = attributes.get(flag[2])
        is_flag = attribute is not None and attribute.type == "bool"
        return Clause(attribute, flag[1]) if attribute and is_flag else None
    compared = _COMPARED.fullmatch(text)
    attribute = attributes.get(compared[2]) if compared else None
    if compared is None or attribute is None:
        return None
    known, constant = _constant(compared[4].strip(), params)
    clause = Clause(attribute, compared[3], constant, bool(compared[1]))
    return clause if known and _is_sound(clause) else None


def _constant(text: str, params: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether a text is a constant or parameter, and which value it stands for."""
    if text in _WORDS:
        return True, _WORDS[text]
    if _NUMBER.fullmatch(text):
        return True, int(text)
    if _QUOTED.fullmatch(text):
        return True, text[1:-1]
    name = text.removeprefix("param.")
    return name != text and name in params, params.get(name)


def _is_sound(clause: Clause) -> bool:
    """Whether Python compares these types as the engine does."""
    if clause.measured:
        return clause.attribute.type == "list" and type(clause.constant) is int
    if clause.constant is None:
        return clause.attribute.nullable and clause.operator in {"==", "!="}
    return type(clause.constant) is _PYTHON.get(clause.attribute.type)
