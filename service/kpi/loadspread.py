"""How unevenly work is spread: the highest load less the lowest among sellers (kpis.md 6)."""

from collections.abc import Iterable
from fractions import Fraction

from service.kpi import crew
from service.kpi.derived import Ground, Made
from service.kpi.metric import Metric, Number
from service.kpi.question import Grouper, Key, own_filters
from service.kpi.reach import Piece
from service.kpi.sources import day_of, pieces_of, reach_of
from service.kpi.terms import Told

HIGHEST, LOWEST = "highest", "lowest"


def load_spread(ground: Ground, _: Metric) -> Made:
    """In points, by period and group, of sellers with a limit; null under two of them."""
    question = ground.question
    loads: dict[Key, list[Fraction]] = {}
    for config in ground.configs.values():
        filters = own_filters(config, question)
        if filters is None:
            continue
        reach = reach_of(ground.connection, config, question, filters)
        grouper = Grouper(config, question, ())
        for piece, load in _loads(pieces_of(reach, crew.pieces, (crew.HELD, crew.LIMIT))):
            on = day_of(reach, piece)
            key = (piece.number, grouper.of(piece.place, on), grouper.currency(""))
            loads.setdefault(key, []).append(load)
    made = Made({key: _told(found) for key, found in loads.items()})
    last = len(question.spans()) - 1
    wholes: dict[str, list[Fraction]] = {}
    for (number, _group, currency), found in loads.items():
        wholes.setdefault(currency, []).extend(found if number == last else [])
    made.wholes = {currency: _told(found) for currency, found in wholes.items()}
    return made


def _loads(pieces: Iterable[Piece]) -> Iterable[tuple[Piece, Fraction]]:
    held: dict[tuple[int, str], int] = {}
    limits: dict[tuple[int, str], Piece] = {}
    for piece in pieces:
        if piece.part == crew.HELD:
            held[piece.number, piece.seller] = piece.value
        else:
            limits[piece.number, piece.seller] = piece
    for key, piece in limits.items():
        yield piece, Fraction(100 * held.get(key, 0), piece.value)


def _told(loads: list[Fraction]) -> Told:
    if len(loads) < 2:
        return Told(None, {HIGHEST: None, LOWEST: None})
    high, low = max(loads), min(loads)
    notes: dict[str, Number] = {HIGHEST: _points(high), LOWEST: _points(low)}
    return Told(_points(high - low), notes)


def _points(load: Fraction) -> float:
    return float(round(load, 6))
