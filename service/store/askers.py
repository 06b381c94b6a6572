"""Keyed hashes of who asked: which inquiries are one client's."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Table, select

from service.store import pairs
from service.store.chunks import chunks
from service.store.records import LeadKey

_KEY: Table = LeadKey.__table__  # type: ignore[attr-defined]

Row = tuple[str, str, int]  # inquiry, key, when it came


def keys_of(connection: Connection, account_id: str, leads: Iterable[str]) -> set[Row]:
    """The keys that these inquiries have. Index: ix_lead_key_lead."""
    found: set[Row] = set()
    for part in chunks(leads):
        query = select(_KEY.c.lead_id, _KEY.c.key, _KEY.c.at).where(
            _KEY.c.account_id == account_id, _KEY.c.lead_id.in_(part)
        )
        found |= {(str(lead), str(key), int(at)) for lead, key, at in connection.execute(query)}
    return found


def holders(
    connection: Connection, account_id: str, spans: Mapping[str, tuple[int, int]]
) -> set[Row]:
    """The inquiries with each key that came within its span, both ends included."""
    found: set[Row] = set()
    for part in chunks(sorted(spans)):
        since, until = min(spans[key][0] for key in part), max(spans[key][1] for key in part)
        query = select(_KEY.c.lead_id, _KEY.c.key, _KEY.c.at).where(
            _KEY.c.account_id == account_id, _KEY.c.key.in_(part), _KEY.c.at.between(since, until)
        )
        found |= {(str(lead), str(key), int(at)) for lead, key, at in connection.execute(query)}
    return found


def rekey(
    connection: Connection, account_id: str, added: Iterable[Row], removed: Iterable[Row]
) -> None:
    """Add and remove keys."""
    columns = (_KEY.c.lead_id, _KEY.c.key, _KEY.c.at)
    pairs.change(connection, account_id, columns, added, removed)


def strangers(connection: Connection, account_id: str) -> list[str]:
    """Inquiries with keys of which no fact tells."""
    return pairs.untold(connection, account_id, _KEY.c.lead_id, "lead")


def forget(connection: Connection, account_id: str, leads: Iterable[str]) -> None:
    """Take all keys of these inquiries away."""
    pairs.forget(connection, account_id, _KEY.c.lead_id, leads)
