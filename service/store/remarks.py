"""What people say about violations: acknowledgements and mutes, kept by (rule, subject, instant).

An acknowledgement holds for the interval in which it was said (or the violation it names); a mute
for its rule and subject until its end. Both survive a violation getting another id. `until` of an
acknowledgement is the instant at which it was taken back. Mutes of a wider scope: `mutes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from service.domain.instant import Instant
from service.domain.mutes import Mute
from service.domain.violation import SECOND_KINDS
from service.store import dirty, mutes, revisions
from service.store.audit import record
from service.store.ids import new_id
from service.store.locks import lock
from service.store.records import Remark

_R: Any = Remark.__table__  # type: ignore[attr-defined]
_SUBJECT = ("rule", "subject_kind", "subject_id")


@dataclass(frozen=True, slots=True)
class Said:
    """One remark. `until` None = in force without end."""

    rule: str
    subject_kind: str
    subject_id: str
    action: str
    at: Instant
    until: Instant | None
    text: str
    author: str
    violation_id: str
    wide: str = ""  # the id of a mute of a wider scope

    def holds(self, at: Instant) -> bool:
        """Whether it is in force at `at`."""
        return self.at <= at and (self.until is None or self.until > at)


@dataclass(frozen=True, slots=True)
class Author:
    """Who says it, and by which request (audit log)."""

    key_id: str
    request_id: str = ""
    address: str = ""


Row = Mapping[str, Any]
"""A violation row: account_id, id, timeline, rule, subject_kind, subject_id, breach_at, ..."""


def ack(connection: Connection, row: Row, author: Author, comment: str, now: Instant) -> None:
    """Acknowledge a violation; a second time changes nothing (the first author stays)."""
    lock(connection, row["account_id"])
    if marks(connection, [row], now).ack_of(row) is None:
        say(connection, row, author, "ack", comment, now)


def unack(connection: Connection, row: Row, author: Author, now: Instant) -> None:
    """Take an acknowledgement back, if there is one."""
    said = marks(connection, [row], now).ack_of(row)
    if said is not None:
        _end(connection, row, said, now)
        say(connection, row, author, "unack", "", now, until=now)


def mute(
    connection: Connection, row: Row, author: Author, until: Instant, reason: str, now: Instant
) -> None:
    """Mute rule and subject of a violation until an instant; replaces an earlier mute."""
    _changes(connection, row)
    said = marks(connection, [row], now).own_mute_of(row)
    if said is not None:
        _end(connection, row, said, now)
    say(connection, row, author, "mute", reason, now, until=until)


def unmute(connection: Connection, row: Row, author: Author, now: Instant) -> None:
    """End a mute of rule and subject, if there is one; one of a wider scope stays."""
    said = marks(connection, [row], now).own_mute_of(row)
    if said is not None:
        _changes(connection, row)
        _end(connection, row, said, now)
        say(connection, row, author, "unmute", "", now, until=now)


def _changes(connection: Connection, row: Row) -> None:
    """Its timeline is derived again: muted time is counted apart."""
    mutes.changing(connection, row["account_id"])
    if row["subject_kind"] not in SECOND_KINDS:
        dirty.mark(connection, row["account_id"], [row["timeline"]])


class Marks:
    """Acknowledgements and mutes of some violations, as they stand at an instant."""

    def __init__(
        self,
        found: Iterable[tuple[str, Said]],
        wide: Mapping[str, Sequence[tuple[Mute, Said]]],
        at: Instant,
    ) -> None:
        self._at = at
        self._wide = wide
        self._said: dict[tuple[str, ...], list[Said]] = {}
        for account, said in found:
            key = (account, said.rule, said.subject_kind, said.subject_id)
            self._said.setdefault(key, []).append(said)

    def ack_of(self, row: Row) -> Said | None:
        """The first acknowledgement in force of a violation."""
        return next((s for s in self._in_force(row, "ack") if _belongs(s, row)), None)

    def mute_of(self, row: Row) -> Said | None:
        """The mute in force of a violation: its own, else the wider one that ends last."""
        own = self.own_mute_of(row)
        if own is not None:
            return own
        wide = self._wide.get(row["account_id"], ())
        return next((said for mute, said in wide if mute.covers(row)), None)

    def own_mute_of(self, row: Row) -> Said | None:
        """The latest mute in force of its rule and subject."""
        return next(reversed(list(self._in_force(row, "mute"))), None)

    def _in_force(self, row: Row, action: str) -> Iterable[Said]:
        key = (row["account_id"], *(row[name] for name in _SUBJECT))
        return [s for s in self._said.get(key, ()) if s.action == action and s.holds(self._at)]


def marks(connection: Connection, rows: Sequence[Row], at: Instant) -> Marks:
    """What was said about these violations. Indexes: ix_remark_subject, ix_mute_end."""
    subjects: dict[str, set[str]] = {}
    for row in rows:
        subjects.setdefault(row["account_id"], set()).add(row["subject_id"])
    found: list[tuple[str, Said]] = []
    for account, ids in subjects.items():
        rules = sorted({row["rule"] for row in rows if row["account_id"] == account})
        query = (
            select(_R)
            .where(
                _R.c.account_id == account,
                _R.c.rule.in_(rules),
                _R.c.subject_id.in_(sorted(ids)),
                _R.c.action.in_(("ack", "mute")),
                _R.c.at <= at,
                or_(_R.c.until.is_(None), _R.c.until > at),
            )
            .order_by(_R.c.at, _R.c.id)
        )
        found += [(account, read(row)) for row in connection.execute(query)]
    wide = {
        account: [(one, _wide(row)) for one, row in mutes.in_force(connection, account, at)]
        for account in subjects
    }
    return Marks(found, wide, at)


def _wide(row: Row) -> Said:
    """What a mute of a wider scope says of each violation in it."""
    return Said(
        row["rule"], "", "", "mute", row["at"], row["ends_at"], row["reason"], row["author"], "",
        row["id"],
    )  # fmt: skip


def _belongs(said: Said, row: Row) -> bool:
    """Whether an acknowledgement is about this interval."""
    if said.violation_id == row["id"]:
        return True
    resolved = row["resolved_at"]
    return row["breach_at"] <= said.at and (resolved is None or said.at < resolved)


def say(
    connection: Connection,
    row: Row,
    author: Author,
    action: str,
    text: str,
    now: Instant,
    until: Instant | None = None,
) -> None:
    """Keep what somebody says of a violation, in the history and in the audit log."""
    told = {name: row[name] for name in _SUBJECT}
    values = {
        **told,
        "account_id": row["account_id"],
        "id": new_id("rem", now),
        "action": action,
        "at": now,
        "until": until,
        "text": text,
        "author": author.key_id,
        "violation_id": row["id"],
    }
    connection.execute(insert(_R).values(values))
    record(
        connection,
        author.key_id,
        f"violation.{action}",
        now,
        account_id=row["account_id"],
        after={**told, "violation": row["id"], "text": text, "until": until},
        request_id=author.request_id,
        address=author.address,
    )
    revisions.tell_violations(connection, row["account_id"], ids=[row["id"]])


def _end(connection: Connection, row: Row, said: Said, now: Instant) -> None:
    connection.execute(
        update(_R)
        .where(
            _R.c.account_id == row["account_id"],
            *(_R.c[name] == row[name] for name in _SUBJECT),
            _R.c.action == said.action,
            _R.c.at == said.at,
            _R.c.violation_id == said.violation_id,
            or_(_R.c.until.is_(None), _R.c.until > now),
        )
        .values(until=now)
    )


def read(row: Any) -> Said:
    """A remark from its row."""
    return Said(
        row.rule,
        row.subject_kind,
        row.subject_id,
        row.action,
        row.at,
        row.until,
        row.text,
        row.author,
        row.violation_id,
    )
