"""What neglect of a deal costs at each instant, and the hygiene index made of it (kpis.md 6).

Over each open deal and each working instant: weight 1, cost = the gravest open, unmuted debt
violation of the deal, its tasks and calls: info 0.1, warning 0.4, critical 1.0. The index of a
period is `100 x (1 - cost / weight)`, both integrated over the seller's working time. Costs are
kept in tenths, so all of it is whole numbers until the last division. What a deal costs is put
down to its gravest rule; of equally grave ones to the first by name.

Where the settings have classes of amounts, a deal also weighs 1, 2 or 3 by its amount at each
instant, and its neglect as many times its cost: the same index, made of levels of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from service.domain.calendar import WorkCalendar
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.integrals import Integrator, Pieces, Worked, sum_up
from service.domain.story import DealState, Story
from service.domain.violation import Found

COSTS = {"info": 1, "warning": 4, "critical": 10}
WHOLE = 10  # the cost of a deal that is wholly neglected
LEAST_DEALS = 5  # with fewer open deals the index is not known
SHORT_SECONDS = 3600  # of working time: a deal open for less in a period is left out


class Cost(NamedTuple):
    """A stretch in which a deal costs its seller `cost` tenths because of a rule."""

    start: Instant
    end: Instant
    cost: int
    rule: str
    seller: str
    pipeline: str
    weight: int = 1


Weigh = Callable[[DealState], int]
"""How often a deal counts in a state."""


def once(_: DealState) -> int:
    """Every deal counts alike."""
    return 1


class _Debt(NamedTuple):
    start: Instant
    end: Instant
    cost: int
    rule: str


def costs(story: Story, found: Sequence[Found], weigh: Weigh = once) -> Iterator[Cost]:
    """The stretches of an open deal in which something is neglected; neighbours differ.

    `weigh`: how often the deal counts; its cost is as many times that of the debt.
    """
    debts = [
        _Debt(start, end, COSTS[one.severity], one.rule)
        for one in found
        if not one.notice
        for start, end in one.loud()
    ]
    if not debts:
        return
    steps = _worst(debts)
    yield from _joined(
        Cost(max(step.at, one.start), min(following.at, one.end), step.cost * one.weight, step.rule,
             *one[2:])
        for one in _open_stretches(story, weigh)
        for step, following in pairwise(steps)
        if step.cost
    )  # fmt: skip


def mutings(story: Story, found: Sequence[Found]) -> Iterator[Cost]:
    """The stretches of an open deal in which somebody had muted one of its debts; cost 0."""
    spans: list[list[Instant]] = []
    for start, end in sorted(piece for one in found if not one.notice for piece in one.muted):
        if spans and start <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([start, end])
    if spans:
        yield from _joined(
            Cost(max(one.start, left), min(one.end, right), 0, "", *one[2:])
            for one in _open_stretches(story, once)
            for left, right in spans
        )


def _joined(pieces: Iterable[Cost]) -> Iterator[Cost]:
    """Pieces in order without empty ones; those that follow each other and say the same are one."""
    last: Cost | None = None
    for piece in pieces:
        if piece.start >= piece.end:
            continue
        if last is not None and last.end == piece.start and last[2:] == piece[2:]:
            last = last._replace(end=piece.end)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


class _Step(NamedTuple):
    """From `at` on the gravest debt costs so much."""

    at: Instant
    cost: int
    rule: str


def _worst(debts: Sequence[_Debt]) -> list[_Step]:
    """What the gravest of the open debts costs, step by step, until nothing is left to change."""
    coming = sorted(debts, reverse=True)
    edges = sorted({at for debt in debts for at in debt[:2]})
    open_debts: list[tuple[int, str, Instant]] = []  # a heap: the gravest first, then by name
    steps: list[_Step] = []
    for at in edges:
        while coming and coming[-1].start <= at:
            debt = coming.pop()
            heappush(open_debts, (-debt.cost, debt.rule, debt.end))
        while open_debts and open_debts[0][2] <= at:
            heappop(open_debts)
        cost, rule = (-open_debts[0][0], open_debts[0][1]) if open_debts else (0, "")
        if not steps or steps[-1][1:] != (cost, rule):
            steps.append(_Step(at, cost, rule))
    steps.append(_Step(FOREVER, 0, ""))
    return steps


class _Stretch(NamedTuple):
    start: Instant
    end: Instant
    seller: str
    pipeline: str
    weight: int


def _open_stretches(story: Story, weigh: Weigh) -> list[_Stretch]:
    """While the deal is open, from its birth on; neighbours differ."""
    born = story.deal[-1].born_at
    found: list[_Stretch] = []
    if born is None:
        return found
    for number, state in enumerate(story.deal):
        end = story.deal[number + 1].at if number + 1 < len(story.deal) else FOREVER
        start = max(state.at, born)
        if state.kind is not StageKind.OPEN or start >= end:
            continue
        whose = (state.responsible, state.pipeline, weigh(state))
        if found and found[-1].end == start and found[-1][2:] == whose:
            start = found.pop().start
        found.append(_Stretch(start, end, *whose))
    return found


def brief_stays(
    steps: Iterable[tuple[Instant, int, str]], calendar_of: Callable[[str], WorkCalendar]
) -> Iterator[tuple[Instant, str, int]]:
    """(end, seller, working seconds) of a deal's stays with a seller that were under an hour.

    Only deals that came or went in the first or last hour of a period, or had such a stay in it,
    can have been open for under an hour of it. `steps`: (instant, change, seller) of its level.
    """
    nets: dict[str, dict[Instant, int]] = {}
    for at, delta, seller in steps:
        own = nets.setdefault(seller, {})
        own[at] = own.get(at, 0) + delta
    for seller, moves in nets.items():
        turns = [at for at in sorted(moves) if moves[at]]
        for start, end in zip(turns[::2], turns[1::2], strict=False):
            seconds = calendar_of(seller).working_seconds(start, end)
            if 0 < seconds < SHORT_SECONDS:
                yield end, seller, seconds


# --- the index ------------------------------------------------------------------------------------


Key = tuple[str, str]
"""(rule, place): what open deals cost because of a rule; rule "": the open deals themselves."""
MUTED = "hygiene_muted"  # in a rule's stead: deals of which some debt is muted
COUNT = "deals_open"  # in a rule's stead: how many are open, where rule "" is what they weigh
_NO_RULES = frozenset({"", MUTED, COUNT})


class Change(NamedTuple):
    """A step of what a seller's open deals weigh (`rule` "") or cost because of a rule.

    `place`: where the deal is (its pipeline), where that is asked.
    """

    at: Instant
    rule: str
    delta: int
    deal: str
    place: str = ""

    @property
    def key(self) -> Key:
        """Which of the levels moves."""
        return self.rule, self.place


@dataclass(slots=True)
class Taken:
    """Integrals over some working time: seconds of open deals, tenths of cost x seconds."""

    cells: dict[Key, int] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Seconds of open deals, each as often as it weighs."""
        return sum(value for (rule, _), value in self.cells.items() if not rule)

    @property
    def opened(self) -> int:
        """Seconds of open deals."""
        own = COUNT if any(rule == COUNT for rule, _ in self.cells) else ""
        return sum(value for (rule, _), value in self.cells.items() if rule == own)

    @property
    def by_rule(self) -> dict[str, int]:
        """Tenths of cost x seconds by rule."""
        found: dict[str, int] = {}
        costs = (key for key in self.cells if key[0] not in _NO_RULES)
        sum_up(found, ((key[0], self.cells[key]) for key in costs))
        return found

    @property
    def muted(self) -> int:
        """Seconds of open deals of which some debt was muted."""
        return sum(value for (rule, _), value in self.cells.items() if rule == MUTED)

    @property
    def muted_share(self) -> float | None:
        """Per cent of the deals' open time in which some debt was muted; None: nothing was open."""
        return round(100 * self.muted / self.opened, 6) if self.opened > 0 else None

    @property
    def cost(self) -> int:
        """All rules together."""
        return sum(value for (rule, _), value in self.cells.items() if rule not in _NO_RULES)

    @property
    def index(self) -> float | None:
        """The hygiene index 0-100; None: nothing was open."""
        if self.weight <= 0:
            return None
        return round(100 * (1 - self.cost / (WHOLE * self.weight)), 6)

    def points(self) -> dict[str, float]:
        """How many points of the index each rule costs, most first."""
        costly = sorted(self.by_rule.items(), key=lambda pair: (-pair[1], pair[0]))
        whole = WHOLE * self.weight
        return {rule: round(100 * cost / whole, 6) for rule, cost in costly if cost > 0 < whole}

    def add(self, other: "Taken") -> None:
        """Put another seller's part to it."""
        sum_up(self.cells, other.cells)


