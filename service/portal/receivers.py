"""Stand-ins for whoever hears of alerts: Telegram's Bot API, and a subscriber's webhook."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        found = json.loads(self.body)
        return found if isinstance(found, dict) else {}


class StandIn:
    """A real HTTP server on loopback that takes every POST and remembers it.

    `answers`: (status, headers, body) to give next; else 200 with an empty object.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.received.append(Received(self.path, headers, body))
                status, extra, answer = (
                    outer.answers.pop(0) if outer.answers else (200, {}, b'{"ok":true}')
                )
                self.send_response(status)
                for name, value in {"content-length": str(len(answer)), **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self.started = False

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        self.started = True

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TelegramStandIn(StandIn):
    """Answers as `sendMessage` does."""

    @property
    def messages(self) -> list[str]:
        """Texts of all messages, in order."""
        return [
            str(r.document().get("text") or "")
            for r in list(self.received)
            if r.path.endswith("/sendMessage")
        ]


class HookReceiver(StandIn):
    """A subscriber of outgoing webhooks."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, in order."""
        return [r.document() for r in list(self.received)]
