"""What a figure opens into: its addends, newest first, which add up to it (kpis.md 1.14).

Addends of contributions are netted subject by subject: what was taken off again is not shown, of a
level only what stands at the end. Addends of time, violations and limits are the pieces of their
sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, and_, case, func, literal, or_, select, tuple_

from service.domain.config import Config
from service.domain.period import to_date, to_day
from service.kpi import sources, stays
from service.kpi.metric import Metric
from service.kpi.parts import DEAL_LEVELS
from service.kpi.question import Filter, Question
from service.kpi.reach import Piece
from service.kpi.spreads import level_instant
from service.kpi.standing import standing, unsettled
from service.kpi.sums import Ask, bases
from service.kpi.terms import parts_of
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
_BEGINNING = date(1970, 1, 1)
Row = dict[str, Any]
Position = Sequence[Any]  # instant, part, subject, key


def is_apart(metric: Metric) -> bool:
    """Whether a figure is a level, takes parts off, or has parts that are no contributions."""
    is_level = metric.kind == "level"
    return is_level or bool(metric.takes) or not sources.COMPUTED.isdisjoint(metric.parts)


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
        if self.metric.staged:  # of these each is 1
            return {"": (level, level)} if (level := self._level()) else {}
        if self.stored:
            netted = self._addends().subquery("netted").c
            query = select(netted.currency, func.sum(netted.value), func.count())
            for currency, value, n in self.connection.execute(query.group_by(netted.currency)):
                found[currency] = (int(value), int(n))
        if self.computed:
            values = [row["value"] for row in self._of_pieces()]
            before, n = found.get("", (0, 0))
            found[""] = (before + sum(values), n + len(values))
        return found

    # --- contributions ------------------------------------------------------------------------

    def _addends(self) -> Any:
        """Open deals are listed by their stays, all else by its steps."""
        return self._standing() if self.metric.staged else self._netted()

    def _standing(self) -> Any:
        """Deals that are open at the end, with since when they stand where they do."""
        config, question = self.config, self.question
        at = level_instant(config, question, question.last)
        live = question.live and at == question.as_of
        found = standing(config.account_id, at, config.timezone, self.filters, still=live)
        there = found.subquery("standing").c
        fixed = {"subject_kind": "deal", "currency": "", "metric": self.metric.slug}
        return select(
            *([there.day] if live else []),
            literal("deal:").concat(there.subject_id).label("timeline"), there.subject_id,
            there.seller, there.since.label("at"), there.seller.label("key"),
            *(literal(value).label(name) for name, value in fixed.items()),
            literal(1, BigInteger).label("value"),
        )  # fmt: skip

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
        settled = []
        if level and DEAL_LEVELS.issuperset(ask.parts):
            held = unsettled(ask.account_id, to_date(last), cut.at)
            settled.append(columns.timeline.in_(select(held.c.timeline)))
        return (
            select(*keys, *own, literal(self.metric.slug).label("metric"), value.label("value"))
            .where(columns.account_id == ask.account_id, columns.metric.in_(ask.parts))
            .where(columns.day.between(to_day(first), last), *ask.conditions(cut), *settled)
            .group_by(*keys)
            .having(value != 0)
        )

    def _level(self) -> int:
        """How much the level is at the end."""
        question = self.question
        cut = question.cut(self.config)
        filters = stays.on_day(self.filters, min(to_day(question.last), cut.day))
        ask = Ask(self.config.account_id, parts_of(self.metric, question), (), filters)
        after = question.last + timedelta(days=1)
        return sum(bases(self.connection, ask, after, cut).values())

    def _of_contributions(self, after: Position | None, limit: int) -> list[Row]:
        netted = self._addends().subquery("netted").c
        by_day = [netted.day.desc()] if "day" in netted else []  # so that an index gives the order
        query = select(netted).order_by(
            *by_day, netted.at.desc(), netted.metric, netted.subject_id, netted.key
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