class Meter:
    """Integrates one seller's steps over pieces of working time, in order and exactly."""

    def __init__(self, before: Mapping[Key, int], changes: Sequence[Change], own: str = "") -> None:
        """What was open and what it cost just before the first change; all changes in order.

        `own`: the rule in whose stead open deals are counted, `COUNT` if they weigh other than one.
        """
        self._changes = changes
        self._levels = Integrator(before, changes)
        self._own = own

    @property
    def open_deals(self) -> int:
        """How many are open where the meter stands."""
        return sum(n for (rule, _), n in self._levels.levels.items() if rule == self._own)

    def stand_at(self, at: Instant) -> dict[str, int]:
        """Go on to an instant: the open deals by place then."""
        self._levels.go_to(at)
        levels = self._levels.levels
        return {place: n for (rule, place), n in levels.items() if rule == self._own}

    def take(self, pieces: Pieces) -> Taken:
        """The integrals over these pieces; a deal open for under an hour of them is left out."""
        return self.take_apart([pieces])[0]

    def take_apart(self, parts: Sequence[Pieces]) -> list[Taken]:
        """The integrals over each part of a time; left out is what is short in all of it."""
        found, inside = [], slice(0)
        for number, pieces in enumerate(parts):
            found.append(Taken(self._levels.take(pieces)))
            now = self._levels.inside
            inside = slice(inside.start if number else now.start, now.stop)
        for short in short_deals(self._changes[inside], parts, self._own):
            for taken, own in zip(found, short, strict=True):
                sum_up(taken.cells, ((key, -value) for key, value in own.cells.items()))
        return found


