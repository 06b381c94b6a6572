"""OAuth of a simulated portal: codes, access tokens that end, refresh tokens that are good once."""

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.clock import Clock

CODE_LIVES = {"amocrm": timedelta(minutes=20), "bitrix24": timedelta(seconds=30)}
ACCESS_LIVES = {"amocrm": timedelta(hours=24), "bitrix24": timedelta(hours=1)}
REFRESH_LIVES = {"amocrm": timedelta(days=90), "bitrix24": timedelta(days=180)}


@dataclass(frozen=True)
class Client:
    """A registered integration (amoCRM) or local application (Bitrix24)."""

    client_id: str
    client_secret: str
    redirect_uri: str
    install_uri: str = ""


@dataclass(frozen=True)
class Pair:
    """What an exchange gives."""

    access: str
    refresh: str
    seconds: int


@dataclass
class Grants:
    """All that was granted. Whoever calls holds the portal's lock."""

    kind: str
    clock: Clock
    clients: dict[str, Client] = field(default_factory=dict)
    home: str = ""
    """Host and port that alone is served; empty: every one (amoCRM; the account was renamed)."""
    api_domain: str = ""
    """A claim of amoCRM's access tokens: a host that stays when the account is renamed."""
    exchanges: int = 0
    refused: int = 0
    _codes: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _access: dict[str, datetime] = field(default_factory=dict)
    _refresh: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def register(self, client: Client) -> None:
        """Add an integration."""
        self.clients[client.client_id] = client

    def code(self, client_id: str) -> str | None:
        """The administrator says yes: a code, good once and not for long."""
        if client_id not in self.clients:
            return None
        code = "def502" + secrets.token_hex(20)
        self._codes[code] = (client_id, self.clock.now() + CODE_LIVES[self.kind])
        return code

    def redeem(self, client_id: str, client_secret: str, code: str) -> Pair | None:
        """Tokens for a code."""
        return self._exchange(self._codes, client_id, client_secret, code)

    def refresh(self, client_id: str, client_secret: str, token: str) -> Pair | None:
        """The next pair; the old refresh token is dead from now on."""
        return self._exchange(self._refresh, client_id, client_secret, token)

    def install(self, client_id: str) -> Pair:
        """The pair that an installation hands over."""
        return self._issue(client_id)

    def state_of(self, access: str) -> str:
        """`good`, `expired` or `unknown`."""
        until = self._access.get(access)
        if until is None:
            return "unknown"
        return "good" if self.clock.now() < until else "expired"

    def expire(self) -> None:
        """All access tokens end now."""
        self._access = dict.fromkeys(self._access, self.clock.now())

    def revoke(self) -> None:
        """The administrator withdraws everything: nothing is good, nothing can be renewed."""
        self.expire()
        self._refresh.clear()

    def _exchange(
        self,
        known: dict[str, tuple[str, datetime]],
        client_id: str,
        client_secret: str,
        given: str,
    ) -> Pair | None:
        client = self.clients.get(client_id)
        owner, until = known.get(given, ("", self.clock.now()))
        if client is None or client.client_secret != client_secret or owner != client_id:
            self.refused += 1
            return None
        del known[given]
        if self.clock.now() >= until:
            self.refused += 1
            return None
        self.exchanges += 1
        return self._issue(client_id)

    def _token(self) -> str:
        """Like amoCRM's: a JWT, whose signature nobody but the vendor can check."""
        now = int(self.clock.now().timestamp())
        ends = now + int(ACCESS_LIVES[self.kind].total_seconds())
        claims = {"exp": ends, "iat": now, "jti": secrets.token_hex(16)}
        said = json.dumps({**claims, "api_domain": self.api_domain})
        parts = ['{"typ":"JWT","alg":"RS256"}', said, secrets.token_hex(16)]
        return ".".join(urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)

    def renews(self, token: str) -> bool:
        """Is this a refresh token that can be used."""
        return token in self._refresh

    def _issue(self, client_id: str) -> Pair:
        now = self.clock.now()
        pair = Pair(
            self._token() if self.kind == "amocrm" else secrets.token_hex(16),
            secrets.token_hex(16),
            int(ACCESS_LIVES[self.kind].total_seconds()),
        )
        self._access[pair.access] = now + ACCESS_LIVES[self.kind]
        self._refresh[pair.refresh] = (client_id, now + REFRESH_LIVES[self.kind])
        return pair
