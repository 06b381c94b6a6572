"""Conditions: CEL, type-checked at load, evaluated with a memory.

Engine: cel-expr-python. Traps (rules.md 10.7): an unguarded null does not raise, its result has
type ERROR and is truthy, so the type of each result is looked at; a missing null guard is found at
load by a probe that sets each nullable attribute to null.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from cel_expr_python import cel

from service.domain.config import Config
from service.errors import ConfigError
from service.rules.attribute import Attribute
from service.rules.clause import Clause, read_clause, split

MEMORY = 20_000
_NAME = re.compile(r"\b[a-z]+\.[a-z_]+\b")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_PLACE = re.compile(r":(\d+):(\d+): (.*)")
_TYPES = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "int?": cel.Type.DYN,
    "instant": cel.Type.DYN,
    "text": cel.Type.STRING,
    "text?": cel.Type.DYN,
    "list": cel.Type.List(cel.Type.STRING),
}
_SAMPLES: dict[str, Any] = {
    "bool": True, "int": 1, "int?": 1, "instant": 1_700_000_000, "text": "x", "text?": "x",
    "list": ("x",),
}  # fmt: skip


class ConditionFailed(Exception):  # noqa: N818 - not an error of ours, a state of the rule
    """A condition gave no yes or no for these values."""


class Expression:
    """A compiled text over named attributes and parameters."""

    def __init__(
        self, text: str, attributes: Mapping[str, Attribute], params: Mapping[str, Any]
    ) -> None:
        """Compile it.

        Raises:
            ConfigError: syntax, unknown attribute, wrong type (with line and column).
        """
        self.text = text
        used = dict.fromkeys(_NAME.findall(_TEXT.sub("''", text)))
        self.attributes = tuple(attributes[name] for name in used if name in attributes)
        self.null_only = tuple(_only_compared_with_null(a, text) for a in self.attributes)
        self._params = {f"param.{name}": value for name, value in params.items()}
        self._names = tuple(a.name for a in self.attributes)
        self._compiled = _compile(text, attributes, self._params)
        self._memory: dict[tuple[Any, ...], bool] = {}

    def values(self, state: Any, config: Config) -> tuple[Any, ...]:
        """What the text looks at. Of what is only compared with null, only that is kept."""
        return tuple([
            value if value is None or not null_only else True
            for value, null_only in zip(
                [a.get(state, config) for a in self.attributes], self.null_only, strict=True
            )
        ])  # fmt: skip

    def holds(self, values: tuple[Any, ...]) -> bool:
        """Whether it is true for these values (in the order of `attributes`).

        Raises:
            ConditionFailed: there is no answer.
        """
        known = self._memory.get(values)
        if known is None:
            known = self._evaluate(values)
            if len(self._memory) >= MEMORY:
                for old in list(islice(self._memory, MEMORY // 2)):
                    del self._memory[old]
            self._memory[values] = known
        return known

    def _evaluate(self, values: Sequence[Any]) -> bool:
        data: dict[str, Any] = {
            name: _SAMPLES["instant"]
            if null_only and value is not None
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value, null_only in zip(self._names, values, self.null_only, strict=True)
        }
        result = self._compiled.eval(data=data | self._params)
        if result.type() != cel.Type.BOOL:
            raise ConditionFailed(str(result.value()))
        return bool(result.value())


class Condition(Expression):
    """A condition with a memory of what it met, whole and taken apart."""

    def __init__(
        self, text: str, attributes: Mapping[str, Attribute], params: Mapping[str, Any]
    ) -> None:
        """Compile and probe.

        Raises:
            ConfigError: syntax, unknown attribute, wrong type (with line and column), or a missing
                null guard.
        """
        super().__init__(text, attributes, params)
        self._probe()
        self.clauses, rest = _take_apart(text, attributes, params)
        self.rest = (
            self if not self.clauses else Expression(rest, attributes, params) if rest else None
        )

    def _probe(self) -> None:
        nullable = [i for i, a in enumerate(self.attributes) if a.nullable]
        sample = [_SAMPLES[a.type] for a in self.attributes]
        for nulls in [[i] for i in nullable] + [nullable]:
            for flags in (True, False):
                values = [flags if isinstance(v, bool) else v for v in sample]
                for i in nulls:
                    values[i] = None
                try:
                    self.holds(tuple(values))
                except ConditionFailed:
                    names = ", ".join(self.attributes[i].name for i in nulls)
                    raise ConfigError(
                        f"the condition has no answer when {names} is null; "
                        f"guard it: {self.attributes[nulls[0]].name} != null && ..."
                    ) from None


def _take_apart(
    text: str, attributes: Mapping[str, Attribute], params: Mapping[str, Any]
) -> tuple[tuple[Clause, ...], str]:
    """The simple clauses in their order, and the rest, as a condition of its own.

    An order asked of what may be null is simple only behind its guard.
    """
    clauses: list[Clause] = []
    rest = []
    for part in split(text):
        clause = read_clause(part, attributes, params)
        guarded = {c.attribute for c in clauses if c.guards}
        if clause is None or (clause.needs_guard and clause.attribute not in guarded):
            rest.append(f"({part})")
        else:
            clauses.append(clause)
    return tuple(clauses), " && ".join(rest)


def _compile(text: str, attributes: Mapping[str, Attribute], params: Mapping[str, Any]) -> Any:
    variables = {name: _TYPES[a.type] for name, a in attributes.items()}
    for name, value in params.items():
        variables[name] = _param_type(value)
    try:
        expression = cel.NewEnv(variables=variables, functions=_FUNCTIONS).compile(text)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(_explain(str(error), list(variables))) from None
    if expression.return_type() != cel.Type.BOOL:
        raise ConfigError("the condition must be true or false")
    return expression


def _only_compared_with_null(attribute: Attribute, text: str) -> bool:
    """Whether a nullable attribute is asked for nothing but its being there."""
    if not attribute.nullable:
        return False
    name = re.escape(attribute.name)
    uses = len(re.findall(rf"{name}\b", text))
    return uses == len(re.findall(rf"{name}\s*[!=]=\s*null\b", text))


def _param_type(value: Any) -> Any:
    if isinstance(value, bool):
        return cel.Type.BOOL
    if isinstance(value, int):
        return cel.Type.INT
    if isinstance(value, list):
        return _TYPES["list"]
    return cel.Type.DOUBLE if isinstance(value, float) else cel.Type.STRING


def _explain(error: str, known: list[str]) -> str:
    """The first fault as `line L, column C: what`, with the nearest known name."""
    match = _PLACE.search(error)
    if match is None:
        return error.splitlines()[0]
    text = f"line {match[1]}, column {int(match[2]) + 1}: {match[3].split(' (in container')[0]}"
    wrong = re.search(r"undeclared reference to '([^']+)'", error)
    near = get_close_matches(wrong[1], known, n=1, cutoff=0.4) if wrong else []
    return text + (f"; did you mean {near[0]}?" if near else "")


def _span_function(name: str, seconds: int) -> Any:
    overload = cel.Overload(
        f"{name}_int",
        cel.Type.INT,
        [cel.Type.INT],
        is_member=False,
        impl=lambda count: count * seconds,
    )
    return cel.FunctionDecl(name, [overload])


_FUNCTIONS = [
    _span_function("minutes", 60),
    _span_function("hours", 3600),
    _span_function("days", 86400),
]
