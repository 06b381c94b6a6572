"""Mutes of a scope: rule, deal, seller, pipeline, stage in any combination (rules.md 1.3, 4).

Whoever changes mutes calls `changing` first: it takes the account's row, so that a batch which is
being derived either is seen by `in_scope` or sees that its mutes are stale.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, literal, or_, select, text, update
from sqlalchemy import insert as insert_into

from service.domain.instant import Instant
from service.domain.mutes import OF_SUBJECT, SCOPE, Mute, Mutes
from service.domain.violation import SECOND_KINDS
from service.store import dirty, revisions
from service.store.chunks import chunks
from service.store.ids import new_id
from service.store.records import IS_MUTE, MuteRow, Remark
from service.store.tables import Account, Violation

_MUTE: Table = MuteRow.__table__  # type: ignore[attr-defined]
_R: Table = Remark.__table__  # type: ignore[attr-defined]
_V: Table = Violation.__table__  # type: ignore[attr-defined]
_ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
Row = dict[str, Any]


def changing(connection: Connection, account_id: str) -> None:
    """Say that mutes change; until the commit nobody stores what was derived without them."""
    values = {
        "mute_version": _ACCOUNT.c.mute_version + 1,
        "data_version": _ACCOUNT.c.data_version + 1,
    }
    where = _ACCOUNT.c.account_id == account_id
    connection.execute(update(_ACCOUNT).where(where).values(values))


def version(connection: Connection, account_id: str) -> int:
    """Grows with each change of mutes."""
    query = select(_ACCOUNT.c.mute_version).where(_ACCOUNT.c.account_id == account_id)
    return int(connection.scalar(query) or 0)


def add(
    connection: Connection,
    account_id: str,
    scope: Mapping[str, str],
    until: Instant,
    said: tuple[str, str],
    now: Instant,
) -> str:
    """Mute a scope until an instant; the id.

    Args:
        connection: the writing transaction.
        account_id: whose.
        scope: some of `SCOPE`, by CRM ids.
        until: when it ends by itself.
        said: (reason, author).
        now: the present instant.
    """
    changing(connection, account_id)
    reason, author = said
    row = {name: scope.get(name, "") for name in SCOPE} | {
        "account_id": account_id, "id": new_id("mut", now), "at": now, "until": until,
        "ends_at": until, "reason": reason, "author": author, "ended_by": None,
    }  # fmt: skip
    connection.execute(insert_into(_MUTE), [row])
    _tell(connection, account_id, scope, now)
    return str(row["id"])


def end(connection: Connection, row: Row, author: str, now: Instant) -> None:
    """End a mute now; one that is over stays as it is."""
    account_id = row["account_id"]
    changing(connection, account_id)
    where = and_(_MUTE.c.account_id == account_id, _MUTE.c.id == row["id"], _MUTE.c.ends_at > now)
    ended = connection.execute(update(_MUTE).where(where).values(ends_at=now, ended_by=author))
    if ended.rowcount:
        _tell(connection, account_id, scope_of(row), now)


def _tell(connection: Connection, account_id: str, scope: Mapping[str, str], now: Instant) -> None:
    """Timelines in scope are derived again; the change feed tells the violations that are open."""
    dirty.mark(connection, account_id, in_scope(connection, account_id, scope, now))
    same = [_V.c[name] == value for name, value in scope.items() if value]
    lasting = or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > now)
    revisions.tell_violations(connection, account_id, lasting, *same)


def in_scope(
    connection: Connection, account_id: str, scope: Mapping[str, str], now: Instant
) -> list[str]:
    """Timelines with violations of a scope that are not over, also such as lie ahead."""
    query = (
        select(_V.c.timeline)
        .where(_V.c.account_id == account_id, *(_V.c[k] == value for k, value in scope.items()))
        .where(or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > now))
        .where(_V.c.subject_kind.not_in(SECOND_KINDS))
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def scope_of(row: Mapping[str, Any]) -> dict[str, str]:
    """What must be equal, of a stored mute."""
    return {name: row[name] for name in SCOPE if row[name]}


def mute(connection: Connection, accounts: Sequence[str], mute_id: str) -> Row | None:
    """One of these accounts' mutes, or None."""
    query = select(_MUTE).where(_MUTE.c.account_id.in_(accounts), _MUTE.c.id == mute_id)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def in_force(connection: Connection, account_id: str, at: Instant) -> list[tuple[Mute, Row]]:
    """Mutes that hold at an instant, the one that ends last in front. Index: ix_mute_end."""
    query = (
        select(_MUTE)
        .where(_MUTE.c.account_id == account_id, _MUTE.c.ends_at > at, _MUTE.c.at <= at)
        .order_by(_MUTE.c.ends_at.desc(), _MUTE.c.id)
    )
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [(Mute(row["at"], row["ends_at"], scope_of(row)), row) for row in rows]


def touching(
    connection: Connection, account_id: str, deals: Collection[str], subjects: Collection[str]
) -> Mutes:
    """All mutes, ended ones too, that may concern these deals and these subjects of violations.

    Indexes: ix_mute_deal, ix_remark_mute.
    """
    found: list[Mute] = []
    for part in chunks(["", *deals]):
        query = select(_MUTE).where(_MUTE.c.account_id == account_id, _MUTE.c.deal.in_(part))
        rows = [dict(row) for row in connection.execute(query).mappings()]
        found += [Mute(row["at"], row["ends_at"], scope_of(row)) for row in rows]
    for part in chunks(subjects):
        columns = [_R.c[name] for name in OF_SUBJECT]
        own = select(_R.c.at, _R.c.until, *columns).where(
            _R.c.account_id == account_id, _R.c.subject_id.in_(part), text(IS_MUTE)
        )
        for at, until, *values in connection.execute(own):
            found.append(Mute(at, until, dict(zip(OF_SUBJECT, values, strict=True))))
    return Mutes(found)


def covers(at: Instant) -> Any:
    """Whether a mute of a scope holds for the violation of the outer query at `at`."""
    now = and_(_MUTE.c.at <= at, _MUTE.c.ends_at > at)
    return select(literal(1)).where(now, *in_scope_of(_V)).correlate(_V).exists()


def in_scope_of(violation: Any) -> list[Any]:
    """That a mute is of a violation, whenever."""
    same = [or_(_MUTE.c[name] == "", _MUTE.c[name] == violation.c[name]) for name in SCOPE]
    return [_MUTE.c.account_id == violation.c.account_id, *same]
