"""HTTP to a portal: one client per portal, under its rate limit, never following redirects.

Faults become the errors of `service.errors`. A transport fault or a 5xx is tried three times, then
it is SourceUnavailable. A request to slow down is obeyed a few times, then it is SourceLimited with
the pause asked for. Addresses in errors have no path: Bitrix24 carries its secret there.
"""

import ipaddress
import json as json_codec
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from service.clock import Clock
from service.domain.ports import PortalResponse
from service.errors import ConfigError, SourceLimited, SourceUnavailable

TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 20 * 1024 * 1024
TRIES = 3
RETRY_SECONDS = 0.2
PAUSE_SECONDS = 5.0  # the shortest pause when a portal asks to slow down, in its own time
PATIENCE_SECONDS = 15.0  # how long one call waits for a portal that asks to slow down
OPERATING_SECONDS = 120.0  # Bitrix24: the time of a method is used up for minutes
LIMITS = {"amocrm": (6.8, 1.0), "bitrix24": (1.95, 48.0)}
"""Requests a second and at once: over 95 % of what the CRM allows (7 in any second; 2, 50)."""
_RETRY_STATUS = {500, 502, 503, 504}


class Limiter(Protocol):
    """Who says when the next request may leave. Seconds are real ones unless said."""

    def take(self) -> float:
        """Reserve one request; how long to wait before it."""

    def pause(self, seconds: float) -> None:
        """The portal asked for a pause (in its own time): nobody sends anything before its end."""

    def paused(self) -> float:
        """How much is left of a pause that the portal asked for, in its own time; 0: none."""

    def real(self, seconds: float) -> float:
        """How many real seconds a span of the portal's time takes."""


class OwnLimiter:
    """A token bucket in the clock's time, for one process: `rate` a second, `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._at = clock.monotonic()
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token; the real seconds to wait before using it."""
        with self._lock:
            now = self._clock.monotonic()
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now
            self._level -= 1
            wait = max(0.0, -self._level / self._rate, self._paused_until - now)
            return self.real(wait)

    def pause(self, seconds: float) -> None:
        """Nothing leaves before the end of the pause."""
        with self._lock:
            until = self._clock.monotonic() + seconds
            self._paused_until = max(self._paused_until, until)

    def paused(self) -> float:
        """How much is left of the pause, in the clock's seconds."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def real(self, seconds: float) -> float:
        """How many real seconds a span of the portal's time takes."""
        return seconds / self._clock.speed


@dataclass
class PortalClient:
    """Implements `domain.ports.PortalHttp` over httpx. `sleep` takes real seconds."""

    base_url: str
    limiter: Limiter
    clock: Clock = field(default_factory=Clock)
    sleep: Callable[[float], None] = time.sleep
    skew: float | None = None  # how far the portal's clock is ahead, by its header Date
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=self.base_url,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            headers={"user-agent": "Dozor/0.1", "accept": "application/json"},
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> PortalResponse:
        """One call under the limit. `once`: not tried again after a fault.

        Raises:
            SourceUnavailable: no useful answer after three tries, or a redirect.
            SourceLimited: the portal asks, or has asked, for a longer pause than one waits for.
        """
        given = {"params": params, "json": json, "headers": dict(headers or {})}
        waited, turn = 0.0, 1
        while True:
            answer = self._answer(method, path, given, 1 if once else TRIES)
            pause = asked_pause(answer)
            if pause is None:
                break
            pause *= turn
            if not _is_of_one_method(answer):
                self.limiter.pause(pause)
            if waited + pause > PATIENCE_SECONDS:
                raise SourceLimited(f"{self.base_url} asks to slow down", pause)
            waited, turn = waited + pause, turn * 2
        if 300 <= answer.status < 400:
            raise SourceUnavailable(f"{self.base_url} redirects; check --base-url")
        return answer

    def _answer(
        self, method: str, path: str, given: Mapping[str, Any], tries: int
    ) -> PortalResponse:
        """An answer, of whatever status; transport faults and 5xx are tried again."""
        for attempt in range(1, tries + 1):
            self._take_turn()
            last = attempt == tries
            try:
                answer = self._once(method, path, given)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                if last:
                    kind = type(error).__name__
                    raise SourceUnavailable(f"{self.base_url} does not answer ({kind})") from None
            else:
                asked = asked_pause(answer) is not None
                if last or asked or answer.status not in _RETRY_STATUS:
                    return answer
            self.sleep(RETRY_SECONDS * attempt)
        raise SourceUnavailable(f"{self.base_url} does not answer")

    def _take_turn(self) -> None:
        """Wait for the limit; a long pause is not slept out: the caller does something else."""
        wait = self.limiter.take()
        left = self.limiter.paused()
        if left > PATIENCE_SECONDS:
            raise SourceLimited(f"{self.base_url} asked for a pause", left)
        self.sleep(wait)

    def _once(self, method: str, path: str, given: Mapping[str, Any]) -> PortalResponse:
        with self._client.stream(method, path, **given) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                size += len(part)
                if size > MAX_ANSWER:
                    raise SourceUnavailable(f"{self.base_url}: an answer of over 20 MiB")
                parts.append(part)
            self.skew = _skew(response.headers.get("date"), self.clock)
            return PortalResponse(response.status_code, dict(response.headers), b"".join(parts))

    def wait(self, seconds: float) -> None:
        """Wait a span of the portal's time."""
        self.sleep(self.limiter.real(seconds))

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def _skew(date: str | None, clock: Clock) -> float | None:
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return told.timestamp() - clock.timestamp()


