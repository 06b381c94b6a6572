"""Sellers of several portals who are one person, as the settings of each portal say."""

from collections.abc import Mapping, Sequence

from service.domain.config import Config


def persons(config: Config) -> dict[str, str]:
    """Seller -> who he is in all portals together, where the settings say so."""
    return {seller: own.person for seller, own in config.sellers.items() if own.person}


def person_of(config: Config, known: Mapping[str, str], seller: str) -> str | None:
    """Who a seller is in all portals together, else his full id; None for nobody."""
    return known.get(seller) or (f"{config.account_id}.{seller}" if seller else None)


def sellers_of(config: Config, wanted: Sequence[str]) -> tuple[str, ...]:
    """The sellers that these persons are in a portal."""
    known, prefix = persons(config), f"{config.account_id}."
    plain = {who.removeprefix(prefix) for who in wanted if who.startswith(prefix)}
    named = {seller for seller, who in known.items() if who in wanted}
    return tuple(sorted(named | (plain - known.keys())))
