"""`dozor account ...`, and the commands that read or check an account's data."""

from dataclasses import asdict
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from service import authorise, connect
from service import check as checks
from service.cli import access, base, versions
from service.domain.account import AccountDocument
from service.domain.named import parse_document
from service.errors import ConfigError, SourceUnavailable
from service.files import load_yaml, read_text
from service.pipeline import verify as checking
from service.store import accounts as store
from service.store.engine import reading, transaction

app = typer.Typer(help="Connect portals and look after them.", no_args_is_help=True)
app.add_typer(access.app)
app.command()(versions.history)
app.command()(versions.rollback)
Json = access.Json
Account = access.Account


@app.command()
def add(
    crm: Annotated[str, typer.Argument(help="amocrm or bitrix24")],
    name: Annotated[str, typer.Option(help="what people call it")],
    base_url: Annotated[str, typer.Option(help="https://NAME.amocrm.ru")],
    token: Annotated[str, typer.Option(help="long-lived token; Bitrix24: USER/SECRET")] = "",
    account_id: Annotated[
        str | None, typer.Option("--id", help="default: made of the name")
    ] = None,
    application_token: Annotated[str, typer.Option(help="Bitrix24 outgoing webhook")] = "",
    client_id: Annotated[str, typer.Option(help="OAuth: id of your application")] = "",
    client_secret: Annotated[str, typer.Option(help="OAuth: its secret")] = "",
    oauth_server: Annotated[str, typer.Option(hidden=True)] = "",
    subscribe: Annotated[bool, typer.Option(help="register the hook over the API")] = False,
    timezone: Annotated[str | None, typer.Option(help="default: the portal's")] = None,
    currency: Annotated[str | None, typer.Option(help="default: the portal's")] = None,
    as_json: Json = False,
) -> None:
    """Connect a portal; prints the hook address to paste, or registers it."""
    document = _first_document(timezone, currency)
    chosen = connect.check_id(account_id) if account_id is not None else connect.slug(name)
    secrets = {
        "token": token, "application_token": application_token, "client_id": client_id,
        "client_secret": client_secret, "oauth_server": oauth_server,
    }  # fmt: skip
    secrets = {key: value for key, value in secrets.items() if value}
    with base.office() as office:
        url = connect.add_account(office, crm, name, chosen, base_url, secrets, document)
        invitation = authorise.invite(office, chosen) if client_id and not token else None
        trouble = None if invitation else connect.read_directory(office, chosen)
        if trouble:
            base.err.print(f"The portal does not answer yet: {trouble}", markup=False)
            base.err.print("Nothing is lost: Dozor goes on trying.")
        now = subscribe and not invitation
        by_hand = connect.subscribe(office, chosen, url) if now else None
    if as_json:
        told = asdict(invitation) if invitation else {}
        base.show_json({"id": chosen, "hook_url": url, **told})
    elif invitation:
        base.out.print(f"Account {chosen} is added; it waits to be authorised.", markup=False)
        access.show_invitation(invitation)
    else:
        base.out.print(f"Account {chosen} is connected.\nHook address: {url}", markup=False)
    if by_hand:
        base.err.print(f"The hook is not registered: {by_hand}", markup=False)
        raise typer.Exit(1)


def _first_document(timezone: str | None, currency: str | None) -> AccountDocument:
    if timezone is not None and timezone not in available_timezones():
        near = get_close_matches(timezone, available_timezones(), n=1)
        hint = near[0] if near else "Europe/Moscow"
        raise ConfigError(f"--timezone: there is no zone {timezone[:60]!r}; write {hint}")
    raw = {"timezone": timezone, "currency": currency.upper() if currency is not None else None}
    try:
        return parse_document({key: value for key, value in raw.items() if value is not None})
    except ConfigError as error:
        raise ConfigError(f"--{error}") from None


@app.command("list")
def list_accounts(as_json: Json = False) -> None:
    """All accounts."""
    with base.office() as office, reading(office.engine) as connection:
        rows = store.accounts(connection)
    data = [
        {
            "id": row.account_id, "name": row.name, "crm": row.crm, "base_url": row.base_url,
            "status": row.status, "error": row.error, "backfill": row.backfill_state,
        }
        for row in rows
    ]  # fmt: skip
    if as_json:
        base.show_json(data)
    else:
        columns = ("id", "name", "crm", "base_url", "status", "backfill", "error")
        base.show_table(columns, [[line[c] for c in columns] for line in data])


@app.command()
def check(
    account: Account,
    lang: Annotated[str, typer.Option(help="ru or en; default: DOZOR_LANG")] = "",
    as_json: Json = False,
) -> None:
    """What of an account works and what does not, in plain words."""
    spoken = base.spoken(lang)
    with base.office() as office:
        told = [found.told(spoken) for found in checks.check(office, account)]
    if as_json:
        base.show_json([one._asdict() for one in told])
    else:
        for one in told:
            mark = "ok  " if one.ok else "FAIL"
            base.out.print(f"{mark} {one.title}: {one.detail}", markup=False, soft_wrap=True)
            if one.advice:
                base.out.print(f"     -> {one.advice}", markup=False, soft_wrap=True)
    if not all(one.ok for one in told):
        raise typer.Exit(1)


@app.command()
def disable(account: Account) -> None:
    """Stop working on an account; its hooks are still kept."""
    _set_status(account, "disabled")


