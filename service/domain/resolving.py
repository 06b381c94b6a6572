"""Settings and directory of an account become its `Config`."""

from zoneinfo import ZoneInfo

from service.domain.account import AccountDocument
from service.domain.config import Config
from service.domain.directory import Directory
from service.domain.instant import Instant
from service.errors import ConfigError


def resolve(
    account_id: str,
    crm: str,
    directory: Directory,
    document: AccountDocument,
    *,
    connected_at: Instant = 0,
    lang: str = "ru",
    default_zone: str = "Europe/Moscow",
) -> Config:
    """Settings and directory become a `Config`.

    Raises:
        ConfigError: a time zone that does not exist.
    """
    name = document.timezone or directory.timezone or default_zone
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"timezone: there is no zone {name!r}; write Europe/Moscow") from None
    currency = document.currency or directory.currency or "RUB"
    return Config(account_id, crm, zone, currency, directory, document, connected_at, lang)
