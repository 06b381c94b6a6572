"""What was before the first events: remembered on disk, so that a long reading keeps its memory.

SQLite's private temporary database (an empty file name) lives in its page cache and goes over into
a file of the system's temporary folder when it grows beyond that.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator

from service.crm.amocrm.events import Event, Row
from service.domain.facts import Fact, Kind, Rank
from service.domain.instant import Instant

_CACHE_KIB = 4096
_AT_ONCE = 500
_SCHEMA = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE born (kind TEXT, subject TEXT, at INTEGER, PRIMARY KEY (kind, subject)) WITHOUT ROWID;
CREATE TABLE first (
    kind TEXT, subject TEXT, type TEXT, at INTEGER, id TEXT, before TEXT, after TEXT,
    PRIMARY KEY (kind, subject, type)
) WITHOUT ROWID;
"""
_KNOWN = "SELECT at, id, before, after FROM first WHERE kind = ? AND subject = ? AND type = ?"
_UNKNOWN = """
SELECT DISTINCT first.subject FROM first
LEFT JOIN born ON born.kind = first.kind AND born.subject = first.subject
WHERE first.kind = ? AND born.at IS NULL ORDER BY first.subject
"""
_TOLD = """
SELECT first.kind, first.subject, max(born.at, ?), first.before FROM first
JOIN born ON born.kind = first.kind AND born.subject = first.subject
WHERE max(born.at, ?) < first.at
"""


class Beginnings:
    """Keeps births of subjects and the first event of each subject and type."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)

    def __del__(self) -> None:
        self._db.close()

    def births(self, kind: Kind, rows: Iterable[Row]) -> None:
        """When these subjects were created."""
        told = [(kind, str(row["id"]), int(row["created_at"])) for row in rows]
        self._db.executemany("INSERT OR REPLACE INTO born VALUES (?, ?, ?)", told)

    def note(self, found: Iterable[Event]) -> None:
        """Take in events, in any order."""
        for event in found:
            if event.before is None:
                continue
            known = self._db.execute(_KNOWN, (event.kind, event.subject, event.type)).fetchone()
            if known is None or _precedes(event, *known):
                sides = _text(event.before), _text(event.after)
                row = (event.kind, event.subject, event.type, event.at, event.id, *sides)
                self._db.execute("INSERT OR REPLACE INTO first VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def unborn(self, kind: Kind) -> Iterator[list[str]]:
        """Ids of subjects with events whose creation nobody has told, some at a time."""
        found = [subject for (subject,) in self._db.execute(_UNKNOWN, (kind,))]
        return (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE))

    def facts(self, since: Instant) -> Iterator[list[Fact]]:
        """What was before the first events, some at a time; nothing of subjects that are gone."""
        rows = self._db.execute(_TOLD, (since, since))
        while part := rows.fetchmany(_AT_ONCE):
            yield [
                Fact(Kind(kind), subject, at, json.loads(before), Rank.HISTORY)
                for kind, subject, at, before in part
            ]


def _text(side: Row | None) -> str | None:
    return None if side is None else json.dumps(side, sort_keys=True)


def _precedes(event: Event, at: Instant, event_id: str, before: str, after: str | None) -> bool:
    if event.at != at:
        return event.at < at
    if _text(event.after) == before:
        return True  # one second: the chain says more than the ids
    return event.id < event_id and after != _text(event.before)
