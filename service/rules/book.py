"""The rule book: rules loaded, checked and compiled; and what of it is in force for an account."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec

from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.span import Span
from service.domain.steps import ACTIONS, ALWAYS
from service.errors import ConfigError
from service.rules.attributes import ATTRIBUTES, STREAMS, Attribute
from service.rules.expression import Condition
from service.rules.fitting import ByValue, merge_params, spans
from service.rules.forms import SECOND
from service.rules.schema import RuleModel


@dataclass(frozen=True)
class Rule:
    """A compiled rule with an account's changes applied."""

    model: RuleModel
    condition: Condition = field(repr=False, compare=False)
    severity: str = "warning"
    params: dict[str, Any] = field(default_factory=dict)
    default_for: Span = field(default_factory=lambda: Span(0, "m"))
    for_by_place: dict[tuple[str, str], Span] = field(default_factory=dict)
    for_by_value: ByValue = ()
    condition_by_place: dict[tuple[str, str], Condition] = field(
        default_factory=dict, repr=False, compare=False
    )
    params_by_place: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    critical: Condition | None = field(default=None, repr=False, compare=False)
    mild: Condition | None = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The rule's name."""
        return self.model.id

    def span(self, pipeline: str, stage: str) -> Span:
        """`for` at a place of the pipeline."""
        return self.for_by_place.get((pipeline, stage), self.default_for)

    @cached_property
    def soonest(self) -> int:
        """Seconds that surely pass before `for` is used up, wherever and whatever it is."""
        own = [span for _, known in self.for_by_value for span in known.values()]
        spans = (self.default_for, *self.for_by_place.values(), *own)
        return min(span.at_least for span in spans)

    @cached_property
    def for_varies(self) -> bool:
        """Whether `for` is not the same everywhere."""
        return bool(self.for_by_place or self.for_by_value)

    def span_in(self, segment: Any) -> Span:
        """`for` in a segment (`rules.segments`)."""
        return self.span_of(segment.state, segment.pipeline, segment.stage)

    def span_of(self, state: Any, pipeline: str, stage: str) -> Span:
        """`for` of a state at a place: what the subject is comes before where it is."""
        for name, known in self.for_by_value:
            value = getattr(state, name)
            found = known.get(value.casefold()) if value else None
            if found is not None:
                return found
        return self.span(pipeline, stage)

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
                *([self._values_said] if self.for_by_value else []),
                *([self._params_said] if self.params_by_place else []),
                *([self.critical.text] if self.critical else []),
                *(["info", self.mild.text] if self.mild else []),
            ],
            order="deterministic",
        )
        return blake2b(packed, digest_size=5).hexdigest()

    @property
    def _values_said(self) -> dict[str, str]:
        return {f"{n}:{v}": str(s) for n, known in self.for_by_value for v, s in known.items()}

    @property
    def _params_said(self) -> dict[str, dict[str, Any]]:
        return {f"{p}/{s}": own for (p, s), own in self.params_by_place.items()}

    @cached_property
    def since(self) -> tuple[Attribute, ...]:
        """Attributes that start the clock, beside `held`."""
        known = ATTRIBUTES[self.model.on]
        return tuple(known[s.name] for s in self.model.starts if s.counts(self.params))

    @cached_property
    def since_held(self) -> bool:
        """Whether the clock starts no earlier than the condition became true."""
        return self.model.since_held

    @cached_property
    def told(self) -> tuple[Attribute, ...]:
        """Attributes whose values prove a violation."""
        others = [c.attributes for c in (self.critical, self.mild) if c is not None]
        used = (*self.condition.attributes, *self.since, *(a for known in others for a in known))
        return tuple({a.name: a for a in used}.values())

    @cached_property
    def told_lists(self) -> tuple[str, ...]:
        """Those of them that are lists."""
        return tuple(attribute.name for attribute in self.told if attribute.type == "list")

    @cached_property
    def join_seconds(self) -> int:
        """Gaps shorter than this join two intervals."""
        return Span.parse(self.model.join).seconds

    def metric(self, config: Config) -> str:
        """The level that a level rule watches; open deals are weighted where weights are set."""
        name = self.model.level or ""
        return "deals_load" if name == "deals_open" and config.standards.weights else name

    @property
    def below(self) -> int:
        """What a norm asks of a full working day."""
        return int(self.params[(self.model.below or "").removeprefix("param.")])

    @property
    def stream(self) -> str | None:
        """The events whose silence a rule on a seller or account watches."""
        return next((STREAMS[name] for name in self.model.since_names if name in STREAMS), None)

    def above(self, get: Callable[[str], Any]) -> int:
        """The limit of a level rule (`get` reads an attribute)."""
        name = self.model.above or "param.limit"
        if name.startswith("param."):
            return int(self.params[name.removeprefix("param.")])
        return int(get(name))


