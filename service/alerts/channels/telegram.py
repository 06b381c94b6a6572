"""Telegram's Bot API: `sendMessage` as plain text.

Source: core.telegram.org/bots/api (sendMessage, ResponseParameters.retry_after).
"""

from collections.abc import Callable
from typing import Any

import httpx

from service.domain.ports import Message
from service.errors import ChannelError

LIMIT = 4096
TIMEOUT_SECONDS = 15.0


class Telegram:
    """Messages to a chat by a bot."""

    name = "telegram"

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token

    def send(self, message: Message, now: Callable[[], float]) -> None:
        """Deliver to the chat in `message.target`.

        Raises:
            ChannelError: final when the bot, the chat or the token is refused.
        """
        if not self._token:
            raise ChannelError("DOZOR_TELEGRAM_TOKEN is not set", final=True)
        document = {
            "chat_id": message.target,
            "text": message.text if len(message.text) <= LIMIT else message.text[: LIMIT - 1] + "…",
            "disable_web_page_preview": True,
        }
        try:
            answer = httpx.post(
                f"{self._base_url}/bot{self._token}/sendMessage",
                json=document,
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            )
        except httpx.HTTPError as error:
            raise ChannelError(f"Telegram does not answer ({type(error).__name__})") from None
        _judge(answer)


def _judge(answer: httpx.Response) -> None:
    if answer.status_code == 200:
        return
    body = _body(answer)
    text = str(body.get("description") or f"status {answer.status_code}")[:200]
    pause = (body.get("parameters") or {}).get("retry_after")
    raise ChannelError(
        f"Telegram: {text}",
        final=answer.status_code in {400, 401, 403, 404},
        retry_after=float(pause) if isinstance(pause, int | float) else None,
        status=answer.status_code,
    )


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
