"""The generic adapter as the rest of Dozor sees it."""

from collections.abc import Iterator, Sequence
from typing import Any

from service.crm import address
from service.crm.generic.decode import decode
from service.domain.directory import Directory
from service.domain.facts import Fact, Kind, Touched
from service.domain.findings import Finding
from service.domain.instant import Instant
from service.domain.ports import (
    Authoriser,
    Connection,
    CrmClient,
    Decoded,
    HookState,
    Nudge,
    Page,
    PortalHttp,
    RawHook,
)
from service.errors import ConfigError, SourceRefused, SourceRejected

_ADDRESS = (
    "--base-url: must be the CRM's address, for example https://crm.example or "
    "https://crm.example/deals/{id} (then alerts link to the deal)"
)
_BY_HAND = "this CRM has no REST that Dozor knows; post facts to the hook address"


class Generic:
    """Any CRM, or a flow in between, that posts facts as JSON."""

    name = "generic"
    nudges: frozenset[str] = frozenset()
    has_rest = False
    authoriser: Authoriser | None = None

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """The CRM's address; with `{id}` in it: the page of a deal.

        Raises:
            ConfigError: names the option.
        """
        address.split(base_url, _ADDRESS)
        if secrets.get("token"):
            raise ConfigError("--token: is not needed; the hook address is the secret")
        return base_url.strip().rstrip("/"), {}

    def admits(self, raw: RawHook, connection: Connection) -> str:
        """The URL token is the proof."""
        return "yes"

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to facts and directory."""
        return decode(raw, connection.secrets)

    def client(self, connection: Connection, http: PortalHttp) -> CrmClient:
        """Answers without a network."""
        return Pushed(http)

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """A deal's page, if the address says how it is made."""
        if kind != "deal" or "{id}" not in connection.base_url:
            return None
        return connection.base_url.replace("{id}", subject_id)


class Pushed:
    """The client of a CRM that cannot be asked."""

    def __init__(self, http: PortalHttp) -> None:
        self._http = http

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def read_directory(self) -> Directory:
        """Comes by hook."""
        raise SourceRefused(_BY_HAND)

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Nothing more is known than was posted."""
        return []

    def backfill(self, since: Instant | None, cursor: dict[str, Any] | None) -> Iterator[Page]:
        """There is nothing to read: post the history."""
        raise SourceRefused(_BY_HAND)

    def changes(self, cursor: dict[str, Any] | None) -> Iterator[Page]:
        """There is nothing to read."""
        raise SourceRefused(_BY_HAND)

    def listed(self, kind: Kind) -> None:
        """Nobody can be asked."""

    def subscribe(self, hook_url: str) -> None:
        """Done where the facts come from."""
        raise SourceRefused(_BY_HAND)

    def hook_state(self, hook_url: str) -> HookState:
        """Nobody knows."""
        return HookState.UNKNOWN

    def access_ends(self) -> Instant | None:
        """Never."""
        return None

    def nudge(self, nudge: Nudge) -> str:
        """There is nowhere to write."""
        raise SourceRejected(_BY_HAND)

    def find_nudge(self, nudge: Nudge) -> str | None:
        """There is nowhere to look."""
        return None

    def check(self) -> list[Finding]:
        """Nobody can be asked."""
        return []

    def skew_seconds(self) -> float | None:
        """Nobody knows."""
        return None
