"""The rule book: rules loaded, checked and compiled; and what of it is in force for an account."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property, partial
from hashlib import blake2b
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.span import Span
from service.domain.steps import ALWAYS, LEVELS
from service.errors import ConfigError
from service.faults import errors_of, place_of, said
from service.files import load_yaml
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.expression import Condition
from service.rules.fitting import merge_params, spans
from service.rules.schema import ByStage, RuleFile, RuleModel, RuleTest, Text


@dataclass(frozen=True)
class Rule:
    """A compiled rule with an account's changes applied."""

    model: RuleModel
    condition: Condition = field(repr=False, compare=False)
    severity: str = "warning"
    params: dict[str, Any] = field(default_factory=dict)
    default_for: Span = field(default_factory=lambda: Span(0, "m"))
    for_by_place: dict[tuple[str, str], Span] = field(default_factory=dict)
    condition_by_place: dict[tuple[str, str], Condition] = field(
        default_factory=dict, repr=False, compare=False
    )
    params_by_place: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The rule's name."""
        return self.model.id

    def span(self, pipeline: str, stage: str) -> Span:
        """`for` at a place of the pipeline."""
        return self.for_by_place.get((pipeline, stage), self.default_for)

    def condition_at(self, pipeline: str, stage: str) -> Condition:
        """The condition with the numbers of a stage."""
        return self.condition_by_place.get((pipeline, stage), self.condition)

    @cached_property
    def version(self) -> str:
        """Changes exactly when the rule's meaning changes."""
        spans = {f"{p}/{s}": str(span) for (p, s), span in self.for_by_place.items()}
        packed = msgspec.json.encode(
            [
                self.model.model_dump(mode="json", include=_MEANING, by_alias=True),
                self.severity,
                self.params,
                str(self.default_for),
                spans,
                *([self._params_said] if self.params_by_place else []),
            ],
            order="deterministic",
        )
        return blake2b(packed, digest_size=5).hexdigest()

    @property
    def _params_said(self) -> dict[str, dict[str, Any]]:
        return {f"{p}/{s}": own for (p, s), own in self.params_by_place.items()}

    @cached_property
    def since(self) -> tuple[Attribute, ...]:
        """Attributes that start the clock, beside `held`."""
        return tuple(ATTRIBUTES[self.model.on][name] for name in self.model.since_names)

    @cached_property
    def join_seconds(self) -> int:
        """Gaps shorter than this join two intervals."""
        return Span.parse(self.model.join).seconds

    def metric(self, config: Config) -> str:
        """The level that a level rule watches; open deals are weighted where weights are set."""
        name = self.model.level or ""
        return "deals_load" if name == "deals_open" and config.standards.weights else name

    def above(self, get: Callable[[str], Any]) -> int:
        """The limit of a level rule (`get` reads an attribute)."""
        name = self.model.above or "param.limit"
        if name.startswith("param."):
            return int(self.params[name.removeprefix("param.")])
        return int(get(name))


_MEANING = {
    "id",
    "on",
    "form",
    "when",
    "since",
    "for_",
    "level",
    "above",
    "share",
    "join",
    "needs",
    "notice",
}


_Compiled = tuple[str, str, str]  # subject, condition, parameters


