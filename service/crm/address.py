"""Addresses of portals and application credentials, as an admin types them."""

from urllib.parse import SplitResult, urlsplit

from service.errors import ConfigError


def split(base_url: str, sentence: str) -> SplitResult:
    """The parts of a portal's address.

    Raises:
        ConfigError: `sentence`, which names the option: it is no http(s) address of a host.
    """
    try:
        parts = urlsplit(base_url.strip())
        _ = parts.port
    except ValueError:
        raise ConfigError(sentence) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError(sentence)
    return parts


def origin(parts: SplitResult) -> str:
    """scheme://host[:port]."""
    return f"{parts.scheme}://{parts.netloc}"


def application(secrets: dict[str, str]) -> dict[str, str] | None:
    """Client id and secret of an OAuth application; None if none are given.

    Raises:
        ConfigError: only one of them is given, or one is no single word.
    """
    names = ("client_id", "client_secret")
    given = {name: secrets[name].strip() for name in names if secrets.get(name, "").strip()}
    if not given:
        return None
    for name in names:
        value, option = given.get(name, ""), f"--{name.replace('_', '-')}"
        if not value:
            raise ConfigError(f"{option}: is required together with the other one")
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise ConfigError(f"{option}: must be one word without blanks, as the CRM shows it")
    return given
