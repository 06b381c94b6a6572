"""The Bitrix24 adapter as the rest of Dozor sees it."""

import re
from dataclasses import replace
from hmac import compare_digest

from service.crm import address, form
from service.crm.bitrix24.api import BitrixClient
from service.crm.bitrix24.oauth import BitrixAuthoriser
from service.crm.bitrix24.webhook import decode
from service.domain.ports import Authoriser, Connection, CrmClient, Decoded, PortalHttp, RawHook
from service.errors import ConfigError, PayloadNotUnderstood

_WEBHOOK = re.compile(r"/rest/(\d+)/([A-Za-z0-9]+)(?:/[a-z.]*)?")
_TOKEN = re.compile(r"(\d+)/([A-Za-z0-9]+)")
_ADDRESS = (
    "--base-url: must be the portal's address, for example https://NAME.bitrix24.ru, or the whole "
    "address of an incoming webhook"
)
_KEPT = ("application_token", "member_id", "oauth_server")
_PAGES = {"deal": "deal", "contact": "contact", "lead": "lead"}


class Bitrix24:
    """Bitrix24 in the cloud or on premises, connected by two webhooks."""

    name = "bitrix24"
    nudges = frozenset({"task", "note", "chat"})
    has_rest = True
    authoriser: Authoriser | None = BitrixAuthoriser()

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Portal address and `USER/SECRET`, or the whole incoming webhook (decisions.md 19).

        With `client_id` and `client_secret` it is a local application (OAuth) instead.

        Raises:
            ConfigError: names the option.
        """
        parts = address.split(base_url, _ADDRESS)
        kept = {k: secrets[k] for k in _KEPT if secrets.get(k)}
        found = _WEBHOOK.fullmatch(parts.path) or _TOKEN.fullmatch(secrets.get("token", ""))
        given = address.application(secrets)
        if given and found is None:
            return address.origin(parts), given | kept
        if found is None:
            raise ConfigError(
                "--token: is required as USER/SECRET, or give the whole address of the incoming "
                "webhook as --base-url, or --client-id and --client-secret of an application"
            )
        return address.origin(parts), {"user": found[1], "token": found[2]} | kept

    def admits(self, raw: RawHook, connection: Connection) -> str:
        """The application token (and member id, when known) must be the connected portal's."""
        try:
            auth = form.parse(raw.body).get("auth")
        except PayloadNotUnderstood:
            return "no"
        shown = form.text(auth, "application_token")
        if shown is None:
            return "no"
        member = form.text(auth, "member_id")
        known = connection.secrets.get("member_id") or connection.external_id
        if known and member and member != known:
            return "no"
        expected = connection.secrets.get("application_token")
        if not expected:  # an application's is learned from its first event (`decode`)
            return "yes" if _may_teach(connection, member) else "hold"
        return "yes" if compare_digest(shown.encode(), expected.encode()) else "no"

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to touched subjects; the first event of an application teaches its token."""
        decoded = decode(raw)
        if connection.secrets.get("application_token") or "client_id" not in connection.secrets:
            return decoded
        auth = form.parse(raw.body).get("auth")
        shown = form.text(auth, "application_token")
        if shown and _may_teach(connection, form.text(auth, "member_id")):
            return replace(decoded, secrets={"application_token": shown})
        return decoded

    def client(self, connection: Connection, http: PortalHttp) -> CrmClient:
        """REST access."""
        return BitrixClient(connection, http)

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """A deal's, lead's or client's page."""
        page, key = _PAGES.get(kind), subject_id
        if kind == "contact" and subject_id.startswith("co"):
            page, key = "company", subject_id[2:]
        return None if page is None else f"{connection.base_url}/crm/{page}/details/{key}/"


def _may_teach(connection: Connection, member: str | None) -> bool:
    """An application's first event: the secret address and the portal's member id are proof."""
    known = connection.secrets.get("member_id")
    return "client_id" in connection.secrets and bool(known) and member == known
