"""Every knob of the installation: environment `DOZOR_*` or `.env` (design 8.2).

The only reader of the environment. An unknown `DOZOR_` name is an error that suggests the near one;
there is no module-level settings object: commands make one and pass it on.
"""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.clock import Clock
from service.errors import ConfigError
from service.faults import first_of, said

PREFIX = "DOZOR_"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")


class Settings(BaseSettings):
    """The installation's settings. Durations carry their unit in the name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    database_url: str = Field("", description="sqlite:///FILE or postgresql://USER@HOST/NAME")
    data_dir: Path = Field(Path(".dozor"), description="folder of the embedded default")
    secret_key: SecretStr = Field(
        SecretStr(""), description="encrypts CRM credentials; made by itself with SQLite"
    )
    public_url: str = Field("", description="https address of this service as seen from outside")
    rules_file: Path | None = Field(None, description="YAML file of rules for all accounts")
    lang: Literal["ru", "en"] = Field("ru", description="language of texts for people")
    allow_private_hosts: bool = Field(False, description="portals and subscriptions on loopback")
    inbox_keep_days: int = Field(14, ge=1, le=3650, description="raw bodies are dropped after that")
    clock: str = Field("", description="<instant>x<speed>: accelerated clock, only with DOZOR_DEMO")
    reconcile_minutes: int = Field(
        5, ge=0, le=1440, description="what changed in the CRM is read so often; 0 = never"
    )
    demo: bool = Field(False, description="allow DOZOR_CLOCK")
    timezone: str = Field("Europe/Moscow", description="zone of accounts whose portal tells none")
    trusted_proxies: str = Field(
        "127.0.0.1", description="addresses or networks, with commas, whose X-Forwarded-* count"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 = any free one")
    workers_in_process: bool | None = Field(
        None, description="serve also works and notifies; default: only on SQLite"
    )
    inbox_queue: int = Field(5000, ge=1, description="hooks waiting for the disk before 503")
    tick_milliseconds: int = Field(200, ge=10, description="longest pause of the worker")
    metrics_public: bool = Field(True, description="/metrics without a key")
    cors_origins: str = Field("", description="exact origins, separated by blanks")
    telegram_token: SecretStr = Field(SecretStr(""), description="token of the Telegram bot")
    telegram_base_url: str = Field("https://api.telegram.org", description="Bot API address")
    rate_limit_per_minute: int = Field(600, ge=1, description="requests of one API key a minute")
    log_format: Literal["console", "json"] = Field("json", description="form of log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info")
    commit: str = Field("", description="what /version says of the build")

    @field_validator("clock")
    @classmethod
    def _clock_reads(cls, value: str) -> str:
        Clock.parse(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            msg = f"there is no time zone {value[:60]!r}; write for example Europe/Moscow"
            raise ValueError(msg) from None
        return value

    @field_validator("public_url", "telegram_base_url")
    @classmethod
    def _url_is_plain(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            msg = f"must begin with https:// (or http://), not {value[:60]!r}"
            raise ValueError(msg)
        if value and not _is_address(value):
            msg = f"{value[:60]!r} is no address; write for example https://dozor.example.com"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, value: str) -> str:
        for origin in value.split():
            if not _ORIGIN.fullmatch(origin):
                msg = f"{origin[:60]!r} is no origin; write for example https://bi.example.com"
                raise ValueError(msg)
        return value

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            msg = "must begin with sqlite:/// or postgresql://"
            raise ValueError(msg)
        if value in ("sqlite:///", "sqlite:///:memory:"):
            msg = "must name a file, for example sqlite:////var/lib/dozor/dozor.db"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _clock_only_in_demo(self) -> "Settings":
        if self.clock and not self.demo:
            msg = "DOZOR_CLOCK is for demonstrations: set DOZOR_DEMO=1 as well, or remove it"
            raise ValueError(msg)
        return self

    @property
    def effective_database_url(self) -> str:
        """The database address, by default a file in the data folder."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'dozor.db').absolute()}"

    @property
    def outside(self) -> str:
        """The address of this service as others reach it, as far as it is told."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite: receive, work and answer in one process."""
        return self.effective_database_url.startswith("sqlite")

    def make_clock(self) -> Clock:
        """The clock these settings ask for."""
        return Clock.parse(self.clock)


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`.

    Raises:
        ConfigError: an unknown `DOZOR_` name or a value that cannot be used; names the variable.
    """
    _refuse_strangers()
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _refuse_strangers() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    names = [name for name in os.environ if name.upper().startswith(PREFIX)]
    names += [name for name in _dotenv_names() if name.upper().startswith(PREFIX)]
    for name in names:
        if name.upper() in known:
            continue
        near = get_close_matches(name.upper(), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no setting {name}{hint}")


def _dotenv_names() -> list[str]:
    path = Path(".env")
    if not path.is_file():
        return []
    try:
        return list(dotenv_values(path, encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise ConfigError(f".env: {path.absolute()} cannot be read: {reason}") from None


def _is_address(value: str) -> bool:
    """Scheme, host, perhaps a port and a path; nothing else."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or re.search(r"\s", value))
    return bool(parts.hostname) and plain


def _sentence(error: ValidationError) -> str:
    first = first_of(error)
    text = said(first)
    name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else ""
    return f"{name}: {text}" if name and not text.startswith(PREFIX) else text
