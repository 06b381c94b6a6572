"""Violations as figures: opened, open, how long, how soon put right (kpis.md 6).

They are read from the violations themselves, so they cost nothing as facts come in. A violation
counts for the seller at its breach; what was muted counts nowhere.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Table, or_, select

from service.domain.instant import FOREVER, Instant
from service.domain.violation import unmuted
from service.kpi.reach import Piece, Reach
from service.store.tables import Violation

_V: Table = Violation.__table__  # type: ignore[attr-defined]
OPENED, OPEN, HOURS = "violations_opened", "violations_open", "violation_hours"
FIXED, OVERLOAD = "time_to_fix", "overload_hours"
PARTS = frozenset({OPENED, OPEN, HOURS, FIXED, OVERLOAD})
OVERLOAD_RULE = "seller-too-many-deals"
PUT_RIGHT = frozenset({"fixed", "moved"})
_COLUMNS = (
    "rule", "severity", "subject_kind", "subject_id", "deal", "seller", "pipeline", "stage",
    "breach_at", "resolved_at", "resolution", "muted",
)  # fmt: skip


class Breach(NamedTuple):
    """A violation as the figures see it."""

    rule: str
    severity: str
    kind: str
    subject: str
    deal: str
    seller: str
    pipeline: str
    stage: str
    start: Instant
    end: Instant
    resolution: str | None
    muted: Sequence[Sequence[Instant]]

    def loud(self) -> Iterator[tuple[Instant, Instant]]:
        """The stretches in which nobody had muted it."""
        return unmuted(self.start, self.end, self.muted)

    def is_loud_at(self, at: Instant) -> bool:
        """Whether it is open at an instant and not muted."""
        return any(left <= at < right for left, right in self.loud())


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """The pieces of all these parts, violation by violation."""
    rule = OVERLOAD_RULE if set(parts) == {OVERLOAD} else None
    for one in breaches(reach, rule):
        place = {
            "seller": one.seller, "pipeline": one.pipeline, "stage": one.stage, "rule": one.rule,
            "severity": one.severity,
        }  # fmt: skip
        if not reach.admits(place):
            continue
        for part in parts:
            if part != OVERLOAD or one.rule == OVERLOAD_RULE:
                yield from _MAKERS[part](reach, part, one)


def breaches(reach: Reach, rule: str | None = None) -> Iterator[Breach]:
    """All violations that touch the periods, as far as the cut. Index: ix_violation_past."""
    start, end = min(reach.edges[0][0], *reach.ends), reach.ends[-1]
    query = (
        select(*(_V.c[name] for name in _COLUMNS))
        .where(_V.c.account_id == reach.config.account_id, _V.c.breach_at <= end)
        .where(or_(_V.c.resolved_at.is_(None), _V.c.resolved_at >= start))
        .order_by(_V.c.breach_at, _V.c.id)
    )
    if rule is not None:
        query = query.where(_V.c.rule == rule)
    for *told, end, resolution, muted in reach.connection.execute(query):
        until = FOREVER if end is None else int(end)
        found = Breach._make((*told, until, resolution, muted or ()))
        if found.start < found.end:
            yield found


def _piece(part: str, number: int, one: Breach, start: Instant, end: Instant, value: int) -> Piece:
    return Piece(
        part, number, start, end, value, one.seller, one.kind, one.subject, one.deal,
        one.pipeline, one.stage, one.rule, one.severity,
    )  # fmt: skip


def _period_of(reach: Reach, at: Instant) -> int | None:
    """The period that an instant lies in and that the cut lets be seen."""
    for number, ((start, _), end) in enumerate(zip(reach.edges, reach.ends, strict=True)):
        if start <= at <= end:
            return number
    return None


def _opened(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    number = _period_of(reach, one.start)
    if number is not None and one.is_loud_at(one.start):
        yield _piece(part, number, one, one.start, one.start, 1)


def _open(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    for number, at in enumerate(reach.ends):
        if one.is_loud_at(at):
            yield _piece(part, number, one, one.start, at, 1)


def _hours(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    for number, (begin, stop) in enumerate(reach.edges):
        if one.end <= begin or one.start >= stop:
            continue
        worked = reach.worked(one.seller, number)
        for left, right in one.loud():
            start, end = max(left, begin), min(right, stop)
            seconds = worked.between(start, end)
            if seconds:
                yield _piece(part, number, one, start, end, seconds)


def _fixed(reach: Reach, part: str, one: Breach) -> Iterator[Piece]:
    """How many working seconds it took to put it right."""
    if one.resolution not in PUT_RIGHT:
        return
    number = _period_of(reach, one.end)
    if number is not None:
        calendar = reach.config.calendar(one.seller or None)
        seconds = calendar.working_seconds(one.start, one.end)
        yield _piece(part, number, one, one.start, one.end, seconds)


AT_END = frozenset({OPEN, FIXED})
"""Parts that count for the team of their end: a level, and what is put right then."""
_MAKERS = {OPENED: _opened, OPEN: _open, HOURS: _hours, FIXED: _fixed, OVERLOAD: _hours}
