"""What a figure opens into: its addends, newest first, which add up to it (kpis.md 1.14).

Addends of contributions are netted subject by subject: what was taken off again is not shown, of a
level only what stands at the end. Addends of time, violations and limits are the pieces of their
sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, and_, case, func, literal, or_, select, tuple_

from service.domain.config import Config
from service.domain.period import to_day
from service.kpi import sources, stays
from service.kpi.metric import Metric
from service.kpi.question import Filter, Question
from service.kpi.reach import Piece
from service.kpi.sums import Ask
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_BEGINNING = date(1970, 1, 1)
Row = dict[str, Any]
Position = Sequence[Any]  # instant, part, subject, key


def is_apart(metric: Metric) -> bool:
    """Whether a figure takes parts off, or has parts that are no contributions."""
    return bool(metric.takes) or not sources.COMPUTED.isdisjoint(metric.parts)


@dataclass(frozen=True)
class Addends:
    """One account's part of a figure that is opened. `metric`: a sum, level or list of values."""

    connection: Connection
    config: Config
    question: Question
    filters: tuple[Filter, ...]
    metric: Metric

    @property
    def stored(self) -> tuple[str, ...]:
        """Its parts that are contributions."""
        return tuple(part for part in self.metric.parts if part not in sources.COMPUTED)

    @property
    def computed(self) -> tuple[str, ...]:
        """Its parts that have sources of their own."""
        return tuple(part for part in self.metric.parts if part in sources.COMPUTED)

    def rows(self, after: Position | None, limit: int) -> list[Row]:
        """At most so many addends behind a position."""
        found = self._of_contributions(after, limit) if self.stored else []
        if self.computed:
            behind = [row for row in self._of_pieces() if _is_behind(row, after)]
            found = sorted([*found, *behind], key=order_of)[:limit]
        return found

    def totals(self) -> dict[str, tuple[int, int]]:
        """(sum, number) of all addends by currency."""
        found: dict[str, tuple[int, int]] = {}
        if self.stored:
            netted = self._netted().subquery("netted").c
            query = select(netted.currency, func.sum(netted.value), func.count())
            for currency, value, n in self.connection.execute(query.group_by(netted.currency)):
                found[currency] = (int(value), int(n))
        if self.computed:
            values = [row["value"] for row in self._of_pieces()]
            before, n = found.get("", (0, 0))
            found[""] = (before + sum(values), n + len(values))
        return found

    # --- contributions ------------------------------------------------------------------------

    def _netted(self) -> Any:
        """Each subject's addends: of a flow by their instants, of a level all together."""
        columns, level = _C.c, self.metric.kind == "level"
        cut = self.question.cut(self.config)
        last = min(to_day(self.question.last), cut.day)
        filters = stays.on_day(self.filters, last) if level else self.filters
        ask = Ask(self.config.account_id, self.stored, (), filters, by_origin=True)
        sign = case((columns.metric.in_(self.metric.takes), -1), else_=1)
        value = func.sum(sign * columns.value)
        keys = [columns.timeline, columns.subject_kind, columns.subject_id, columns.seller]
        keys += [columns.currency] if level else [columns.currency, columns.at, columns.key]
        own = [func.max(columns.at).label("at"), columns.seller.label("key")] if level else []
        first = _BEGINNING if level else self.question.first
        return (
            select(*keys, *own, literal(self.metric.slug).label("metric"), value.label("value"))
            .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
            .where(columns.day.between(to_day(first), last), *ask.conditions(cut))
            .group_by(*keys)
            .having(value != 0)
        )

    def _of_contributions(self, after: Position | None, limit: int) -> list[Row]:
        netted = self._netted().subquery("netted").c
        query = select(netted).order_by(
            netted.at.desc(), netted.metric, netted.subject_id, netted.key
        )
        if after is not None:
            at, *rest = after
            tail = tuple_(netted.metric, netted.subject_id, netted.key)
            query = query.where(or_(netted.at < at, and_(netted.at == at, tail > tuple(rest))))
        rows = self.connection.execute(query.limit(limit)).mappings()
        return [self._row(dict(row)) for row in rows]

    def _row(self, row: Row) -> Row:
        return row | {"account_id": self.config.account_id, "value": int(row["value"])}

    # --- pieces -------------------------------------------------------------------------------

    def _of_pieces(self) -> list[Row]:
        question = self.question
        if self.metric.kind == "level":
            question = replace(question, first=question.last)
        reach = sources.reach_of(self.connection, self.config, question, self.filters)
        found = sources.subjects(reach, self.computed)
        return sorted(map(self._of_piece, found), key=order_of)

    def _of_piece(self, piece: Piece) -> Row:
        taken = -1 if piece.part in self.metric.takes else 1
        return {
            "account_id": self.config.account_id, "at": piece.start, "until": piece.end,
            "metric": self.metric.slug, "subject_kind": piece.kind, "subject_id": piece.subject,
            "key": f"{piece.part} {piece.rule} {piece.seller} {piece.pipeline} {piece.end}",
            "seller": piece.seller, "value": taken * piece.value, "currency": "",
            "timeline": f"deal:{piece.deal}" if piece.deal else "", "rule": piece.rule,
            "severity": piece.severity,
        }  # fmt: skip


def order_of(row: Row) -> tuple[Any, ...]:
    """Newest first."""
    return -row["at"], row["metric"], row["subject_id"], row["key"]


def _is_behind(row: Row, after: Position | None) -> bool:
    if after is None:
        return True
    at, *rest = after
    return order_of(row) > (-at, *rest)
