"""What is derived from a timeline: violations, contributions, present images; kept by differences.

`Derived` is everything that one timeline gives. `differ` compares it with what is stored, `write`
applies the difference and moves the rollups by the same amounts. Nothing else writes these tables.

Most of it stays as it is: a timeline's marks say whether violations and contributions are as they
were, and only where one differs are they read and compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, bindparam, delete, select, update

from service.store import revisions, rollups
from service.store.chunks import chunks
from service.store.engine import insert_or_update
from service.store.tables import Contribution, Deal, Task, TimelineMark, Violation

_VIOLATION: Table = Violation.__table__  # type: ignore[attr-defined]
_CONTRIBUTION: Table = Contribution.__table__  # type: ignore[attr-defined]
_MARK: Table = TimelineMark.__table__  # type: ignore[attr-defined]
_DEAL: Table = Deal.__table__  # type: ignore[attr-defined]
_TASK: Table = Task.__table__  # type: ignore[attr-defined]

Row = dict[str, Any]
_CONTRIBUTION_KEY = ("metric", "subject_kind", "subject_id", "key")
_CONTRIBUTION_REST = (
    "at", "day", "seller", "pipeline", "stage", "source", "value", "currency", "slot",
    "reason", "age",
)  # fmt: skip
_WORK_MARK = "due_at"  # when the tick looks: no part of what is derived
_NOT_DERIVED = ("account_id", "revision")


def _own_columns(table: Table) -> list[Any]:
    return [column for column in table.columns if column.name not in _NOT_DERIVED]


_VIOLATION_COLUMNS, _DEAL_COLUMNS, _TASK_COLUMNS = map(_own_columns, (_VIOLATION, _DEAL, _TASK))


class Marks(NamedTuple):
    """Fingerprints of what is derived from a timeline; 0 = there is nothing of it."""

    settings: int = 0  # of all but the facts that images and contributions of facts depend on
    facts: int = 0  # of the contributions of facts
    verdicts: int = 0  # of violations and their contributions


NO_MARKS = Marks()


@dataclass(slots=True)
class Derived:
    """All derived rows of one timeline, without the account column."""

    violations: dict[str, Row] = field(default_factory=dict)  # by id
    contributions: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    marks: Marks = NO_MARKS
    deal: Row | None = None
    tasks: dict[str, Row] = field(default_factory=dict)  # by id


@dataclass(slots=True)
class Difference:
    """What has to change in the tables."""

    opened: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    vanished: list[Row] = field(default_factory=list)
    added: list[tuple[str, tuple[str, ...], tuple[Any, ...]]] = field(default_factory=list)
    removed: list[tuple[str, tuple[str, ...], tuple[Any, ...]]] = field(default_factory=list)
    marks: list[tuple[str, Marks, Marks]] = field(default_factory=list)  # timeline, old, new
    deals: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)
    gone_deals: list[str] = field(default_factory=list)
    gone_tasks: list[str] = field(default_factory=list)
    counted: list[rollups.Moved] = field(default_factory=list)  # of violations, in rollups alone
    uncounted: list[rollups.Moved] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether stored and derived are equal."""
        return not any(getattr(self, name) for name in self.__slots__)


def load_marks(
    connection: Connection, account_id: str, timelines: Sequence[str]
) -> dict[str, Derived]:
    """What is stored for these timelines, but of it the marks alone."""
    found = {timeline: Derived() for timeline in timelines}
    for part in chunks(timelines):
        query = select(_MARK.c.timeline, *(_MARK.c[name] for name in Marks._fields)).where(
            _MARK.c.account_id == account_id, _MARK.c.timeline.in_(part)
        )
        for timeline, *marks in connection.execute(query).all():
            found[timeline].marks = Marks(*marks)
    return found


