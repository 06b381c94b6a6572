"""`dozor plan import` (comes with a later version; plans are set over the API now)."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import ConfigError

app = typer.Typer(help="Plans from files.", no_args_is_help=True)


@app.callback()
def _plans() -> None:
    """Plans from files."""


@app.command("import")
def import_plans(file: Annotated[Path, typer.Argument(help="CSV or XLSX")]) -> None:
    """Read plans from a file (comes with a later version)."""
    raise ConfigError(f"plan import {file}: not in this version; use PUT /v1/plans")
