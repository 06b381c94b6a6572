"""Sums of flows and levels by period and group, account by account in its own zone."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import local_day
from service.kpi.question import WHOLE_MONTHS, Cells, Filter, Grouper, Question, Term, columns_of
from service.kpi.sums import Ask, Cut, bases, sums


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
        for chosen in _apart(Ask(config.account_id, parts, columns, filters, within), question):
            cut = cut_of(config, question, horizon)
            read = _levels if level else _flows
            read(connection, chosen, question, cut, grouper, group, cells)


def _apart(ask: Ask, question: Question) -> Iterable[Ask]:
    """Parts that the rollups know and those that they do not are read apart."""
    cut = Cut(question.as_of, 0, question.live)
    rolled = tuple(p for p in ask.parts if replace(ask, parts=(p,)).by_rollup(cut))
    others = tuple(p for p in ask.parts if p not in rolled)
    return [replace(ask, parts=parts) for parts in (rolled, others) if parts]


def cut_of(config: Config, question: Question, horizon: int) -> Cut:
    """How far an account is looked at; of a cohort only members that are so old."""
    at = question.as_of - horizon
    return Cut(at, local_day(at, config.timezone), question.live, question.as_of)


def _flows(
    connection: Connection,
    ask: Ask,
    question: Question,
    cut: Cut,
    grouper: Grouper,
    terms: Sequence[Term],
    cells: Cells,
) -> None:
    named = {term.part: term for term in terms}
    whole = question.grain in WHOLE_MONTHS and "weekday" not in question.dimensions
    for part in sums(connection, ask, question.first, question.last, cut, months=whole):
        number = grouper.period_of(part.on)
        group = grouper.group(part.group, part.on)
        key = (number, group, grouper.currency(part.currency))
        cells.add(named[part.part], key, part.value)


def _levels(
    connection: Connection,
    ask: Ask,
    question: Question,
    cut: Cut,
    grouper: Grouper,
    terms: Sequence[Term],
    cells: Cells,
) -> None:
    """A level at each period's end (or at the cut): what was before, plus the steps up to it."""
    named = {term.part: term for term in terms}
    spans = question.spans()
    running = bases(connection, ask, question.first, cut)
    steps: dict[tuple[int, str, tuple[str, ...], str], int] = {}
    for part in sums(connection, ask, question.first, question.last, cut, months=False):
        step = (grouper.period_of(part.on), part.part, part.group, part.currency)
        steps[step] = steps.get(step, 0) + part.value
    combinations = dict.fromkeys([*running, *((p, g, c) for _, p, g, c in steps)])
    for number in range(len(spans)):
        for part_name, group, currency in combinations:
            moved = steps.get((number, part_name, group, currency), 0)
            value = running.get((part_name, group, currency), 0) + moved
            running[part_name, group, currency] = value
            on: date = spans[number][1]
            key = (number, grouper.group(group, on), grouper.currency(currency))
            cells.add(named[part_name], key, value)
