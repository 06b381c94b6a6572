"""The journal of the tick: each opening and each resolution is claimed once."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.instant import Instant
from service.store import revisions
from service.store.chunks import chunks
from service.store.engine import is_sqlite
from service.store.records import Alert
from service.store.tables import Announcement, Violation

_SAID: Table = Announcement.__table__  # type: ignore[attr-defined]
_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_ALERT: Table = Alert.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]
_NOT_TOLD = frozenset({
    "account_id", "due_at", "revision", "breach_day", "breach_worked", "resolved_day",
    "resolved_worked", "resolved_after",
})  # fmt: skip


def due(
    connection: Connection, account_id: str, now: Instant, limit: int, after: Instant = 0
) -> list[Row]:
    """Violations that the tick has to look at, oldest first; none up to `after`.

    Index: ix_violation_due.
    """
    query = (
        select(_VIOLATION)
        .where(_VIOLATION.c.account_id == account_id, _VIOLATION.c.due_at <= now)
        .where(_VIOLATION.c.due_at > after)
        .order_by(_VIOLATION.c.due_at, _VIOLATION.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def accounts_due(connection: Connection, now: Instant) -> list[str]:
    """Accounts with violations to look at."""
    query = select(_VIOLATION.c.account_id).where(_VIOLATION.c.due_at <= now).distinct()
    return sorted(connection.execute(query).scalars())


def claim(connection: Connection, row: Mapping[str, Any], event: str, now: Instant) -> bool:
    """Take an event, once: False if it is taken, also under another id of the same breach."""
    known = select(_SAID.c.violation_id).where(
        _SAID.c.account_id == row["account_id"],
        _SAID.c.rule == row["rule"],
        _SAID.c.subject_kind == row["subject_kind"],
        _SAID.c.subject_id == row["subject_id"],
        _SAID.c.event == event,
        or_(_SAID.c.violation_id == row["id"], _SAID.c.breach_at == row["breach_at"]),
    )
    if connection.execute(known).first() is not None:
        return False
    plain = {k: v for k, v in row.items() if k not in _NOT_TOLD}
    values = {
        "account_id": row["account_id"], "violation_id": row["id"], "event": event, "at": now,
        "rule": row["rule"], "subject_kind": row["subject_kind"],
        "subject_id": row["subject_id"], "breach_at": row["breach_at"], "violation": plain,
    }  # fmt: skip
    make = sqlite.insert if is_sqlite(connection) else postgresql.insert
    statement = make(_SAID).values(values).on_conflict_do_nothing().returning(_SAID.c.violation_id)
    return connection.execute(statement).first() is not None  # PostgreSQL tells no rowcount here


def opened(connection: Connection, row: Mapping[str, Any]) -> Instant | None:
    """When a violation's opening was claimed; None = it was not."""
    query = select(_SAID.c.at).where(
        _SAID.c.account_id == row["account_id"],
        _SAID.c.rule == row["rule"],
        _SAID.c.subject_kind == row["subject_kind"],
        _SAID.c.subject_id == row["subject_id"],
        _SAID.c.event == "opened",
        or_(_SAID.c.violation_id == row["id"], _SAID.c.breach_at == row["breach_at"]),
    )
    return connection.execute(query).scalar()


def receivers_told(connection: Connection, account_id: str, row: Mapping[str, Any]) -> set[str]:
    """Who got a message about a violation's opening (also one that is still on its way)."""
    at = opened(connection, row)
    if at is None:
        return set()
    query = select(_ALERT.c.receiver, _ALERT.c.violations).where(
        _ALERT.c.account_id == account_id,
        _ALERT.c.created_at == at,
        _ALERT.c.kind.in_(("opened", "digest")),
        _ALERT.c.state != "suppressed",
    )
    return {name for name, ids in connection.execute(query) if row["id"] in ids}


def look_again(
    connection: Connection, account_id: str, marks: Iterable[tuple[str, Instant | None]]
) -> None:
    """When the tick has to look at violations next (None = not again)."""
    by_instant: dict[Instant | None, list[str]] = {}
    for violation_id, at in marks:
        by_instant.setdefault(at, []).append(violation_id)
    revision = revisions.take(connection, account_id) if by_instant else 0
    for at, ids in by_instant.items():
        for part in chunks(ids):
            query = (
                update(_VIOLATION)
                .where(_VIOLATION.c.account_id == account_id, _VIOLATION.c.id.in_(part))
                .values(due_at=at, revision=revision)
            )
            connection.execute(query)
