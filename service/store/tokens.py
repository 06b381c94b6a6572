"""The rotating tokens of an account: sealed text, and who renews it now."""

from sqlalchemy import Connection, select, update

from service.store.tables import Account

_ACCOUNT = Account.__table__  # type: ignore[attr-defined]


def sealed(connection: Connection, account_id: str) -> str:
    """The sealed tokens; "" = none."""
    query = select(_ACCOUNT.c.tokens).where(_ACCOUNT.c.account_id == account_id)
    return connection.execute(query).scalar() or ""


def begin(connection: Connection, account_id: str, real: int, seconds: int) -> bool:
    """Take the renewal for `seconds` of real time (compare-and-set); False: somebody is at it."""
    query = update(_ACCOUNT).where(
        _ACCOUNT.c.account_id == account_id, _ACCOUNT.c.tokens_until < real
    )
    return connection.execute(query.values(tokens_until=real + seconds)).rowcount == 1


def end(connection: Connection, account_id: str, new: str | None = None) -> None:
    """Store new tokens, if any, and let others renew again."""
    values: dict[str, object] = {"tokens_until": 0}
    if new is not None:
        values["tokens"] = new
    query = update(_ACCOUNT).where(_ACCOUNT.c.account_id == account_id)
    connection.execute(query.values(**values))
