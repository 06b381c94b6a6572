"""Absences: who is away on which days, with who entered and who took them back."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from service.domain.absences import Leave
from service.domain.instant import Instant
from service.domain.period import to_date, to_day
from service.store.ids import new_id
from service.store.records import AbsenceRow

_ABSENCE: Table = AbsenceRow.__table__  # type: ignore[attr-defined]
KINDS = ("vacation", "sick", "other")
Row = dict[str, Any]


def add(
    connection: Connection,
    account_id: str,
    seller: str,
    days: tuple[date, date],
    told: tuple[str, str],
    author: str,
    now: Instant,
) -> str:
    """Enter an absence; the id.

    Args:
        connection: the writing transaction.
        account_id: whose.
        seller: by CRM id.
        days: the first and the last one.
        told: (kind, deputy or "").
        author: who enters it.
        now: the present instant.
    """
    kind, deputy = told
    row = {
        "account_id": account_id, "id": new_id("abs", now), "seller": seller,
        "first": to_day(days[0]), "last": to_day(days[1]), "kind": kind, "deputy": deputy,
        "at": now, "author": author, "removed_at": None, "removed_by": None,
    }  # fmt: skip
    connection.execute(insert(_ABSENCE), [row])
    return str(row["id"])


def remove(connection: Connection, row: Row, author: str, now: Instant) -> None:
    """Take an absence back; it stays in the history."""
    where = (_ABSENCE.c.account_id == row["account_id"]) & (_ABSENCE.c.id == row["id"])
    connection.execute(update(_ABSENCE).where(where).values(removed_at=now, removed_by=author))


def absences(connection: Connection, accounts: Sequence[str], *, removed: bool) -> list[Row]:
    """Those that hold, or those that were taken back."""
    query = select(_ABSENCE).where(
        _ABSENCE.c.account_id.in_(accounts),
        _ABSENCE.c.removed_at.is_not(None) if removed else _ABSENCE.c.removed_at.is_(None),
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def absence(connection: Connection, accounts: Sequence[str], absence_id: str) -> Row | None:
    """One of these accounts' absences, or None."""
    query = select(_ABSENCE).where(_ABSENCE.c.account_id.in_(accounts), _ABSENCE.c.id == absence_id)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def leaves(connection: Connection, account_id: str) -> tuple[Leave, ...]:
    """All absences of an account, in the order in which they were entered."""
    query = (
        select(_ABSENCE)
        .where(_ABSENCE.c.account_id == account_id)
        .order_by(_ABSENCE.c.at, _ABSENCE.c.id)
    )
    return tuple(
        Leave(
            row["seller"], to_date(row["first"]), to_date(row["last"]), row["deputy"] or None,
            row["at"] if row["removed_at"] is None else row["removed_at"],
            row["removed_at"] is not None,
        )
        for row in connection.execute(query).mappings()
    )  # fmt: skip