class RuleBook:
    """All rules of the installation, and those in force for an account."""

    def __init__(
        self,
        models: list[RuleModel],
        gone: Iterable[RuleModel] = (),
        compiled: Mapping[_Compiled, Condition] = MappingProxyType({}),
    ) -> None:
        """Compile them. `gone`: rules that were in force once; `compiled`: what is known so far."""
        self.models = {model.id: model for model in models}
        self._gone = {model.id: model for model in gone}
        self._compiled = dict(compiled)
        for model in models:
            self._condition(model, dict(model.params))
        self._in_force: dict[tuple[str, str], tuple[list[Rule], list[str]]] = {}

    def model(self, rule_id: str) -> RuleModel | None:
        """A rule by name, also one that is gone: its violations are still shown."""
        return self.models.get(rule_id) or self._gone.get(rule_id)

    @property
    def names(self) -> list[str]:
        """The names of all rules, also of those that are gone."""
        return [*self.models, *(name for name in self._gone if name not in self.models)]

    def with_own(self, own: Iterable[RuleModel], gone: Iterable[RuleModel] = ()) -> "RuleBook":
        """This book with an account's own rules on top; only those are compiled."""
        models = self.models | {model.id: model for model in own}
        return RuleBook(list(models.values()), gone, self._compiled)

    def in_force(self, config: Config) -> list[Rule]:
        """The rules that an account is judged by, its own changes applied."""
        return self._look_up(config)[0]

    def problems(self, config: Config) -> list[str]:
        """What the account says of rules, parameters or stages that there are not; ignored."""
        return self._look_up(config)[1]

    def check(self, config: Config) -> None:
        """Apply the account's changes now.

        Raises:
            ConfigError: `rules.<id>`: no such rule, a wrong parameter or stage.
        """
        problems = self.problems(config)
        if problems:
            raise ConfigError(problems[0])

    def _look_up(self, config: Config) -> tuple[list[Rule], list[str]]:
        key = (config.account_id, config.judging_digest)
        if key not in self._in_force:
            if len(self._in_force) > 1000:
                self._in_force.clear()
            problems = [self._stranger(n) for n in config.document.rules if n not in self.models]
            made = [self._for_account(model, config, problems) for model in self.models.values()]
            self._in_force[key] = ([rule for rule in made if rule is not None], problems)
        return self._in_force[key]

    def is_on(self, rule_id: str, config: Config) -> str:
        """`on`, `off` (by setting) or `no facts` (what it needs is not connected)."""
        model = self.models[rule_id]
        own = config.document.rules.get(rule_id, RuleSettings.model_construct())
        if own.off or not (model.enabled or rule_id in config.document.rules):
            return "off"
        return "on" if set(model.needs) <= config.standards.needs else "no facts"

    def _for_account(self, model: RuleModel, config: Config, problems: list[str]) -> Rule | None:
        own = config.document.rules.get(model.id) or RuleSettings.model_validate({})
        params, by_stage = merge_params(model, own, config, problems)
        default, by_place = spans(model, own, config, problems)
        if self.is_on(model.id, config) != "on":
            return None
        return Rule(
            model,
            self._condition(model, params),
            own.severity or model.severity,
            params,
            default,
            by_place,
            {place: self._condition(model, here) for place, here in by_stage.items()},
            by_stage,
        )

    def _stranger(self, name: str) -> str:
        near = get_close_matches(name, self.models, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"rules.{name}: there is no such rule{hint}"

    def _condition(self, model: RuleModel, params: dict[str, Any]) -> Condition:
        key = (model.on, model.when, repr(sorted(params.items())))
        if key not in self._compiled:
            try:
                self._compiled[key] = Condition(model.when, ATTRIBUTES[model.on], params)
            except ConfigError as error:
                raise ConfigError(f"{model.id}: when: {error}") from None
        return self._compiled[key]


def parse_rules(text: str, name: str) -> list[RuleModel]:
    """Read a rule file: shapes, names, conditions.

    Raises:
        ConfigError: file, line and column of the first fault, and the nearest known name.
    """
    read = read_rules(text, name)
    for fault in (*read.shape, *read.meaning):
        raise ConfigError(fault.said(name))
    return read.models


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


def read_rules(text: str, name: str) -> Reading:
    """Read a rule file; a fault in one rule hides none in another.

    Raises:
        ConfigError: it is no YAML.
    """
    document = load_yaml(text, name, "rt")
    plain = _plain(document)
    read = Reading([], [], [])
    try:
        found = dict(enumerate(RuleFile.model_validate(plain).rules))
    except ValidationError as error:
        found = _sound_ones(plain)
        strangers_first = sorted(errors_of(error), key=lambda e: e["type"] != "extra_forbidden")
        read.shape.extend(_locate(one, document) for one in strangers_first)
    seen: set[str] = set()
    for index, model in found.items():
        faults = list(_faults_of(model, index, seen, document))
        read.meaning.extend(faults)
        if not faults:
            read.models.append(model)
    return read


def _sound_ones(plain: Any) -> dict[int, RuleModel]:
    """The rules whose shape is right, by their number in the file."""
    given = plain.get("rules") if isinstance(plain, dict) else None
    found = {}
    for index, one in enumerate(given if isinstance(given, list) else ()):
        with suppress(ValidationError):
            found[index] = RuleModel.model_validate(one)
    return found


def _faults_of(model: RuleModel, index: int, seen: set[str], document: Any) -> Iterator[Fault]:
    def compiled() -> None:
        Condition(model.when, ATTRIBUTES[model.on], model.params)

    for check in (partial(_check, model, seen), compiled):
        try:
            check()
        except ConfigError as error:
            named = str(error).partition(":")[0]
            path = ("rules", index, named if named in _NAMED else "when")
            where = ".".join(str(part) for part in path)
            yield Fault(*_position(document, path), where, f"{model.id}: {error}")


_NAMED = {"id", "since", "level"}  # fields that a fault of meaning begins with


def _plain(document: Any) -> Any:
    """Round-trip YAML nodes as plain values."""
    if isinstance(document, dict):
        return {str(key): _plain(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_plain(value) for value in document]
    return document


def _check(model: RuleModel, seen: set[str]) -> None:
    if model.id in seen:
        raise ConfigError("id: it stands twice in the file")
    seen.add(model.id)
    for name in model.since_names:
        attribute = ATTRIBUTES[model.on].get(name)
        if attribute is None or attribute.type != "instant":
            instants = [a.name for a in ATTRIBUTES[model.on].values() if a.type == "instant"]
            near = get_close_matches(name, instants, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"since: {name!r} is no instant of a {model.on}{hint}")
    if (model.form == "level") != (model.level is not None):
        raise ConfigError("`level` belongs to form level, and to no other")
    if model.level is not None and model.level not in LEVELS:
        raise ConfigError(f"level: {model.level!r} is none of {', '.join(LEVELS)}")


def _locate(fault: Any, document: Any) -> Fault:
    line, column = _position(document, fault["loc"])
    where = place_of(fault)
    text = _no_field(fault) if fault["type"] == "extra_forbidden" else said(fault)
    if not where:
        where, text = "the file", "must be a map with the list `rules`"
    return Fault(line, column, place_of(fault), f"{where}: {text}")


def _no_field(first: Any) -> str:
    models = (RuleModel, ByStage, Text, RuleTest, RuleFile)
    known = {f.alias or name for model in models for name, f in model.model_fields.items()}
    near = get_close_matches(str(first["loc"][-1]), sorted(known), n=1)
    return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")


def _position(document: Any, path: tuple[Any, ...]) -> tuple[int, int]:
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


@cache
def builtin_rules() -> list[RuleModel]:
    """The rules that Dozor ships: `service/rules/catalogue`, file by file."""
    folder = resources.files("service.rules").joinpath("catalogue")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return [
        model
        for file in files
        for model in parse_rules(file.read_text(encoding="utf-8"), file.name)
    ]


def load_book(extra: str | None = None, name: str = "") -> RuleBook:
    """The built-in rules, overridden or extended by the text of a rule file."""
    models = {model.id: model for model in builtin_rules()}
    if extra is not None:
        models |= {model.id: model for model in parse_rules(extra, name)}
    return RuleBook(list(models.values()))


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of time in which one version of an account's settings and rules is in force."""

    start: Instant
    end: Instant
    config: Config
    rules: list[Rule]
    arrived: Mapping[str, Instant] = field(default_factory=dict)  # when a rule came, if later
    before: frozenset[str] = frozenset()  # levels that earlier windows judge

    @cached_property
    def levels(self) -> frozenset[str]:
        """The levels that are wanted: of rules in force, and those that are always shown."""
        own = {rule.model.level for rule in self.rules if rule.model.level}
        return ALWAYS | self.before | own

    @cached_property
    def chains(self) -> dict[str, list[list[tuple["Window", Rule]]]]:
        """`judging`, as the judge takes it where this is the only window."""
        return {kind: [[(self, rule)] for rule in rules] for kind, rules in self.judging.items()}

    @cached_property
    def judging(self) -> dict[str, list[Rule]]:
        """The rules on the timelines themselves (no levels), by kind of subject."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.model.form != "level":
                found.setdefault(rule.model.on, []).append(rule)
        return found
