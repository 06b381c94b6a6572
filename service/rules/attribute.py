"""What an attribute is: a name that conditions may use, and how it is read off a state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.config import Config

Type = Literal["bool", "int", "int?", "instant", "text", "text?", "list"]
Getter = Callable[[Any, Config], Any]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name that conditions may use."""

    name: str
    type: Type
    doc: str
    get: Getter
    field: str = ""  # the state's own field, if that is all there is to it

    @property
    def nullable(self) -> bool:
        """Whether the value may be null."""
        return self.type in {"instant", "text?", "int?"}


def plain(name: str, kind: Type, doc: str, field: str | None = None) -> Attribute:
    """An attribute that is a field of the state."""
    chosen = field or name.partition(".")[2]
    return Attribute(name, kind, doc, lambda state, _: getattr(state, chosen), chosen)


def seller_active(seller: str, at: int, config: Config) -> bool:
    """Whether a user could work at an instant; one that nobody knows is taken to."""
    known = config.directory.seller(seller)
    return known is None or known.active_at(at)
