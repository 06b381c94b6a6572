"""The conditions of many rules as one Python function over a subject's segments.

Rules ask much the same (`deal.is_open && ...`): their clauses become one tree of `if`s, so what
they share is asked once for a segment, and nothing that a failed clause makes needless is asked at
all. The text is made of checked names and constants only (`clause.py`); whatever is not so simple
calls the expression engine.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any

from service.domain.config import Config
from service.rules.attribute import Attribute
from service.rules.book import Rule
from service.rules.clause import Clause
from service.rules.expression import ConditionFailed
from service.rules.segments import Segment

_Function = Callable[[Sequence[Segment], Config], Sequence[int]]


class Program:
    """The conditions of some rules on one kind of subject."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Write and compile it."""
        self._rules = rules
        self._all = _compile(rules)
        self._single: list[_Function] = []
        self.nothing: Sequence[int] = (0,) * len(rules)  # the answer where nobody is asked

    def run(self, segments: Sequence[Segment], config: Config) -> Sequence[int | ConditionFailed]:
        """For each rule the judged segments in which its condition is true, as bits.

        A rule whose condition has no answer has the reason instead.
        """
        try:
            return self._all(segments, config)
        except ConditionFailed:
            return self._one_by_one(segments, config)

    def _one_by_one(
        self, segments: Sequence[Segment], config: Config
    ) -> Sequence[int | ConditionFailed]:
        self._single = self._single or [_compile([rule]) for rule in self._rules]
        found: list[int | ConditionFailed] = []
        for single in self._single:
            try:
                found += single(segments, config)
            except ConditionFailed as error:
                found.append(error)
        return found


@dataclass
class _Node:
    """What is asked where all clauses on the way here are true."""

    following: dict[Clause, "_Node"] = field(default_factory=dict)
    rules: list[tuple[int, Rule]] = field(default_factory=list)  # that end here

    def attributes(self) -> list[Attribute]:
        """What is asked here or further down, once for each branch that asks it."""
        found = [a for _, rule in self.rules for a in _asked_at_end(rule)]
        for clause, node in self.following.items():
            found += {a.name: a for a in (clause.attribute, *node.attributes())}.values()
        return found


def _compile(rules: Sequence[Rule]) -> _Function:
    root = _Node()
    for number, rule in enumerate(rules):
        node = root
        for clause in () if rule.condition_by_place else rule.condition.clauses:
            node = node.following.setdefault(clause, _Node())
        node.rules.append((number, rule))
    writer = _Writer()
    writer.body(root, depth=3)
    names = ", ".join(f"m{number}" for number in range(len(rules)))
    text = "\n".join([
        "def program(segments, config):",
        f"    {names.replace(',', ' =')} = 0" if rules else "    pass",
        "    bit = 1",
        "    for _, _, s, judged, _, pipeline, stage, _, _ in segments:",
        "        if judged:",
        *(writer.lines or ["            pass"]),
        "        bit += bit",
        f"    return ({names}{',' if rules else ''})",
    ])  # fmt: skip
    space: dict[str, Any] = dict(writer.given)
    exec(_code(text), space)  # noqa: S102 - names and constants are checked
    program: _Function = space["program"]
    return program


@lru_cache(maxsize=512)
def _code(text: str) -> CodeType:
    """Accounts with the same rules share it; what its names mean is each one's own."""
    return compile(text, "<rules>", "exec")


def _asked_at_end(rule: Rule) -> tuple[Attribute, ...]:
    rest = None if rule.condition_by_place else rule.condition.rest
    return rest.attributes if rest else ()


class _Writer:
    """Writes the tree down."""

    def __init__(self) -> None:
        """Nothing yet. `given`: what the text names."""
        self.lines: list[str] = []
        self.given: dict[str, Any] = {}
        self._named: dict[str, str] = {}  # attributes whose value has a name here
        self._made: dict[int, str] = {}

    def body(self, node: _Node, depth: int) -> None:
        """What is asked at a node. A value that two branches need is read before them."""
        named = dict(self._named)
        uses = Counter(a.name for a in node.attributes())
        for attribute in {a.name: a for a in node.attributes()}.values():
            shared = uses[attribute.name] > 1
            if shared and attribute.name not in self._named:
                name = f"v{len(self._named)}"
                self._line(depth, f"{name} = {self._value(attribute)}")
                self._named[attribute.name] = name
        for number, rule in node.rules:
            condition = self._end(rule)
            asked = f"if {condition}: " if condition else ""
            self._line(depth, f"{asked}m{number} |= bit")
        for clause, following in node.following.items():
            self._line(depth, f"if {clause.said(self._value(clause.attribute))}:")
            self.body(following, depth + 1)
        self._named = named

    def _line(self, depth: int, text: str) -> None:
        self.lines.append(f"{'    ' * depth}{text}")

    def _end(self, rule: Rule) -> str:
        """What is left to ask of a rule."""
        if rule.condition_by_place:
            return f"{self._give(_by_place(rule))}(s, config, pipeline, stage)"
        rest = rule.condition.rest
        if rest is None:
            return ""
        values = [
            f"{self._value(a)} is not None or None" if null_only else self._value(a)
            for a, null_only in zip(rest.attributes, rest.null_only, strict=True)
        ]
        return f"{self._give(rest.holds)}(({', '.join(values)}{',' if values else ''}))"

    def _value(self, attribute: Attribute) -> str:
        named = self._named.get(attribute.name)
        if named is not None:
            return named
        if attribute.field:
            return f"s.{attribute.field}"
        return f"{self._give(attribute.get)}(s, config)"

    def _give(self, thing: Any) -> str:
        name = self._made.get(id(thing))
        if name is None:
            name = self._made[id(thing)] = f"g{len(self.given)}"
            self.given[name] = thing
        return name


def _by_place(rule: Rule) -> Callable[[Any, Config, str, str], bool]:
    """The condition with the numbers of the stage that a segment lies in."""

    def holds(state: Any, config: Config, pipeline: str, stage: str) -> bool:
        condition = rule.condition_at(pipeline, stage)
        return condition.holds(condition.values(state, config))

    return holds
