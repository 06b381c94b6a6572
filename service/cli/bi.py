"""`dozor bi grant|revoke|list`: database roles that read the SQL views for BI tools."""

from typing import Annotated

import typer

from service.cli import base
from service.errors import ConfigError
from service.store import accounts
from service.store.bi import grants
from service.store.engine import reading, transaction

app = typer.Typer(
    help="Roles of PostgreSQL that read the views bi_* (Superset, Metabase, Grafana, DataLens).",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]
Role = Annotated[str, typer.Argument(help="a role of the database; it has to exist")]


def _names() -> tuple[str, ...]:
    from service.kpi.views import NAMES

    return NAMES


@app.command()
def grant(
    role: Role,
    account: Annotated[
        list[str] | None, typer.Option(help="account it sees, may be repeated; none given = all")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="print the SQL for the database's administrator")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a role read the views bi_* and nothing else; a second grant replaces the first."""
    chosen = sorted(set(account or [grants.ALL]))
    if only_print:
        statements = grants.statements(role, chosen, _names())
        typer.echo("".join(f"{statement};\n" for statement in statements), nl=False)
        return
    with base.office() as office, transaction(office.engine) as connection:
        known = {row.account_id for row in accounts.accounts(connection)} | {grants.ALL}
        for name in chosen:
            if name not in known:
                raise ConfigError(f"there is no account {name!r}")
        grants.grant(connection, role, chosen, _names())
    if as_json:
        base.show_json({"role": role, "accounts": chosen})
    else:
        base.out.print(f"{role} reads {len(_names())} views; accounts: {', '.join(chosen)}.")


@app.command()
def revoke(role: Role, as_json: Json = False) -> None:
    """Take the right away."""
    with base.office() as office, transaction(office.engine) as connection:
        grants.revoke(connection, role, _names())
    if as_json:
        base.show_json({"role": role, "accounts": []})
    else:
        base.out.print(f"{role} reads nothing any more.")


@app.command("list")
def list_roles(as_json: Json = False) -> None:
    """Which role sees which accounts."""
    with base.office() as office, reading(office.engine) as connection:
        pairs = grants.grants(connection)
    if as_json:
        base.show_json([{"role": role, "account": account} for role, account in pairs])
    else:
        base.show_table(("role", "account"), pairs)