def asked_pause(answer: PortalResponse) -> float | None:
    """The pause (seconds of the portal's time) that an answer asks for; None: it does not.

    429 with `Retry-After` or `retry_after` in its body (amoCRM); Bitrix24 says
    QUERY_LIMIT_EXCEEDED, mostly with 503, or OPERATION_TIME_LIMIT with 429.
    """
    if answer.status == 429:
        if _is_of_one_method(answer):
            return OPERATING_SECONDS
        told = (answer.headers.get("retry-after"), _told_pause(answer.body))
        return max(PAUSE_SECONDS, *(_seconds(value) for value in told))
    head = answer.body[:200].lstrip()
    limited = head.startswith(b'{"error"') and b"QUERY_LIMIT_EXCEEDED" in head
    return PAUSE_SECONDS if limited else None


def _is_of_one_method(answer: PortalResponse) -> bool:
    """Bitrix24: one method has used up its time; the others go on."""
    return b"OPERATION_TIME_LIMIT" in answer.body


def _told_pause(body: bytes) -> Any:
    try:
        found = json_codec.loads(body)
    except ValueError:
        return None
    return found.get("retry_after") if isinstance(found, dict) else None


def _seconds(value: Any) -> float:
    try:
        return min(max(float(value), 0.0), 3600.0)
    except (TypeError, ValueError):
        return 0.0


@contextmanager
def usable(what: str) -> Iterator[None]:
    """Reading an answer: members that are missing or of another type are the portal's fault.

    Raises:
        SourceUnavailable: names `what` was read and the member.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SourceUnavailable(
            f"{what}: the portal's answer is not as expected ({type(error).__name__}: {error})"
        ) from error


def limits_of(crm: str) -> tuple[float, float]:
    """Requests a second, and at once, that a CRM allows us."""
    return LIMITS.get(crm, (5.0, 5.0))


def make_portal_http(
    base_url: str, limiter: Limiter, clock: Clock, *, allow_private: bool = False
) -> PortalClient:
    """The client of a portal.

    Raises:
        SourceUnavailable: the address is a private one, and private ones are not allowed.
    """
    if not allow_private:
        try:
            public_address(base_url)
        except ConfigError as error:
            raise SourceUnavailable(str(error)) from None
    return PortalClient(base_url, limiter, clock)


def public_address(url: str) -> str:
    """The IP address that a URL's host resolves to, if it is a public one and the URL is https.

    Raises:
        ConfigError: not https, does not resolve, or private, loopback, link-local.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise ConfigError("the address cannot be read") from None
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigError("the address must begin with https://")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"the host {parts.hostname!r} cannot be resolved") from None
    for *_, address in found:
        if not _is_public(str(address[0])):
            raise ConfigError(f"the host {parts.hostname!r} is not a public address")
    return str(found[0][4][0])


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_public(text: str) -> bool:
    """Whether an address is one of the open internet, also looking into IPv4 inside IPv6."""
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast
