"""Rules that failed: shown, not only logged."""

from sqlalchemy import Connection, Table, delete, select

from service.domain.instant import Instant
from service.store.engine import insert_or_update
from service.store.records import RuleHealth

_HEALTH: Table = RuleHealth.__table__  # type: ignore[attr-defined]


def note(
    connection: Connection, account_id: str, rule: str, subject: str, error: str, now: Instant
) -> None:
    """A rule had no answer for a subject."""
    row = {
        "account_id": account_id, "rule": rule, "error": error[:500], "subject": subject,
        "at": now, "failures": 1,
    }  # fmt: skip
    insert_or_update(
        connection, _HEALTH, [row], update=("error", "subject", "at"), grow=("failures",)
    )


def failing(connection: Connection, account_id: str) -> dict[str, dict[str, object]]:
    """Rules in trouble: id -> error, subject, at, failures."""
    query = select(_HEALTH).where(_HEALTH.c.account_id == account_id)
    return {row["rule"]: dict(row) for row in connection.execute(query).mappings()}


def forget(connection: Connection, account_id: str) -> None:
    """All is judged anew: old troubles may be over."""
    connection.execute(delete(_HEALTH).where(_HEALTH.c.account_id == account_id))
