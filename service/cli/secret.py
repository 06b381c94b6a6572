"""`dozor secret ...`: the key that stored credentials are sealed with."""

from typing import Annotated

import typer

from service.cli import base
from service.secrets import renew_own_key
from service.store import sealed
from service.store.engine import transaction

app = typer.Typer(help="The key that stored credentials are sealed with.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The key that stored credentials are sealed with."""


@app.command()
def rotate(
    as_json: Annotated[bool, typer.Option("--json", help="data for programs")] = False,
) -> None:
    """Seal all credentials with a new key; nothing needs to stop.

    With DOZOR_SECRET_KEY: set it to "NEW OLD" everywhere, restart, run this, then leave NEW alone.
    With the key in DOZOR_DATA_DIR (SQLite): just run this.
    """
    with base.office() as office:
        is_own = not office.settings.secret_key.get_secret_value()
        box = renew_own_key(office.settings) if is_own else office.box
        with transaction(office.engine) as connection:
            count = sealed.reseal(connection, box.reseal)
    if as_json:
        base.show_json({"resealed": count})
    else:
        base.out.print(
            f"{count} credentials are sealed with the {'new' if is_own else 'first'} key."
        )
