"""Parts that are no sums of contributions, by their sources; how they come into the answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from service.domain.config import Config
from service.domain.period import local_date
from service.kpi import crew, kept, neglect, times
from service.kpi.metric import Metric
from service.kpi.question import Cells, Filter, Grouper, Key, Question, Spread, Term
from service.kpi.reach import Piece, Reach

Source = Callable[[Reach, Sequence[str]], Iterator[Piece]]
_FIGURES: tuple[tuple[frozenset[str], Source], ...] = (
    (times.TIMES, times.integrals),
    (neglect.PARTS, neglect.sums),
    (crew.PARTS, crew.pieces),
    (kept.PARTS, kept.pieces),
)
_SUBJECTS = (  # sums open subject by subject
    (times.TIMES, times.pieces),
    (neglect.PARTS, neglect.pieces),
    *_FIGURES[2:],
)
COMPUTED: frozenset[str] = frozenset().union(*(parts for parts, _ in _FIGURES))


def reach_of(
    connection: Connection, config: Config, question: Question, filters: tuple[Filter, ...]
) -> Reach:
    """One account as a question looks at it."""
    by_day = "weekday" in question.dimensions
    return Reach(connection, config, question.spans(), filters, question.cut(config), by_day)


def gather(reach: Reach, question: Question, terms: Iterable[Term], cells: Cells) -> None:
    """Add an account's computed parts to the cells."""
    named = {term.part: term for term in terms}
    grouper = Grouper(reach.config, question, ())
    for parts, source in _FIGURES:
        wanted = [part for part in named if part in parts]
        if wanted:
            for piece in source(reach, wanted):
                cells.add(named[piece.part], _key(reach, grouper, piece), piece.value)


def _key(reach: Reach, grouper: Grouper, piece: Piece) -> Key:
    on = local_date(piece.start, reach.config.timezone)
    return piece.number, grouper.of(piece.place, on), grouper.currency("")


def rank(reaches: Sequence[Reach], question: Question, metric: Metric, cells: Cells) -> None:
    """Rank the values of a computed percentile by period and group, and all together."""
    values: dict[Key, list[int]] = {}
    for reach in reaches:
        grouper = Grouper(reach.config, question, ())
        zone, currency = reach.config.timezone, grouper.currency("")
        for number, begin, value, place in neglect.fixed(reach):
            key = (number, grouper.of(place, local_date(begin, zone)), currency)
            values.setdefault(key, []).append(value)
    wholes: dict[str, list[int]] = {}
    for key, found in values.items():
        cells.spreads[metric.slug, key] = _spread(found, metric)
        cells.groups.setdefault((key[1], key[2]))
        wholes.setdefault(key[2], []).extend(found)
    for currency, found in wholes.items():
        cells.wholes[metric.slug, currency] = _spread(found, metric)


def _spread(values: list[int], metric: Metric) -> Spread:
    """By nearest rank: the value at position ceil(p x n / 100)."""
    ranked, n = sorted(values), len(values)
    at: Mapping[int, int] = {p: ranked[-(-p * n // 100) - 1] for p in metric.percents}
    return Spread(n, sum(ranked), at)


def subjects(reach: Reach, parts: Sequence[str]) -> list[Piece]:
    """The pieces behind computed parts: their values add up to the figure."""
    found: list[Piece] = []
    for known, source in _SUBJECTS:
        wanted = [part for part in parts if part in known]
        if wanted:
            found += source(reach, wanted)
    return found
