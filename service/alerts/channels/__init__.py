"""Channels: one module each, registered here. A new one is a module and a line."""

from service.alerts.channels.telegram import Telegram
from service.alerts.channels.webhook import Webhook
from service.domain.ports import Channel
from service.settings import Settings


def make_channels(settings: Settings) -> dict[str, Channel]:
    """All channels, by name."""
    made: list[Channel] = [
        Telegram(settings.telegram_base_url, settings.telegram_token.get_secret_value()),
        Webhook(allow_private=settings.allow_private_hosts),
    ]
    return {channel.name: channel for channel in made}
