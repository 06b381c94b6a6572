"""Bitrix24: authorise page, token server, installation of a local application (bitrix24.md 2)."""

from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service.portal.brackets import encode
from service.portal.control import answer, json_object, refusal
from service.portal.grants import Pair
from service.portal.office import Office, unix


class OAuth:
    """/oauth/authorize/, /oauth/token/ (in life on the vendor's server), /_control/install."""

    def __init__(self, office: Office, member_id: str, application_token: str) -> None:
        self._office = office
        self._member_id = member_id
        self._application_token = application_token

    def routes(self) -> list[BaseRoute]:
        """All three."""
        return [
            Route("/oauth/authorize/", self._authorise),
            Route("/oauth/token/", self._token),
            Route("/_control/install", self._install, methods=["POST"]),
        ]

    async def _authorise(self, request: Request) -> Response:
        client_id = request.query_params.get("client_id", "")
        with self._office.lock:
            code = self._office.grants.code(client_id)
            client = self._office.grants.clients.get(client_id)
        if code is None or client is None:
            return answer(
                {"error": "wrong_client", "error_description": "no such application"}, 400
            )
        query = {
            "code": code,
            "state": request.query_params.get("state", ""),
            "domain": urlsplit(self._office.base_url).netloc,
            "member_id": self._member_id,
            "scope": "crm,task,user,department,telephony,im",
        }
        return RedirectResponse(f"{client.redirect_uri}?{urlencode(query)}", 302)

    async def _token(self, request: Request) -> Response:
        given = dict(request.query_params)
        known = (given.get("client_id", ""), given.get("client_secret", ""))
        grants = self._office.grants
        pair = None
        with self._office.lock:
            if given.get("grant_type") == "authorization_code":
                pair = grants.redeem(*known, given.get("code", ""))
            elif given.get("grant_type") == "refresh_token":
                pair = grants.refresh(*known, given.get("refresh_token", ""))
        if pair is None:
            return answer({"error": "invalid_grant", "error_description": "Invalid grant"}, 400)
        return answer(self._granted(pair))

    def _granted(self, pair: Pair) -> dict[str, Any]:
        return {
            "access_token": pair.access,
            "expires": unix(self._office.clock.now()) + pair.seconds,
            "expires_in": pair.seconds,
            "scope": "crm,task,user,department,telephony,im",
            "domain": "oauth.bitrix24.tech",
            "server_endpoint": "https://oauth.bitrix24.tech/rest/",
            "status": "L",
            "client_endpoint": f"{self._office.base_url}/rest/",
            "member_id": self._member_id,
            "user_id": 1,
            "refresh_token": pair.refresh,
        }

    async def _install(self, request: Request) -> Response:
        """POST {"client_id", "event": bool}: install it, as a page or as ONAPPINSTALL."""
        body = await json_object(request) or {}
        grants = self._office.grants
        with self._office.lock:
            client = grants.clients.get(str(body.get("client_id")))
            pair = grants.install(client.client_id) if client else None
        if client is None or pair is None:
            return refusal("client_id: no such application", 404)
        domain = urlsplit(self._office.base_url).netloc
        if body.get("event"):
            auth = self._granted(pair) | {
                "domain": domain, "application_token": self._application_token,
            }  # fmt: skip
            told = encode(
                {
                    "event": "ONAPPINSTALL",
                    "data": {"VERSION": "1", "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": "ru"},
                    "ts": unix(self._office.clock.now()),
                    "auth": auth,
                }
            )
        else:
            told = encode(
                {
                    "AUTH_ID": pair.access, "AUTH_EXPIRES": pair.seconds,
                    "REFRESH_ID": pair.refresh, "member_id": self._member_id, "status": "L",
                    "PLACEMENT": "DEFAULT",
                }
            )  # fmt: skip
        query = {"DOMAIN": domain, "PROTOCOL": "0", "LANG": "ru", "APP_SID": "a" * 32}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client_http:
            found = await client_http.post(
                client.install_uri, params=query, content=told, headers=headers
            )
        return answer({"status": found.status_code, "page": found.text})
