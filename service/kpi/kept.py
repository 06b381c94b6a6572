"""The two sums of a hygiene index as parts (kpis.md 6), of the plain one and of that by amount.

Both are integrals of levels, less what deals took that were open for under a working hour of the
period. Such deals are few, and known where to be looked for: a stay that touches the period's first
or last working hour, or one that was under an hour long itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Table, and_, false, or_, select, text, union

from service.domain.hygiene import COUNT, MUTED, SHORT_SECONDS, WHOLE, Change, short_deals
from service.domain.instant import Instant
from service.domain.integrals import Pieces, sum_up
from service.domain.period import local_day, to_day
from service.kpi import stays
from service.kpi.courses import courses, over
from service.kpi.hygiene import LEVELS, Weight, ledgers
from service.kpi.parts import BRIEF
from service.kpi.reach import Piece, Reach
from service.store.tables import IS_APART, Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_NAMES: Mapping[Weight, tuple[str, str]] = {
    "one": ("hygiene_weight", "hygiene_cost_time"),
    "amount": ("hygiene_weight_by_amount", "hygiene_cost_time_by_amount"),
}
"""What deals weigh and what they cost."""
PARTS = frozenset(part for names in _NAMES.values() for part in names)
_OPEN = "deals_open"
_ALL = "*"  # in a rule's stead: all together
_FEW = 31  # periods: of more the hours at their edges are much of all time


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """Tenths of deal-seconds by seller, pipeline, period (and rule, of the cost)."""
    for weight in _asked(parts):
        yield from _by_rule(reach, parts, weight)


def sums(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """The same, rules together, from what is kept by month and day."""
    of = _together if len(reach.spans) <= _FEW and reach.is_kept else _by_rule
    for weight in _asked(parts):
        yield from of(reach, parts, weight)


def _asked(parts: Sequence[str]) -> list[Weight]:
    return [weight for weight, names in _NAMES.items() if not set(names).isdisjoint(parts)]


def _by_rule(reach: Reach, parts: Sequence[str], weight: Weight) -> Iterator[Piece]:
    span, at = (reach.first, reach.last), reach.cut.at
    for seller, ledger in ledgers(reach.connection, reach.config, *span, at, weight).items():
        told = ledger.over(reach.spans_of_periods, at)
        for number, cells in enumerate(one for taken, _ in told for one in taken):
            for (rule, pipeline), value in sorted(cells.cells.items()):
                part = _part(weight, rule)
                if part in parts:
                    yield from _piece(reach, part, number, (seller, pipeline, rule), value)


def _part(weight: Weight, rule: str) -> str:
    """The part that a cell adds to; an empty text: to none."""
    if rule in {MUTED, COUNT}:
        return ""
    return _NAMES[weight][bool(rule)]


def _piece(
    reach: Reach, part: str, number: int, place: tuple[str, str, str], value: int
) -> Iterator[Piece]:
    """`place`: seller, pipeline, rule; without a rule `value` is seconds of open deals."""
    seller, pipeline, rule = place
    whole = value if rule else value * WHOLE
    if whole and reach.admits({"seller": seller, "pipeline": pipeline}):
        start, end = reach.edges[number]
        yield Piece(part, number, start, end, whole, seller, pipeline=pipeline, rule=rule)


def _together(reach: Reach, parts: Sequence[str], weight: Weight) -> Iterator[Piece]:
    """By its levels; what is short is taken off."""
    rules = _rules(weight)
    levels = [level for level, rule in rules.items() if _part(weight, rule) in parts]
    for (level, (seller, *rest)), course in courses(reach, levels).items():
        where, part = (seller, rest[0] if rest else "", rules[level]), _part(weight, rules[level])
        for stood in over(reach, course, seller) if seller else ():
            yield from _summed(reach, part, stood.number, where, stood.seconds)
    for (number, *place, rule), value in _short(reach, rules).items():
        part = _part(weight, rule)
        if part in parts:
            yield from _summed(reach, part, number, (place[0], place[1], rule), -value)


def _rules(weight: Weight) -> dict[str, str]:
    """What stands in the rule's stead of each level, all that costs together."""
    levels = LEVELS[weight]
    return {level: rule for level, rule in levels.stead.items() if rule != MUTED} | {
        levels.cost: _ALL
    }


def _summed(
    reach: Reach, part: str, number: int, place: tuple[str, str, str], value: int
) -> Iterator[Piece]:
    return (piece._replace(rule="") for piece in _piece(reach, part, number, place, value))


# --- deals that were open for under an hour -------------------------------------------------------


