"""Outgoing webhooks, signed as Standard Webhooks 1.0.0 asks (api.md 3.9).

The address is resolved and checked at each try, and that very address is connected to: a name that
resolves to the inside at the second look is never reached.
"""

import base64
import hmac
import ipaddress
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlsplit

import httpx

from service.domain.ports import Message
from service.errors import ChannelError, ConfigError
from service.http import public_address

TIMEOUT_SECONDS = 15.0
PREFIX = "whsec_"


class Webhook:
    """Signed POSTs to subscribers. `message.secret`: one or two secrets, parted by a blank."""

    name = "webhook"

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    def send(self, message: Message, now: Callable[[], float]) -> None:
        """Deliver `message.body` to `message.target`.

        Raises:
            ChannelError: anything but 2xx; final for 410 and refused addresses.
        """
        stamp = str(int(now()))
        headers = {
            "content-type": "application/json",
            "user-agent": "Dozor/0.1",
            "webhook-id": message.key,
            "webhook-timestamp": stamp,
            "webhook-signature": signatures(message.secret, message.key, stamp, message.body),
        }
        url, host = self._address(message.target)
        extensions = {"sni_hostname": host} if host else {}
        if host:
            headers["host"] = urlsplit(message.target).netloc.rpartition("@")[2]
        try:
            with httpx.Client(follow_redirects=False, timeout=TIMEOUT_SECONDS) as client:
                answer = client.post(
                    url, content=message.body, headers=headers, extensions=extensions
                )
        except httpx.HTTPError as error:
            raise ChannelError(f"the receiver does not answer ({type(error).__name__})") from None
        if not 200 <= answer.status_code < 300:
            raise ChannelError(
                f"the receiver answered {answer.status_code}",
                final=answer.status_code == 410,
                retry_after=_pause(answer),
                status=answer.status_code,
            )

    def _address(self, target: str) -> tuple[str, str]:
        """What to connect to: the checked address, and the name for TLS ("" = as it stands)."""
        if self._allow_private:
            return target, ""
        try:
            address = public_address(target)
        except ConfigError as error:
            raise ChannelError(str(error), final=True) from None
        parts = urlsplit(target)
        literal = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
        port = f":{parts.port}" if parts.port else ""
        return parts._replace(netloc=f"{literal}{port}").geturl(), str(parts.hostname)


def signatures(secrets: str, message_id: str, stamp: str, body: bytes) -> str:
    """`v1,<base64>` for each secret, parted by blanks."""
    signed = f"{message_id}.{stamp}.".encode() + body
    found = []
    for secret in secrets.split():
        key = base64.b64decode(secret.removeprefix(PREFIX))
        digest = hmac.new(key, signed, sha256).digest()
        found.append("v1," + base64.b64encode(digest).decode())
    return " ".join(found)


def _pause(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isdecimal() else None
