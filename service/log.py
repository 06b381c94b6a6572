"""Structured log lines: one per event, secrets masked, for people (console) or machines (json).

Masked are values under secret-looking names and, in any text, API keys, hook tokens, signing
secrets and `Authorization` values. The libraries' own lines (uvicorn, alembic) take the same form.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

MASK = "***"
_NAMES = re.compile(
    r"(?:^|_)(?:token|secret|secrets|password|authorization|api_key|apikey|access_token|cookie)$",
    re.IGNORECASE,
)
_TEXTS = (
    (re.compile(r"dzr_[0-9A-Za-z]{6,}"), f"dzr_{MASK}"),
    (re.compile(r"whsec_[0-9A-Za-z+/=]+"), f"whsec_{MASK}"),
    (re.compile(r"(/hooks/[a-z0-9]+/)[^/?#\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(/rest/\d+/)[^/?#\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(/bot\d+:)[^/?#\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{MASK}@"),
)


def mask(text: str) -> str:
    """The text without API keys, hook tokens, signing secrets and passwords in addresses."""
    for form, substitute in _TEXTS:
        text = form.sub(substitute, text)
    return text


def mask_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: mask every value of a line, however deep."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if _NAMES.search(name) and value:
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return value


def configure(
    form: Literal["console", "json"] = "json",
    level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Set up logging of the process; may be called again.

    Args:
        form: `console` for people, `json` for machines.
        level: the least level that is written.
        stream: where to; standard error by default (standard output is for data).
    """
    target = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
    shared.append(mask_event)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _configure_stdlib(_renderer(form, target), shared, level, target)


def _renderer(form: str, target: TextIO) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True)
    return structlog.dev.ConsoleRenderer(colors=target.isatty())


def _configure_stdlib(renderer: Any, shared: list[Any], level: str, target: TextIO) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "from_dozor", False):
            root.removeHandler(old)
    handler.from_dozor = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for noisy in ("uvicorn.access", "httpx", "httpcore", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log.info("event_name", field=value)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
