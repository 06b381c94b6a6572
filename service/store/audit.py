"""The audit log: who changed what, when, before and after; never a secret."""

from typing import Any

from sqlalchemy import Connection, insert

from service.domain.instant import Instant
from service.store.ids import new_id
from service.store.records import Audit

_AUDIT: Any = Audit.__table__  # type: ignore[attr-defined]


def record(  # noqa: PLR0913 - a line of the log has that many parts
    connection: Connection,
    who: str,
    what: str,
    now: Instant,
    *,
    account_id: str = "",
    before: Any = None,
    after: Any = None,
    request_id: str = "",
    address: str = "",
) -> None:
    """Write one line of the log, in the transaction of the change itself.

    Args:
        connection: the writing transaction.
        who: key id, or `cli`.
        what: `<thing>.<verb>`, e.g. `key.created`, `settings.saved`, `violation.muted`.
        now: the present instant.
        account_id: the account concerned, if one is.
        before: what it was (JSON).
        after: what it is (JSON).
        request_id: of the HTTP request.
        address: the client's network address.
    """
    connection.execute(
        insert(_AUDIT).values(
            id=new_id("aud", now),
            at=now,
            who=who,
            what=what,
            account_id=account_id,
            before=before,
            after=after,
            request_id=request_id,
            address=address,
        )
    )