def short_deals(
    changes: Sequence[Change], parts: Sequence[Pieces], own: str
) -> Iterator[list[Taken]]:
    """Deals that were open for less than an hour of all parts, with what they take in each.

    Args:
        changes: all steps of deals from the beginning of the first piece on (a step at it is none)
            up to the end of the last one, and with it, in order.
        parts: pieces of working time, none of them without any.
        own: the rule in whose stead open deals are counted.
    """
    by_deal: dict[str, list[Change]] = {}
    for change in changes:
        by_deal.setdefault(change.deal, []).append(change)
    worked = [Worked(pieces) for pieces in parts]
    for told in by_deal.values():
        if len(told) == 1 and told[0].rule == own:
            yield from _of_one_step(told[0], worked)
            continue
        before = _before(told, own)
        if before is not None:
            open_for = sum(_seconds_open(before, told, one, own) for one in worked)
            if open_for < SHORT_SECONDS:
                yield [_taken(before, told, one) for one in worked]


def _of_one_step(step: Change, worked: Sequence[Worked]) -> Iterator[list[Taken]]:
    """The same of a deal that only came or only left, as most do."""
    after = [one.after(step.at) for one in worked]
    is_come = step.delta > 0
    spent = [
        left if is_come else one.seconds - left for one, left in zip(worked, after, strict=True)
    ]
    if sum(spent) < SHORT_SECONDS:
        yield [Taken({step.key: seconds}) for seconds in spent]


def _seconds_open(
    before: Mapping[Key, int], told: Sequence[Change], worked: Worked, own: str
) -> int:
    """How long a deal was open: of most deals nothing else is worked out."""
    stood = sum(level for (rule, _), level in before.items() if rule == own)
    moved = sum(c.delta * worked.after(c.at) for c in told if c.rule == own)
    return stood * worked.seconds + moved


def _taken(before: Mapping[Key, int], told: Sequence[Change], worked: Worked) -> Taken:
    cells = {key: level * worked.seconds for key, level in before.items()}
    sum_up(cells, ((c.key, c.delta * worked.after(c.at)) for c in told))
    return Taken(cells)


def _before(told: Sequence[Change], own: str) -> dict[Key, int] | None:
    """What a deal was before its changes, from them alone; None: it was open all the time.

    If the first thing is that it leaves a place, it was open there, and what it weighed and cost
    there is what falls away until then.
    """
    nets: dict[tuple[Instant, str], int] = {}
    for one in told:
        if one.rule == own:
            nets[one.at, one.place] = nets.get((one.at, one.place), 0) + one.delta
    opened = sorted(at_place for at_place, net in nets.items() if net)
    if not opened:
        return None
    first = opened[0][0]
    left = [place for at, place in opened if at == first and nets[at, place] < 0]
    if not left:
        return {}
    found: dict[Key, int] = {(own, left[0]): 1}
    others = (c for c in told if c.rule != own and c.place == left[0] and c.at <= first)
    sum_up(found, ((c.key, -c.delta) for c in others))
    return found
