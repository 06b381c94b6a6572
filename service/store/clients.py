"""Keyed hashes of the clients' phones and e-mails: who shares one."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, delete, func, select

from service.store.chunks import chunks
from service.store.pairs import change, partners
from service.store.records import ContactKey
from service.store.tables import FactRow

_KEY: Table = ContactKey.__table__  # type: ignore[attr-defined]
_FACT: Table = FactRow.__table__  # type: ignore[attr-defined]


def keys_of(
    connection: Connection, account_id: str, contacts: Iterable[str]
) -> dict[str, set[str]]:
    """The keys that each contact has. Index: ix_contact_key_contact."""
    return partners(connection, account_id, (_KEY.c.contact_id, _KEY.c.key), contacts)


def holders(
    connection: Connection, account_id: str, keys: Iterable[str], most: int
) -> dict[str, set[str]]:
    """The contacts that have each key; of a key that very many have only `most`."""
    found: dict[str, set[str]] = {}
    for part in chunks(keys):
        place = func.row_number().over(partition_by=_KEY.c.key, order_by=_KEY.c.contact_id)
        numbered = (
            select(_KEY.c.key, _KEY.c.contact_id, place.label("place"))
            .where(_KEY.c.account_id == account_id, _KEY.c.key.in_(part))
            .subquery()
        )
        query = select(numbered.c.key, numbered.c.contact_id).where(numbered.c.place <= most)
        for key, contact in connection.execute(query):
            found.setdefault(key, set()).add(contact)
    return found


def rekey(
    connection: Connection,
    account_id: str,
    added: Iterable[tuple[str, str]],
    removed: Iterable[tuple[str, str]],
) -> None:
    """Add and remove (contact, key) pairs."""
    change(connection, account_id, (_KEY.c.contact_id, _KEY.c.key), added, removed)


def strangers(connection: Connection, account_id: str) -> list[str]:
    """Contacts with keys of whom no fact tells: there should be none. Index: ix_fact_subject."""
    told = (
        select(_FACT.c.id)
        .where(_FACT.c.account_id == account_id, _FACT.c.kind == "contact")
        .where(_FACT.c.id == _KEY.c.contact_id)
        .exists()
    )
    query = select(_KEY.c.contact_id).where(_KEY.c.account_id == account_id, ~told).distinct()
    return sorted(connection.execute(query).scalars())


def forget(connection: Connection, account_id: str, contacts: Iterable[str]) -> None:
    """Take all keys of these contacts away."""
    for part in chunks(contacts):
        connection.execute(
            delete(_KEY).where(_KEY.c.account_id == account_id, _KEY.c.contact_id.in_(part))
        )
