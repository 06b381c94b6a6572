"""What the sources that look at time are asked for, and what they answer: pieces.

A source makes the parts that are no sums of contributions: time integrals, violations, limits,
days. It answers with pieces; a figure is the sum of their values, and they are its drill-down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.integrals import Pieces, Worked
from service.domain.period import day_start, to_day
from service.kpi import stays
from service.kpi.question import Filter
from service.kpi.sums import Cut
from service.store.levels import is_settled

_KEPT = frozenset({"seller", "pipeline", stays.STAY})


class Piece(NamedTuple):
    """An addend of a part: what `subject` gave a seller in `[start, end)` of a period.

    `number`: the period; `value`: seconds of working time, or a count. `deal`: the deal that the
    subject hangs on.
    """

    part: str
    number: int
    start: Instant
    end: Instant
    value: int
    seller: str
    kind: str = ""
    subject: str = ""
    deal: str = ""
    pipeline: str = ""
    stage: str = ""
    rule: str = ""
    severity: str = ""

    @property
    def place(self) -> Mapping[str, str]:
        """Where it counts."""
        return {
            "seller": self.seller, "pipeline": self.pipeline, "stage": self.stage,
            "rule": self.rule, "severity": self.severity, "source": "", "reason": "",
        }  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """One account, the periods asked about, and the instant that the answer knows of.

    `by_day`: whether days inside a period are told apart (weekdays are asked for). `spans` are the
    periods, or pieces of them: then `periods` tells which period each one is of. `apart`: by which
    columns of a place it is told apart or chosen (sellers always are).
    """

    connection: Connection
    config: Config
    spans: Sequence[tuple[date, date]]
    filters: tuple[Filter, ...]
    cut: Cut
    by_day: bool = False
    periods: Sequence[int] = ()
    apart: frozenset[str] = frozenset()
    _worked: dict[tuple[int, int], Worked] = field(default_factory=dict)

    @property
    def first(self) -> date:
        """The first local day."""
        return self.spans[0][0]

    @property
    def last(self) -> date:
        """The last local day."""
        return self.spans[-1][1]

    @cached_property
    def edges(self) -> list[tuple[Instant, Instant]]:
        """(from, to) of each period, as far as the cut; one that has not begun is empty."""
        found = []
        for first, last in self.spans:
            start, end = self._start(first), self._start(last + timedelta(days=1))
            found.append((start, max(start, min(end, self.cut.at))))
        return found

    @cached_property
    def ends(self) -> list[Instant]:
        """The last instant of each period, or the cut: where levels are looked at."""
        after = [self._start(last + timedelta(days=1)) for _, last in self.spans]
        return [min(end - 1, self.cut.at) for end in after]

    def day_from(self, number: int, on: date) -> Instant:
        """Where a local day begins inside a period."""
        return max(self._start(on), self.edges[number][0])

    def period(self, number: int) -> int:
        """The period that a span is of."""
        return self.periods[number] if self.periods else number

    @property
    def spans_of_periods(self) -> list[list[tuple[date, date]]]:
        """The spans of each period."""
        found: dict[int, list[tuple[date, date]]] = {}
        for number, span in enumerate(self.spans):
            found.setdefault(self.period(number), []).append(span)
        return list(found.values())

    @property
    def places(self) -> tuple[str, ...]:
        """The columns of rollups that tell places apart."""
        return ("seller", "pipeline") if "pipeline" in self.apart else ("seller",)

    @cached_property
    def is_kept(self) -> bool:
        """Whether what is kept by day answers: it knows the columns, and the settings in force."""
        known = all(column in _KEPT for column, _, _ in self.filters)
        return known and is_settled(self.connection, self.config.account_id)

    def _start(self, on: date) -> Instant:
        return day_start(to_day(on), self.config.timezone)

    def elapsed(self, number: int) -> Worked:
        """All time of a period, as far as the cut."""
        start, end = self.edges[number]
        return Worked([(start, end)] if start < end else [])

    def worked(self, seller: str, number: int) -> Worked:
        """A seller's working time in a period, as far as the cut."""
        calendar = self.config.calendar(seller or None)
        key = (id(calendar), number)
        found = self._worked.get(key)
        if found is None:
            found = self._worked[key] = Worked(self.pieces(seller, number))
        return found

    def pieces(self, seller: str, number: int) -> Pieces:
        """The pieces of a seller's working time in a period, as far as the cut."""
        calendar = self.config.calendar(seller or None)
        first, last = self.spans[number]
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        at = self.cut.at
        return [
            (left, min(right, at))
            for on in days
            for left, right in calendar.day_pieces(on)
            if left < at
        ]

    def admits(self, place: Mapping[str, str]) -> bool:
        """Whether the filters let something through on some day."""
        return all(
            (place.get(column, "") in values) == (op == "eq") for column, op, values in self.ever
        )

    @cached_property
    def ever(self) -> Sequence[Filter]:
        """Filters that let through whatever some day lets through."""
        return stays.ever(self.filters)

    def admits_on(self, seller: str, on: date) -> bool:
        """Whether what is asked for has a seller in it on a day."""
        return stays.admits(self.filters, seller, to_day(on))
