"""What a CRM's protocol has to offer to the server that plays it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from starlette.routing import BaseRoute

from service.portal.book import Change


@dataclass(frozen=True)
class Delivery:
    """One hook to be sent: where, what it is called in statistics, and the form body."""

    destination: str
    event: str
    body: bytes


class HookPolicy(Protocol):
    """How a CRM sends hooks."""

    answer_seconds: float
    """Real seconds within which the receiver has to answer."""

    def headers(self) -> dict[str, str]:
        """Headers of one request."""
        ...

    def is_on(self, destination: str) -> bool:
        """Is the hook still there and switched on."""
        ...

    def note_answer(self, destination: str, code: int) -> None:
        """Take notice of an answer; code 0 = none (time-out, no connection)."""
        ...

    def wait_after(self, tries: int, code: int) -> timedelta | None:
        """How long (portal time) to wait before the next try; None: there is no next one."""
        ...


class Dialect(HookPolicy, Protocol):
    """A CRM's protocol over one office."""

    def routes(self) -> list[BaseRoute]:
        """The REST interface."""
        ...

    def deliveries(self, change: Change) -> Sequence[Delivery]:
        """The hooks that a change sends; called with the portal's lock held."""
        ...

    def stats(self) -> dict[str, object]:
        """Counters of the REST side and the state of the subscriptions."""
        ...
