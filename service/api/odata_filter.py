"""`$filter` as a tree: parsed, never executed; values stay values."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from service.api.problems import bad_parameter, problem, shown
from service.domain.instant import from_datetime
from service.errors import ApiError

MOST_DEPTH, MOST_NODES = 20, 100
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
ARITHMETIC = ("add", "sub", "mul", "div", "divby", "mod", "has")
FUNCTIONS = {
    "contains": 2, "startswith": 2, "endswith": 2, "tolower": 1, "toupper": 1,
    "year": 1, "month": 1, "day": 1, "date": 1,
}  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,12})?)?(?:Z|[+-]\d{2}:\d{2}))"
    r"|(?P<day>\d{4}-\d{2}-\d{2})(?![\dT])"
    r"|(?P<number>-?\d{1,18}(?:\.\d{1,18})?)(?![\w.])"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<mark>[(),]))"
)


@dataclass(frozen=True)
class Node:
    """A piece of the tree. `kind`: value, name, call, compare, in, and, or, not."""

    kind: str
    value: Any = None
    parts: tuple["Node", ...] = ()


def refused(detail: str) -> ApiError:
    """A filter that cannot be read."""
    return bad_parameter("$filter", detail)


def parse(text: str) -> Node:
    """Read a filter.

    Raises:
        ApiError: it is broken, too deep or too long (400), or asks for arithmetic (501).
    """
    if "\x00" in text:
        raise refused("A filter must not hold the character U+0000.")
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise refused(f"Cannot read {shown(text[at:])}.")
        found.append((str(match.lastgroup), match.group(str(match.lastgroup))))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at, self._nodes, self._depth = tokens, 0, 0, 0

    def whole(self) -> Node:
        found = self._or()
        if self._at < len(self._tokens):
            raise refused(f"Did not expect {shown(self._peek()[1])}.")
        return found

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, word: str) -> bool:
        kind, text = self._peek()
        if kind in ("word", "mark") and text == word:
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise refused(f"Expected {word} before {shown(self._peek()[1] or 'the end')}.")

    def _node(self, kind: str, value: Any = None, parts: tuple[Node, ...] = ()) -> Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise refused(f"A filter has at most {MOST_NODES} parts.")
        return Node(kind, value, parts)

    def _or(self) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise refused(f"A filter is at most {MOST_DEPTH} deep.")
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else self._node("or", None, tuple(parts))

    def _and(self) -> Node:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else self._node("and", None, tuple(parts))

    def _not(self) -> Node:
        denied = False
        while self._take("not"):
            denied = not denied
        found = self._compare()
        return self._node("not", None, (found,)) if denied else found

    def _compare(self) -> Node:
        left = self._operand()
        kind, word = self._peek()
        if kind != "word":
            return left
        if word in ARITHMETIC:
            raise problem("not_implemented", f"The operator {word} is not served.")
        if word in COMPARISONS:
            self._at += 1
            return self._node("compare", word, (left, self._operand()))
        if self._take("in"):
            self._need("(")
            return self._node("in", None, (left, *self._listed()))
        return left

    def _listed(self) -> tuple[Node, ...]:
        """Operands up to the closing bracket."""
        found = [self._operand()]
        while self._take(","):
            found.append(self._operand())
        self._need(")")
        return tuple(found)

    def _operand(self) -> Node:
        if self._take("("):
            found = self._or()
            self._need(")")
            return found
        kind, text = self._peek()
        self._at += 1
        if kind in ("end", "mark"):
            raise refused(f"Did not expect {shown(text or 'the end')}.")
        if kind != "word":
            return self._node("value", _literal(kind, text))
        if text in ("null", "true", "false"):
            return self._node("value", {"null": None, "true": True, "false": False}[text])
        return self._call(text) if self._take("(") else self._node("name", text)

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise refused(f"There is no function {shown(name)}.")
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise refused(f"A filter is at most {MOST_DEPTH} deep.")
        parts = self._listed()
        self._depth -= 1
        if len(parts) != FUNCTIONS[name]:
            raise refused(f"{name} takes {FUNCTIONS[name]} arguments.")
        return self._node("call", name, parts)


@dataclass(frozen=True)
class Moment:
    """An instant in a filter; `part`: whether a fraction of a second was cut off."""

    at: int
    part: bool


def _literal(kind: str, text: str) -> Any:
    if kind == "text":
        return text[1:-1].replace("''", "'")
    try:
        if kind == "day":
            return date.fromisoformat(text)
        if kind == "moment":
            whole, _, fraction = text.partition(".")
            zone = text[-1:] if text.endswith("Z") else text[-6:]
            moment = datetime.fromisoformat(whole + zone if fraction else text)
            digits = fraction.removesuffix(zone)
            return Moment(from_datetime(moment), bool(digits.strip("0")))
    except (ValueError, OverflowError):
        raise refused(f"{shown(text)} is no date.") from None
    return float(text) if "." in text else int(text)
