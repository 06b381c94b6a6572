"""What the change feed is made of: each row tells the data version of its last change.

An account's data version grows under a lock of the account's row that lasts until the commit, so
the numbers are in the order of the commits: whoever has read up to one has missed nothing below it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update

from service.domain.instant import Instant
from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.served import Gone, RevisionMark
from service.store.summed import RollupDay
from service.store.tables import Account, Violation

_ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
_GONE: Table = Gone.__table__  # type: ignore[attr-defined]
_MARK: Table = RevisionMark.__table__  # type: ignore[attr-defined]
_DAY: Table = RollupDay.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
DAY = "kpi_day"
KEEP_DAYS = 30
DAY_SECONDS = 86_400


def take(connection: Connection, account_id: str) -> int:
    """The data version of what this transaction writes from now on."""
    query = (
        update(_ACCOUNT)
        .where(_ACCOUNT.c.account_id == account_id)
        .values(data_version=_ACCOUNT.c.data_version + 1)
        .returning(_ACCOUNT.c.data_version)
    )
    return int(connection.execute(query).scalar() or 0)


def day_id(key: Sequence[Any]) -> str:
    """(metric, day, seller) as one text."""
    metric, day, seller = key
    return f"{day}.{metric}.{seller}"


def bury(
    connection: Connection, account_id: str, kind: str, ids: Iterable[str], revision: int
) -> None:
    """Say that rows are gone."""
    rows = [
        {"account_id": account_id, "type": kind, "id": one, "revision": revision}
        for one in dict.fromkeys(ids)
    ]
    insert_or_update(connection, _GONE, rows, update=("revision",))


def tell_violations(
    connection: Connection, account_id: str, *conditions: Any, ids: Sequence[str] | None = None
) -> None:
    """Say that something about violations has changed that stands in other tables."""
    revision = take(connection, account_id)
    mine = (_VIOLATION.c.account_id == account_id, *conditions)
    query = update(_VIOLATION).values(revision=revision)
    if ids is None:
        connection.execute(query.where(*mine))
        return
    for part in chunks(list(ids)):
        connection.execute(query.where(*mine, _VIOLATION.c.id.in_(part)))


def tell_days(connection: Connection, account_id: str, since: Mapping[str, int]) -> None:
    """Say that days of sellers, from a local day of each on, are not what they were."""
    revision = take(connection, account_id)
    mine = update(_DAY).where(_DAY.c.account_id == account_id).values(revision=revision)
    for seller, day in since.items():
        connection.execute(mine.where(_DAY.c.seller == seller, _DAY.c.day >= day))


def keep_mark(connection: Connection, account_id: str, now: Instant) -> None:
    """Note how far the account has come today; what is gone for a month is forgotten."""
    day = now // DAY_SECONDS
    version = select(_ACCOUNT.c.data_version).where(_ACCOUNT.c.account_id == account_id)
    reached = int(connection.scalar(version) or 0)
    row = {"account_id": account_id, "day": day, "revision": reached}
    insert_or_update(connection, _MARK, [row], update=("revision",))
    old = (_MARK.c.account_id == account_id, _MARK.c.day < day - KEEP_DAYS)
    last = connection.scalar(select(func.max(_MARK.c.revision)).where(*old))
    if last is not None:
        gone = (_GONE.c.account_id == account_id, _GONE.c.revision <= last)
        connection.execute(delete(_GONE).where(*gone))
        connection.execute(delete(_MARK).where(*old))
