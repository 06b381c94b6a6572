"""Present images (deal, task) as the pipeline reads them."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, select

from service.domain.siblings import Sibling, as_told, wins_told
from service.store.chunks import chunks
from service.store.tables import Deal

_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]


def deal_names(connection: Connection, account_id: str, deals: Iterable[str]) -> dict[str, str]:
    """Titles of deals."""
    found: dict[str, str] = {}
    for part in chunks(deals):
        query = select(_DEAL.c.id, _DEAL.c.name).where(
            _DEAL.c.account_id == account_id, _DEAL.c.id.in_(part)
        )
        found |= {str(deal): str(name) for deal, name in connection.execute(query)}
    return found


def siblings(connection: Connection, account_id: str, deals: Iterable[str]) -> dict[str, Sibling]:
    """Deals as the others of their client see them (those whose birth is known)."""
    found: dict[str, Sibling] = {}
    for part in chunks(deals):
        query = select(_DEAL.c.id, _DEAL.c.born_at, _DEAL.c.presence, _DEAL.c.wins).where(
            _DEAL.c.account_id == account_id, _DEAL.c.id.in_(part), _DEAL.c.born_at.is_not(None)
        )
        found |= {
            deal: Sibling(int(born), deal, as_told(presence), wins_told(wins))
            for deal, born, presence, wins in connection.execute(query)
        }
    return found
