"""The amoCRM adapter as the rest of Dozor sees it."""

from service.crm import address
from service.crm.amocrm.api import AmoClient
from service.crm.amocrm.oauth import AmoAuthoriser
from service.crm.amocrm.webhook import decode
from service.domain.ports import Authoriser, Connection, CrmClient, Decoded, PortalHttp, RawHook
from service.errors import ConfigError

_ADDRESS = "--base-url: must be the portal's address, for example https://NAME.amocrm.ru"
_PAGES = {"deal": "leads", "contact": "contacts"}


class AmoCrm:
    """amoCRM (amocrm.ru) and Kommo (kommo.com)."""

    name = "amocrm"
    nudges = frozenset({"task", "note"})
    has_rest = True
    authoriser: Authoriser | None = AmoAuthoriser()

    def parse_connection(
        self, base_url: str, secrets: dict[str, str]
    ) -> tuple[str, dict[str, str]]:
        """The portal's address without a path; a long-lived token, or an application (OAuth).

        Raises:
            ConfigError: names the option.
        """
        base = address.origin(address.split(base_url, _ADDRESS))
        token = secrets.get("token", "").strip()
        given = address.application(secrets)
        if given and not token:
            return base, given
        if not token:
            raise ConfigError(
                "--token: is required; take a long-lived token of your integration, or give "
                "--client-id and --client-secret"
            )
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("--token: must be one word without blanks, as amoCRM shows it")
        return base, {"token": token}

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
        """A deal's or client's page."""
        page, key = _PAGES.get(kind), subject_id
        if kind == "contact" and subject_id.startswith("co"):
            page, key = "companies", subject_id[2:]
        return None if page is None else f"{connection.base_url}/{page}/detail/{key}"