def load_contributions(
    connection: Connection,
    account_id: str,
    timelines: Sequence[str],
    into: dict[str, Derived],
    *,
    only: Iterable[str] = (),
    but: Iterable[str] = (),
) -> None:
    """The stored contributions of these timelines; `only` to these metrics, `but` not to these."""
    columns = [_CONTRIBUTION.c[name] for name in (*_CONTRIBUTION_KEY, *_CONTRIBUTION_REST)]
    query = select(_CONTRIBUTION.c.timeline, *columns).where(
        _CONTRIBUTION.c.account_id == account_id
    )
    if only:
        query = query.where(_CONTRIBUTION.c.metric.in_(sorted(only)))
    if but:
        query = query.where(_CONTRIBUTION.c.metric.not_in(sorted(but)))
    for part in chunks(timelines):
        of_these = query.where(_CONTRIBUTION.c.timeline.in_(part))
        for row in connection.execute(of_these).all():
            into[row[0]].contributions[tuple(row[1:5])] = tuple(row[5:])


def load_violations(
    connection: Connection, account_id: str, timelines: Sequence[str], into: dict[str, Derived]
) -> None:
    """The stored violations of these timelines."""
    for part in chunks(timelines):
        query = select(*_VIOLATION_COLUMNS).where(
            _VIOLATION.c.account_id == account_id, _VIOLATION.c.timeline.in_(part)
        )
        for plain in _plain(connection, query, _VIOLATION_COLUMNS):
            into[plain["timeline"]].violations[plain["id"]] = plain


def load_images(
    connection: Connection, account_id: str, timelines: Sequence[str], into: dict[str, Derived]
) -> None:
    """The stored images of these timelines."""
    for part in chunks(timelines):
        deals = [key.partition(":")[2] for key in part if key.startswith("deal:")]
        query = select(*_DEAL_COLUMNS).where(
            _DEAL.c.account_id == account_id, _DEAL.c.id.in_(deals)
        )
        for plain in _plain(connection, query, _DEAL_COLUMNS):
            into[f"deal:{plain['id']}"].deal = plain
        query = select(*_TASK_COLUMNS).where(
            _TASK.c.account_id == account_id, _TASK.c.timeline.in_(part)
        )
        for plain in _plain(connection, query, _TASK_COLUMNS):
            into[plain["timeline"]].tasks[plain["id"]] = plain


def _plain(connection: Connection, query: Any, columns: Sequence[Any]) -> Iterator[Row]:
    """Rows as dicts: several times as fast as `mappings()`."""
    names = [column.name for column in columns]
    for row in connection.execute(query).all():  # one by one costs twice as much
        yield dict(zip(names, row, strict=True))


def _same(row: Row, known: Row) -> bool:
    """Whether a violation is as it is stored, but for when the tick looks."""
    mark = row[_WORK_MARK]
    row[_WORK_MARK] = known[_WORK_MARK]
    same = row == known
    row[_WORK_MARK] = mark
    return same


def differ(timeline: str, old: Derived, new: Derived, into: Difference) -> None:
    """Add the difference of one timeline to `into`; what neither side has is as it was."""
    for violation_id, row in new.violations.items():
        known = old.violations.get(violation_id)
        if known is None:
            into.opened.append(row)
            into.counted += rollups.ends_of(row)
        elif not _same(row, known):
            into.changed.append(row)
            into.counted += rollups.ends_of(row)
            into.uncounted += rollups.ends_of(known)
    for violation_id, row in old.violations.items():
        if violation_id not in new.violations:
            into.vanished.append(row)
            into.uncounted += rollups.ends_of(row)
    _differ_contributions(timeline, old, new, into)
    if new.marks != old.marks:
        into.marks.append((timeline, old.marks, new.marks))
    if new.deal is None and old.deal is not None:
        into.gone_deals.append(old.deal["id"])
    elif new.deal is not None and new.deal != old.deal:
        into.deals.append(new.deal)
    into.tasks += [row for tid, row in new.tasks.items() if old.tasks.get(tid) != row]
    into.gone_tasks += [tid for tid in old.tasks if tid not in new.tasks]


