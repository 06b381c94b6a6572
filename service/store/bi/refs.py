"""The reference rows that the BI views look names, zones and calendars up in."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select

from service.domain.instant import Instant
from service.store.engine import insert_or_update
from service.store.served import BiRef

_REF: Table = BiRef.__table__  # type: ignore[attr-defined]
Rows = Sequence[Mapping[str, Any]]


def save(
    connection: Connection, account_id: str, documents: Mapping[str, Rows], now: Instant
) -> int:
    """Keep the rows of an account by kind; how many kinds are new or differ."""
    query = select(_REF.c.kind, _REF.c.rows).where(_REF.c.account_id == account_id)
    known = {row.kind: row.rows for row in connection.execute(query)}
    changed = [
        {"account_id": account_id, "kind": kind, "rows": list(rows), "at": now}
        for kind, rows in sorted(documents.items())
        if known.get(kind) != list(rows)
    ]
    insert_or_update(connection, _REF, changed, update=("rows", "at"))
    return len(changed)
