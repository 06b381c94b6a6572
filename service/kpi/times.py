"""Levels integrated over working time of the responsible (overdue hours, deal-hours), and meetings.

A figure adds up what stood before the period and the steps in it; the drill-down does the same for
each subject. The pieces of a subject are the stretches in which its level stood.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, func, select

from service.domain.instant import Instant
from service.domain.integrals import Worked
from service.domain.period import to_day
from service.kpi import stays
from service.kpi.courses import courses, over
from service.kpi.reach import Piece, Reach
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
PREFIX = "time:"
MEETINGS = "meeting_time"
_LEVELS = {
    "time:tasks_overdue": "tasks_overdue",
    "time:deals_open": "deals_open",
    "time:deals_uncovered": "deals_uncovered",
    "time:card_required": "card_required",
    "time:card_missing": "card_missing",
    MEETINGS: "meetings",
}
TIMES = frozenset(_LEVELS)


def integrals(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """One piece for each part, seller, pipeline (where it is told apart) and period."""
    told = {_LEVELS[part]: part for part in parts}
    for (level, place), course in sorted(courses(reach, list(told)).items(), key=itemgetter(0)):
        part, (seller, *pipeline) = told[level], place
        for stood in over(reach, course, seller, lasting=part == MEETINGS):
            if stood.seconds:
                start, end = reach.edges[stood.number]
                where = pipeline[0] if pipeline else ""
                yield Piece(part, stood.number, start, end, stood.seconds, seller, pipeline=where)


def _time(reach: Reach, part: str, seller: str, number: int) -> Worked:
    """Meetings last as long as they last; the rest counts in working time."""
    return reach.elapsed(number) if part == MEETINGS else reach.worked(seller, number)


def _where(reach: Reach, level: str) -> list[Any]:
    found = [_C.c.account_id == reach.config.account_id, _C.c.metric == level, _C.c.slot == ""]
    found += [stays.condition(_C.c, told) for told in stays.ever(reach.filters)]
    return [*found, _C.c.at <= reach.cut.at]


# --- drill-down -----------------------------------------------------------------------------------


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """The stretches of each subject in which it counted, with their working time."""
    for part in parts:
        level = _LEVELS[part]
        for row, moves in _by_subject(reach, level).items():
            yield from _of_subject(reach, part, row, moves)


_Subject = tuple[str, str, str, str, str]  # kind, id, timeline, seller, pipeline


def _by_subject(reach: Reach, level: str) -> Mapping[_Subject, list[tuple[Instant, int]]]:
    """The steps of each subject and place: what stood before the periods first, then in order."""
    names = ("subject_kind", "subject_id", "timeline", "seller", "pipeline")
    keys = [_C.c[name] for name in names]
    first = to_day(reach.first)
    found: dict[_Subject, list[tuple[Instant, int]]] = {}
    before = (
        select(*keys, func.sum(_C.c.value))
        .where(*_where(reach, level), _C.c.day < first)
        .group_by(*keys)
        .having(func.sum(_C.c.value) != 0)
    )
    inside = (
        select(*keys, _C.c.at, _C.c.value)
        .where(*_where(reach, level), _C.c.day.between(first, to_day(reach.last)))
        .order_by(_C.c.at, _C.c.key)
    )
    start = reach.edges[0][0]
    for row in reach.connection.execute(before):
        told: list[Any] = list(row)
        found.setdefault((*told[:5],), []).append((start, int(told[5])))
    for row in reach.connection.execute(inside):
        told = list(row)
        found.setdefault((*told[:5],), []).append((int(told[5]), int(told[6])))
    return found


def _of_subject(
    reach: Reach, part: str, row: _Subject, moves: Sequence[tuple[Instant, int]]
) -> Iterator[Piece]:
    kind, subject, timeline, seller, pipeline = row
    deal = timeline.partition(":")[2] if timeline.startswith("deal:") else ""
    starts = [start for start, _ in reach.edges]
    level = 0
    for number, (at, delta) in enumerate(moves):
        level += delta
        following = moves[number + 1][0] if number + 1 < len(moves) else reach.edges[-1][1]
        if not level:
            continue
        left = at
        for period in range(max(0, bisect_right(starts, at) - 1), len(starts)):
            end = min(following, reach.edges[period][1])
            start = max(left, reach.edges[period][0])
            seconds = level * _time(reach, part, seller, period).between(start, end)
            if seconds:
                yield Piece(
                    part, period, start, end, seconds, seller, kind, subject, deal, pipeline
                )
            if following <= reach.edges[period][1]:
                break