class _Period(NamedTuple):
    """A period as sellers of one calendar work in it: its spans with working time, their pieces."""

    numbers: Sequence[int]
    parts: Sequence[Pieces]

    @property
    def begin(self) -> Instant:
        """When work begins."""
        return self.parts[0][0][0]

    @property
    def end(self) -> Instant:
        """When it ends for good."""
        return self.parts[-1][-1][1]

    def edges(self) -> Iterator[tuple[Instant, Instant]]:
        """Its first and its last working hour, with what lies between their pieces."""
        flat = [piece for part in self.parts for piece in part]
        yield self.begin, _spent(flat)
        yield -_spent([(-right, -left) for left, right in reversed(flat)]), self.end


def _spent(pieces: Pieces) -> Instant:
    """Where an hour of pieces is used up, or their end."""
    left = SHORT_SECONDS
    for start, end in pieces:
        if end - start >= left:
            return start + left
        left -= end - start
    return pieces[-1][1]


def _short(reach: Reach, rules: Mapping[str, str]) -> dict[tuple[int, str, str, str], int]:
    """By number of the span, seller, pipeline, rule: what deals took that were open too shortly."""
    found: dict[tuple[int, str, str, str], int] = {}
    periods, own = _Periods(reach), rules[_OPEN]
    for seller, changes in _changes(reach, periods, rules).items():
        for period in periods.of(seller):
            inside = [one for one in changes if period.begin < one.at <= period.end]
            for told in short_deals(inside, period.parts, own):
                for number, taken in zip(period.numbers, told, strict=True):
                    cells = taken.cells.items()
                    sum_up(found, (((number, seller, k[1], k[0]), v) for k, v in cells))
    return found


class _Periods:
    """The periods of all calendars."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._known: dict[int, list[_Period]] = {}

    def of(self, seller: str) -> list[_Period]:
        """The periods as a seller works in them; those without work are left out."""
        calendar = self._reach.config.calendar(seller)
        found = self._known.get(id(calendar))
        if found is None:
            found = self._known[id(calendar)] = list(self._made(seller))
        return found

    def _made(self, seller: str) -> Iterator[_Period]:
        number = 0
        for spans in self._reach.spans_of_periods:
            told = {n: self._reach.pieces(seller, n) for n in range(number, number + len(spans))}
            number += len(spans)
            worked = {n: pieces for n, pieces in told.items() if pieces}
            if worked:
                yield _Period(list(worked), list(worked.values()))

    def edges(self) -> list[tuple[Instant, Instant]]:
        """The first and last working hours of all periods, by any calendar."""
        sellers = ["", *self._reach.config.sellers]
        periods = (period for seller in sellers for period in self.of(seller))
        return sorted({edge for period in periods for edge in period.edges()})


def _changes(reach: Reach, periods: _Periods, rules: Mapping[str, str]) -> dict[str, list[Change]]:
    """By seller all steps in the periods of deals that may have been open too shortly."""
    found: dict[str, list[Change]] = {}
    suspects = _suspects(reach, periods)
    columns = [_C.c.seller, _C.c.at, _C.c.metric, _C.c.value, _C.c.subject_id, _C.c.pipeline]
    query = (
        select(*columns, _C.c.key)
        .where(*_mine(reach), _C.c.timeline == suspects.c.timeline)
        .where(_C.c.metric.in_(rules), _C.c.slot == "", _C.c.at <= reach.cut.at)
        .where(_C.c.day.between(to_day(reach.first), to_day(reach.last)))
    )
    rows: Sequence[Any] = reach.connection.execute(query).all()
    for seller, at, metric, value, deal, pipeline, _ in sorted(rows, key=itemgetter(1, 2, 4, 6)):
        change = Change(at, rules[metric], value, deal, pipeline)
        found.setdefault(seller, []).append(change)
    found.pop("", None)
    return found


def _suspects(reach: Reach, periods: _Periods) -> Any:
    """Timelines of deals that came or went at an edge, or had a short stay in a period.

    Indexes: ix_contribution_day, ix_contribution_apart.
    """
    zone = reach.config.timezone
    at_edges = [
        and_(_C.c.day.between(local_day(left, zone), local_day(right, zone)),
             _C.c.at.between(left, right))
        for left, right in periods.edges()
    ]  # fmt: skip
    edged = select(_C.c.timeline).where(
        *_mine(reach), _C.c.metric == _OPEN, _C.c.slot == "", or_(false(), *at_edges)
    )
    brief = select(_C.c.timeline).where(
        *_mine(reach), _C.c.metric == BRIEF, text(IS_APART),
        _C.c.day.between(to_day(reach.first), to_day(reach.last)),
    )  # fmt: skip
    return union(edged, brief).cte("suspect")


def _mine(reach: Reach) -> list[Any]:
    """The account, and the sellers who are asked for."""
    told = [one for one in stays.ever(reach.filters) if one[0] == "seller"]
    conditions = [stays.condition(_C.c, one) for one in told]
    return [_C.c.account_id == reach.config.account_id, *conditions]
