"""The Bitrix24 adapter as the rest of Dozor sees it."""

import re
from hmac import compare_digest
from urllib.parse import urlsplit

from service.crm import form
from service.crm.bitrix24.api import BitrixClient
from service.crm.bitrix24.webhook import decode
from service.domain.ports import Connection, CrmClient, Decoded, PortalHttp, RawHook
from service.errors import ConfigError, PayloadNotUnderstood

_WEBHOOK = re.compile(r"/rest/(\d+)/([A-Za-z0-9]+)(?:/[a-z.]*)?")
_TOKEN = re.compile(r"(\d+)/([A-Za-z0-9]+)")
_ADDRESS = (
    "--base-url: must be the portal's address, for example https://NAME.bitrix24.ru, or the whole "
    "address of an incoming webhook"
)
_PAGES = {"deal": "deal", "contact": "contact", "lead": "lead"}


class Bitrix24:
    """Bitrix24 in the cloud or on premises, connected by two webhooks."""

    name = "bitrix24"
    nudges = frozenset({"task", "note", "chat"})
    has_rest = True

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Portal address and `USER/SECRET`, or the whole incoming webhook (decisions.md 19).

        Raises:
            ConfigError: names the option.
        """
        try:
            parts = urlsplit(base_url.strip())
        except ValueError:
            raise ConfigError(_ADDRESS) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ConfigError(_ADDRESS)
        found = _WEBHOOK.fullmatch(parts.path) or _TOKEN.fullmatch(secrets.get("token", ""))
        if found is None:
            raise ConfigError(
                "--token: is required as USER/SECRET, or give the whole address of the incoming "
                "webhook as --base-url"
            )
        clean = {"user": found[1], "token": found[2]}
        clean |= {k: secrets[k] for k in ("application_token", "member_id") if secrets.get(k)}
        return f"{parts.scheme}://{parts.netloc}", clean

    def admits(self, raw: RawHook, connection: Connection) -> str:
        """The application token (and member id, when known) must be the connected portal's."""
        try:
            auth = form.parse(raw.body).get("auth")
        except PayloadNotUnderstood:
            return "no"
        shown = form.text(auth, "application_token")
        if shown is None:
            return "no"
        expected = connection.secrets.get("application_token")
        if not expected:
            return "hold"
        if not compare_digest(shown.encode(), expected.encode()):
            return "no"
        member = form.text(auth, "member_id")
        known = connection.secrets.get("member_id") or connection.external_id
        return "no" if known and member and member != known else "yes"

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to touched subjects."""
        return decode(raw)

    def client(self, connection: Connection, http: PortalHttp) -> CrmClient:
        """REST access."""
        return BitrixClient(connection, http)

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """A deal's, lead's or client's page."""
        page, key = _PAGES.get(kind), subject_id
        if kind == "contact" and subject_id.startswith("co"):
            page, key = "company", subject_id[2:]
        return None if page is None else f"{connection.base_url}/crm/{page}/details/{key}/"
