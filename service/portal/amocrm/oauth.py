"""amoCRM's authorise page and token endpoint (amocrm.md 3.2, 3.3)."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service.portal.amocrm.answers import problem
from service.portal.control import answer, json_object
from service.portal.office import Office


class OAuth:
    """/oauth (the administrator always says yes), /oauth2/access_token, and where we live."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[BaseRoute]:
        """All three."""
        return [
            Route("/oauth", self._authorise),
            Route("/oauth2/account/current/subdomain", self._subdomain),
            Route("/oauth2/access_token", self._token, methods=["POST"]),
        ]

    async def _authorise(self, request: Request) -> Response:
        client_id = request.query_params.get("client_id", "")
        with self._office.lock:
            code = self._office.grants.code(client_id)
            client = self._office.grants.clients.get(client_id)
        if code is None or client is None:
            return problem(404, "no such integration")
        query = {
            "code": code,
            "referer": urlsplit(self._office.base_url).netloc,
            "state": request.query_params.get("state", ""),
            "client_id": client_id,
        }
        return RedirectResponse(f"{client.redirect_uri}?{urlencode(query)}", 302)

    async def _subdomain(self, request: Request) -> Response:
        """Where the account lives now, for whoever has a good refresh token (amocrm.md 3.1)."""
        office = self._office
        with office.lock:
            if not office.grants.renews(request.headers.get("x-refresh-token", "")):
                return problem(401, "Token is not valid")
            home = office.grants.home or urlsplit(office.base_url).netloc
        return answer(
            {
                "id": office.account_id,
                "subdomain": office.subdomain,
                "domain": home,
                "top_level_domain": "ru",
            }
        )

    async def _token(self, request: Request) -> Response:
        if not self._office.is_home(request.headers.get("host", "")):
            return problem(404, "Account not found")
        body: dict[str, Any] = await json_object(request) or {}
        given = {name: str(value) for name, value in body.items()}
        known = (given.get("client_id", ""), given.get("client_secret", ""))
        grants = self._office.grants
        with self._office.lock:
            client = grants.clients.get(known[0])
            pair = None
            if client is None or given.get("redirect_uri") != client.redirect_uri:
                grants.refused += 1
            elif given.get("grant_type") == "authorization_code":
                pair = grants.redeem(*known, given.get("code", ""))
            elif given.get("grant_type") == "refresh_token":
                pair = grants.refresh(*known, given.get("refresh_token", ""))
        if pair is None:
            return problem(400, "Check the `refresh_token` or `code` parameter", hint="invalid")
        return answer(
            {
                "token_type": "Bearer",
                "expires_in": pair.seconds,
                "access_token": pair.access,
                "refresh_token": pair.refresh,
            }
        )
