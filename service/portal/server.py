"""A simulated portal as a real HTTP server on loopback, for tests and for its own process."""

import socket
import threading
from datetime import datetime
from zoneinfo import ZoneInfo

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.clock import Clock
from service.portal.amocrm.answers import problem
from service.portal.amocrm.protocol import AmoCrm
from service.portal.bitrix24.protocol import Bitrix24
from service.portal.book import Book, Change
from service.portal.control import Control, Truth
from service.portal.courier import Courier
from service.portal.dialect import Dialect
from service.portal.driver import Actions, Driver
from service.portal.mischief import Mischief
from service.portal.office import CrmKind, Office

_START_SECONDS = 10.0


class _Server(uvicorn.Server):
    """Says when it is ready to answer."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class PortalServer:
    """One simulated portal: the protocol of `kind` over `book`, in the time of `clock`.

    `token`: amoCRM's long-lived token; for Bitrix24 `USER/SECRET` of an incoming webhook. Whoever
    changes the book while the server runs holds `lock`. Hooks are sent for every change made after
    `start`, from a thread of their own.
    """

    def __init__(  # noqa: PLR0913 - the description of a portal; all but three have defaults
        self,
        kind: CrmKind,
        book: Book,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account_id: int = 31_000_001,
        subdomain: str = "demo",
        token: str = "1/secret",  # noqa: S107 - a simulated portal has no secrets
        timezone: str = "Europe/Moscow",
        limits: bool = True,
    ) -> None:
        self.office = Office(
            kind=kind,
            book=book,
            clock=clock,
            account_id=account_id,
            subdomain=subdomain,
            token=token,
            zone=ZoneInfo(timezone),
            limits=limits,
        )
        self.lock = self.office.lock
        self.dialect: Dialect = AmoCrm(self.office) if kind == "amocrm" else Bitrix24(self.office)
        self.courier = Courier(clock, self.dialect, self.office.faults)
        self.control = Control(self.office, self.dialect, self.courier)
        self._host, self._port = host, port
        self._server: _Server | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Where the portal answers; empty before `start`."""
        return self.office.base_url

    def start(self) -> "PortalServer":
        """Bind, answer, and send hooks from now on.

        Raises:
            OSError: the port is taken.
            RuntimeError: the server did not come up.
        """
        self._socket = socket.create_server((self._host, self._port))
        port = self._socket.getsockname()[1]
        self.office.base_url = f"http://{self._host}:{port}"
        self.office.grants.api_domain = f"{self._host}:{port}"
        config = uvicorn.Config(
            self._app(),
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="portal-server", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS):
            msg = "the simulated portal did not come up"
            raise RuntimeError(msg)
        self.courier.start()
        with self.lock:
            self.office.book.listeners.append(self._on_change)
        return self

    def live(self, actions: Actions, until: datetime | None = None) -> Driver:
        """Let the department live on, to `until` if given; returns the started driver."""
        driver = Driver(self.office, actions, until)
        self.control.driver = driver
        driver.start()
        return driver

    def tell(self, truth: Truth) -> None:
        """Answer /_control/truth with this bookkeeping."""
        self.control.truth = truth

    def stop(self) -> None:
        """Stop living, sending and answering."""
        if self.control.driver is not None:
            self.control.driver.stop()
        with self.lock:
            if self._on_change in self.office.book.listeners:
                self.office.book.listeners.remove(self._on_change)
        self.courier.stop()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _on_change(self, change: Change) -> None:
        deliveries = self.dialect.deliveries(change)
        if deliveries:
            self.courier.send(deliveries)

    def _app(self) -> Mischief:
        app = Starlette(routes=[*self.dialect.routes(), *self.control.routes()])
        app.add_exception_handler(HTTPException, self._no_such_path)
        guarded = Mischief(app, self.office)
        self.control.log = guarded.log
        return guarded

    async def _no_such_path(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return problem(status, f"Cannot {request.method} {request.url.path}")
