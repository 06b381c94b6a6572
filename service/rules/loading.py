"""Rule files: read, checked name by name, and made a rule book."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, partial
from importlib import resources
from typing import Any

from pydantic import ValidationError

from service.errors import ConfigError
from service.files import load_own_yaml, load_yaml
from service.rules.attributes import ATTRIBUTES
from service.rules.book import RuleBook
from service.rules.expression import Condition
from service.rules.forms import check_form
from service.rules.given import near_of
from service.rules.reading import Fault, Reading, faults_of_shape, plain_of, position, sound_ones
from service.rules.schema import RuleFile, RuleModel
from service.rules.texts import PLACEHOLDER, PLACEHOLDERS


def parse_rules(text: str, name: str) -> list[RuleModel]:
    """Read a rule file: shapes, names, conditions.

    Raises:
        ConfigError: file, line and column of the first fault, and the nearest known name.
    """
    read = read_rules(text, name)
    for fault in (*read.shape, *read.meaning):
        raise ConfigError(fault.said(name))
    return read.models


def read_rules(text: str, name: str) -> Reading:
    """Read a rule file; a fault in one rule hides none in another.

    Raises:
        ConfigError: it is no YAML.
    """
    document = load_yaml(text, name, "rt")
    plain = plain_of(document)
    read = Reading([], [], [])
    try:
        found = dict(enumerate(RuleFile.model_validate(plain).rules))
    except ValidationError as error:
        found = sound_ones(plain)
        read.shape.extend(faults_of_shape(error, document))
    seen: set[str] = set()
    for index, model in found.items():
        faults = list(_faults_of(model, index, seen, document))
        read.meaning.extend(faults)
        if not faults:
            read.models.append(model)
    return read


def _faults_of(model: RuleModel, index: int, seen: set[str], document: Any) -> Iterator[Fault]:
    def compiled(part: str) -> None:
        try:
            Condition(getattr(model, part), ATTRIBUTES[model.on], model.params)
        except ConfigError as error:
            raise ConfigError(f"{part}: {error}" if part != "when" else str(error)) from None

    parts = ("when", *(part for part in ("critical_when", "info_when") if getattr(model, part)))
    for check in (partial(_check, model, seen), *(partial(compiled, part) for part in parts)):
        try:
            check()
        except ConfigError as error:
            named = str(error).partition(":")[0]
            path = ("rules", index, named if named in _NAMED else "when")
            where = ".".join(str(part) for part in path)
            yield Fault(*position(document, path), where, f"{model.id}: {error}")


_NAMED = {
    "id",
    "since",
    "form",
    "level",
    "above",
    "below",
    "critical_when",
    "info_when",
    "for",
    "title",
}  # fields that a fault of meaning begins with


def _check(model: RuleModel, seen: set[str]) -> None:
    if model.id in seen:
        raise ConfigError("id: it stands twice in the file")
    seen.add(model.id)
    for start in model.starts:
        if start.param and start.param not in model.params:
            raise ConfigError(f"since: the rule has no parameter {start.param!r}")
    for name in model.since_names:
        attribute = ATTRIBUTES[model.on].get(name)
        if attribute is None or attribute.type != "instant":
            instants = [a.name for a in ATTRIBUTES[model.on].values() if a.type == "instant"]
            near = get_close_matches(name, instants, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"since: {name!r} is no instant of a {model.on}{hint}")
    check_form(model)
    for said in (model.title.ru, model.title.en):
        for name in PLACEHOLDER.findall(said):
            if name not in PLACEHOLDERS:
                raise ConfigError(f"title: there is no value {name!r}{near_of(name, PLACEHOLDERS)}")


@cache
def builtin_rules() -> list[RuleModel]:
    """The rules that Dozor ships: `service/rules/catalogue`, file by file.

    That they are what `parse_rules` makes of them, without a fault, is a matter of the tests.
    """
    return [
        model
        for text in builtin_files().values()
        for model in RuleFile.model_validate(plain_of(load_own_yaml(text))).rules
    ]


def builtin_files() -> dict[str, str]:
    """The texts of the files that Dozor ships, by name."""
    folder = resources.files("service.rules").joinpath("catalogue")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def load_book(extra: str | None = None, name: str = "") -> RuleBook:
    """The built-in rules, overridden or extended by the text of a rule file."""
    own = [] if extra is None else parse_rules(extra, name)
    book = _builtin_book().with_own(own)
    for model in own:
        check_silenced(model, book)
    return book


def check_silenced(model: RuleModel, book: RuleBook) -> None:
    """Whether a rule speaks for rules that there are.

    Raises:
        ConfigError: names the rule that there is not.
    """
    for name in model.silences:
        if name != "*" and name not in book.models:
            hint = near_of(name, book.models)
            raise ConfigError(f"{model.id}: silences: there is no rule {name!r}{hint}")


@cache
def _builtin_book() -> RuleBook:
    """Compiled once; what is made of it shares its conditions."""
    return RuleBook(builtin_rules())