@app.command()
def enable(account: Account) -> None:
    """Work on an account again."""
    _set_status(account, "active")


def _set_status(account: str, status: str) -> None:
    with base.office() as office:
        connect.known(office, account)
        with transaction(office.engine) as connection:
            store.change(connection, account, status=status, error=None)
    base.out.print(f"{account} is {status}.")


@app.command("apply")
def apply_settings(
    file: Annotated[Path, typer.Argument(help="settings (YAML)")],
    account: Annotated[str | None, typer.Option(help="default: `account:` in the file")] = None,
    as_json: Json = False,
) -> None:
    """Put a settings file in force."""
    raw = load_yaml(read_text(file, "FILE"), str(file))
    if not isinstance(raw, dict):
        raise ConfigError(f"FILE: {file} must be a map of settings, beginning with `account: ID`")
    chosen = account or raw.get("account")
    if not chosen:
        raise ConfigError("account: the file does not say for which account; add `account: ID`")
    with base.office() as office:
        version = connect.apply_document(office, str(chosen), raw, "cli")
    if as_json:
        base.show_json({"id": chosen, "version": version})
    else:
        base.out.print(f"{chosen}: settings version {version} is in force.")


@app.command()
def show(account: Account, as_json: Json = False) -> None:
    """The settings in force, with every default."""
    from service.cli.document import as_yaml

    with base.office() as office:
        row = connect.known(office, account)
        with reading(office.engine) as connection:
            document = store.document(connection, account)
            config = office.config(connection, account)
    if as_json:
        base.show_json(document.model_dump(mode="json", by_alias=True))
    else:
        print(as_yaml(row.account_id, document, config), end="")


# --- top level ------------------------------------------------------------------------------------


def register(top: typer.Typer) -> None:
    """Put backfill, reconcile, verify and rebuild at the top level."""
    for command in (backfill, reconcile, verify, rebuild):
        top.command()(command)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"),
        TimeElapsedColumn(), TimeRemainingColumn(), console=base.err, transient=True,
    )  # fmt: skip


def backfill(
    account: Account,
    since: Annotated[str | None, typer.Option(help="date, e.g. 2026-01-01")] = None,
    as_json: Json = False,
) -> None:
    """Read all history; resumable, under the CRM's rate limit."""
    with base.office() as office:
        start = _since(since, office.settings.timezone)
        _read(account, connect.backfill(office, account, start), as_json)


def reconcile(account: Account, as_json: Json = False) -> None:
    """Read what changed in the CRM since the last time."""
    with base.office() as office:
        _read(account, connect.reconcile(office, account), as_json)


def _since(text: str | None, zone: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since: {text[:40]!r} is no date; write 2026-01-01") from None
    if not 1970 <= moment.year < 2200:
        raise ConfigError(f"--since: {text[:40]!r} is out of range; write for example 2026-01-01")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    return max(0, int(moment.astimezone(UTC).timestamp()))


def _read(account: str, pages: Any, as_json: bool) -> None:
    count, step, trouble = 0, "", ""
    with _bar() as bar:
        task = bar.add_task(account, total=None)
        try:
            for page in pages:
                count += len(page.facts)
                step = page.step
                bar.update(
                    task, description=f"{account} {step}", total=page.total, completed=page.done
                )
        except SourceUnavailable as error:
            trouble = str(error)
    if as_json:
        base.show_json(
            {"id": account, "facts": count, "complete": not trouble, "error": trouble or None}
        )
    elif not trouble:
        base.out.print(f"{account}: {count} facts read.")
    if trouble:
        base.err.print(f"{account}: could not be completed: {trouble}", markup=False)
        base.err.print("The next call goes on from here.")
        raise typer.Exit(1)


def verify(
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]")] = None,
    as_json: Json = False,
) -> None:
    """Recompute everything derived and compare; exit 1 and the differences."""
    with base.office() as office:
        wanted = _chosen(office, account)
        for chosen in wanted:
            _note_judging(connect.known(office, chosen))
        found = [drift for chosen in wanted for drift in checking.verify(office, chosen)]
    if as_json:
        base.show_json([asdict(drift) for drift in found])
    elif found:
        base.show_table(
            ("account", "what", "subject", "detail"),
            [(d.account, d.what, d.subject, d.detail) for d in found[:200]],
        )
        base.out.print(f"{len(found)} differences")
    else:
        base.out.print("Derived equals recomputed.")
    if found:
        raise typer.Exit(1)


def _note_judging(row: store.AccountRow) -> None:
    """What differs while a change is being worked on says nothing yet."""
    if row.judged_version < row.config_version:
        base.err.print(
            f"{row.account_id}: a change of settings or rules is still being judged in the "
            "background (dozor serve, dozor work); until then it makes differences.",
            markup=False,
        )


def rebuild(
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]")] = None,
) -> None:
    """Derive everything again and replace what differs."""
    with base.office() as office:
        for chosen in _chosen(office, account):
            checking.rebuild(office, chosen)
            base.out.print(f"{chosen} is rebuilt.")


def _chosen(office: Any, account: str | None) -> list[str]:
    if account is not None:
        return [connect.known(office, account).account_id]
    with reading(office.engine) as connection:
        return [row.account_id for row in store.accounts(connection)]
