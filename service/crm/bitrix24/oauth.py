"""Bitrix24's OAuth 2 for a local application (bitrix24.md 2).

Tokens come with the installation or for a code; they are renewed at the vendor's server, only when
the portal says `expired_token`.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from service.crm.bearer import again
from service.domain.ports import Connection, PortalHttp
from service.errors import SourceRefused, SourceUnavailable

SERVER = "https://oauth.bitrix24.tech"
_REFUSALS = {"invalid_grant", "invalid_client", "invalid_request", "wrong_client", "expired_token"}
_LIMITS = {"insufficient_scope", "invalid_scope", "payment_required", "access_denied"}


class BitrixAuthoriser:
    """How a Bitrix24 administrator lets Dozor in."""

    def link(self, connection: Connection, redirect_uri: str, state: str) -> str:
        """The portal's page; it sends the administrator back with a code."""
        query = {"client_id": connection.secrets.get("client_id", ""), "state": state}
        return f"{connection.base_url}/oauth/authorize/?{urlencode(query)}"

    def redeem(
        self,
        connection: Connection,
        http: PortalHttp,
        given: Mapping[str, str],
        redirect_uri: str,
    ) -> dict[str, str]:
        """Tokens for a code, or for the refresh token of an installation.

        That the vendor's server takes it together with our secret proves where it comes from.
        """
        if given.get("code"):
            grant = {"grant_type": "authorization_code", "code": given["code"]}
        elif given.get("refresh_token"):
            grant = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        else:
            raise SourceRefused("the portal sent neither a code nor a refresh token")
        found = _ask(connection, http, grant)
        installed = urlsplit(found.get("client_endpoint", "")).netloc
        if installed != urlsplit(connection.base_url).netloc:
            raise SourceRefused(
                f"the application was installed on {installed[:80]}, but the account is for "
                f"{connection.base_url}; install it on the right portal"
            )
        if given.get("application_token"):
            found["application_token"] = given["application_token"]
        return found


def refresh(connection: Connection, http: PortalHttp, tokens: dict[str, str]) -> dict[str, str]:
    """The next pair of tokens."""
    grant = {"grant_type": "refresh_token", "refresh_token": tokens.get("refresh_token", "")}
    found = _ask(connection, http, grant)
    if tokens.get("member_id") and found["member_id"] != tokens["member_id"]:
        raise SourceRefused(f"another portal answered; {again(connection.account_id)}")
    return found


def _ask(connection: Connection, http: PortalHttp, grant: Mapping[str, str]) -> dict[str, str]:
    secrets = connection.secrets
    query = {name: secrets.get(name, "") for name in ("client_id", "client_secret")} | dict(grant)
    address = f"{secrets.get('oauth_server') or SERVER}/oauth/token/"
    answer = http.request("GET", address, params=query, once=True)
    try:
        found: Any = json.loads(answer.body)
    except ValueError:
        raise SourceUnavailable(
            f"the authorisation server answered {answer.status} and something that is no JSON"
        ) from None
    told = found if isinstance(found, dict) else {}
    code = str(told.get("error", "")).lower()
    if code in _REFUSALS:
        raise SourceRefused(f"{again(connection.account_id)} (the server said {code})")
    if code in _LIMITS:
        raise SourceRefused(f"the portal's plan or rights do not allow the application: {code}")
    names = ("access_token", "refresh_token", "member_id", "client_endpoint")
    if answer.status != 200 or not all(told.get(name) for name in names):
        raise SourceUnavailable(f"the authorisation server answered {answer.status} without tokens")
    now = connection.vault.now() if connection.vault is not None else 0
    lasts = int(told.get("expires_in") or 3600)
    return {**{name: str(told[name]) for name in names}, "expires_at": str(now + lasts)}
