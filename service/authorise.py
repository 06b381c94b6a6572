"""OAuth of portals: the invitation that an admin follows, and what the portal sends back."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from service import connect
from service.domain.ports import Authoriser
from service.errors import ConfigError
from service.http import make_portal_http
from service.pipeline.office import Office
from service.store import accounts
from service.store.accounts import AccountRow, hook_hash
from service.store.engine import reading, transaction

STATE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the admin needs: `link` to follow, and addresses to enter in the CRM beforehand."""

    link: str
    redirect_uri: str
    install_uri: str | None = None


def invite(office: Office, account_id: str) -> Invitation:
    """The way to authorise (again).

    Raises:
        ConfigError: the account is not connected by OAuth.
    """
    row = connect.known(office, account_id)
    authoriser = _authoriser(office, row)
    state = office.box.seal(
        json.dumps({"account": account_id, "until": office.real_now() + STATE_SECONDS})
    )
    with reading(office.engine) as connection:
        portal = office.portal(row, office.config(connection, account_id))
    redirect = redirect_uri(office, row.crm)
    install = None
    if row.crm == "bitrix24":
        install = f"{redirect}/{portal.secrets.get('hook_token', '')}"
    return Invitation(authoriser.link(portal, redirect, state), redirect, install)


def redirect_uri(office: Office, crm: str) -> str:
    """Where the CRM sends the admin back to."""
    return f"{office.settings.outside}/oauth/{crm}"


def by_state(office: Office, crm: str, state: str) -> str:
    """The account that an invitation was for.

    Raises:
        ConfigError: no invitation of ours, or an old one.
    """
    try:
        told = json.loads(office.box.open(state))
    except (ConfigError, ValueError):
        told = {}
    if not isinstance(told, dict) or told.get("until", 0) < office.real_now():
        raise ConfigError("state: this invitation is unknown or older than an hour; take a new one")
    row = connect.known(office, str(told.get("account")))
    if row.crm != crm:
        raise ConfigError(f"state: this invitation is for {row.crm}")
    return row.account_id


def by_hook_token(office: Office, crm: str, token: str) -> str | None:
    """The account whose hook address has this token."""
    wanted = hook_hash(token)
    with reading(office.engine) as connection:
        for row in accounts.accounts(connection):
            if row.crm == crm and hmac.compare_digest(row.hook_hash, wanted):
                return row.account_id
    return None


def accept(office: Office, account_id: str, given: Mapping[str, str]) -> str | None:
    """Redeem what the portal sent, keep the tokens, subscribe the hook.

    Returns:
        None, or one sentence: authorised, but the hook could not be subscribed.

    Raises:
        ConfigError: the account is not connected by OAuth.
        SourceUnavailable: the portal did not take it; what was in force stays in force.
    """
    row = connect.known(office, account_id)
    authoriser = _authoriser(office, row)
    with reading(office.engine) as connection:
        portal = office.portal(row, office.config(connection, account_id))
    http = make_portal_http(
        row.base_url,
        office.limiter(row),
        office.clock,
        allow_private=office.settings.allow_private_hosts,
    )
    try:
        tokens = authoriser.redeem(portal, http, given, redirect_uri(office, row.crm))
    finally:
        http.close()
    office.vault(account_id).keep(tokens)
    learned: dict[str, str] = {
        name: tokens[name] for name in ("member_id", "application_token") if name in tokens
    }
    with transaction(office.engine) as connection:
        accounts.change(
            connection, account_id, status="active", error=None, directory_wanted=True,
            secrets=office.with_secrets(row, learned) if learned else row.secrets,
        )  # fmt: skip
    token = portal.secrets.get("hook_token")
    return connect.subscribe(office, account_id, connect.hook_url(office, row.crm, token or ""))


def _authoriser(office: Office, row: AccountRow) -> Authoriser:
    authoriser = office.adapter(row.crm).authoriser
    if authoriser is None or "client_id" not in office.secrets(row):
        raise ConfigError(
            f"ACCOUNT: {row.account_id!r} is connected by a token, not by OAuth; add it again with "
            "--client-id and --client-secret"
        )
    return authoriser
