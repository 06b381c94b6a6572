"""The amoCRM adapter as the rest of Dozor sees it."""

from urllib.parse import urlsplit

from service.crm.amocrm.api import AmoClient
from service.crm.amocrm.webhook import decode
from service.domain.ports import Connection, CrmClient, Decoded, PortalHttp, RawHook
from service.errors import ConfigError


class AmoCrm:
    """amoCRM (amocrm.ru) and Kommo (kommo.com)."""

    name = "amocrm"

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """The portal's address without a path, and its long-lived token.

        Raises:
            ConfigError: names the option.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigError(
                f"--base-url: {base_url!r} is no address; write for example https://NAME.amocrm.ru"
            )
        if not secrets.get("token"):
            raise ConfigError("--token: is required; take a long-lived token of your integration")
        return f"{parts.scheme}://{parts.netloc}", {"token": secrets["token"]}

    def admits(self, raw: RawHook, connection: Connection) -> str:
        """The URL token is all that amoCRM has to show."""
        return "yes"

    def decode(self, raw: RawHook, connection: Connection) -> Decoded:
        """Bytes to facts."""
        return decode(raw, connection)

    def client(self, connection: Connection, http: PortalHttp) -> CrmClient:
        """REST access."""
        return AmoClient(connection, http)

    def subject_url(self, connection: Connection, kind: str, subject_id: str) -> str | None:
        """A deal's or contact's page."""
        pages = {"deal": "leads", "contact": "contacts"}
        if kind not in pages:
            return None
        return f"{connection.base_url}/{pages[kind]}/detail/{subject_id}"
