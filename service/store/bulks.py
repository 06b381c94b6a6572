"""Bulk changes: who changed which deal when, the stretches that are bulk, what they began.

`deal_edit` repeats what the facts of deals say of authors, in an order in which one author's edits
lie together. `bulk_change` follows from it; a new edit can only widen it, and only near itself.
Whether a violation is bulk is asked, never stored: an author of a stretch changed its deal at the
instant that began it. Violations without a deal (of sellers, teams, accounts) never are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, case, delete, func, insert, literal, select

from service.domain.bulk import Edit, Limit, Stretch, edits_of, started_at, stretches
from service.domain.facts import Fact, Kind
from service.domain.instant import Instant
from service.store import facts as fact_store
from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.records import BulkChange, DealEdit
from service.store.tables import Violation

_EDIT: Table = DealEdit.__table__  # type: ignore[attr-defined]
_BULK: Table = BulkChange.__table__  # type: ignore[attr-defined]
_V: Any = Violation.__table__  # type: ignore[attr-defined]
Row = Mapping[str, Any]


def note(
    connection: Connection, account_id: str, facts: Iterable[Fact], limit: Limit | None
) -> None:
    """Keep the edits that these facts tell of, and judge what is bulk around them.

    `limit` None: only keep them (history is being read; `rebuild` comes at its end).
    """
    told = {edit for fact in facts for edit in edits_of(fact)}
    _keep(connection, account_id, told)
    if not told or limit is None:
        return
    first = min(edit.at for edit in told) - limit.seconds
    last = max(edit.at for edit in told) + limit.seconds
    for author in _suspects(connection, account_id, {e.author for e in told}, limit, first, last):
        _judge(connection, account_id, author, limit, first, last)


def _keep(connection: Connection, account_id: str, edits: Iterable[Edit]) -> None:
    rows = [{"account_id": account_id, **edit._asdict()} for edit in sorted(edits)]
    insert_or_update(connection, _EDIT, rows, update=())


def _suspects(
    connection: Connection,
    account_id: str,
    authors: Iterable[str],
    limit: Limit,
    first: Instant,
    last: Instant,
) -> set[str]:
    """Authors with more edits (of whatever deals) within a window than the limit."""
    found: set[str] = set()
    for part in chunks(sorted(authors)):
        over = func.lead(_EDIT.c.at, limit.deals).over(
            partition_by=_EDIT.c.author, order_by=_EDIT.c.at
        )
        rows = (
            select(_EDIT.c.author, _EDIT.c.at, over.label("later"))
            .where(_EDIT.c.account_id == account_id, _EDIT.c.author.in_(part))
            .where(_EDIT.c.at.between(first, last))
            .subquery()
        )
        query = select(rows.c.author).where(rows.c.later - rows.c.at < limit.seconds).distinct()
        found.update(connection.execute(query).scalars())
    return found


def _judge(
    connection: Connection,
    account_id: str,
    author: str,
    limit: Limit,
    first: Instant,
    last: Instant,
) -> None:
    """Judge one author's edits again between two instants, and the stretches that reach there."""
    mine = and_(_BULK.c.account_id == account_id, _BULK.c.author == author)
    near = and_(mine, _BULK.c.since <= last, _BULK.c.until >= first)
    edges = connection.execute(
        select(func.min(_BULK.c.since), func.max(_BULK.c.until)).where(near)
    ).one()
    begin = first if edges[0] is None else min(first, edges[0])
    end = last if edges[1] is None else max(last, edges[1])
    query = (
        select(_EDIT.c.at, _EDIT.c.deal)
        .where(_EDIT.c.account_id == account_id, _EDIT.c.author == author)
        .where(_EDIT.c.at.between(begin, end))
        .order_by(_EDIT.c.at)
    )
    edits = [(int(at), deal) for at, deal in connection.execute(query)]
    connection.execute(delete(_BULK).where(near))
    _put(connection, account_id, stretches(author, edits, limit))


def _put(connection: Connection, account_id: str, found: Sequence[Stretch]) -> None:
    if found:
        rows = [{"account_id": account_id, **stretch._asdict()} for stretch in found]
        connection.execute(insert(_BULK), rows)


def rebuild(connection: Connection, account_id: str, limit: Limit) -> None:
    """Judge all edits anew."""
    connection.execute(delete(_BULK).where(_BULK.c.account_id == account_id))
    for author in _authors(connection, account_id):
        _put(connection, account_id, _whole(connection, account_id, author, limit))


def _authors(connection: Connection, account_id: str) -> list[str]:
    query = select(_EDIT.c.author).where(_EDIT.c.account_id == account_id).distinct()
    return sorted(connection.execute(query).scalars())


