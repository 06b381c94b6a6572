"""Keyed hashes of the clients' phones and e-mails: who shares one."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, func, select

from service.store import pairs
from service.store.chunks import chunks
from service.store.pairs import change, partners, untold
from service.store.records import ContactKey

_KEY: Table = ContactKey.__table__  # type: ignore[attr-defined]


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
    """Contacts with keys of whom no fact tells."""
    return untold(connection, account_id, _KEY.c.contact_id, "contact")


def forget(connection: Connection, account_id: str, contacts: Iterable[str]) -> None:
    """Take all keys of these contacts away."""
    pairs.forget(connection, account_id, _KEY.c.contact_id, contacts)
