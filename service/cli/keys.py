"""`dozor key create|list|revoke`."""

import re
from typing import Annotated

import typer

from service.cli import base
from service.domain.instant import iso
from service.errors import ConfigError
from service.store import keys as store
from service.store.engine import reading, transaction

app = typer.Typer(help="API keys: the key is shown once.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,4})([dh])", text)
    if match is None:
        raise ConfigError(f"--expires: {text!r} is no span; write for example 90d or 12h")
    return int(match[1]) * (86400 if match[2] == "d" else 3600)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="for people: who uses it")],
    scope: Annotated[list[str], typer.Option(help="may be given several times")],
    account: Annotated[
        list[str] | None, typer.Option(help="account it sees; none given = all")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="for example 90d")] = None,
    as_json: Json = False,
) -> None:
    """Make a key."""
    with base.office() as office, transaction(office.engine) as connection:
        now = office.now()
        until = now + _seconds(expires) if expires else None
        key_id, secret = store.create_key(connection, name, scope, account or ["*"], now, until)
    if as_json:
        base.show_json({"id": key_id, "key": secret})
    else:
        base.out.print(f"{key_id}\n{secret}\nThe key is shown only now.")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """All keys, without their secrets."""
    with base.office() as office, reading(office.engine) as connection:
        rows = store.keys(connection)
    data = [
        {
            "id": row.id, "name": row.name, "prefix": row.prefix, "scopes": list(row.scopes),
            "accounts": list(row.accounts), "created_at": iso(row.created_at),
            "expires_at": iso(row.expires_at), "revoked_at": iso(row.revoked_at),
            "last_used_at": iso(row.last_used_at),
        }
        for row in rows
    ]  # fmt: skip
    if as_json:
        base.show_json(data)
        return
    columns = ("id", "name", "prefix", "scopes", "accounts", "revoked_at", "last_used_at")
    shown = [
        [", ".join(v) if isinstance(v := line[c], list) else v for c in columns] for line in data
    ]
    base.show_table(columns, shown)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Kill a key; it is dead everywhere within seconds."""
    with base.office() as office, transaction(office.engine) as connection:
        store.revoke_key(connection, key_id, office.now())
    if as_json:
        base.show_json({"id": key_id, "revoked": True})
    else:
        base.out.print(f"{key_id} is revoked.")
