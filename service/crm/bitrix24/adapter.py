"""The Bitrix24 adapter as the rest of Dozor sees it."""

import re
from hmac import compare_digest
from urllib.parse import urlsplit

from service.crm import form
from service.crm.bitrix24.api import BitrixClient
from service.crm.bitrix24.webhook import decode
from service.domain.ports import Connection, CrmClient, Decoded, PortalHttp, RawHook
from service.errors import ConfigError, PayloadNotUnderstood

_WEBHOOK = re.compile(r"/rest/(\d+)/([A-Za-z0-9]+)/?")
_TOKEN = re.compile(r"(\d+)/([A-Za-z0-9]+)")


class Bitrix24:
    """Bitrix24 in the cloud or on premises, connected by two webhooks."""

    name = "bitrix24"

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Portal address and `USER/SECRET`, or the whole incoming webhook (decisions.md 19).

        Raises:
            ConfigError: names the option.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigError(
                f"--base-url: {base_url!r} is no address; write https://NAME.bitrix24.ru"
            )
        found = _WEBHOOK.fullmatch(parts.path) or _TOKEN.fullmatch(secrets.get("token", ""))
        if found is None:
            raise ConfigError(
                "--token: is required as USER/SECRET, or give the whole address of the incoming "
                "webhook as --base-url"
            )
        clean = {"user": found[1], "token": found[2]}
        if secrets.get("application_token"):
            clean["application_token"] = secrets["application_token"]
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
        known = connection.external_id
        return "no" if known and member and member != known else "yes"

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to touched subjects."""
        return decode(raw)

    def client(self, connection: Connection, http: PortalHttp) -> CrmClient:
        """REST access."""
        return BitrixClient(connection, http)

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """A deal's or contact's page."""
        pages = {"deal": "deal", "contact": "contact", "lead": "lead"}
        if kind not in pages:
            return None
        return f"{connection.base_url}/crm/{pages[kind]}/details/{subject_id}/"