def _whole(connection: Connection, account_id: str, author: str, limit: Limit) -> list[Stretch]:
    query = (
        select(_EDIT.c.at, _EDIT.c.deal)
        .where(_EDIT.c.account_id == account_id, _EDIT.c.author == author)
        .order_by(_EDIT.c.at)
    )
    edits = [(int(at), deal) for at, deal in connection.execute(query)]
    return stretches(author, edits, limit)


# --- proving --------------------------------------------------------------------------------------


def restore(
    connection: Connection, account_id: str, timelines: Iterable[Sequence[str]], limit: Limit
) -> None:
    """Make everything anew from the stored facts of all timelines."""
    connection.execute(delete(_EDIT).where(_EDIT.c.account_id == account_id))
    for keys in timelines:
        _keep(connection, account_id, _told(connection, account_id, keys))
    rebuild(connection, account_id, limit)


def _told(connection: Connection, account_id: str, timelines: Sequence[str]) -> set[Edit]:
    deals = [key for key in timelines if key.startswith(f"{Kind.DEAL}:")]
    rows = fact_store.load(connection, account_id, deals)
    return {e for facts in rows.values() for fact in facts.values() for e in edits_of(fact)}


def edits_that_differ(
    connection: Connection, account_id: str, timelines: Iterable[Sequence[str]]
) -> Iterator[tuple[str, Edit]]:
    """("missing" or "too many", edit): what is kept, against all facts."""
    query = select(_EDIT.c.author, _EDIT.c.at, _EDIT.c.deal).where(_EDIT.c.account_id == account_id)
    kept = {Edit(author, int(at), deal) for author, at, deal in connection.execute(query)}
    for keys in timelines:
        told = _told(connection, account_id, keys)
        yield from (("missing", edit) for edit in sorted(told - kept))
        kept -= told
    yield from (("too many", edit) for edit in sorted(kept))


def stretches_that_differ(
    connection: Connection, account_id: str, limit: Limit
) -> list[tuple[str, Stretch]]:
    """("missing" or "too many", stretch): what is stored, against all edits."""
    stored = set(_between(connection, account_id, None, None))
    right = {
        stretch
        for author in _authors(connection, account_id)
        for stretch in _whole(connection, account_id, author, limit)
    }
    missing = [("missing", stretch) for stretch in sorted(right - stored)]
    return missing + [("too many", stretch) for stretch in sorted(stored - right)]


# --- asking ---------------------------------------------------------------------------------------


def _between(
    connection: Connection, account_id: str, first: Instant | None, last: Instant | None
) -> list[Stretch]:
    query = select(_BULK.c.author, _BULK.c.since, _BULK.c.until, _BULK.c.deals).where(
        _BULK.c.account_id == account_id
    )
    if first is not None and last is not None:
        query = query.where(_BULK.c.since <= last, _BULK.c.until >= first)
    return [
        Stretch(author, int(s), int(u), int(n)) for author, s, u, n in connection.execute(query)
    ]


def of_violations(
    connection: Connection, account_id: str, rows: Sequence[Row]
) -> dict[str, Stretch]:
    """The bulk change that began each violation, by its id; those that none began are left out."""
    begun = {row["id"]: (started_at(row), row["deal"]) for row in rows if row["deal"]}
    if not begun:
        return {}
    instants = [at for at, _ in begun.values()]
    near = _between(connection, account_id, min(instants), max(instants))
    if not near:
        return {}
    inside = {at for at in instants if any(s.since <= at <= s.until for s in near)}
    edited: dict[tuple[Instant, str], set[str]] = {}
    authors = {stretch.author for stretch in near}
    for part in chunks(sorted(inside)):
        query = select(_EDIT.c.author, _EDIT.c.at, _EDIT.c.deal).where(
            _EDIT.c.account_id == account_id, _EDIT.c.author.in_(authors), _EDIT.c.at.in_(part)
        )
        for author, at, deal in connection.execute(query):
            edited.setdefault((int(at), deal), set()).add(author)
    found: dict[str, Stretch] = {}
    for violation_id, (at, deal) in begun.items():
        by = edited.get((at, deal), set())
        covering = [s for s in near if s.author in by and s.since <= at <= s.until]
        if covering:
            found[violation_id] = max(covering, key=lambda s: (s.deals, s.author))
    return found


def is_bulk() -> Any:
    """Whether a bulk change began the violation of the outer query."""
    start = case((_V.c.since > _V.c.held_since, _V.c.since), else_=_V.c.held_since)
    edit, bulk = _EDIT.alias("began"), _BULK.alias("bulk")
    both = and_(
        edit.c.account_id == bulk.c.account_id,
        edit.c.author == bulk.c.author,
        edit.c.at == start,
        edit.c.deal == _V.c.deal,
    )
    return (
        select(literal(1))
        .select_from(bulk.join(edit, both))
        .where(bulk.c.account_id == _V.c.account_id, bulk.c.since <= start, bulk.c.until >= start)
        .correlate(_V)
        .exists()
    )
