"""`dozor portal amocrm|bitrix24 ...`: one simulated portal in its own process."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from service.clock import Clock
from service.portal import department, truth
from service.portal.book import Book
from service.portal.server import PortalServer

_ABOUT = """A simulated CRM portal on loopback: REST, OAuth, limits, hooks with retries, a sales
department that lives. Faults and bookkeeping: /_control/ (stats, journal, requests, faults, oauth,
driver, watched, truth)."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dozor portal", description=_ABOUT)
    parser.add_argument("kind", choices=["amocrm", "bitrix24"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deals", type=int, default=120, help="open deals of the department")
    parser.add_argument("--clock", help="INSTANTxSPEED[@UNIX], as DOZOR_CLOCK; default real time")
    parser.add_argument("--token", default="1/secret", help="amoCRM: token; Bitrix24: USER/SECRET")
    parser.add_argument("--account-id", type=int, default=31_000_001)
    parser.add_argument("--subdomain", default="demo")
    parser.add_argument("--timezone", default="Europe/Moscow")
    parser.add_argument("--history-days", type=float, default=14.0, help="calendar days")
    parser.add_argument("--live-from", help="ISO instant; default: now of the clock")
    parser.add_argument("--until", help="ISO instant after which nothing happens any more")
    parser.add_argument("--unwatched", action="store_true", help="until /_control/watched is told")
    parser.add_argument("--no-limits", action="store_true", help="no rate limit")
    return parser.parse_args(given)


def _instant(text: str, name: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{name}: {text!r} has no time zone; write for example 2026-03-02T07:00:00Z"
        raise ValueError(msg)
    return found


def _open(options: argparse.Namespace) -> tuple[PortalServer, datetime, datetime | None]:
    """The portal with its history, when it starts to live, and when it stops."""
    clock = Clock.parse(options.clock)
    now = clock.now().replace(microsecond=0)
    start = _instant(options.live_from, "--live-from") if options.live_from else now
    until = _instant(options.until, "--until") if options.until else None
    book = Book(watched=False if options.unwatched else None)
    department.populate(
        book,
        kind=options.kind,
        seed=options.seed,
        deals=options.deals,
        start=start - timedelta(days=options.history_days),
        end=start,
    )
    server = PortalServer(
        options.kind,
        book,
        clock,
        host=options.host,
        port=options.port,
        account_id=options.account_id,
        subdomain=options.subdomain,
        token=options.token,
        timezone=options.timezone,
        limits=not options.no_limits,
    )
    return server, start, until


def main(given: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the first line of output is JSON with `base_url`."""
    options = _arguments(given)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server, start, until = _open(options)
        server.tell(truth.report)
        server.start()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    actions = department.live(server.office.book, kind=options.kind, seed=options.seed, start=start)
    server.live(actions, until)
    ready = {"kind": options.kind, "base_url": server.base_url}
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
