"""Keyed hashes of who asked: which inquiries are one client's."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Table, bindparam, delete, select

from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.records import LeadKey
from service.store.tables import FactRow

_KEY: Table = LeadKey.__table__  # type: ignore[attr-defined]
_FACT: Table = FactRow.__table__  # type: ignore[attr-defined]

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
    rows = [
        {"account_id": account_id, "lead_id": lead, "key": key, "at": at}
        for lead, key, at in sorted(added)
    ]
    insert_or_update(connection, _KEY, rows, update=())
    gone = [{"lead": lead, "k": key, "since": at} for lead, key, at in sorted(removed)]
    if gone:
        query = delete(_KEY).where(
            _KEY.c.account_id == account_id, _KEY.c.lead_id == bindparam("lead"),
            _KEY.c.key == bindparam("k"), _KEY.c.at == bindparam("since"),
        )  # fmt: skip
        connection.execute(query, gone)


def strangers(connection: Connection, account_id: str) -> list[str]:
    """Inquiries with keys of which no fact tells: there should be none. Index: ix_fact_subject."""
    told = (
        select(_FACT.c.id)
        .where(_FACT.c.account_id == account_id, _FACT.c.kind == "lead")
        .where(_FACT.c.id == _KEY.c.lead_id)
        .exists()
    )
    query = select(_KEY.c.lead_id).where(_KEY.c.account_id == account_id, ~told).distinct()
    return sorted(connection.execute(query).scalars())


def forget(connection: Connection, account_id: str, leads: Iterable[str]) -> None:
    """Take all keys of these inquiries away."""
    for part in chunks(leads):
        connection.execute(
            delete(_KEY).where(_KEY.c.account_id == account_id, _KEY.c.lead_id.in_(part))
        )
