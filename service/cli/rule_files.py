"""`dozor rules apply|show|history|rollback`: an account's own rules, with who, when and why."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from service import connect
from service.cli import base
from service.cli.access import Account, Json
from service.domain.instant import Instant, from_datetime, iso, to_datetime
from service.errors import ConfigError
from service.files import read_text
from service.pipeline import rulebooks
from service.store.engine import reading
from service.store.rule_files import NewFile

Reason = Annotated[str, typer.Option(help="why, for the history")]


def apply_file(
    file: Annotated[Path, typer.Argument(help="a rule file (YAML)")],
    account: Annotated[str, typer.Option(help="whose own rules it replaces")],
    reason: Reason = "",
    since: Annotated[
        str, typer.Option(help="`beginning` or an instant; default: from now on")
    ] = "",
    as_json: Json = False,
) -> None:
    """Put a file in force as an account's own rules; all is judged again in the background."""
    text = read_text(file, "FILE")
    with base.office() as office:
        connect.known(office, account)
        start = _since(since, office.now())
        version = rulebooks.put(office, account, NewFile(text, "cli", reason, start), str(file))
    _say(account, version, "", as_json)


def show(account: Account, as_json: Json = False) -> None:
    """The account's own rules in force, as they were given."""
    with base.office() as office:
        connect.known(office, account)
        text = rulebooks.in_force(office, account)
    if as_json:
        base.show_json({"account": account, "text": text})
    else:
        print(text, end="" if text.endswith("\n") else "\n")


def history(account: Account, as_json: Json = False) -> None:
    """All versions of an account's own rules: when, by whom, why, and which each changed."""
    with base.office() as office:
        row = connect.known(office, account)
        versions = rulebooks.history(office, account)
        changed = office.shelf.changed(versions)
        with reading(office.engine) as connection:
            zone = office.config(connection, account).timezone
    judging = {"done": row.judged_done, "total": row.judged_total}
    running = row.judged_version < row.config_version
    if as_json:
        told: list[dict[str, Any]] = [
            {"version": one.version, "at": iso(one.at), "author": one.author,
             "reason": one.reason, "effective_from": iso(one.effective_from), "changed": names}
            for one, names in zip(versions, changed, strict=True)
        ]  # fmt: skip
        base.show_json({"account": account, "judging": judging if running else None,
                        "versions": told})  # fmt: skip
        return
    for one, names in zip(versions, changed, strict=True):
        when = to_datetime(one.at).astimezone(zone)
        why = f"  {one.reason}" if one.reason else ""
        base.out.print(f"{one.version}  {when:%d.%m.%Y %H:%M}  {one.author}{why}", markup=False)
        base.out.print(f"    {', '.join(names) or 'nothing changed'}", markup=False)
    if not versions:
        base.out.print(f"{account} has no rules of its own.", markup=False)
    if running:
        total = row.judged_total or "?"
        base.out.print(f"Being judged in the background: {row.judged_done} of {total} timelines.")


def rollback(
    account: Account,
    version: Annotated[int, typer.Argument(help="from `dozor rules history`")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Put an earlier version of the rules in force again, as a new one; nothing is lost."""
    with base.office() as office:
        connect.known(office, account)
        new = rulebooks.rollback(office, account, version, "cli", reason)
    _say(account, new, f"; it says what {version} said", as_json)


def register(app: typer.Typer) -> None:
    """Put the commands into `dozor rules`."""
    app.command("apply")(apply_file)
    for command in (show, history, rollback):
        app.command()(command)


def _say(account: str, version: int, more: str, as_json: bool) -> None:
    if as_json:
        base.show_json({"account": account, "version": version})
    else:
        base.out.print(f"{account}: rules version {version} is in force{more}.", markup=False)


def _since(text: str, now: Instant) -> Instant | None:
    """`beginning` or an instant that does not lie ahead; None = as usual."""
    if not text:
        return None
    if text == "beginning":
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(f"--since: {text[:40]!r} is no instant; write 2026-11-23T07:00:00Z")
    if not 0 <= from_datetime(moment) <= now:
        raise ConfigError("--since: must not lie ahead; a change holds from now on at the latest")
    return from_datetime(moment)
