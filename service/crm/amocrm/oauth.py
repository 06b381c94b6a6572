"""amoCRM's OAuth 2 (amocrm.md 3): authorisation code, refresh tokens that are good once."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from service.crm.bearer import again
from service.domain.instant import Instant
from service.domain.ports import Connection, PortalHttp, PortalResponse
from service.errors import SourceLimited, SourceMoved, SourceRefused, SourceUnavailable

EARLY_SECONDS = 600
_HOST = re.compile(r"([a-z0-9][a-z0-9-]{0,62}\.)+(amocrm\.ru|amocrm\.com|kommo\.com)")
CODE_ADVICE = (
    "the portal does not take the code (it is good once, for 20 minutes); check client id, client "
    "secret and the redirect address, and authorise again: dozor account authorise {}"
)
_AUTHORISE = {
    "kommo.com": "https://www.kommo.com/oauth",
    "amocrm.ru": "https://www.amocrm.ru/oauth",
}


class AmoAuthoriser:
    """How an amoCRM administrator lets Dozor in."""

    def link(self, connection: Connection, redirect_uri: str, state: str) -> str:
        """The vendor's page; amoCRM knows the redirect address from the integration."""
        host = urlsplit(connection.base_url).hostname or ""
        domain = ".".join(host.split(".")[-2:])
        page = _AUTHORISE.get(domain, f"{connection.base_url}/oauth")
        query = {"client_id": connection.secrets.get("client_id", ""), "state": state}
        return f"{page}?{urlencode({**query, 'mode': 'popup'})}"

    def redeem(
        self,
        connection: Connection,
        http: PortalHttp,
        given: Mapping[str, str],
        redirect_uri: str,
    ) -> dict[str, str]:
        """The first pair of tokens for a code."""
        referer = given.get("referer", "")
        host = urlsplit(referer if "//" in referer else f"//{referer}").netloc
        if referer and host != urlsplit(connection.base_url).netloc:
            raise SourceRefused(
                f"{host[:80]} was authorised, but the account is for {connection.base_url}; "
                "authorise the right portal"
            )
        code = given.get("code", "")
        if not code:
            told = given.get("error", "no code came")[:80]
            raise SourceRefused(f"the portal was not authorised: {told}")
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        refusal = CODE_ADVICE.format(connection.account_id)
        return {**_exchange(connection, http, grant, refusal), "redirect_uri": redirect_uri}


def refresh(connection: Connection, http: PortalHttp, tokens: dict[str, str]) -> dict[str, str]:
    """The next pair of tokens."""
    grant = {
        "grant_type": "refresh_token",
        "refresh_token": tokens.get("refresh_token", ""),
        "redirect_uri": tokens.get("redirect_uri", ""),
    }
    try:
        fresh = _exchange(connection, http, grant, again(connection.account_id))
    except SourceRefused:
        if moved := _moved_to(connection, http, tokens):
            raise SourceMoved(moved) from None
        raise
    return {**fresh, "redirect_uri": tokens.get("redirect_uri", "")}


def _moved_to(connection: Connection, http: PortalHttp, tokens: dict[str, str]) -> str | None:
    """The address of a portal that was renamed; None if it was not (amocrm.md 3.1).

    The refresh token is shown to nobody but the host that the access token itself names, and only
    if that is one of the vendor's, or the very host that the admin has connected.
    """
    here = urlsplit(connection.base_url)
    asked = str(_claims(tokens.get("access_token", "")).get("api_domain", ""))
    if not (_is_vendors(asked) or asked == here.netloc):
        return None
    headers = {"X-Refresh-Token": tokens.get("refresh_token", "")}
    address = f"{here.scheme}://{asked}/oauth2/account/current/subdomain"
    answer = http.request("GET", address, headers=headers, once=True)
    try:
        home = str(json.loads(answer.body)["domain"]) if answer.status == 200 else ""
    except (ValueError, KeyError, TypeError):
        return None
    known = _is_vendors(home) or not _is_vendors(here.netloc)
    return f"{here.scheme}://{home}" if known and home not in {"", here.netloc} else None


def _is_vendors(host: str) -> bool:
    return bool(_HOST.fullmatch(host))


def _exchange(
    connection: Connection, http: PortalHttp, grant: Mapping[str, str], refusal: str
) -> dict[str, str]:
    known = {name: connection.secrets.get(name, "") for name in ("client_id", "client_secret")}
    answer = http.request("POST", "/oauth2/access_token", json={**known, **grant}, once=True)
    if answer.status != 200:
        _refuse(answer, refusal)
    try:
        found = json.loads(answer.body)
        lasts = int(found["expires_in"])
        new = {name: str(found[name]) for name in ("access_token", "refresh_token")}
    except (ValueError, KeyError, TypeError):
        raise SourceUnavailable("the portal's answer has no tokens") from None
    now = connection.vault.now() if connection.vault is not None else 0
    return {**new, "expires_at": str(now + lasts)}


def _refuse(answer: PortalResponse, refusal: str) -> None:
    if answer.status == 403 and not answer.body.lstrip().startswith(b"{"):
        raise SourceLimited("the portal blocks requests from here; ask its support", 3600)
    if answer.status in {400, 401, 403, 404, 422}:
        raise SourceRefused(refusal)
    raise SourceUnavailable(f"the portal answered {answer.status} when asked for tokens")


def ends_at(token: str) -> Instant | None:
    """When a long-lived token ends: the claim `exp` of a JWT, whose signature nobody can check."""
    try:
        return int(_claims(token)["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def _claims(token: str) -> dict[str, Any]:
    """What a JWT says, unproven; empty if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
