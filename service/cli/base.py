"""What all commands share: settings, one-sentence errors, JSON or tables."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from service import log
from service.errors import ConfigError
from service.pipeline.office import Office
from service.settings import Settings, load_settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def settings(**overrides: object) -> Settings:
    """Settings from the environment, logging set up."""
    found = load_settings(**{k: v for k, v in overrides.items() if v is not None})
    log.configure(found.log_format, found.log_level)
    return found


def spoken(lang: str) -> str:
    """`ru` or `en`: as asked for, else DOZOR_LANG.

    Raises:
        ConfigError: neither.
    """
    if lang not in ("", "ru", "en"):
        raise ConfigError(f"--lang: {lang[:20]!r} must be ru or en")
    return lang or settings().lang


@contextmanager
def office(*, schema: bool = True, **overrides: object) -> Iterator[Office]:
    """The tools of a command, closed at its end."""
    from service.server import open_office
    from service.store.schema import require

    found = settings(**overrides)
    opened = open_office(found)
    try:
        if schema:
            require(opened.engine, make_if_empty=found.embedded)
        yield opened
    finally:
        opened.close()


def show_json(data: Any) -> None:
    """Data for programs: standard output, one document."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, default=str) + "\n")


MOST_NAME = 40  # a name longer than that is folded


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Data for people; brackets in it are text, no markup. The first column is never cut."""
    named = [*(str(row[0]) for row in rows), columns[0]]
    first = Column(columns[0], min_width=min(max(map(len, named)), MOST_NAME), overflow="fold")
    table = Table(first, *columns[1:], title=title or None, title_justify="left")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    out.print(table)
