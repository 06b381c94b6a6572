"""Deals and tasks as they are now. Indexes: ix_deal_created, ix_deal_seller, ix_task_seller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    or_,
    select,
)

from service.domain.instant import Instant
from service.store.among import among, listed
from service.store.engine import is_sqlite
from service.store.reads.conditions import Build, Element, Stay, all_of, compare, members, prefixed
from service.store.reads.filters import Filter
from service.store.reads.keyset import Key, after
from service.store.tables import Deal, DealContact, FactRow, Task, Violation

_DEAL: Any = Deal.__table__  # type: ignore[attr-defined]
_TASK: Any = Task.__table__  # type: ignore[attr-defined]
_V: Any = Violation.__table__  # type: ignore[attr-defined]
_LINK: Any = DealContact.__table__  # type: ignore[attr-defined]
_FACT: Any = FactRow.__table__  # type: ignore[attr-defined]
DEAL_SORTS: dict[str, tuple[Element, bool]] = {
    "created_at": (_DEAL.c.created_at, True),
    "updated_at": (_DEAL.c.updated_at, False),
    "closed_at": (_DEAL.c.closed_at, True),
    "amount": (_DEAL.c.amount, False),
}
TASK_SORTS: dict[str, tuple[Element, bool]] = {
    "due_at": (_TASK.c.due_at, True),
    "created_at": (_TASK.c.created_at, True),
    "done_at": (_TASK.c.done_at, True),
}


@dataclass(frozen=True)
class Selection:
    """Which rows. `at`: the instant at which violations are open and tasks overdue."""

    accounts: Sequence[str]
    at: Instant
    filters: Sequence[Filter] = ()
    teams: Mapping[str, Sequence[Stay]] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """Order and piece: (field, downwards) pairs, position after which to begin, rows at most."""

    sort: Sequence[tuple[str, bool]]
    after: Sequence[Any] | None
    limit: int


def deals(connection: Connection, selection: Selection, piece: Slice) -> list[dict[str, Any]]:
    """One page of deals that are not deleted, each with `position`."""
    where = [_DEAL.c.deleted.is_(False), *_where(_DEAL, selection, _deal_builders(selection))]
    return _page(connection, _DEAL, DEAL_SORTS, where, piece)


def count_deals(connection: Connection, selection: Selection) -> int:
    """How many there are."""
    where = [_DEAL.c.deleted.is_(False), *_where(_DEAL, selection, _deal_builders(selection))]
    return int(connection.scalar(select(func.count()).select_from(_DEAL).where(*where)) or 0)


def deal(connection: Connection, account: str, deal_id: str) -> dict[str, Any] | None:
    """One deal, deleted or not."""
    query = select(_DEAL).where(_DEAL.c.account_id == account, _DEAL.c.id == deal_id)
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None


def tasks(connection: Connection, selection: Selection, piece: Slice) -> list[dict[str, Any]]:
    """One page of tasks, each with `position`."""
    where = _where(_TASK, selection, _task_builders(selection))
    return _page(connection, _TASK, TASK_SORTS, where, piece)


def count_tasks(connection: Connection, selection: Selection) -> int:
    """How many there are."""
    where = _where(_TASK, selection, _task_builders(selection))
    return int(connection.scalar(select(func.count()).select_from(_TASK).where(*where)) or 0)


def task(connection: Connection, account: str, task_id: str) -> dict[str, Any] | None:
    """One task."""
    query = select(_TASK).where(_TASK.c.account_id == account, _TASK.c.id == task_id)
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None


def open_violations(
    connection: Connection, ids: Sequence[tuple[str, str]], at: Instant
) -> dict[tuple[str, str], int]:
    """How many violations are open at `at`, by (account, deal); none are left out."""
    by_account: dict[str, list[str]] = {}
    for account, deal_id in ids:
        by_account.setdefault(account, []).append(deal_id)
    query = _counting(is_sqlite(connection))
    found: dict[tuple[str, str], int] = {}
    for account, wanted in by_account.items():
        timelines = {f"deal:{deal_id}": deal_id for deal_id in wanted}
        bound = {"account": account, "timelines": listed(timelines), "at": at}
        for timeline, count in connection.execute(query, bound):
            found[account, timelines[timeline]] = count
    return found


@cache
def _counting(sqlite: bool) -> Select[Any]:
    """Made once: a file asks it a thousand times."""
    at = bindparam("at", type_=BigInteger)
    mine = (
        _V.c.account_id == bindparam("account"),
        among(_V.c.timeline, "timelines", sqlite=sqlite),
    )
    return select(_V.c.timeline, func.count()).where(*mine, open_at(at)).group_by(_V.c.timeline)


def reach(connection: Connection, account: str, deal_id: str) -> tuple[bool, bool]:
    """Whether a phone, and an e-mail address, of some linked person is known."""
    linked = select(_LINK.c.contact_id).where(
        _LINK.c.account_id == account, _LINK.c.deal_id == deal_id
    )
    query = (
        select(_FACT.c.id, _FACT.c.body)
        .where(_FACT.c.account_id == account, _FACT.c.kind == "contact", _FACT.c.id.in_(linked))
        .order_by(_FACT.c.at, _FACT.c.rank, _FACT.c.digest)
    )
    images: dict[str, dict[str, Any]] = {}
    for contact, body in connection.execute(query):
        images.setdefault(contact, {}).update(msgspec.json.decode(body))
    alive = [image for image in images.values() if not image.get("deleted")]
    return any(i.get("has_phone") for i in alive), any(i.get("has_email") for i in alive)


def _page(
    connection: Connection,
    table: Any,
    sorts: Mapping[str, tuple[Element, bool]],
    where: Sequence[Element],
    piece: Slice,
) -> list[dict[str, Any]]:
    keys = [Key(sorts[name][0], down, sorts[name][1]) for name, down in piece.sort]
    keys += [Key(table.c.account_id), Key(table.c.id)]
    query = select(table).where(*where)
    if piece.after is not None:
        query = query.where(after(keys, piece.after))
    query = query.order_by(*(key.order for key in keys)).limit(piece.limit)
    names = [*(name for name, _ in piece.sort), "account_id", "id"]
    rows = connection.execute(query).mappings()
    return [{**row, "position": [row[name] for name in names]} for row in rows]


def _where(table: Any, selection: Selection, builders: Mapping[str, Build]) -> list[Element]:
    mine = table.c.account_id.in_(selection.accounts)
    return [mine, *all_of(selection.filters, builders)]


def open_at(at: Instant | Element) -> Element:
    """A violation is open at an instant."""
    return and_(_V.c.breach_at <= at, or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > at))


def _deal_builders(selection: Selection) -> dict[str, Build]:
    account = _DEAL.c.account_id
    plain = ("status", "source", "amount", "created_at", "updated_at", "closed_at", "stage_since")
    violated = (
        select(literal(1))
        .where(
            _V.c.account_id == account,
            _V.c.timeline == literal("deal:").concat(_DEAL.c.id),
            open_at(selection.at),
        )
        .correlate(_DEAL)
        .exists()
    )
    return {
        **{name: compare(_DEAL.c[name]) for name in plain},
        "pipeline": prefixed(account, _DEAL.c.pipeline),
        "stage": prefixed(account, _DEAL.c.pipeline, _DEAL.c.stage),
        "seller": prefixed(account, _DEAL.c.seller),
        "team": members(account, _DEAL.c.seller, selection.teams, literal(selection.at)),
        "has_violations": lambda f: violated if f.value[0] else not_(violated),
    }


def _task_builders(selection: Selection) -> dict[str, Build]:
    account = _TASK.c.account_id
    overdue = and_(_TASK.c.is_open, _TASK.c.due_at <= selection.at)
    status = case((_TASK.c.is_open, "open"), else_="done")
    return {
        "due_at": compare(_TASK.c.due_at),
        "done_at": compare(_TASK.c.done_at),
        "seller": prefixed(account, _TASK.c.seller),
        "team": members(account, _TASK.c.seller, selection.teams, literal(selection.at)),
        "deal": prefixed(account, _TASK.c.deal),
        "status": compare(status),
        "overdue": lambda f: (
            overdue if f.value[0] else or_(not_(overdue), _TASK.c.due_at.is_(None))
        ),
    }