def _differ_contributions(timeline: str, old: Derived, new: Derived, into: Difference) -> None:
    for key, rest in new.contributions.items():
        stored = old.contributions.get(key)
        if stored != rest:
            into.added.append((timeline, key, rest))
            if stored is not None:
                into.removed.append((timeline, key, stored))
    for key, rest in old.contributions.items():
        if key not in new.contributions:
            into.removed.append((timeline, key, rest))


def write(connection: Connection, account_id: str, difference: Difference) -> None:
    """Apply a difference: rows, images, rollups; all of it is one step of the change feed."""
    if difference.is_empty:
        return
    revision = revisions.take(connection, account_id)
    _write_violations(connection, account_id, difference, revision)
    _write_contributions(connection, account_id, difference)
    came, went = difference.added + difference.counted, difference.removed + difference.uncounted
    rollups.move(connection, account_id, came, went, revision)
    for table, rows in ((_DEAL, difference.deals), (_TASK, difference.tasks)):
        keyed = [{"account_id": account_id, **row, "revision": revision} for row in rows]
        names = [c.name for c in table.columns if not c.primary_key]
        insert_or_update(connection, table, keyed, update=names)
    written = {row["id"] for row in difference.tasks}
    for table, gone in (
        (_DEAL, difference.gone_deals),
        (_TASK, [tid for tid in difference.gone_tasks if tid not in written]),
    ):
        revisions.bury(connection, account_id, table.name, gone, revision)
        for part in chunks(gone):
            connection.execute(
                delete(table).where(table.c.account_id == account_id, table.c.id.in_(part))
            )


def _write_violations(
    connection: Connection, account_id: str, difference: Difference, revision: int
) -> None:
    gone = [row["id"] for row in difference.vanished]
    for part in chunks(gone):
        connection.execute(
            delete(_VIOLATION).where(
                _VIOLATION.c.account_id == account_id, _VIOLATION.c.id.in_(part)
            )
        )
    revisions.bury(connection, account_id, "violation", gone, revision)
    rows = [{"account_id": account_id, **row, "revision": revision} for row in difference.opened]
    names = [c.name for c in _VIOLATION.columns if not c.primary_key]
    insert_or_update(connection, _VIOLATION, rows, update=names)
    if difference.changed:
        values: dict[str, Any] = {name: bindparam(f"v_{name}") for name in names}
        query = (
            update(_VIOLATION)
            .where(_VIOLATION.c.account_id == account_id, _VIOLATION.c.id == bindparam("v_id"))
            .values(values)
        )
        connection.execute(
            query,
            [
                {f"v_{k}": v for k, v in row.items()} | {"v_revision": revision}
                for row in difference.changed
            ],
        )


def _write_contributions(connection: Connection, account_id: str, difference: Difference) -> None:
    added = {(timeline, key) for timeline, key, _ in difference.added}
    gone = [
        {"t": timeline, "m": key[0], "sk": key[1], "si": key[2], "k": key[3]}
        for timeline, key, _ in difference.removed
        if (timeline, key) not in added
    ]
    if gone:
        columns = _CONTRIBUTION.c
        query = delete(_CONTRIBUTION).where(
            and_(
                columns.account_id == account_id, columns.timeline == bindparam("t"),
                columns.metric == bindparam("m"), columns.subject_kind == bindparam("sk"),
                columns.subject_id == bindparam("si"), columns.key == bindparam("k"),
            )
        )  # fmt: skip
        connection.execute(query, gone)
    names = (*_CONTRIBUTION_KEY, *_CONTRIBUTION_REST)
    rows = [
        {
            "account_id": account_id,
            "timeline": timeline,
            **dict(zip(names, key + rest, strict=True)),
        }
        for timeline, key, rest in difference.added
    ]
    insert_or_update(connection, _CONTRIBUTION, rows, update=_CONTRIBUTION_REST)
    marks = [
        {"account_id": account_id, "timeline": timeline, **marks._asdict()}
        for timeline, _, marks in difference.marks
    ]
    insert_or_update(connection, _MARK, marks, update=Marks._fields)
