"""The access token of a portal: a fixed one, or one that OAuth renews."""

from collections.abc import Callable

from service.domain.ports import Connection
from service.errors import SourceRefused, SourceUnavailable

Exchange = Callable[[dict[str, str]], dict[str, str]]


class Bearer:
    """Gives the token in force. `early`: seconds before its end from which on it is renewed."""

    def __init__(
        self, connection: Connection, fixed: str, exchange: Exchange, early: int | None
    ) -> None:
        self._fixed = fixed
        self._vault = None if fixed else connection.vault
        self._exchange = exchange
        self._early = early
        self._account_id = connection.account_id

    def get(self) -> str:
        """The token in force.

        Raises:
            SourceRefused: the portal was never authorised, or has refused to renew.
        """
        if self._vault is None:
            return self._fixed
        known = self._vault.tokens()
        token = known.get("access_token", "")
        if not token:
            raise SourceRefused(
                f"the portal is not authorised yet; run: dozor account authorise {self._account_id}"
            )
        left = int(known.get("expires_at") or 0) - self._vault.now()
        if self._early is None or left >= self._early:
            return token
        try:
            return self._vault.renew(token, self._exchange)["access_token"]
        except SourceRefused:
            raise
        except SourceUnavailable:
            if left > 0:
                return token  # still good: the next call tries again
            raise

    def renewed(self, stale: str) -> str | None:
        """The token after `stale` was not accepted; None: it is a fixed one."""
        if self._vault is None:
            return None
        return self._vault.renew(stale, self._exchange)["access_token"]


def again(account_id: str) -> str:
    """What to do when a portal does not renew."""
    return (
        "the portal does not renew Dozor's access (withdrawn, unused for too long, or an answer "
        f"was lost); authorise it again: dozor account authorise {account_id}"
    )
