"""What an account changes in a rule, fitted to the rule and to the portal's pipelines.

What does not fit is a problem that is told, and changes nothing.
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, NamedTuple

from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.span import Span
from service.rules.paced import PACED, no_pace, planned_metric
from service.rules.schema import ByStage, RuleModel

ByValue = tuple[tuple[str, dict[str, Span]], ...]
"""(field of the state, {value in small letters: span}), what comes first first."""
PLACES = ("stage", "pipeline")
_FIELDS = {"kind": "task_kind", "category": "category", "source": "source"}
VARIES: dict[str, tuple[str, ...]] = {
    "deal": (*PLACES, "source"), "task": (*PLACES, "kind"), "call": PLACES,
    "lead": ("source", "category"), "seller": (), "team": (), "account": (),
}  # fmt: skip
"""By what a norm may differ, by kind of subject."""
Places = dict[tuple[str, str], dict[str, Any]]


def merge_params(
    model: RuleModel, own: RuleSettings, config: Config, problems: list[str]
) -> tuple[dict[str, Any], Places]:
    """The rule's numbers with the account's changes, and those of single stages."""
    params = dict(model.params)
    by_place: Places = {}
    words = _words(model)
    for name, value in own.params.items():
        where = f"rules.{model.id}.params.{name}"
        if name not in params:
            problems.append(f"{where}: no such parameter ({', '.join(params) or 'it has none'})")
        elif name in words:
            params[name] = _fitting(value, params[name], where, problems, words[name])
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
    metric = planned_metric(params)
    if model.counts == "plan_pace" and metric not in PACED:
        problems.append(f"rules.{model.id}.params.metric: {no_pace(metric)}")
        params["metric"] = planned_metric(model.params)
    return params, {place: params | here for place, here in by_place.items()}


def _words(model: RuleModel) -> dict[str, list[str]]:
    """Of each parameter that chooses what starts the clock, the words it may be; none = any."""
    found: dict[str, list[str]] = {}
    for start in model.starts:
        if start.param:
            words = found.setdefault(start.param, [])
            words += [str(model.params[start.param]), start.word] if start.word else []
    return found


def _fitting(
    value: Any, known: Any, where: str, problems: list[str], words: Collection[str] = ()
) -> Any:
    if type(value) is type(known) and (not words or value in words):
        return value
    asked = " or ".join(dict.fromkeys(words)) or _KINDS[type(known)]
    problems.append(f"{where}: must be {asked}")
    return known


def _places_told(
    name: str, config: Config, where: str, problems: list[str]
) -> list[tuple[str, str]]:
    places = _places(name, config)
    if not places and config.directory.pipelines:
        problems.append(f"{where}.{name}: no pipeline has a stage {name!r}{_near(name, config)}")
    return places


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list of texts",
}


class Spans(NamedTuple):
    """`for`: everywhere, at (pipeline, stage), and by what a subject is, which comes first."""

    default: Span
    by_place: dict[tuple[str, str], Span]
    by_value: ByValue


def told_spans(model: RuleModel, own: RuleSettings) -> ByStage:
    """`for` as it is written, with what the account writes on top."""
    base = model.for_ if isinstance(model.for_, ByStage) else ByStage(default=model.for_)
    if own.for_ is None:
        return base
    if isinstance(own.for_, str):
        return base.model_copy(update={"default": own.for_})
    named = base.values | own.for_
    default = named.pop("default", base.default)
    return base.model_copy(update={"default": default, "values": named})


def spans(model: RuleModel, own: RuleSettings, config: Config, problems: list[str]) -> Spans:
    """`for` with the account's changes."""
    base = told_spans(model, own)
    default, named = base.default, base.values
    where = f"rules.{model.id}.for"
    by_place: dict[tuple[str, str], Span] = {}
    by_value: dict[str, dict[str, Span]] = {}
    for name, text in named.items():
        what, value = _what(name, base.by, config)
        near = _near_prefix(value) if what == base.by else ""
        if near:
            problems.append(f"{where}.{name}: did you mean {near}?")
        elif what in PLACES:
            places = _places_told(value, config, where, problems)
            by_place |= dict.fromkeys(places, Span.parse(text))
        elif what not in VARIES[model.on]:
            can = ", ".join(VARIES[model.on]) or "nothing"
            problems.append(f"{where}.{name}: a {model.on} goes by {can}")
        else:
            for known in _values_told(what, value, config, f"{where}.{name}", problems):
                by_value.setdefault(_FIELDS[what], {})[known] = Span.parse(text)
    ordered = tuple((f, by_value[f]) for f in _FIELDS.values() if f in by_value)
    return Spans(Span.parse(default), by_place, ordered)


def _what(name: str, by: str, config: Config) -> tuple[str, str]:
    """(stage, pipeline, source, category or kind; its name) of a name of `for`."""
    if _places(name, config):
        return "stage", name
    prefix, colon, rest = name.partition(":")
    if colon and prefix.strip() in (*PLACES, *_FIELDS):
        return prefix.strip(), rest.strip()
    return by, name


def _near_prefix(name: str) -> str:
    """The name with the prefix that was meant; "" if none was."""
    prefix, colon, rest = name.partition(":")
    near = get_close_matches(prefix, [*PLACES, *_FIELDS], n=1, cutoff=0.7) if colon else []
    return f"{near[0]}:{rest}" if near else ""


def _values_told(
    what: str, name: str, config: Config, where: str, problems: list[str]
) -> list[str]:
    """What the subjects carry for a name, in small letters; of kinds of tasks the ids."""
    if what != "kind" or not config.directory.task_kinds:
        return [name.casefold()]
    kinds = config.directory.task_kinds
    found = [k.id.casefold() for k in kinds if name == k.id or name.casefold() == k.name.casefold()]
    if not found:
        near = get_close_matches(name, [k.name for k in kinds], n=3, cutoff=0.5)
        hint = f"; near ones: {', '.join(near)}" if near else ""
        problems.append(f"{where}: there is no kind of tasks {name!r}{hint}")
    return found


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
