"""Files that people hand over: read within bounds; YAML without traps.

Aliases are refused (a few bytes could stand for gigabytes), nesting is bounded, a name that stands
twice is an error. Every fault is one sentence with file, line and column.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from service.errors import ConfigError

MOST_BYTES = 1024 * 1024
NESTING = 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_LONG_NUMBER = re.compile(r"[-+]?[\d_]{19,}")


def read_text(path: Path, field: str) -> str:
    """The text of a file; `field` is what the user called it by.

    Raises:
        ConfigError: no such file, a folder, not readable, too large, not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{field}: {path} is no file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{field}: cannot read {path}: {reason}") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{field}: {path} is larger than {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{field}: {path}:{line}: is no UTF-8 text") from None


def load_yaml(text: str, name: str, kind: Literal["safe", "rt"] = "safe") -> Any:
    """The document of a YAML text; `rt` keeps lines and columns.

    Raises:
        ConfigError: `name:line:column: what is wrong`.
    """
    try:
        _check(text, name)
        return YAML(typ=kind).load(text)
    except (MarkedYAMLError, yaml.MarkedYAMLError) as error:
        mark: Any = error.problem_mark
        what = error.problem or "is no YAML"
        raise _fault(name, mark, what) from None
    except (YAMLError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}: {_unreadable(text, error)}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{name}: a value cannot be read: {error}") from None


class _Own(_LOADER):  # type: ignore[misc]
    """Plain values as YAML 1.2 has them: `on` and `12:00` are texts."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _name, _form, _firsts in (
    ("bool", "true|false", "tf"),
    ("null", "null|~|", ["n", "~", ""]),
    ("int", "[-+]?[0-9]+", "-+0123456789"),
    ("timestamp", r"\d{4}-\d\d-\d\d", "0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]*", "-+0123456789"),
):
    _Own.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_form})$"), list(_firsts)
    )


def load_own_yaml(text: str) -> Any:
    """The document of a YAML file that comes with Dozor: fast, since nothing in it is doubtful."""
    return yaml.load(text, _Own)  # noqa: S506 - made of the safe loader


def _check(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise _fault(name, event.start_mark, "aliases (*name) are not supported; write it out")
        if isinstance(event, yaml.ScalarEvent):
            _check_scalar(event, name)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > NESTING:
            raise _fault(name, event.start_mark, f"is nested deeper than {NESTING} levels")


def _check_scalar(event: Any, name: str) -> None:
    """Values that only YAML's own reading would trip over."""
    if not event.implicit[0]:
        return
    if _LONG_NUMBER.fullmatch(event.value):
        raise _fault(name, event.start_mark, "the number is too large")
    found = _DATE.match(event.value)
    if found is None:
        return
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise _fault(name, event.start_mark, f"{found[0]} is no date") from None


def _fault(name: str, mark: Any, what: str) -> ConfigError:
    place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return ConfigError(f"{place}: {what}")


def _unreadable(text: str, error: Exception) -> str:
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        return f"line {line} has a character that YAML does not allow (U+0000)"
    return f"is no YAML: {str(error).splitlines()[0]}"
