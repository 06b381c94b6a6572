"""Mutes of a scope as the API lists them, with those that are over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from service.domain.instant import Instant
from service.store.reads.conditions import Build, Element, all_of, compare, prefixed
from service.store.reads.filters import Filter
from service.store.reads.keyset import Key, after
from service.store.records import MuteRow

_MUTE: Any = MuteRow.__table__  # type: ignore[attr-defined]
_KEYS = (Key(_MUTE.c.at, down=True), Key(_MUTE.c.account_id), Key(_MUTE.c.id, down=True))
STATES = ("active", "ended")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which mutes. `states`: a subset of `STATES`, at the instant `at`."""

    accounts: Sequence[str]
    at: Instant
    states: Sequence[str] = STATES
    filters: Sequence[Filter] = ()


def mutes(
    connection: Connection, chosen: Chosen, after_row: Sequence[Any] | None, limit: int
) -> list[Row]:
    """One page, the newest first."""
    query = select(_MUTE).where(*_where(chosen))
    if after_row is not None:
        query = query.where(after(_KEYS, after_row))
    query = query.order_by(*(key.order for key in _KEYS)).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def position(row: Row) -> list[Any]:
    """Where a row stands in the order of the list."""
    return [row["at"], row["account_id"], row["id"]]


def count(connection: Connection, chosen: Chosen) -> int:
    """How many there are."""
    query = select(func.count()).select_from(_MUTE).where(*_where(chosen))
    return int(connection.scalar(query) or 0)


def last_end(connection: Connection, accounts: Sequence[str], now: Instant) -> Instant:
    """When a mute last ended: answers that move with the clock change then."""
    query = select(func.max(_MUTE.c.ends_at)).where(
        _MUTE.c.account_id.in_(accounts), _MUTE.c.ends_at <= now
    )
    return int(connection.scalar(query) or 0)


def _where(chosen: Chosen) -> list[Element]:
    states: dict[str, Element] = {
        "active": _MUTE.c.ends_at > chosen.at,
        "ended": _MUTE.c.ends_at <= chosen.at,
    }
    account = _MUTE.c.account_id
    builders: dict[str, Build] = {
        "rule": compare(_MUTE.c.rule),
        "seller": prefixed(account, _MUTE.c.seller),
        "deal": prefixed(account, _MUTE.c.deal),
    }
    known = or_(*(states[name] for name in chosen.states))
    return [account.in_(chosen.accounts), known, *all_of(chosen.filters, builders)]
