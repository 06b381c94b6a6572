"""The command line: `dozor COMMAND ...` (design 8.1)."""

import sys
from typing import Annotated

import typer

from service import __version__
from service.cli import account, base, bi, keys, kpi, plan, rules, secret
from service.cli.guard import guarded

app = typer.Typer(
    name="dozor",
    help="Watches a sales department's CRM: hygiene, workload, plan versus fact.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(account.app, name="account")
app.add_typer(keys.app, name="key")
app.add_typer(rules.app, name="rules")
app.add_typer(kpi.app, name="kpi")
app.add_typer(plan.app, name="plan")
app.add_typer(secret.app, name="secret")
app.add_typer(bi.app, name="bi")
account.register(app)

Json = Annotated[bool, typer.Option("--json", help="data for programs")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port; 0 = any free one")] = None,
    workers_in_process: Annotated[
        bool | None,
        typer.Option("--workers-in-process/--no-workers-in-process", help="also work and notify"),
    ] = None,
) -> None:
    """Receive and answer; on SQLite also work and notify."""
    from service.server import Service, open_office

    settings = base.settings(host=host, port=port, workers_in_process=workers_in_process)
    Service(open_office(settings), lambda line: print(line, flush=True)).run()


@app.command()
def work() -> None:
    """Normalise, store, derive, notify (PostgreSQL; start as many as wished)."""
    from service import server

    server.work(server.open_office(base.settings()))


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the database to the newest schema."""
    from service.store.schema import migrate as upgrade

    with base.office(schema=False) as office:
        before, after = upgrade(office.engine)
    if as_json:
        base.show_json({"before": before or None, "after": after})
    elif before == after:
        base.out.print(f"The schema is {after} already.")
    else:
        base.out.print(f"The schema is now {after}.")


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="bounded, then compare with the simulator")] = False,
    deals: Annotated[int, typer.Option(min=10, help="open deals of each portal")] = 120,
    speed: Annotated[
        float | None,
        typer.Option(min=1, help="how fast the time runs [600; once: 300; less on a busy machine]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another department")] = 1,
) -> None:
    """A simulated sales department behind two simulated portals, watched by a real Dozor."""
    from service.demo import run

    raise typer.Exit(run(once=once, deals=deals, speed=speed, seed=seed))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def portal(context: typer.Context) -> None:
    """A simulated portal alone: `dozor portal amocrm --port 9101` (--help for all options)."""
    from service.portal.__main__ import main as run

    raise typer.Exit(run(context.args))


@app.command()
def openapi(
    check: Annotated[bool, typer.Option(help="compare with the committed file")] = False,
) -> None:
    """Print the OpenAPI description, or compare it with openapi/openapi.json."""
    from pathlib import Path

    from service.api.openapi import build, dump
    from service.clock import Clock
    from service.main import create_app
    from service.rules.loading import load_book
    from service.settings import Settings
    from service.store.engine import open_engine

    engine = open_engine("sqlite:///never-opened.db")
    app = create_app(Settings.model_construct(), engine, Clock(), ready=dict, book=load_book())
    text = dump(build(app))
    if not check:
        sys.stdout.write(text)
        return
    path = Path("openapi/openapi.json")
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        base.err.print(f"{path} differs from the code; run: dozor openapi > {path}")
        raise typer.Exit(1)
    base.out.print(f"{path} is true.")


@app.command()
def version() -> None:
    """Print the version."""
    base.out.print(__version__)


def main() -> None:
    """Entry point: no traceback ever reaches a user."""
    sys.exit(guarded(app))
