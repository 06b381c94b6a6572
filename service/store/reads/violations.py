"""Violations at an instant: open, upcoming, resolved; counted and grouped (design 1.4).

At T: open `breach_at <= T < resolved_at`; upcoming `breach_at > T` and not resolved before it;
resolved `resolved_at <= T`. Indexes: ix_violation_open, ix_violation_past; for acknowledgements and
mutes ix_remark_subject, ix_mute_end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    case,
    func,
    literal,
    literal_column,
    not_,
    null,
    or_,
    select,
)

from service.domain.instant import Instant
from service.store import mutes
from service.store.bulks import is_bulk
from service.store.reads.conditions import (
    Build,
    Element,
    Stay,
    all_of,
    compare,
    members,
    prefixed,
    text_or_none,
)
from service.store.reads.filters import Filter
from service.store.reads.keyset import Key, after
from service.store.records import MuteRow, Remark
from service.store.tables import Announcement, Violation

_V: Any = Violation.__table__  # type: ignore[attr-defined]
_R: Any = Remark.__table__  # type: ignore[attr-defined]
_MUTE: Any = MuteRow.__table__  # type: ignore[attr-defined]
_SAID: Any = Announcement.__table__  # type: ignore[attr-defined]
STATUSES = ("open", "upcoming", "resolved")
_RANK = case((_V.c.severity == "critical", 2), (_V.c.severity == "warning", 1), else_=0)
_AMOUNT = case((_V.c.currency == "", null()), else_=_V.c.amount)
SORTS: dict[str, tuple[Element, bool]] = {
    "breach_at": (_V.c.breach_at, False),
    "severity": (_RANK, False),
    "amount": (_AMOUNT, True),
    "resolved_at": (_V.c.resolved_at, True),
}


@dataclass(frozen=True)
class Question:
    """Which violations. `statuses`: a subset of `STATUSES`; `until` cuts upcoming ones."""

    accounts: Sequence[str]
    at: Instant
    statuses: Sequence[str] = ("open",)
    until: Instant | None = None
    filters: Sequence[Filter] = ()
    teams: Mapping[str, Sequence[Stay]] = field(default_factory=dict)


def violations(
    connection: Connection,
    question: Question,
    sort: Sequence[tuple[str, bool]],
    *,
    after_row: Sequence[Any] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """One page of violations as rows, with `position` (sort values) for the next one.

    Args:
        connection: the snapshot.
        question: which ones.
        sort: (field of `SORTS`, downwards) pairs; account and id break ties.
        after_row: `position` of the last row before; None = from the beginning.
        limit: at most so many rows.
    """
    keys = [Key(SORTS[name][0], down, SORTS[name][1]) for name, down in sort]
    keys += [Key(_V.c.account_id), Key(_V.c.id)]
    columns = [key.column.label(f"key_{index}") for index, key in enumerate(keys)]
    query = select(_V, *columns).where(*_where(question))
    if after_row is not None:
        query = query.where(after(keys, after_row))
    query = query.order_by(*(key.order for key in keys)).limit(limit)
    return [_with_position(row, len(keys)) for row in connection.execute(query)]


def count(connection: Connection, question: Question) -> int:
    """How many there are."""
    query = select(func.count()).select_from(_V).where(*_where(question))
    return int(connection.scalar(query) or 0)


def grouped(
    connection: Connection, question: Question, by: Sequence[str], cuts: Sequence[Instant] = ()
) -> list[tuple[tuple[Any, ...], str, int, int, Instant]]:
    """Counts by columns of the table.

    Args:
        connection: the snapshot.
        question: which ones.
        by: column names of `violation`.
        cuts: instants in order that breaches are told apart by: how many of them had passed is a
            last value of the row.

    Returns:
        (values of `by`, currency, count, sum of amounts, oldest breach) rows.
    """
    columns: list[Any] = [_V.c[name] for name in by]
    if cuts:
        ways: list[Any] = [(_V.c.breach_at < _number(at), _number(n)) for n, at in enumerate(cuts)]
        columns.append(case(*ways, else_=_number(len(cuts))))
    figures = (func.count(), func.sum(_V.c.amount), func.min(_V.c.breach_at))
    query = select(*columns, _V.c.currency, *figures).where(*_where(question))
    query = query.group_by(*columns, _V.c.currency)
    found = []
    for row in connection.execute(query):
        values, (currency, number, amount, oldest) = tuple(row[:-4]), tuple(row[-4:])
        found.append((values, str(currency), int(number), int(amount or 0), int(oldest)))
    return found


def _number(value: int) -> Element:
    """Written out: to PostgreSQL each parameter of a group would be another expression."""
    return literal_column(str(int(value)))


def violation(connection: Connection, accounts: Sequence[str], violation_id: str) -> Any:
    """One violation as a row; None = there is none (any more) in these accounts."""
    query = select(_V).where(_V.c.account_id.in_(accounts), _V.c.id == violation_id)
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None


def of_deal(connection: Connection, account: str, deal: str) -> list[dict[str, Any]]:
    """All violations of a deal, its tasks and calls. Index: ix_violation_timeline."""
    query = select(_V).where(_V.c.account_id == account, _V.c.timeline == f"deal:{deal}")
    return [dict(row) for row in connection.execute(query).mappings()]


def open_by_rule(connection: Connection, accounts: Sequence[str], at: Instant) -> dict[str, int]:
    """How many violations of each rule are open."""
    groups = grouped(connection, Question(accounts, at), ["rule"])
    found: dict[str, int] = {}
    for (rule,), _, number, _, _ in groups:
        found[rule] = found.get(rule, 0) + number
    return found


def announced(connection: Connection, accounts: Sequence[str], violation_id: str) -> Any:
    """A violation as it was when it was announced; None = it never was."""
    query = select(_SAID.c.violation, _SAID.c.account_id).where(
        _SAID.c.account_id.in_(accounts),
        _SAID.c.violation_id == violation_id,
        _SAID.c.event == "opened",
    )
    row = connection.execute(query).one_or_none()
    return {**row.violation, "account_id": row.account_id} if row is not None else None


def moved_at(connection: Connection, accounts: Sequence[str], now: Instant) -> list[int]:
    """Instants of the latest breach, resolution and end of a mute up to `now`.

    Answers that move with the clock change when one of these does.
    """
    mine = _V.c.account_id.in_(accounts)
    lasting = select(func.max(_V.c.breach_at)).where(
        mine, _V.c.resolved_at.is_(None), _V.c.breach_at <= now
    )
    foreseen = select(func.max(_V.c.breach_at)).where(
        mine, _V.c.resolved_at > now, _V.c.breach_at <= now
    )
    over = select(func.max(_V.c.resolved_at)).where(mine, _V.c.resolved_at <= now)
    unmuted = select(func.max(_R.c.until)).where(_R.c.account_id.in_(accounts), _R.c.until <= now)
    ended = select(func.max(_MUTE.c.ends_at)).where(
        _MUTE.c.account_id.in_(accounts), _MUTE.c.ends_at <= now
    )
    return [connection.scalar(query) or 0 for query in (lasting, foreseen, over, unmuted, ended)]


def is_marked(action: str, at: Instant) -> Element:
    """Whether an acknowledgement or mute holds for the violation of the outer query at `at`."""
    same = and_(
        _R.c.account_id == _V.c.account_id,
        _R.c.rule == _V.c.rule,
        _R.c.subject_kind == _V.c.subject_kind,
        _R.c.subject_id == _V.c.subject_id,
        _R.c.action == action,
        _R.c.at <= at,
        or_(_R.c.until.is_(None), _R.c.until > at),
    )
    if action == "ack":
        inside = and_(
            _R.c.at >= _V.c.breach_at,
            or_(_V.c.resolved_at.is_(None), _R.c.at < _V.c.resolved_at),
        )
        same = and_(same, or_(_R.c.violation_id == _V.c.id, inside))
    found: Element = select(literal(1)).where(same).correlate(_V).exists()
    return or_(found, mutes.covers(at)) if action == "mute" else found


def last_said(at: Instant) -> list[Element]:
    """Instants up to `at` at which something was said of a violation, or ended (outer query).

    Remarks on it, the ends of its own mutes, the beginnings and ends of wider ones that met it.
    """
    same = (
        _R.c.account_id == _V.c.account_id,
        _R.c.rule == _V.c.rule,
        _R.c.subject_kind == _V.c.subject_kind,
        _R.c.subject_id == _V.c.subject_id,
        _R.c.violation_id == _V.c.id,
    )
    met = (
        *mutes.in_scope_of(_V),
        or_(_V.c.resolved_at.is_(None), _MUTE.c.at < _V.c.resolved_at),
    )
    asked = (
        (_R.c.at, (*same, _R.c.at <= at)),
        (_R.c.until, (*same, _R.c.until <= at)),
        (_MUTE.c.at, (*met, _MUTE.c.at <= at)),
        (_MUTE.c.ends_at, (*met, _MUTE.c.ends_at <= at)),
    )
    return [
        select(func.max(column)).where(*where).correlate(_V).scalar_subquery()
        for column, where in asked
    ]


def _where(question: Question) -> list[Element]:
    at = question.at
    states: dict[str, Element] = {
        "open": and_(_V.c.breach_at <= at, or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > at)),
        "upcoming": and_(
            _V.c.breach_at > at,
            or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > _V.c.breach_at),
            *([_V.c.breach_at <= question.until] if question.until is not None else []),
        ),
        "resolved": _V.c.resolved_at <= at,
    }
    chosen = or_(*(states[status] for status in question.statuses))
    mine = _V.c.account_id.in_(question.accounts)
    return [mine, chosen, *all_of(question.filters, _builders(question))]


def _builders(question: Question) -> dict[str, Build]:
    account = _V.c.account_id
    return {
        "account": compare(account),
        "rule": compare(_V.c.rule),
        "severity": compare(_V.c.severity),
        "seller": prefixed(account, _V.c.seller),
        "team": members(account, _V.c.seller, question.teams, _V.c.breach_at),
        "pipeline": prefixed(account, _V.c.pipeline),
        "deal": prefixed(account, _V.c.deal),
        "subject": _subject,
        "subject_kind": text_or_none(_V.c.subject_kind),
        "breach_at": compare(_V.c.breach_at),
        "resolved_at": compare(_V.c.resolved_at),
        "acked": lambda f: _flag(is_marked("ack", question.at), wanted=f.value[0]),
        "muted": lambda f: _flag(is_marked("mute", question.at), wanted=f.value[0]),
        "bulk": lambda f: _flag(is_bulk(), wanted=f.value[0]),
    }


def _flag(element: Element, *, wanted: bool) -> Element:
    return element if wanted else not_(element)


def _subject(condition: Filter) -> Element:
    """`deal:romashka.4815162`."""
    build = prefixed(_V.c.account_id, _V.c.subject_id)
    found = [
        and_(_V.c.subject_kind == kind, build(Filter("subject", "eq", (subject_id,))))
        for kind, _, subject_id in (text.partition(":") for text in condition.value)
    ]
    chosen = or_(*found)
    return not_(chosen) if condition.op == "ne" else chosen


def _with_position(row: Row[Any], keys: int) -> dict[str, Any]:
    document = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a mapping
    document["position"] = [document.pop(f"key_{index}") for index in range(keys)]
    return document


def unresolved_subjects(connection: Connection, account_id: str, kind: str) -> set[str]:
    """Subjects of a kind with a violation that nothing has ended, also one that lies ahead."""
    query = (
        select(_V.c.subject_id)
        .where(_V.c.account_id == account_id, _V.c.subject_kind == kind)
        .where(_V.c.resolved_at.is_(None))
        .distinct()
    )
    return set(connection.execute(query).scalars())


def open_of(
    connection: Connection, account_id: str, rules: Sequence[str], now: Instant
) -> list[dict[str, Any]]:
    """Open violations of some rules that nobody has muted: rule, severity, subject, seller."""
    columns = (_V.c.rule, _V.c.severity, _V.c.subject_kind, _V.c.subject_id, _V.c.deal)
    query = (
        select(*columns, _V.c.seller)
        .where(_V.c.account_id == account_id, _V.c.rule.in_(rules), _V.c.breach_at <= now)
        .where(or_(_V.c.resolved_at.is_(None), _V.c.resolved_at > now))
        .where(not_(is_marked("mute", now)))
    )
    return [dict(row) for row in connection.execute(query).mappings()]
