"""HTTP to a portal: one client per portal, under its rate limit, never following redirects.

Faults become the errors of `service.errors`: a transport fault or 5xx is tried three times, then
SourceUnavailable; 429 is SourceLimited with the pause asked for; a redirect is never followed.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from service.clock import Clock
from service.domain.ports import PortalResponse
from service.errors import ConfigError, SourceLimited, SourceUnavailable

TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 20 * 1024 * 1024
TRIES = 3
LIMITS = {"amocrm": (5.0, 5.0), "bitrix24": (2.0, 50.0)}
_RETRY_STATUS = {500, 502, 503, 504}


class Limiter:
    """A token bucket in the clock's time: `rate` a second, `burst` at once. Thread-safe."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._at = clock.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token; the real seconds to wait before using it."""
        with self._lock:
            now = self._clock.monotonic()
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now
            self._level -= 1
            return max(0.0, -self._level / self._rate) / self._clock.speed


@dataclass
class PortalClient:
    """Implements `domain.ports.PortalHttp` over httpx."""

    base_url: str
    limiter: Limiter
    sleep: Callable[[float], None] = time.sleep
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
    ) -> PortalResponse:
        """One call under the limit.

        Raises:
            SourceUnavailable: no useful answer after three tries, or a redirect.
            SourceLimited: the portal asks for a pause.
        """
        for attempt in range(1, TRIES + 1):
            self.sleep(self.limiter.take())
            try:
                answer = self._once(method, path, params, json, headers)
            except httpx.HTTPError as error:
                if attempt == TRIES:
                    kind = type(error).__name__
                    raise SourceUnavailable(f"{self.base_url} does not answer ({kind})") from None
            else:
                if answer.status not in _RETRY_STATUS or attempt == TRIES:
                    return self._judged(answer)
            self.sleep(0.2 * attempt)
        raise SourceUnavailable(f"{self.base_url} does not answer")

    def _once(
        self, method: str, path: str, params: Any, json: Any, headers: Mapping[str, str] | None
    ) -> PortalResponse:
        with self._client.stream(
            method, path, params=params, json=json, headers=dict(headers or {})
        ) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                size += len(part)
                if size > MAX_ANSWER:
                    raise SourceUnavailable(f"{self.base_url}: an answer of over 20 MiB")
                parts.append(part)
            return PortalResponse(response.status_code, dict(response.headers), b"".join(parts))

    def _judged(self, answer: PortalResponse) -> PortalResponse:
        if answer.status == 429:
            raise SourceLimited(f"{self.base_url}: too many requests", _pause(answer))
        if 300 <= answer.status < 400:
            raise SourceUnavailable(f"{self.base_url} redirects; check --base-url")
        return answer

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def _pause(answer: PortalResponse) -> float:
    try:
        return max(5.0, float(answer.headers.get("retry-after", "5")))
    except ValueError:
        return 5.0


def make_portal_http(
    base_url: str, crm: str, clock: Clock, *, allow_private: bool = False
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
    rate, burst = LIMITS.get(crm, (5.0, 5.0))
    return PortalClient(base_url, Limiter(rate, burst, clock))


def public_address(url: str) -> str:
    """The IP address that a URL's host resolves to, if it is a public one and the URL is https.

    Raises:
        ConfigError: not https, does not resolve, or private, loopback, link-local.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigError("the address must begin with https://")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        raise ConfigError(f"the host {parts.hostname!r} cannot be resolved") from None
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if not ip.is_global or ip.is_multicast:
            raise ConfigError(f"the host {parts.hostname!r} is not a public address")
    return str(found[0][4][0])
