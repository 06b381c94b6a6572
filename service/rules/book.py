"""The rule book: rules loaded, checked and compiled; and what of it is in force for an account."""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property
from hashlib import blake2b
from importlib import resources
from typing import Any

import msgspec
from pydantic import ValidationError

from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.span import Span
from service.domain.steps import ALWAYS, LEVELS
from service.errors import ConfigError
from service.faults import first_of, place_of, said
from service.files import load_yaml
from service.rules.attributes import ATTRIBUTES, Attribute
from service.rules.expression import Condition
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
    critical: Condition | None = field(default=None, repr=False, compare=False)

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
                *([self.critical.text] if self.critical else []),
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
    "id", "on", "form", "when", "since", "for_", "level", "above", "share", "join", "needs",
    "notice",
}  # fmt: skip


class RuleBook:
    """All rules of the installation, and those in force for an account."""

    def __init__(self, models: list[RuleModel]) -> None:
        self.models = {model.id: model for model in models}
        self._compiled: dict[tuple[str, str, str], Condition] = {}
        for model in models:
            self._condition(model, dict(model.params))
            self._critical(model, dict(model.params))
        self._in_force: dict[tuple[str, str], tuple[list[Rule], list[str]]] = {}

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
        params, by_stage = _merge_params(model, own, config, problems)
        default, by_place = _spans(model, own, config, problems)
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
            None if own.severity else self._critical(model, params),
        )

    def _critical(self, model: RuleModel, params: dict[str, Any]) -> Condition | None:
        """What raises the severity; an account that sets its own one has the last word."""
        return self._condition(model, params, "critical_when") if model.critical_when else None

    def _stranger(self, name: str) -> str:
        near = get_close_matches(name, self.models, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"rules.{name}: there is no such rule{hint}"

    def _condition(self, model: RuleModel, params: dict[str, Any], name: str = "when") -> Condition:
        key = (model.id, name, repr(sorted(params.items())))
        if key not in self._compiled:
            try:
                self._compiled[key] = Condition(getattr(model, name), ATTRIBUTES[model.on], params)
            except ConfigError as error:
                raise ConfigError(f"{model.id}: {name}: {error}") from None
        return self._compiled[key]


Places = dict[tuple[str, str], dict[str, Any]]


def _merge_params(
    model: RuleModel, own: RuleSettings, config: Config, problems: list[str]
) -> tuple[dict[str, Any], Places]:
    """The rule's numbers with the account's changes, and those of single stages."""
    params = dict(model.params)
    by_place: Places = {}
    for name, value in own.params.items():
        where = f"rules.{model.id}.params.{name}"
        if name not in params:
            problems.append(f"{where}: no such parameter ({', '.join(params) or 'it has none'})")
        elif isinstance(value, dict):
            named = dict(value)
            params[name] = _fitting(
                named.pop("default", params[name]), params[name], where, problems
            )
            for stage, at_stage in named.items():
                fitting = _fitting(at_stage, params[name], f"{where}.{stage}", problems)
                for place in _places_told(stage, config, where, problems):
                    by_place.setdefault(place, {})[name] = fitting
        else:
            params[name] = _fitting(value, params[name], where, problems)
    return params, {place: params | here for place, here in by_place.items()}


def _fitting(value: Any, known: Any, where: str, problems: list[str]) -> Any:
    if type(value) is type(known):
        return value
    problems.append(f"{where}: must be {_KINDS[type(known)]}")
    return known


def _places_told(
    name: str, config: Config, where: str, problems: list[str]
) -> list[tuple[str, str]]:
    places = _places(name, config)
    if not places and config.directory.pipelines:
        problems.append(f"{where}.{name}: no pipeline has a stage {name!r}{_near(name, config)}")
    return places


_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _spans(
    model: RuleModel, own: RuleSettings, config: Config, problems: list[str]
) -> tuple[Span, dict[tuple[str, str], Span]]:
    base = model.for_ if isinstance(model.for_, ByStage) else ByStage(default=model.for_)
    default, named = base.default, dict(base.values)
    if isinstance(own.for_, str):
        default = own.for_
    elif own.for_ is not None:
        named |= own.for_
        default = named.pop("default", default)
    by_place: dict[tuple[str, str], Span] = {}
    for name, text in named.items():
        places = _places_told(name, config, f"rules.{model.id}.for", problems)
        by_place |= dict.fromkeys(places, Span.parse(text))
    return Span.parse(default), by_place


def _near(name: str, config: Config) -> str:
    titles = {s.name for p in config.directory.pipelines for s in p.stages}
    found = get_close_matches(name, sorted(titles), n=3, cutoff=0.5)
    return f"; near ones: {', '.join(found)}" if found else ""


def _places(name: str, config: Config) -> list[tuple[str, str]]:
    return [
        (pipeline.id, stage.id)
        for pipeline in config.directory.pipelines
        for stage in pipeline.stages
        if name in (stage.id, f"{pipeline.id}/{stage.id}")
        or name.casefold() in (stage.name.casefold(), pipeline.name.casefold())
    ]


def parse_rules(text: str, name: str) -> list[RuleModel]:
    """Read a rule file: shapes, names, conditions.

    Raises:
        ConfigError: file, line and column of the first fault, and the nearest known name.
    """
    document = load_yaml(text, name, "rt")
    try:
        models = RuleFile.model_validate(_plain(document)).rules
    except ValidationError as error:
        raise ConfigError(_locate(error, document, name)) from None
    seen: set[str] = set()
    for index, model in enumerate(models):
        part = "when"
        try:
            _check(model, seen)
            for part in ("when", *(["critical_when"] if model.critical_when else [])):
                Condition(getattr(model, part), ATTRIBUTES[model.on], model.params)
        except ConfigError as error:
            line, column = _position(document, ("rules", index, part))
            raise ConfigError(f"{name}:{line}:{column}: {model.id}: {error}") from None
    return models


def _plain(document: Any) -> Any:
    """Round-trip YAML nodes as plain values."""
    if isinstance(document, dict):
        return {str(key): _plain(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_plain(value) for value in document]
    return document


def _check(model: RuleModel, seen: set[str]) -> None:
    if model.id in seen:
        raise ConfigError("this id stands twice in the file")
    seen.add(model.id)
    for name in model.since_names:
        attribute = ATTRIBUTES[model.on].get(name)
        if attribute is None or attribute.type != "instant":
            raise ConfigError(f"since: {name!r} is no instant of a {model.on}")
    if (model.form == "level") != (model.level is not None):
        raise ConfigError("`level` belongs to form level, and to no other")
    if model.form == "level" and model.critical_when:
        raise ConfigError("`critical_when` belongs to no form level")
    if model.level is not None and model.level not in LEVELS:
        raise ConfigError(f"level: {model.level!r} is none of {', '.join(LEVELS)}")


def _locate(error: ValidationError, document: Any, name: str) -> str:
    first = first_of(error)
    line, column = _position(document, first["loc"])
    where = place_of(first)
    text = _no_field(first) if first["type"] == "extra_forbidden" else said(first)
    if not where:
        where, text = "the file", "must be a map with the list `rules`"
    return f"{name}:{line}:{column}: {where}: {text}"


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
    """A stretch of time in which one version of an account's settings is in force."""

    start: Instant
    end: Instant
    config: Config
    rules: list[Rule]

    @cached_property
    def levels(self) -> frozenset[str]:
        """The levels that are wanted: of rules in force, and those that are always shown."""
        return ALWAYS | {rule.model.level for rule in self.rules if rule.model.level}

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
