"""Figures about sellers themselves: load against limits, who is there, working time, active days.

Limits, absences and working hours are those of the settings; what a seller holds is a level.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Table, func, select

from service.domain.config import Config
from service.domain.directory import Seller
from service.domain.instant import Instant
from service.domain.period import day_start, to_date, to_day
from service.kpi.reach import Piece, Reach
from service.kpi.sums import Ask, bases, sums
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]
HELD, LIMIT, PRESENT = "load_weight", "load_limit", "sellers_present"
WORKED, ACTIVE = "working_time", "active_days"
PARTS = frozenset({HELD, LIMIT, PRESENT, WORKED, ACTIVE})
LEVELS = frozenset({HELD, LIMIT, PRESENT})


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """A piece for each seller and period (of active days for each day)."""
    wanted = set(parts)
    if wanted & LEVELS:
        yield from (piece for piece in _at_ends(reach) if piece.part in wanted)
    if WORKED in wanted:
        yield from _worked(reach)
    if ACTIVE in wanted:
        yield from _active(reach)


def judged_at(config: Config, at: Instant) -> list[str]:
    """Sellers who are listed and active at an instant and not exempt."""
    return [seller.id for seller in _judged(config) if seller.is_at_work(at)]


def _judged(config: Config) -> list[Seller]:
    known = sorted(config.directory.sellers, key=lambda seller: seller.id)
    return [seller for seller in known if not config.standards.is_exempt(seller.id)]


def _at_ends(reach: Reach) -> Iterator[Piece]:
    """What each seller with a limit holds, his limit, and whether he is there."""
    config = reach.config
    for number, held in enumerate(held_at_ends(reach)):
        at = reach.ends[number]
        for seller in judged_at(config, at):
            limit = config.limit(seller, at)
            if not limit or not reach.admits({"seller": seller}):
                continue
            away = config.standards.absence_at(seller, at) is not None
            for part, value in (
                (HELD, held.get(seller, 0)), (LIMIT, limit), (PRESENT, int(not away)),
            ):  # fmt: skip
                if value:
                    yield Piece(part, number, at, at, value, seller, "seller", seller)


def held_at_ends(reach: Reach) -> Iterator[Mapping[str, int]]:
    """The weighted open deals of each seller at each period's end."""
    part = "deals_load" if reach.config.standards.weights else "deals_open"
    ask = Ask(reach.config.account_id, (part,), ("seller",))
    running: dict[str, int] = {}
    is_one = len(reach.spans) == 1
    first = reach.last + timedelta(days=1) if is_one else reach.first
    for (_, group, _), value in bases(reach.connection, ask, first, reach.cut).items():
        running[group[0]] = running.get(group[0], 0) + value
    moved = [] if is_one else sums(reach.connection, ask, first, reach.last, reach.cut, "day")
    steps = sorted(((s.on, s.group[0], s.value) for s in moved), key=lambda step: step[0])
    at = 0
    for _, last in reach.spans:
        while at < len(steps) and steps[at][0] <= last:
            _, seller, value = steps[at]
            running[seller] = running.get(seller, 0) + value
            at += 1
        yield dict(running)


def _worked(reach: Reach) -> Iterator[Piece]:
    """Working time of everybody as long as he is there."""
    for number, (start, end) in enumerate(reach.edges):
        for seller in _judged(reach.config):
            worked = reach.worked(seller.id, number)
            seconds = sum(worked.between(*span) for span in seller.spans_at_work)
            if seconds and reach.admits({"seller": seller.id}):
                yield Piece(WORKED, number, start, end, seconds, seller.id, "seller", seller.id)


def _active(reach: Reach) -> Iterator[Piece]:
    """Each working day on which a seller did something, from his first act on."""
    query = (
        select(_C.c.seller, _C.c.day, func.min(_C.c.at))
        .where(_C.c.account_id == reach.config.account_id, _C.c.metric == "actions")
        .where(_C.c.day.between(to_day(reach.first), to_day(reach.last)))
        .where(_C.c.at <= reach.cut.at)
        .group_by(_C.c.seller, _C.c.day)
        .order_by(_C.c.day, _C.c.seller)
    )
    number = 0
    for seller, day, at in reach.connection.execute(query):
        on = to_date(day)
        while reach.spans[number][1] < on:
            number += 1
        works = reach.config.calendar(seller).day_seconds(on) > 0
        if works and reach.admits({"seller": seller}):
            end = day_start(to_day(on + timedelta(days=1)), reach.config.timezone)
            yield Piece(ACTIVE, number, int(at), end, 1, seller, "seller", seller)
