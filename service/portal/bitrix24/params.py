"""What a REST method is called with and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAGE = 50
Params = Mapping[str, Any]


class RestError(Exception):
    """A refusal in Bitrix24's form: HTTP status, `error` (may be empty), `error_description`."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description

    def body(self) -> dict[str, str]:
        """The body of the answer."""
        return {"error": self.code, "error_description": self.description}


@dataclass(frozen=True)
class Result:
    """`result` with the paging that stands beside it."""

    value: Any
    total: int | None = None
    next: int | None = None


def entries(value: object) -> list[Any]:
    """A list as JSON has it, or as a form has it (a map with numeric keys); a scalar alone."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def mapping(params: Params, *names: str) -> dict[str, Any]:
    """The first of these parameters that is a map; empty if none is."""
    for name in names:
        found = params.get(name)
        if isinstance(found, Mapping):
            return {str(key): value for key, value in found.items()}
    return {}


def whole(params: Params, name: str, default: int) -> int:
    """A whole number.

    Raises:
        RestError: it is none.
    """
    found = params.get(name, default)
    try:
        return int(found)
    except (TypeError, ValueError):
        raise RestError(400, "INVALID_ARG_VALUE", f"Invalid value of {name}") from None


def subject(params: Params, *names: str) -> int:
    """The id of the object asked for, under the first of these names."""
    for name in names:
        if name in params:
            return whole(params, name, 0)
    raise RestError(400, "", "ID is not defined or invalid.")
