"""What a deal's way through the stages adds to the figures (kpis.md 3: stages, funnel, levels).

Cohorts of a stage are dated at the first entry into it, for whoever had the deal then. `age` says
how long after that the deal passed on or was lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import FOREVER, Instant
from service.domain.story import DealState, Story, deal_is_judged
from service.kpi.contribution import Contribution, of_deal, of_money
from service.kpi.parts import STANDING, STAYS

Place = tuple[str, str]  # pipeline, stage


@dataclass
class _Entry:
    """The first entry into a stage."""

    number: int
    row: Contribution
    part: str = "stage"  # the name its fate is told under
    skipped: bool = False
    passed: bool = False
    lost: bool = False


def stages(
    story: Story, states: Sequence[DealState], born: Instant, config: Config
) -> Iterator[Contribution]:
    """Everything about stages of one deal."""
    yield from _Way(story, config).walk(states, born)
    yield from _times(story, states, born)
    yield from _levels(story, states, born, config)


class _Way:
    """Follows a deal from stage to stage."""

    def __init__(self, story: Story, config: Config) -> None:
        self._story = story
        self._config = config
        self._entries: dict[Place, _Entry] = {}
        self._late: dict[Place, _Entry] = {}  # first passed over, stood at only later

    def walk(self, states: Sequence[DealState], born: Instant) -> Iterator[Contribution]:
        """Entries, and what became of them."""
        before: DealState | None = None
        for state in states:
            moved = before is None or (before.pipeline, before.stage) != (
                state.pipeline,
                state.stage,
            )
            at = max(state.at, born)
            if moved:
                if before is not None:
                    yield from self._skips(before, state, at)
                yield from self._passes(state, at)
                yield from self._enters(state, at)
            yield from self._ends(state, at)
            before = state

    def _skips(self, before: DealState, state: DealState, at: Instant) -> Iterator[Contribution]:
        """Stages between, which the deal did not stand at: entered and passed at once."""
        if before.kind is not StageKind.OPEN or before.pipeline != state.pipeline:
            return
        last = self._number(state)
        if state.kind is StageKind.WON:
            last = self._config.stage_count(state.pipeline) + 1
        for number in range(self._number(before) + 1, last):
            stage = self._config.standards.stage_at(state.pipeline, number)
            place = (state.pipeline, stage)
            if stage and place not in self._entries:
                row = of_deal(self._story, "stage_skipped", f"{at}s{number}", at, state, 1)
                row = row._replace(stage=stage)
                self._entries[place] = _Entry(number, row, skipped=True, passed=True)
                yield row

    def _passes(self, state: DealState, at: Instant) -> Iterator[Contribution]:
        number = self._number(state)
        for (pipeline, _), entry in [*self._entries.items(), *self._late.items()]:
            further = pipeline == state.pipeline and number > entry.number
            if not entry.passed and (further or state.kind is StageKind.WON):
                entry.passed = True
                yield entry.row._replace(metric=f"{entry.part}_passed", age=at - entry.row.at)
                if entry.lost:
                    entry.lost = False
                    yield self._lost(entry, at, -1)

    def _enters(self, state: DealState, at: Instant) -> Iterator[Contribution]:
        place = (state.pipeline, state.stage)
        if state.kind is not StageKind.OPEN:
            return
        number = self._number(state)
        row = of_deal(self._story, "stage_entered", str(at), at, state, 1)
        known = self._entries.get(place)
        if known is None:
            self._entries[place] = _Entry(number, row)
            yield row
        elif known.skipped and place not in self._late:
            late = row._replace(metric="stage_late")
            self._late[place] = _Entry(number, late, part="stage_late")
            yield late

    def _ends(self, state: DealState, at: Instant) -> Iterator[Contribution]:
        """Lost before it passed on; taken back when the deal is opened again."""
        lost = state.kind is StageKind.LOST
        for entry in [*self._entries.values(), *self._late.values()]:
            if not entry.passed and entry.lost != lost:
                entry.lost = lost
                yield self._lost(entry, at, 1 if lost else -1)

    def _lost(self, entry: _Entry, at: Instant, value: int) -> Contribution:
        key = f"{entry.row.key}:{at}"
        age = at - entry.row.at
        return entry.row._replace(metric=f"{entry.part}_lost", key=key, value=value, age=age)

    def _number(self, state: DealState) -> int:
        return self._config.stage_no(state.pipeline, state.stage)


def _times(story: Story, states: Sequence[DealState], born: Instant) -> Iterator[Contribution]:
    """Seconds of all stays in a stage, when the deal left it last."""
    left: dict[Place, tuple[Instant, DealState]] = {}
    for state, after in pairwise(states):
        place = (state.pipeline, state.stage)
        if state.kind is StageKind.OPEN and (after.pipeline, after.stage) != place:
            left[place] = (max(after.at, born), state)
    for place, (at, state) in left.items():
        yield of_deal(story, "time_in_stage", f"{at}", at, state, _until(states, born, place, at))


def _until(states: Sequence[DealState], born: Instant, place: Place, at: Instant) -> int:
    total = 0
    ends = [*(max(s.at, born) for s in states[1:]), FOREVER]
    for state, end in zip(states, ends, strict=True):
        if end <= at and (state.pipeline, state.stage) == place:
            total += end - max(state.at, born)
    return total


def _levels(
    story: Story, states: Sequence[DealState], born: Instant, config: Config
) -> Iterator[Contribution]:
    """Open deals and their amounts, moving with stage, seller, source; while they are there."""
    held: DealState | None = None
    begun = born
    for state in states:
        at = max(state.at, born)
        there = state.kind is StageKind.OPEN and deal_is_judged(state, config)
        now = state if there else None
        moved = held is None or now is None or _where(held) != _where(now)
        if held is not None and moved:
            yield of_deal(story, "stage_open", f"{at}-", at, held, -1)
            part, length = stay_of(at - begun), at - begun
            yield of_deal(story, part, f"{begun}", at, held, at - born, length)
        if now is not None and moved:
            yield of_deal(story, "stage_open", f"{at}+", at, now, 1)
            begun = at
        yield from _amounts(story, held, now, at, moved=moved)
        held = now
    if held is not None:
        yield of_deal(story, STANDING, f"{begun}", begun, held, begun - born)


def stay_of(length: int) -> str:
    """The part that a stay of so many seconds belongs to."""
    return next(part for part, most in STAYS.items() if length <= most or not most)


def _amounts(
    story: Story, held: DealState | None, now: DealState | None, at: Instant, *, moved: bool
) -> Iterator[Contribution]:
    if held is not None and now is not None and not moved:
        delta = now.amount - held.amount
        yield of_money(story, "pipeline_value", f"{at}+", at, now, delta, now.currency)
        return
    for state, sign in ((held, -1), (now, 1)):
        if state is not None:
            key = f"{at}{'+' if sign > 0 else '-'}"
            worth = sign * state.amount
            yield of_money(story, "pipeline_value", key, at, state, worth, state.currency)


def _where(state: DealState) -> tuple[str, str, str, str, str]:
    return (
        state.responsible, state.pipeline, state.stage, state.source or "", state.currency,
    )  # fmt: skip
