"""Names in settings become ids; faults of settings become sentences with the near names."""

from collections.abc import Collection, Iterable
from datetime import date
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from service.domain.account import AccountDocument, PipelineSettings, SellerSettings
from service.errors import ConfigError
from service.faults import first_of, place_of, said


def find(name: str, pairs: Iterable[tuple[str, str]], where: str, what: str) -> str:
    """The id among (id, title) pairs that a name means.

    Raises:
        ConfigError: there is none (names the near ones), or several have this title.
    """
    known = list(pairs)
    if any(name == key for key, _ in known):
        return name
    found = {key for key, title in known if title.casefold() == name.casefold()}
    if len(found) == 1:
        return found.pop()
    if found:
        ids = ", ".join(sorted(found))
        raise ConfigError(f"{where}: several {what}s are called {name!r}; give the id ({ids})")
    near = get_close_matches(name, [title for _, title in known], n=3, cutoff=0.5)
    hint = f"; near ones: {', '.join(near)}" if near else ""
    raise ConfigError(f"{where}: the portal has no {what} {name!r}{hint}")


def read_date(text: str, where: str) -> date:
    """A date as written.

    Raises:
        ConfigError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is no date; write 2026-12-01") from None


def check_nudges(document: AccountDocument, crm: str, takes: Collection[str]) -> None:
    """Whether the CRM takes what the rules want to write into it.

    Raises:
        ConfigError: `rules.<id>.nudge`, and what would be right.
    """
    for name, own in document.rules.items():
        if own.nudge is not None and own.nudge not in takes:
            can = ", ".join(sorted(takes)) or "nothing"
            raise ConfigError(f"rules.{name}.nudge: {crm} takes {can}, not {own.nudge}")


def first_fault(error: ValidationError) -> str:
    """`limits.open_deals: must be a whole number`; of an unknown name also the near one."""
    first = first_of(error)
    text, where = said(first), place_of(first)
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _known_names(), n=1)
        text = "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
    return f"{where}: {text}" if where else f"the settings {text}"


def _known_names() -> list[str]:
    names: list[str] = []
    for model in (AccountDocument, SellerSettings, PipelineSettings):
        names += [f.alias or n for n, f in model.model_fields.items()]
    return names


def parse_document(raw: Any) -> AccountDocument:
    """Read a settings document (parsed YAML or JSON).

    Raises:
        ConfigError: one sentence that names the field.
    """
    try:
        return AccountDocument.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        raise ConfigError(first_fault(error)) from None
