"""What an account changes in a rule, fitted to the rule and to the portal's pipelines.

What does not fit is a problem that is told, and changes nothing.
"""

from difflib import get_close_matches
from typing import Any

from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.span import Span
from service.rules.schema import ByStage, RuleModel

Places = dict[tuple[str, str], dict[str, Any]]


def merge_params(
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


def spans(
    model: RuleModel, own: RuleSettings, config: Config, problems: list[str]
) -> tuple[Span, dict[tuple[str, str], Span]]:
    """`for` with the account's changes: everywhere, and at single places."""
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
