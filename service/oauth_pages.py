"""Where portals send an administrator back to: /oauth/{crm}, and Bitrix24's installation.

`GET /oauth/amocrm?code&state&referer`, `GET /oauth/bitrix24?code&state`, and
`POST /oauth/bitrix24/{hook token}`: the local application's installation, as a page in the portal
(AUTH_ID, REFRESH_ID) or as the event ONAPPINSTALL. Answers are small pages for people.
"""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl

import anyio.to_thread
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service import authorise
from service.api.limits import Limiter
from service.domain.refusals import spoken
from service.errors import ConfigError, SourceUnavailable
from service.pipeline.office import Office

MOST_BODY = 64 * 1024
TRIES_PER_MINUTE = 30
log = structlog.get_logger()

_DONE = {
    "ru": ("Портал подключён", "Дозор получил доступ. Эту страницу можно закрыть."),
    "en": ("The portal is connected", "Dozor has been let in. You may close this page."),
}
_NO_HOOK = {
    "ru": ("Доступ получен, но хук не подписан", "Дозор попробует ещё раз сам. Причина: "),
    "en": ("Access is granted, the hook is not subscribed", "Dozor will try again. Reason: "),
}
_FAILED = {
    "ru": ("Подключить портал не удалось", "Что случилось: "),
    "en": ("The portal could not be connected", "What happened: "),
}
_BUSY = {"ru": "слишком много попыток, подождите минуту", "en": "too many tries, wait a minute"}
_LONG = {"ru": "портал прислал слишком много данных", "en": "the portal sent too much"}
_NOBODY = {
    "ru": "адрес никому не принадлежит; возьмите его снова: dozor account authorise",
    "en": "nobody has this address; take it again: dozor account authorise",
}
_FINISH = (
    '<script src="https://api.bitrix24.com/api/v1/"></script>'
    "<script>BX24.init(function () { BX24.installFinish(); });</script>"
)


class OAuthPages:
    """Answers /oauth/...; everything else goes on to `app`."""

    def __init__(self, app: ASGIApp, office: Office) -> None:
        self._app = app
        self._office = office
        self._lang = office.settings.lang
        self._limiter = Limiter(TRIES_PER_MINUTE)
        self._pages = Starlette(
            routes=[
                Route("/oauth/{crm}", self._come_back, methods=["GET"]),
                Route("/oauth/{crm}/{token}", self._install, methods=["GET", "POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        is_ours = scope["type"] == "http" and scope["path"].startswith("/oauth/")
        await (self._pages if is_ours else self._app)(scope, receive, send)

    async def _come_back(self, request: Request) -> HTMLResponse:
        given = dict(request.query_params)
        crm = request.path_params["crm"]
        if not self._limiter.take("come back").ok:
            return self._page(_FAILED, _BUSY[self._lang], 429)
        return await anyio.to_thread.run_sync(self._redeem, crm, given)

    def _redeem(self, crm: str, given: Mapping[str, str]) -> HTMLResponse:
        try:
            account_id = authorise.by_state(self._office, crm, given.get("state", ""))
        except ConfigError as error:
            return self._page(_FAILED, str(error), 400)
        return self._accept(account_id, given)

    async def _install(self, request: Request) -> HTMLResponse:
        crm, token = request.path_params["crm"], request.path_params["token"]
        given = await _installation(request)
        if given is None:
            return self._page(_FAILED, _LONG[self._lang], 413)
        if not self._limiter.take("install").ok:
            return self._page(_FAILED, _BUSY[self._lang], 429)
        return await anyio.to_thread.run_sync(self._take_in, crm, token, given)

    def _take_in(self, crm: str, token: str, given: Mapping[str, str]) -> HTMLResponse:
        account_id = authorise.by_hook_token(self._office, crm, token)
        if account_id is None:
            return self._page(_FAILED, _NOBODY[self._lang], 404)
        return self._accept(account_id, given, is_installation=True)

    def _accept(
        self, account_id: str, given: Mapping[str, str], *, is_installation: bool = False
    ) -> HTMLResponse:
        try:
            no_hook = authorise.accept(self._office, account_id, given)
        except (ConfigError, SourceUnavailable) as error:
            log.warning("authorisation_failed", account=account_id, error=str(error))
            return self._page(_FAILED, str(error), 400)
        log.info("portal_authorised", account=account_id, hook_missing=no_hook)
        tail = _FINISH if is_installation else ""
        if no_hook:
            return self._page(_NO_HOOK, no_hook, 200, tail)
        return self._page(_DONE, "", 200, tail)

    def _page(
        self, texts: Mapping[str, tuple[str, str]], detail: str, status: int, tail: str = ""
    ) -> HTMLResponse:
        lang = self._lang
        title, text = texts[lang]
        body = (
            f'<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>{title}</title>'
            f"<h1>{title}</h1><p>{text}{escape(spoken(detail, lang))}</p>{tail}</html>"
        )
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return HTMLResponse(body, status, headers)


async def _installation(request: Request) -> dict[str, str] | None:
    """What an installation tells, from either form; None: the body is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            return None
    told = dict(request.query_params) | dict(
        parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    )
    pairs = {
        "refresh_token": told.get("auth[refresh_token]") or told.get("REFRESH_ID"),
        "application_token": told.get("auth[application_token]"),
        "code": told.get("code"),
    }
    return {name: value for name, value in pairs.items() if value}