_MEANING = {
    "id", "on", "form", "when", "since", "for_", "level", "above", "share", "counts", "below",
    "row", "join", "needs", "notice",
}  # fmt: skip


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
            self._other(model, dict(model.params), "critical_when")
            self._other(model, dict(model.params), "info_when")
        self._in_force: dict[tuple[str, str], tuple[list[Rule], list[str]]] = {}

    def model(self, rule_id: str) -> RuleModel | None:
        """A rule by name, also one that is gone: its violations are still shown."""
        return self.models.get(rule_id) or self._gone.get(rule_id)

    def known(self, rule_id: str) -> RuleModel:
        """The same; for a name that nobody knows any more, a rule that says so."""
        return self.model(rule_id) or RuleModel.model_validate(
            {"id": rule_id, "on": "deal", "form": "state", "when": "false", "severity": "info",
             "title": {"ru": rule_id, "en": rule_id},
             "advice": {"ru": "Правила больше нет", "en": "The rule is gone"}}
        )  # fmt: skip

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
        return [*self._look_up(config)[1], *self._unheard(config)]

    def _unheard(self, config: Config) -> list[str]:
        """Rules that receivers want to hear of, and that there are not."""
        return [
            self._stranger(rule_id, f"alerts.receivers.{name}.rules: {rule_id}")
            for name, receiver in config.document.alerts.receivers.items()
            for rule_id in receiver.named_rules
            if rule_id != "*" and self.model(rule_id) is None
        ]

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
            strangers = [n for n in config.document.rules if n not in self.models]
            problems = [self._stranger(name, f"rules.{name}") for name in strangers]
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
        norm = spans(model, own, config, problems)
        if self.is_on(model.id, config) != "on":
            return None
        return Rule(
            model,
            self._condition(model, params),
            own.severity or model.severity,
            params,
            norm.default,
            norm.by_place,
            norm.by_value,
            {place: self._condition(model, here) for place, here in by_stage.items()},
            by_stage,
            None if own.severity else self._other(model, params, "critical_when"),
            None if own.severity else self._other(model, params, "info_when"),
        )

    def _other(self, model: RuleModel, params: dict[str, Any], name: str) -> Condition | None:
        """What makes the severity another; an account that sets its own one has the last word."""
        return self._condition(model, params, name) if getattr(model, name) else None

    def _stranger(self, name: str, where: str) -> str:
        near = get_close_matches(name, self.models, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{where}: there is no such rule{hint}"

    def _condition(self, model: RuleModel, params: dict[str, Any], name: str = "when") -> Condition:
        key = (model.on, str(getattr(model, name)), repr(sorted(params.items())))
        if key not in self._compiled:
            try:
                self._compiled[key] = Condition(getattr(model, name), ATTRIBUTES[model.on], params)
            except ConfigError as error:
                raise ConfigError(f"{model.id}: {name}: {error}") from None
        return self._compiled[key]


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of time in which one version of an account's settings and rules is in force."""

    start: Instant
    end: Instant
    config: Config
    rules: list[Rule]
    arrived: Mapping[str, Instant] = field(default_factory=dict)  # when a rule came, if later
    before: frozenset[str] = frozenset()  # levels that earlier windows judge
    plans: dict[tuple["Window", ...], Any] = field(default_factory=dict, repr=False)
    """The judge's, by the windows before this one."""
    marks: dict[tuple["Window", ...], int] = field(default_factory=dict, repr=False)
    """Of the settings that figures depend on, by the windows before this one."""

    @cached_property
    def levels(self) -> frozenset[str]:
        """The levels that are wanted: of rules in force, and those that are always shown."""
        found = ALWAYS | self.before | {r.model.level for r in self.rules if r.model.level}
        if any(rule.stream == ACTIONS for rule in self.rules):
            found |= {ACTIONS, "meetings"}
        return found

    @cached_property
    def judging(self) -> dict[str, list[Rule]]:
        """The rules on the timelines themselves (first layer), by kind of subject."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.model.on not in SECOND:
                found.setdefault(rule.model.on, []).append(rule)
        return found
