"""`dozor plan import|export`: plans from CSV and XLSX files, and into them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli import base
from service.domain.period import Period
from service.errors import ConfigError
from service.kpi.planfile import read_plans, table_of
from service.kpi.planimport import Imported, Importer, LookedOnly
from service.kpi.plansheet import read, write_csv, write_xlsx
from service.kpi.planstates import rows_within
from service.store import accounts
from service.store import plans as store
from service.store.audit import record
from service.store.engine import reading, transaction

app = typer.Typer(help="Plans from files and into files.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]


@app.callback()
def _plans() -> None:
    """Plans from files and into files."""


@app.command("import")
def import_plans(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX")],
    account: Annotated[
        str | None, typer.Option(help="of rows that name none; needed if there are several")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only look")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="leave out rejected rows")] = False,
    reason: Annotated[str, typer.Option(help="needed where approved plans change")] = "",
    as_json: Json = False,
) -> None:
    """Write the plans of a file; a rejected row stops all, unless --partial."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"FILE: {file} cannot be read: {error.strerror}") from None
    found = Imported()
    with base.office() as office:
        try:
            with transaction(office.engine) as connection:
                known = [row.account_id for row in accounts.accounts(connection)]
                if account is not None and account not in known:
                    raise ConfigError(f"--account: there is no account {account!r}")
                configs = {name: office.config(connection, name) for name in known}
                sheet = read_plans(read(data), configs, account)
                importer = Importer(connection, configs, "cli", reason, office.now())
                found = importer.write(sheet, partial=partial)
                found.settle(dry_run=dry_run)
                for name in found.accounts:
                    accounts.bump(connection, name)
                    record(connection, "cli", "plans.imported", office.now(), account_id=name,
                           after=found.document())  # fmt: skip
        except LookedOnly:
            pass
    _say(found, dry_run=dry_run, as_json=as_json)
    if found.stopped:
        raise typer.Exit(1)


def _say(found: Imported, *, dry_run: bool, as_json: bool) -> None:
    document = found.document() | {"dry_run": dry_run}
    if as_json:
        base.show_json(document)
        return
    if found.faults:
        columns = ("row", "column", "value", "detail")
        rows = [(f.row, f.column, f.value, f.detail) for f in found.faults]
        base.show_table(columns, rows)
    words = ", ".join(f"{document[w]} {w}" for w in ("created", "updated", "unchanged", "removed"))
    if found.stopped:
        base.out.print(f"Nothing is written: {document['rejected']} rows are rejected.")
    else:
        base.out.print(("Would be: " if dry_run else "") + words + ".")


@app.command("export")
def export_plans(
    file: Annotated[Path | None, typer.Argument(help="CSV or XLSX; none = standard output")] = None,
    account: Annotated[str | None, typer.Option(help="only this one")] = None,
    period: Annotated[str | None, typer.Option(help="for example 2026-12")] = None,
    excel_ru: Annotated[bool, typer.Option("--excel-ru", help="for Russian Excel")] = False,
) -> None:
    """Write plans into a file; what is imported again is unchanged."""
    try:
        span = Period.parse(period) if period else None
    except ValueError as error:
        raise ConfigError(f"--period: {error}") from None
    with base.office() as office, reading(office.engine) as connection:
        known = [row.account_id for row in accounts.accounts(connection)]
        if account is not None and account not in known:
            raise ConfigError(f"--account: there is no account {account!r}")
        rows = []
        for name in known if account is None else [account]:
            if span is None:
                rows += store.plans(connection, [name])
            else:
                rows += rows_within(connection, name, span, None)
    table = table_of(rows)
    xlsx = file is not None and file.suffix.lower() == ".xlsx"
    data = write_xlsx(table) if xlsx else write_csv(table, excel_ru=excel_ru)
    if file is None:
        sys.stdout.buffer.write(data)
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"FILE: {file} cannot be written: {error.strerror}") from None
    base.out.print(f"{len(rows)} plans are in {file}.")
