"""Sums of flows and levels by period and group, account by account in its own zone."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import to_date, to_day
from service.kpi import stays
from service.kpi.parts import CORRECTING
from service.kpi.question import (
    WHOLE_MONTHS,
    Cells,
    Filter,
    Grouper,
    Key,
    Question,
    Term,
    columns_of,
)
from service.kpi.sums import Ask, Bucket, Cut, Sum, bases, corrections, sums


def gather_terms(
    connection: Connection,
    config: Config,
    question: Question,
    filters: tuple[Filter, ...],
    terms: Iterable[Term],
    cells: Cells,
) -> None:
    """Add an account's sums to the cells; terms that are read alike are read together."""
    columns = columns_of(question)
    grouper = Grouper(config, question, columns)
    alike: dict[tuple[bool, int, int], list[Term]] = {}
    for term in terms:
        alike.setdefault((term.level, term.horizon, term.within), []).append(term)
    for (level, horizon, within), group in alike.items():
        parts = tuple(term.part for term in group)
        named = {term.part: term for term in group}
        cut = cut_of(config, question, horizon)
        for ask in _apart(Ask(config.account_id, parts, columns, filters, within), cut):
            read = _Reading(connection, config, ask, question, cut, grouper)
            for part, key, value in read.levels() if level else read.flows():
                cells.add(named[part], key, value)


def _apart(ask: Ask, cut: Cut) -> Iterable[Ask]:
    """Parts that the rollups know and those that they do not are read apart."""
    rolled = tuple(p for p in ask.parts if replace(ask, parts=(p,)).by_rollup(cut))
    others = tuple(p for p in ask.parts if p not in rolled)
    return [replace(ask, parts=parts) for parts in (rolled, others) if parts]


def cut_of(config: Config, question: Question, horizon: int) -> Cut:
    """How far an account is looked at; of a cohort only members that are so old."""
    at = question.as_of - horizon
    return Cut(at, config.timezone, question.live, question.as_of)


class _Reading(NamedTuple):
    """Parts of an account that are read alike, as (part, key, value)."""

    connection: Connection
    config: Config
    ask: Ask
    question: Question
    cut: Cut
    grouper: Grouper

    def _sums(self, ask: Ask, by: Bucket) -> Iterator[Sum]:
        question = self.question
        if question.grain is None and "weekday" not in question.dimensions:
            by = "span"
        spans = [(question.first, question.last)]
        if by != "day":  # pieces of which each lies on one side of a move
            by_team = "team" in question.dimensions
            spans = stays.cut(self.config, *spans[0], by_team=by_team, filters=ask.filters)
        if len(spans) > stays.MOST_CUTS:
            spans, by = [(question.first, question.last)], "day"
        for first, last in spans:
            yield from sums(self.connection, ask, first, last, self.cut, by)

    def _key(self, number: int, group: tuple[str, ...], on: date, currency: str) -> Key:
        return number, self.grouper.group(group, on), self.grouper.currency(currency)

    def _keys(self, found: Iterable[Sum]) -> Iterator[tuple[Sum, Key]]:
        """Each sum with its key; what lies together is looked up once."""
        known: dict[tuple[date, tuple[str, ...], str], Key] = {}
        for one in found:
            place = one.on, one.group, one.currency
            key = known.get(place)
            if key is None:
                number = self.grouper.period_of(one.on)
                key = known[place] = self._key(number, one.group, one.on, one.currency)
            yield one, key

    def flows(self) -> Iterator[tuple[str, Key, int]]:
        """Sums inside each period."""
        question = self.question
        whole = question.grain in WHOLE_MONTHS and "weekday" not in question.dimensions
        for one, key in self._keys(self._sums(self.ask, "month" if whole else "day")):
            yield one.part, key, one.value
        yield from self._corrections()

    def _corrections(self) -> Iterator[tuple[str, Key, int]]:
        """Corrections go from the team of their own day to that of what they correct."""
        question, ask, rota = self.question, self.ask, self.config.memberships.rota
        by_team = "team" in question.dimensions or stays.has_stays(ask.filters)
        parts = tuple(part for part in ask.parts if part in CORRECTING)
        movers = stays.movers(self.config, question.last) if by_team and parts else []
        if not movers:
            return
        every = replace(ask, parts=parts, filters=stays.ever(ask.filters))
        span = (question.first, question.last, self.cut)
        for one, seller, origin in corrections(self.connection, every, movers, *span):
            day = to_day(one.on)
            if rota.team_on(seller, day) == rota.team_on(seller, origin):
                continue
            number, currency = self.grouper.period_of(one.on), self.grouper.currency(one.currency)
            for told_on, sign in ((day, -1), (origin, 1)):
                if stays.admits(ask.filters, seller, told_on):
                    group = self.grouper.group(one.group, one.on, told_on)
                    yield one.part, (number, group, currency), sign * one.value

    def levels(self) -> Iterator[tuple[str, Key, int]]:
        """What stands at each period's end (or at the cut): what was before, plus the steps.

        It counts for the team that a seller is in then.
        """
        ask, width = self._seller_by_seller(), len(self.ask.columns)
        spans = self.question.spans()
        steps: dict[tuple[int, str, tuple[str, ...], str], int] = {}
        if len(spans) == 1:
            after = self.question.last + timedelta(days=1)
            running = bases(self.connection, ask, after, self.cut)
        else:
            running = bases(self.connection, ask, self.question.first, self.cut)
            for one in self._sums(ask, "day"):
                step = (self.grouper.period_of(one.on), one.part, one.group, one.currency)
                steps[step] = steps.get(step, 0) + one.value
        combinations = dict.fromkeys([*running, *((p, g, c) for _, p, g, c in steps)])
        for number, (_, last) in enumerate(spans):
            end = min(last, to_date(self.cut.day))
            for part, group, currency in combinations:
                moved = steps.get((number, part, group, currency), 0)
                value = running.get((part, group, currency), 0) + moved
                running[part, group, currency] = value
                if ask is self.ask or stays.admits(self.ask.filters, group[-1], to_day(end)):
                    yield part, self._key(number, group[:width], end, currency), value

    def _seller_by_seller(self) -> Ask:
        """Where sellers come and leave: all who ever are there, with the seller as last column."""
        if not stays.has_stays(self.ask.filters):
            return self.ask
        columns = (*self.ask.columns, "seller")
        return replace(self.ask, filters=stays.ever(self.ask.filters), columns=columns)
