"""What an endpoint asks for: the services of the process and the call at hand.

`CallDep` gives a `Call`: database, clock, language, who asks; `EngineDep`, `SettingsDep`, `NowDep`
give single things.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from starlette.responses import Response

from service.api.auth import Caller, KeyRing
from service.api.limits import Limiter, Running
from service.clock import Clock
from service.domain.config import Config
from service.domain.instant import Instant, from_datetime
from service.domain.ports import Adapter
from service.errors import ConfigError
from service.rules.book import RuleBook
from service.rules.schema import RuleModel
from service.rules.shelf import Shelf
from service.settings import Settings
from service.store.audit import record
from service.store.engine import reading, transaction
from service.store.handles import Connection, Engine
from service.store.keys import installation_secret

QUERY_SECONDS = 30.0
Trier = Callable[[str, Sequence[RuleModel]], dict[str, Any]]
"""What rules would change for an account: (account id, rules) -> data; raises ConfigError."""


Proposer = Callable[[str, Sequence[str]], list[dict[str, Any]]]
"""Norms that an account's own pace would give: (account id, rules) -> data; raises ConfigError."""


def _nobody(_account: str, _asked: Sequence[Any]) -> Any:
    raise ConfigError("this process judges nothing")


@dataclass
class Services:
    """What lives as long as the process. `ready`: checks of `/readyz`, name -> `ok` or why not."""

    settings: Settings
    engine: Engine
    clock: Clock
    book: RuleBook
    ready: Callable[[], dict[str, str]]
    keys: KeyRing
    limiter: Limiter
    bulk: Limiter
    running: Running
    wrong_keys: Limiter
    adapters: Mapping[str, Adapter]
    configs: dict[tuple[str, int, str], Config] = field(default_factory=dict, repr=False)
    books: dict[tuple[str, int], RuleBook] = field(default_factory=dict, repr=False)
    try_rules: Trier = _nobody
    propose_norms: Proposer = _nobody
    ending: bool = False  # SIGTERM came: /readyz says so
    _cursor_secret: bytes = field(default=b"", repr=False)

    def now(self) -> Instant:
        """The present instant, whole seconds."""
        return from_datetime(self.clock.now())

    @cached_property
    def shelf(self) -> Shelf:
        """The rules of accounts: their own files on top of the installation's book."""
        return Shelf(self.book)

    @property
    def cursor_secret(self) -> bytes:
        """What signs cursors; the same in all processes of the installation."""
        if not self._cursor_secret:
            with transaction(self.engine) as connection:
                self._cursor_secret = installation_secret(connection, "cursor_secret")
        return self._cursor_secret


def services_of(request: Request) -> Services:
    """The services of the application that answers this request."""
    found: Services = request.app.state.services
    return found


@dataclass
class Call:
    """One request as endpoints see it."""

    request: Request
    services: Services
    now: Instant

    @property
    def caller(self) -> Caller:
        """Whose key it is (endpoints under `/v1` always have one)."""
        found: Caller = self.request.scope["dozor.caller"]
        return found

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.services.engine

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self.services.settings

    @property
    def book(self) -> RuleBook:
        """The rules of the installation; an account may have its own (`names.Names.book`)."""
        return self.services.book

    @property
    def request_id(self) -> str:
        """The id of this request, for the audit log."""
        return str(self.request.scope.get("dozor.request_id", ""))

    @property
    def address(self) -> str:
        """The client's network address."""
        return self.request.client.host if self.request.client else ""

    @cached_property
    def lang(self) -> str:
        """`ru` or `en`: the parameter `lang`, else the installation's."""
        return self.request.query_params.get("lang") or self.settings.lang

    def note(
        self,
        connection: Connection,
        what: str,
        account_id: str = "",
        *,
        before: Any = None,
        after: Any = None,
    ) -> None:
        """A line of the audit log about what this request does (`store.audit`)."""
        record(
            connection, self.caller.key_id, what, self.now, account_id=account_id, before=before,
            after=after, request_id=self.request_id, address=self.address,
        )  # fmt: skip

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot of the database; a query that takes too long is stopped."""
        with reading(self.engine, QUERY_SECONDS) as connection:
            yield connection

    @contextmanager
    def read_long(self) -> Iterator[Connection]:
        """The same for a file that is streamed, however long the client takes."""
        with reading(self.engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A writing transaction."""
        with transaction(self.engine) as connection:
            yield connection


def _call(request: Request) -> Call:
    services = services_of(request)
    return Call(request, services, services.now())


async def get_call(request: Request) -> Call:
    """The dependency behind `CallDep`."""
    return _call(request)


async def get_engine(request: Request) -> Engine:
    """The dependency behind `EngineDep`."""
    return services_of(request).engine


async def get_settings(request: Request) -> Settings:
    """The dependency behind `SettingsDep`."""
    return services_of(request).settings


async def get_now(request: Request) -> Instant:
    """The dependency behind `NowDep`."""
    return services_of(request).now()


CallDep = Annotated[Call, Depends(get_call)]
EngineDep = Annotated[Engine, Depends(get_engine)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
NowDep = Annotated[Instant, Depends(get_now)]


def json_answer(
    document: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON response; equal documents give equal bytes (members in the order given)."""
    return Response(
        msgspec.json.encode(document), status, headers=headers, media_type="application/json"
    )
