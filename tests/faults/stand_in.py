"""The world around Dozor on one loopback port: Telegram, a subscriber, and a portal that refuses.

The portal answers 400 at once: what is known comes from hooks alone, and nobody waits for retries.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn:
    """Remembers every message, answers 200."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.events: list[tuple[str, bytes]] = []  # (idempotency key, body)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/hook":
                    outer.events.append((self.headers["webhook-id"], body))
                elif self.path.startswith("/bot"):
                    outer.texts.append(json.loads(body)["text"])
                self._answer(200)

            def do_GET(self) -> None:
                self._answer(400)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # the sender was killed
                    return

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no longer."""
        self.server.shutdown()
        self.server.server_close()
