"""`dozor account ...`: how Dozor gets at a portal: tokens, OAuth, hooks, what fields mean."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from service import authorise, connect
from service.cli import base
from service.domain.fieldmap import meanings
from service.errors import ConfigError, SourceUnavailable
from service.store.engine import reading

app = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="data for programs")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="the account's id")]


@app.command()
def subscribe(account: Account) -> None:
    """Register the hook over the API (again); from then on Dozor keeps it switched on."""
    with base.office() as office:
        row = connect.known(office, account)
        url = office.hook_url(row)
        if not url:
            raise ConfigError(f"ACCOUNT: run first: dozor account rotate-hook {account}")
        by_hand = connect.subscribe(office, account, url)
    if by_hand:
        base.err.print(f"The hook is not registered: {by_hand}", markup=False)
        raise typer.Exit(1)
    base.out.print("The hook is registered.")


@app.command("token")
def change_token(
    account: Account,
    token: Annotated[str, typer.Argument(help="the new one; Bitrix24: USER/SECRET")],
) -> None:
    """Give another long-lived token, when the old one ends or was withdrawn."""
    with base.office() as office:
        connect.change_token(office, account, token)
        trouble = connect.read_directory(office, account)
    if trouble:
        base.err.print(f"The portal does not take it: {trouble}", markup=False)
        raise typer.Exit(1)
    base.out.print("The token is kept; the portal answers.")


@app.command("authorise")
def authorise_portal(
    account: Account,
    code: Annotated[str, typer.Option(help="the code that the CRM shows, if you have one")] = "",
    as_json: Json = False,
) -> None:
    """OAuth: where to say yes (again), or take a code; then the hook is subscribed."""
    if code:
        _redeem(account, code, as_json)
        return
    with base.office() as office:
        invitation = authorise.invite(office, account)
    if as_json:
        base.show_json(asdict(invitation))
    else:
        show_invitation(invitation)


def _redeem(account: str, code: str, as_json: bool) -> None:
    with base.office() as office:
        try:
            by_hand = authorise.accept(office, account, {"code": code})
        except SourceUnavailable as error:
            base.err.print(str(error), markup=False)
            raise typer.Exit(1) from None
    if as_json:
        base.show_json({"id": account, "authorised": True, "hook": by_hand or "ok"})
    else:
        base.out.print(f"{account} is authorised.", markup=False)
    if by_hand:
        base.err.print(f"The hook is not registered: {by_hand}", markup=False)


def show_invitation(invitation: authorise.Invitation) -> None:
    """What the admin has to enter in the CRM, and the link to open."""
    lines = [f"1. Redirect address to enter in the CRM: {invitation.redirect_uri}"]
    if invitation.install_uri:
        lines = [
            f"1. Addresses to enter in the application: handler {invitation.redirect_uri}",
            f"   installation {invitation.install_uri} (keep it secret); then install it,",
        ]
    lines.append(f"2. or, as an administrator, open within an hour: {invitation.link}")
    for line in lines:
        base.out.print(line, markup=False, soft_wrap=True)


@app.command()
def fields(
    account: Account,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="MEANING=FIELD (id, code, title or default)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which custom fields are source, budget and loss reason; --set changes it."""
    with base.office() as office:
        connect.known(office, account)
        if assign:
            connect.assign_fields(office, account, dict(_pairs(assign)))
        with reading(office.engine) as connection:
            known = meanings(office.config(connection, account))
    rows = [
        {
            "meaning": one.name,
            "field": f"{one.field.name} ({one.field.id})" if one.field else "the CRM's own",
            "guesses": [f"{guess.name} ({guess.id})" for guess in one.guesses],
        }
        for one in known
    ]
    if as_json:
        base.show_json(rows)
    else:
        columns = ("meaning", "field", "guesses")
        base.show_table(
            columns, [(r["meaning"], r["field"], ", ".join(r["guesses"])) for r in rows]
        )


def _pairs(given: list[str]) -> Iterator[tuple[str, str]]:
    for text in given:
        meaning, sign, field = text.partition("=")
        if not sign or not field:
            raise ConfigError(f"--set: {text[:40]!r} is no pair; write for example source=Источник")
        yield meaning, field


@app.command("rotate-hook")
def rotate_hook(account: Account, as_json: Json = False) -> None:
    """A new hook address; the old one stops working."""
    with base.office() as office:
        url = connect.rotate_hook(office, account)
    if as_json:
        base.show_json({"id": account, "hook_url": url})
    else:
        base.out.print(f"Hook address: {url}", markup=False)


@app.command("application-token")
def application_token(
    account: Account, token: Annotated[str, typer.Argument(help="of the outgoing webhook")]
) -> None:
    """Bitrix24: give the outgoing webhook's token; parked events are worked on then."""
    with base.office() as office:
        connect.give_token(office, account, token)
    base.out.print("The token is kept.")
