"""What the pipeline asks of a CRM adapter and of an alert channel (adapters import no registry).

An adapter is two halves. The pure half (`Adapter`) authenticates and decodes what came in. The
other half (`CrmClient`) speaks REST with the one portal it was made for, under its rate limit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from service.domain.directory import Directory
from service.domain.facts import Fact, Kind, Touched
from service.domain.findings import Finding
from service.domain.instant import Instant


class RawHook(NamedTuple):
    """One inbox row as the adapter sees it."""

    body: bytes
    content_type: str
    received_at: Instant


class Vault(Protocol):
    """Keeps the tokens that a portal rotates: `access_token`, `refresh_token`, `expires_at`."""

    def tokens(self) -> dict[str, str]:
        """The tokens in force; empty before the portal was authorised."""

    def renew(
        self, stale: str, exchange: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """New tokens for the access token `stale`: one process asks, all get the answer.

        What `exchange` gives is stored before anybody uses it.

        Raises:
            SourceRefused: the portal does not renew them (any more): it must be authorised again.
            SourceUnavailable: the portal does not answer.
        """

    def now(self) -> Instant:
        """The present instant, in which `expires_at` is told."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and how to reach a portal. `secrets`: what the CRM needs (never logged, no repr)."""

    account_id: str
    base_url: str  # scheme://host[:port], no trailing slash
    timezone: str
    currency: str
    external_id: str | None = None  # learned from the directory: amoCRM account id, member_id
    subdomain: str | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    vault: Vault | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a hook said. Empty and not `ignored` is impossible: adapters raise instead."""

    facts: list[Fact] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    directory_changed: bool = False  # users, pipelines or fields must be read again
    directory: Directory | None = None  # the directory itself, where hooks carry it
    ignored: str | None = None  # an event we have no use for: done, counted, with its name
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # what the portal let know
    farewell: str | None = None  # the portal has let us go: why, and what to do


class HookState(StrEnum):
    """What a portal says of our subscription."""

    ON = "on"
    OFF = "off"  # switched off by the CRM
    MISSING = "missing"
    UNKNOWN = "unknown"  # this way of connecting cannot ask


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a long reading. `cursor` resumes after this page; None = all is read.

    `marks` (of a backfill's last page): how far lists kept by ids were read; 0 = kept by time.
    """

    facts: list[Fact]
    cursor: dict[str, Any] | None
    done: int
    total: int | None = None
    step: str = ""
    marks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nudge:
    """Something to write into the CRM because of a violation. `text` is signed (domain.own)."""

    kind: str  # task | note | chat
    deal: str
    seller: str
    text: str
    due_at: Instant
    mark: str


class CrmClient(Protocol):
    """REST of one portal. Every method may raise SourceUnavailable or its children."""

    def read_directory(self) -> Directory:
        """Users, pipelines, stages, loss reasons, fields, and the portal's own settings."""

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Present images of touched subjects; one that is gone gives a `deleted` fact."""

    def backfill(self, since: Instant | None, cursor: dict[str, Any] | None) -> Iterator[Page]:
        """All there is (changed at or after `since`), page by page, from `cursor` on."""

    def changes(self, cursor: dict[str, Any] | None) -> Iterator[Page]:
        """What changed since the last reconciliation (`cursor`), page by page."""

    def listed(self, kind: Kind) -> Iterator[list[str]] | None:
        """Ids of all subjects of a kind that the portal lists; None: its log tells deletions."""

    def subscribe(self, hook_url: str) -> None:
        """Register the hook through the CRM's API; SourceRefused says what to do by hand."""

    def hook_state(self, hook_url: str) -> HookState:
        """Whether the hook is registered and switched on."""

    def access_ends(self) -> Instant | None:
        """When a token that nobody can renew ends, if it says so."""

    def nudge(self, nudge: Nudge) -> str:
        """Write it; the id that the CRM gave. SourceRejected: the CRM will never take it."""

    def find_nudge(self, nudge: Nudge) -> str | None:
        """The id under which it stands in the CRM already (a try whose answer was lost)."""

    def check(self) -> list[Finding]:
        """Address, token, rights: what works and what does not."""

    def skew_seconds(self) -> float | None:
        """How far the portal's clock was ahead of ours at its last answer; None: not told."""

    def close(self) -> None:
        """Give connections back."""


class Adapter(Protocol):
    """The pure half of a CRM adapter. `nudges`: what can be written into the CRM.

    Without `has_rest` everything is pushed: nothing is read, fetched or reconciled.
    """

    name: str
    nudges: frozenset[str]
    has_rest: bool
    authoriser: "Authoriser | None"

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Check and normalise what the admin typed: (base_url, secrets).

        Raises:
            ConfigError: names the option (`--base-url`, `--token`, ...) and what would be right.
        """

    def admits(self, raw: RawHook, connection: Connection) -> str:
        """Whether a body with a right URL token may come in. Cheap and total.

        Returns:
            "yes", "no" (answered as a wrong token) or "hold" (kept and parked: the proof that it
            must carry is not configured yet).
        """

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to facts and touched ids. Pure.

        Raises:
            PayloadNotUnderstood: the row is parked with its reason.
        """

    def client(self, connection: Connection, http: "PortalHttp") -> CrmClient:
        """REST access to the portal."""

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """The page of a deal (or task, contact) for people in the CRM's web interface."""


class Authoriser(Protocol):
    """OAuth 2 of a CRM: how its administrator lets Dozor in."""

    def link(self, connection: Connection, redirect_uri: str, state: str) -> str:
        """The page on which the administrator says yes."""

    def redeem(
        self,
        connection: Connection,
        http: "PortalHttp",
        given: Mapping[str, str],
        redirect_uri: str,
    ) -> dict[str, str]:
        """Tokens for what the portal sent the administrator back with.

        Raises:
            SourceRefused: it is not good (any more), or of another portal; says what to do.
            SourceUnavailable: the portal does not answer.
        """


class PortalHttp(Protocol):
    """An HTTP client bound to one portal: its rate limit, timeouts, no redirects."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        headers: dict[str, str] | None = None,
        once: bool = False,
    ) -> "PortalResponse":
        """One call under the limit; SourceUnavailable on transport faults.

        `once`: what must not be done twice is not tried again after a fault.
        """

    skew: float | None

    def wait(self, seconds: float) -> None:
        """Wait a span of the portal's time."""

    def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class PortalResponse:
    """Status, headers (lower-case names) and raw body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver. `key` is stable over retries (idempotency)."""

    key: str
    text: str  # plain text in the receiver's language
    body: bytes = b""  # what machines get (webhook), as sent on the wire
    target: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


class Channel(Protocol):
    """A way to tell somebody."""

    name: str

    def send(self, message: Message, now: Callable[[], float]) -> None:
        """Deliver, or raise ChannelError (final or with a pause)."""
