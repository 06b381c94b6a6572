"""Parts that are no sums of contributions, by their sources; how they come into the answer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import local_date
from service.kpi import crew, kept, neglect, stays, times
from service.kpi.metric import Metric
from service.kpi.question import Cells, Filter, Grouper, Key, Question, Spread, Term
from service.kpi.reach import Piece, Reach

Source = Callable[[Reach, Sequence[str]], Iterator[Piece]]
_FIGURES: tuple[tuple[frozenset[str], Source], ...] = (
    (times.TIMES, times.integrals),
    (neglect.PARTS, neglect.sums),
    (crew.PARTS, crew.pieces),
    (kept.PARTS, kept.sums),
)
_SUBJECTS = (  # sums open subject by subject
    (times.TIMES, times.pieces),
    (neglect.PARTS, neglect.pieces),
    (crew.PARTS, crew.pieces),
    (kept.PARTS, kept.pieces),
)
COMPUTED: frozenset[str] = frozenset().union(*(parts for parts, _ in _FIGURES))


_AT_ENDS = crew.LEVELS | {neglect.OPEN, neglect.AGE}  # told at the end of each period
_ENDED = neglect.AT_END  # count where they end


def reach_of(
    connection: Connection, config: Config, question: Question, filters: tuple[Filter, ...]
) -> Reach:
    """One account as a question looks at it."""
    by_day = "weekday" in question.dimensions
    apart = frozenset([*question.dimensions, *(column for column, _, _ in filters)])
    spans, cut = question.spans(), question.cut(config)
    return Reach(connection, config, spans, filters, cut, by_day, apart=apart)


def gather(reach: Reach, question: Question, terms: Iterable[Term], cells: Cells) -> None:
    """Add an account's computed parts to the cells."""
    named = {term.part: term for term in terms}
    grouper = Grouper(reach.config, question, ())
    by_team = "team" in question.dimensions
    for parts, source in _FIGURES:
        wanted = [part for part in named if part in parts]
        for piece in pieces_of(reach, source, wanted, by_team=by_team):
            cells.add(named[piece.part], _key(reach, grouper, piece), piece.value)


def pieces_of(
    reach: Reach, source: Source, parts: Sequence[str], *, by_team: bool = False
) -> Iterator[Piece]:
    """The pieces of parts. What lasts is cut where somebody moves, if teams are told apart."""
    levels = [part for part in parts if part in _AT_ENDS]
    others = [part for part in parts if part not in _AT_ENDS]
    if levels:
        yield from _admitted(reach, source(reach, levels))
    if others:
        fine = cut_by_moves(reach, by_team=by_team)
        for piece in source(fine, others):
            yield from _admitted(reach, [piece._replace(number=fine.period(piece.number))])


def cut_by_moves(reach: Reach, *, by_team: bool) -> Reach:
    """The same periods in pieces within which nobody moves."""
    found = [
        (number, piece)
        for number, span in enumerate(reach.spans)
        for piece in stays.cut(reach.config, *span, by_team=by_team, filters=reach.filters)
    ]
    if len(found) == len(reach.spans):
        return reach
    numbers, spans = zip(*found, strict=True)
    return replace(reach, spans=spans, periods=numbers, _worked={})


def _admitted(reach: Reach, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Those of whom is in what is asked for on the day."""
    return (piece for piece in pieces if reach.admits_on(piece.seller, day_of(reach, piece)))


def day_of(reach: Reach, piece: Piece) -> date:
    """The local day on which a piece counts."""
    at = piece.end if piece.part in _ENDED else piece.start
    return local_date(at, reach.config.timezone)


def _key(reach: Reach, grouper: Grouper, piece: Piece) -> Key:
    on = day_of(reach, piece)
    return piece.number, grouper.of(piece.place, on), grouper.currency("")


def rank(reaches: Sequence[Reach], question: Question, metric: Metric, cells: Cells) -> None:
    """Rank the pieces of a computed percentile by period and group, and those of the last one."""
    values: dict[Key, list[int]] = {}
    for reach in reaches:
        grouper = Grouper(reach.config, question, ())
        for piece in subjects(reach, metric.parts):
            values.setdefault(_key(reach, grouper, piece), []).append(piece.value)
    wholes: dict[str, list[int]] = {}
    last = len(question.spans()) - 1
    for (number, group, currency), found in values.items():
        cells.spreads[metric.slug, (number, group, currency)] = _spread(found, metric)
        cells.groups.setdefault((group, currency))
        if number == last:
            wholes.setdefault(currency, []).extend(found)
    for currency, found in wholes.items():
        cells.wholes[metric.slug, currency] = _spread(found, metric)


def _spread(values: list[int], metric: Metric) -> Spread:
    """By nearest rank: the value at position ceil(p x n / 100)."""
    ranked, n = sorted(values), len(values)
    return Spread(n, sum(ranked), {p: ranked[-(-p * n // 100) - 1] for p in metric.percents})


def subjects(reach: Reach, parts: Sequence[str]) -> list[Piece]:
    """The pieces behind computed parts: their values add up to the figure."""
    found: list[Piece] = []
    for known, source in _SUBJECTS:
        wanted = [part for part in parts if part in known]
        found += pieces_of(reach, source, wanted)
    return found
