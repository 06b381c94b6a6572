"""When anything came from a portal: stretches in which it was never silent for ten minutes."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, func, insert, select, update

from service.domain.instant import Instant
from service.store.records import Heard

APART_SECONDS = 600
_HEARD: Table = Heard.__table__  # type: ignore[attr-defined]


def note(connection: Connection, account_id: str, instants: Iterable[Instant]) -> Instant | None:
    """Something came at these instants; the first that says something new, if any does."""
    columns = _HEARD.c
    query = (
        select(columns.since, columns.until)
        .where(columns.account_id == account_id)
        .order_by(columns.since.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    latest = None if row is None else (int(row[0]), int(row[1]))
    first: Instant | None = None
    for at in sorted(set(instants)):
        if latest is not None and at <= latest[1]:
            continue
        first = at if first is None else first
        if latest is not None and at - latest[1] <= APART_SECONDS:
            latest = (latest[0], at)
            connection.execute(
                update(_HEARD)
                .where(columns.account_id == account_id, columns.since == latest[0])
                .values(until=at)
            )
        else:
            latest = (at, at)
            connection.execute(insert(_HEARD).values(account_id=account_id, since=at, until=at))
    return first


def last_before(connection: Connection, account_id: str, at: Instant) -> Instant | None:
    """The end of the last stretch that began before an instant, if it ended before it."""
    columns = _HEARD.c
    query = select(func.max(columns.until)).where(
        columns.account_id == account_id, columns.until < at
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def stretches(
    connection: Connection, account_id: str, since: Instant
) -> list[tuple[Instant, Instant]]:
    """(first, last instant) of all stretches that end at or after an instant."""
    columns = _HEARD.c
    query = (
        select(columns.since, columns.until)
        .where(columns.account_id == account_id, columns.until >= since)
        .order_by(columns.since)
    )
    return [(int(begun), int(ended)) for begun, ended in connection.execute(query)]
