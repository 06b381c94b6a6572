"""A load of hooks on keep-alive connections, each with one request under way.

`wrk` where the machine has it; else raw sockets and epoll, which take as much of a core as the
server does: ratios to a no-op then look better, and a database on the client's core worse.
"""

import argparse
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path


@dataclass
class Load:
    """What one run of requests was like. Latencies in seconds, in order of answers."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers 2xx a second."""
        good = sum(n for status, n in self.statuses.items() if status.startswith("2"))
        return good / self.seconds


def request(path: str, body: bytes) -> bytes:
    """One POST of a form, as bytes on the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: dozor.example\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    """Send requests, round and round, for a while."""
    load = Load()
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    following = cycle(requests)
    for _ in range(connections):
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
    began = time.perf_counter()
    end = began + seconds
    for number, made in sockets.items():
        sent[number] = time.perf_counter()
        made.sendall(next(following))
    while sent:
        for number, _ in poll.poll(5):
            answer = _answer(sockets[number])
            now = time.perf_counter()
            status = answer[9:12].decode()
            load.statuses[status] = load.statuses.get(status, 0) + 1
            load.latencies.append(now - sent.pop(number))
            if now < end:
                sent[number] = now
                sockets[number].sendall(next(following))
    load.seconds = time.perf_counter() - began
    for made in sockets.values():
        made.close()
    return load


def _answer(connection: socket.socket) -> bytes:
    """One answer with its body."""
    data = connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    place = head.lower().find(b"content-length:")
    length = int(head[place + 15 :].split(b"\r\n")[0]) if place >= 0 else 0
    while len(body) < length:
        body += connection.recv(65536)
    return data


_LUA = """
local lines, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[2]) do
    lines[#lines + 1] = wrk.format("POST", arguments[1],
      {["Content-Type"] = "application/x-www-form-urlencoded"}, line)
  end
end
function request() at = at % #lines + 1; return lines[at] end
function done(summary, latency, _)
  local bad = summary.errors
  io.write(string.format('{"rate": %f, "p50_ms": %f, "p99_ms": %f, "bad": %d}',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
"""


def measure(port: int, path: str, bodies: Path, seconds: float) -> dict[str, float]:
    """`rate` a second, `p50_ms`, `p99_ms`, `bad` answers; loaded from the second core."""
    core = str(1 % (os.cpu_count() or 1))
    if shutil.which("wrk"):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(_LUA)
            script.flush()
            done = subprocess.run(
                ["taskset", "-c", core, "wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}s", "-s",
                 script.name, f"http://127.0.0.1:{port}", "--", path, str(bodies)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        found: dict[str, float] = json.loads(done.stdout[done.stdout.index("{") :])
        return found
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.client", str(port), path, str(bodies), "--core", core,
         "--seconds", str(seconds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return _figures(done.stdout)


def _figures(text: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(text)
    return found


def main() -> None:
    """Run as a process of its own, on a core of its own; prints JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("bodies")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--core", type=int, default=1)
    given = parser.parse_args()
    os.sched_setaffinity(0, {given.core % (os.cpu_count() or 1)})
    lines = Path(given.bodies).read_bytes().splitlines()
    requests = [request(given.path, line) for line in lines]
    load = run(given.port, requests, given.connections, given.seconds)
    ranked = sorted(load.latencies)
    found = {
        "rate": load.rate, "bad": sum(n for s, n in load.statuses.items() if s != "200"),
        "p50_ms": ranked[len(ranked) // 2] * 1000, "p99_ms": ranked[int(len(ranked) * 0.99)] * 1000,
    }  # fmt: skip
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
