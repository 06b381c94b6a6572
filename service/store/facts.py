"""Facts as stored: versions of subjects, by the timeline they are judged on.

A version is identified by (subject, instant, rank, content), so the same fact told twice is one row
and the order of arrival leaves no mark. A subject's home timeline follows the newest version that
tells its link; when it moves, its rows move.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from service.domain.facts import Fact, Kind, Rank
from service.store import pairs
from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.tables import Deal, DealContact, FactRow, Task, TouchedRow

_FACT = FactRow.__table__  # type: ignore[attr-defined]
_DEAL = Deal.__table__  # type: ignore[attr-defined]
_TASK = Task.__table__  # type: ignore[attr-defined]
_LINK = DealContact.__table__  # type: ignore[attr-defined]
_TOUCHED = TouchedRow.__table__  # type: ignore[attr-defined]
_decode = msgspec.json.Decoder(dict).decode
_KINDS = {str(kind): kind for kind in Kind}

_RANKS = {int(rank): rank for rank in Rank}

Subject = tuple[str, str]  # kind, id
Key = tuple[str, str, int, int, str]  # kind, id, at, rank, digest


def key_of(fact: Fact) -> Key:
    """The identity of a version."""
    return (str(fact.kind), fact.id, fact.at, int(fact.rank), fact.digest())


def load(
    connection: Connection, account_id: str, timelines: Iterable[str]
) -> dict[str, dict[Key, Fact]]:
    """All facts of these timelines, by the identity of the version."""
    found: dict[str, dict[Key, Fact]] = {}
    for part in chunks(timelines):
        query = select(
            _FACT.c.timeline, _FACT.c.kind, _FACT.c.id, _FACT.c.at, _FACT.c.rank, _FACT.c.digest,
            _FACT.c.seen_at, _FACT.c.body,
        ).where(_FACT.c.account_id == account_id, _FACT.c.timeline.in_(part))  # fmt: skip
        rows = connection.execute(query).all()
        for timeline, kind, subject, at, rank, digest, seen_at, body in rows:
            fact = Fact(_KINDS[kind], subject, at, _decode(body), _RANKS[rank], seen_at)
            found.setdefault(timeline, {})[kind, subject, at, rank, digest] = fact
    return found


def homes(
    connection: Connection, account_id: str, subjects: Iterable[Subject]
) -> dict[Subject, str]:
    """Where subjects that are known have their rows. Index: ix_fact_subject."""
    by_kind: dict[str, list[str]] = {}
    for kind, subject in subjects:
        by_kind.setdefault(kind, []).append(subject)
    found: dict[Subject, str] = {}
    for kind, ids in by_kind.items():
        for part in chunks(ids):
            query = (
                select(_FACT.c.id, _FACT.c.timeline)
                .where(_FACT.c.account_id == account_id, _FACT.c.kind == kind)
                .where(_FACT.c.id.in_(part))
                .distinct()
            )
            found |= {(kind, row.id): row.timeline for row in connection.execute(query)}
    return found


def latest(
    connection: Connection, account_id: str, subjects: Iterable[Subject]
) -> dict[Subject, int]:
    """The newest instant of what is stored of each subject. Index: ix_fact_subject."""
    by_kind: dict[str, list[str]] = {}
    for kind, subject in subjects:
        by_kind.setdefault(kind, []).append(subject)
    found: dict[Subject, int] = {}
    for kind, ids in by_kind.items():
        for part in chunks(ids):
            query = (
                select(_FACT.c.id, func.max(_FACT.c.at))
                .where(_FACT.c.account_id == account_id, _FACT.c.kind == kind)
                .where(_FACT.c.id.in_(part))
                .group_by(_FACT.c.id)
            )
            found |= {(kind, row[0]): int(row[1]) for row in connection.execute(query)}
    return found


def waiting(connection: Connection, account_id: str, subjects: Iterable[Subject]) -> set[Subject]:
    """Which of these wait to be fetched."""
    asked = set(subjects)
    found: set[Subject] = set()
    for part in chunks([subject for _, subject in asked]):
        query = select(_TOUCHED.c.kind, _TOUCHED.c.id).where(
            _TOUCHED.c.account_id == account_id, _TOUCHED.c.id.in_(part)
        )
        found |= {(str(kind), str(subject)) for kind, subject in connection.execute(query)}
    return found & asked


def write(connection: Connection, account_id: str, rows: Sequence[tuple[str, Fact]]) -> None:
    """Store (timeline, fact); a version that is there keeps its newest `seen_at`."""
    if not rows:
        return
    values = [
        {
            "account_id": account_id, "timeline": timeline, "kind": str(fact.kind), "id": fact.id,
            "at": fact.at, "rank": int(fact.rank), "digest": fact.digest(),
            "seen_at": fact.seen_at, "body": fact.packed(),
        }
        for timeline, fact in rows
    ]  # fmt: skip
    insert_or_update(connection, _FACT, values, update=("seen_at",), larger=("seen_at",))


def move(connection: Connection, account_id: str, subject: Subject, timeline: str) -> None:
    """Give all versions of a subject another home."""
    query = (
        update(_FACT)
        .where(
            and_(
                _FACT.c.account_id == account_id,
                _FACT.c.kind == subject[0],
                _FACT.c.id == subject[1],
            )
        )
        .values(timeline=timeline)
    )
    connection.execute(query)


def timelines(connection: Connection, account_id: str, after: str | None, limit: int) -> list[str]:
    """Keys of timelines in order, from `after` on."""
    query = select(_FACT.c.timeline).where(_FACT.c.account_id == account_id).distinct()
    if after is not None:
        query = query.where(_FACT.c.timeline > after)
    return list(connection.execute(query.order_by(_FACT.c.timeline).limit(limit)).scalars())


def told_since(connection: Connection, account_id: str, since: int) -> list[str]:
    """Keys of timelines, in order, of which something was told at or after an instant."""
    query = (
        select(_FACT.c.timeline)
        .where(_FACT.c.account_id == account_id, _FACT.c.at >= since)
        .distinct()
        .order_by(_FACT.c.timeline)
    )
    return list(connection.execute(query).scalars())


def count_timelines(connection: Connection, account_id: str) -> int:
    """How many timelines there are: one walk along the key."""
    keys = select(_FACT.c.timeline).where(_FACT.c.account_id == account_id).distinct().subquery()
    return connection.execute(select(func.count()).select_from(keys)).scalar_one()


# --- whose deal is whose client's -----------------------------------------------------------------


def deals_of(
    connection: Connection, account_id: str, contacts: Iterable[str]
) -> dict[str, set[str]]:
    """The deals that have each contact."""
    return pairs.partners(connection, account_id, (_LINK.c.contact_id, _LINK.c.deal_id), contacts)


def contacts_of(
    connection: Connection, account_id: str, deals: Iterable[str]
) -> dict[str, set[str]]:
    """The contacts that each deal has. Index: ix_deal_contact_deal."""
    return pairs.partners(connection, account_id, (_LINK.c.deal_id, _LINK.c.contact_id), deals)


def link(
    connection: Connection,
    account_id: str,
    added: Iterable[tuple[str, str]],
    removed: Iterable[tuple[str, str]],
) -> None:
    """Add and remove (deal, contact) pairs."""
    pairs.change(connection, account_id, (_LINK.c.deal_id, _LINK.c.contact_id), added, removed)


# --- what has to be fetched -----------------------------------------------------------------------


def touch(
    connection: Connection,
    account_id: str,
    subjects: Iterable[Subject],
    now: int,
    heard: Mapping[Subject, int] | None = None,
) -> None:
    """Remember subjects to fetch; one that waits already gets a new generation.

    `heard`: since when they wait, if it is not `now`: when their hooks came.
    """
    since = heard or {}
    rows = [
        {
            "account_id": account_id, "kind": subject[0], "id": subject[1], "generation": 1,
            "since": since.get(subject, now), "next_try_at": now, "attempts": 0,
        }
        for subject in sorted(set(subjects))
    ]  # fmt: skip
    insert_or_update(connection, _TOUCHED, rows, update=("next_try_at",), grow=("generation",))


def touched(
    connection: Connection, account_id: str, now: int, limit: int
) -> list[tuple[str, str, int, int]]:
    """Subjects due to be fetched, the longest waiting first: (kind, id, generation, attempts)."""
    query = (
        select(_TOUCHED.c.kind, _TOUCHED.c.id, _TOUCHED.c.generation, _TOUCHED.c.attempts)
        .where(_TOUCHED.c.account_id == account_id, _TOUCHED.c.next_try_at <= now)
        .order_by(_TOUCHED.c.since, _TOUCHED.c.kind, _TOUCHED.c.id)
        .limit(limit)
    )
    return [(str(k), str(i), int(g), int(a)) for k, i, g, a in connection.execute(query)]


def untried_since(connection: Connection, account_id: str) -> int | None:
    """Since when the longest waiting subject waits for its first fetch; None = none does."""
    query = select(func.min(_TOUCHED.c.since)).where(
        _TOUCHED.c.account_id == account_id, _TOUCHED.c.attempts == 0
    )
    return connection.execute(query).scalar()


def take(
    connection: Connection,
    account_id: str,
    waiting: Sequence[tuple[str, str, int, int]],
    until: int,
) -> None:
    """These are being read: nobody else reads them before `until` (unless touched again)."""
    rows = [{"k": kind, "i": subject} for kind, subject, _, _ in waiting]
    query = (
        update(_TOUCHED)
        .where(
            _TOUCHED.c.account_id == account_id,
            _TOUCHED.c.kind == bindparam("k"),
            _TOUCHED.c.id == bindparam("i"),
        )
        .values(next_try_at=until)
    )
    connection.execute(query, rows)


def fetched(
    connection: Connection, account_id: str, seen: Iterable[tuple[str, str, int]], asked_at: int
) -> None:
    """Forget touches answered by a fetch; those touched again meanwhile wait since it began."""
    rows = [{"k": kind, "i": subject, "g": generation} for kind, subject, generation in seen]
    if rows:
        these = and_(
            _TOUCHED.c.account_id == account_id,
            _TOUCHED.c.kind == bindparam("k"),
            _TOUCHED.c.id == bindparam("i"),
        )
        query = delete(_TOUCHED).where(these, _TOUCHED.c.generation == bindparam("g"))
        connection.execute(query, rows)
        again = update(_TOUCHED).where(these, _TOUCHED.c.generation != bindparam("g"))
        connection.execute(again.values(since=asked_at), rows)


def postpone(
    connection: Connection, account_id: str, subjects: Iterable[Subject], until: int
) -> None:
    """A fetch failed: try these again at `until`."""
    rows = [{"k": kind, "i": subject} for kind, subject in subjects]
    if rows:
        query = (
            update(_TOUCHED)
            .where(
                _TOUCHED.c.account_id == account_id,
                _TOUCHED.c.kind == bindparam("k"),
                _TOUCHED.c.id == bindparam("i"),
            )
            .values(next_try_at=until, attempts=_TOUCHED.c.attempts + 1)
        )
        connection.execute(query, rows)


def versions(
    connection: Connection, account_id: str, subjects: Sequence[Subject]
) -> Iterator[tuple[str, Fact]]:
    """(timeline, fact) of all versions of some subjects."""
    for part in chunks(subjects):
        keys = [and_(_FACT.c.kind == kind, _FACT.c.id == subject) for kind, subject in part]
        query = select(
            _FACT.c.timeline, _FACT.c.kind, _FACT.c.id, _FACT.c.at, _FACT.c.rank,
            _FACT.c.seen_at, _FACT.c.body,
        ).where(_FACT.c.account_id == account_id, or_(*keys))  # fmt: skip
        for timeline, kind, subject, at, rank, seen_at, body in connection.execute(query):
            yield (
                timeline,
                Fact(_KINDS[kind], subject, at, _decode(body), Rank(rank), seen_at),
            )


def deals_held(connection: Connection, account_id: str) -> set[str]:
    """Deals that are not deleted, as far as we know."""
    query = select(_DEAL.c.id).where(_DEAL.c.account_id == account_id, ~_DEAL.c.deleted)
    return set(connection.execute(query).scalars())


def tasks_held(connection: Connection, account_id: str) -> set[str]:
    """Tasks that are not deleted, as far as we know."""
    query = select(_TASK.c.id).where(_TASK.c.account_id == account_id)
    return set(connection.execute(query).scalars())


def payments_held(connection: Connection, account_id: str) -> set[str]:
    """Invoices that are not deleted, as far as we know. Index: ix_fact_subject."""
    query = (
        select(_FACT.c.id, _FACT.c.body)
        .where(_FACT.c.account_id == account_id, _FACT.c.kind == str(Kind.PAYMENT))
        .order_by(_FACT.c.at, _FACT.c.rank, _FACT.c.seen_at)
    )
    newest = {key: _decode(body) for key, body in connection.execute(query)}
    return {key for key, body in newest.items() if not body.get("deleted")}
