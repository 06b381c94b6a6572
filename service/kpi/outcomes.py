"""What the end of a deal adds to the figures: wins, losses, money, and their undoing (kpis.md 3).

Steps of a measure are differences between neighbouring pictures. Corrections belong to the seller
of the closing (kpis.md 1.9). For `reopen=restate` each undoing has a pair of addends that moves it
back to where the undone steps stood.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.instant import Instant
from service.domain.story import DealState, Story
from service.kpi.contribution import Contribution, corrects, of_deal, of_money, state_at
from service.kpi.parts import CORRECTED, restated

Measure = Callable[[DealState], int]


def outcomes(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """Of a deal that was closed at least once."""
    spam, zone = config.spam_reasons, config.timezone

    def won(state: DealState) -> int:
        return int(state.kind is StageKind.WON)

    yield from _outcome(story, zone, "deals_won", states, won)
    yield from _losses(story, zone, states, "deals_lost", lambda _: 1)
    yield from _losses(story, zone, states, "value_lost", lambda s: s.amount)
    yield from _outcome(story, zone, "lost_target", states, lambda s: int(_lost_target(s, spam)))
    if not any(map(won, states)):
        return
    yield from _outcome(
        story, zone, "won_with_amount", states, lambda s: int(won(s) and s.amount > 0), money=True
    )
    worth = "receipts" if config.receipts_source == "won" else "value_won_shift"
    yield from _outcome(story, zone, worth, states, lambda s: won(s) * s.amount, money=True)
    yield from _check(story, states)
    yield from _cycle(story, states)
    yield from _given_up(story, zone, states)
    if story.older:
        yield from _repeated(story, zone, states)


def payments(story: Story, states: Sequence[DealState], config: Config) -> Iterator[Contribution]:
    """Each payment at its own instant, if receipts are that; the value won is kept beside it."""
    if config.receipts_source == "won":
        return
    by_field = config.receipts_source == "paid_field"
    for row in _by_field(story, states) if by_field else _by_invoices(story, states):
        yield row
        yield row._replace(metric="value_won_shift", value=-row.value)


def _by_field(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """Changes of what was paid so far."""
    before = 0
    for state in states:
        if state.paid != before:
            delta, key = state.paid - before, f"p{state.at}"
            yield of_money(story, "receipts", key, state.at, state, delta, state.currency)
        before = state.paid


def _by_invoices(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """What invoices say, each payment in its own currency."""
    for paid in story.payments:
        state = state_at(states, paid.at) or states[0]
        yield of_money(story, "receipts", paid.id, paid.at, state, paid.amount, paid.currency)


def _lost_target(state: DealState, spam: frozenset[str]) -> bool:
    return state.kind is StageKind.LOST and state.loss_reason not in spam


class _Step(NamedTuple):
    """A measure's change at `at`, for whoever closed the deal."""

    at: Instant
    delta: int
    who: DealState


def _outcome(
    story: Story,
    zone: ZoneInfo,
    metric: str,
    states: Sequence[DealState],
    measure: Measure,
    *,
    money: bool = False,
) -> Iterator[Contribution]:
    standing: list[_Step] = []
    for step, undone in _steps(states, measure):
        currency = step.who.currency if money else ""
        who, delta = step.who, step.delta
        row = of_money(story, metric, str(step.at), step.at, who, delta, currency)
        yield corrects(row, who.at, zone)
        if not undone:
            standing.append(step)
            continue
        yield from _moved_back(row, who.at, standing, zone)
        standing.clear()


def _moved_back(
    row: Contribution, origin: Instant, standing: Sequence[_Step], zone: ZoneInfo
) -> Iterator[Contribution]:
    """The undoing out of its own instant, each undone step out of its."""
    part = restated(row.metric)
    yield corrects(row._replace(metric=part, key=f"{row.key}-", value=-row.value), origin, zone)
    for old in standing:
        age = row.at - old.at
        back = row._replace(
            metric=part, key=f"{row.key}:{age}", at=old.at, value=-old.delta, age=age
        )
        yield corrects(back, origin, zone)


def _steps(states: Sequence[DealState], measure: Measure) -> Iterator[tuple[_Step, bool]]:
    """Changes of a measure, and whether one takes back all that stood."""
    before, owner = 0, states[0]
    previous: DealState | None = None
    for state in states:
        value = measure(state)
        closing = state if _closes(previous, state) else owner
        if value != before:
            undone = bool(before and not value)
            yield _Step(state.at, value - before, owner if undone else closing), undone
        before, previous, owner = value, state, closing


def _closes(previous: DealState | None, state: DealState) -> bool:
    return state.is_closed and (previous is None or previous.kind is not state.kind)


def _losses(
    story: Story, zone: ZoneInfo, states: Sequence[DealState], metric: str, measure: Measure
) -> Iterator[Contribution]:
    """Losses by reason and by the stage they were lost from; another reason moves the loss.

    Lost by a move into another pipeline, a deal was lost from no stage of that one.
    """
    held: Contribution | None = None
    standing: list[_Step] = []
    holder = owner = lost_from = states[0]
    previous: DealState | None = None
    for state in states:
        lost_from = state if state.kind is StageKind.OPEN else lost_from
        owner = state if _closes(previous, state) else owner
        previous, now = state, None
        if state.kind is StageKind.LOST:
            row = of_deal(story, metric, f"{state.at}", state.at, owner, measure(state))
            currency = owner.currency if metric == "value_lost" else ""
            reason = state.loss_reason or ""
            now = row._replace(stage=_stage_in(lost_from, owner), reason=reason, currency=currency)
        if held is not None and now is not None and _same(held, now):
            continue
        if held is not None:
            undone = held._replace(key=f"{state.at}-", at=state.at, value=-held.value)
            yield corrects(undone, holder.at, zone)
            if now is None and metric in CORRECTED:
                yield from _moved_back(undone, holder.at, standing, zone)
                standing.clear()
        if now is not None:
            yield corrects(now, owner.at, zone)
            if held is None:
                standing.append(_Step(state.at, now.value, owner))
        held, holder = now, owner


def _stage_in(lost_from: DealState, owner: DealState) -> str:
    known = lost_from.kind is StageKind.OPEN and lost_from.pipeline == owner.pipeline
    return lost_from.stage if known else ""


def _same(one: Contribution, other: Contribution) -> bool:
    return (one.reason, one.value) == (other.reason, other.value)


def _check(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """The amount of a sale that stands, to be ranked; and a sale without one."""
    last = states[-1]
    if last.kind is not StageKind.WON:
        return
    win = _win(states)
    if last.amount > 0:
        row = of_deal(story, "check_value", "win", win.at, win, last.amount)
        yield row._replace(currency=win.currency)
    else:
        yield of_deal(story, "won_without_amount", "win", win.at, win, 1)


def _win(states: Sequence[DealState]) -> DealState:
    """Where the win begins that stands at the end."""
    win = states[-1]
    for state in reversed(states):
        if state.kind is not StageKind.WON:
            break
        win = state
    return win


def _cycle(story: Story, states: Sequence[DealState]) -> Iterator[Contribution]:
    """Seconds from birth to the win that stands; a win before birth is unknown."""
    born = states[-1].born_at
    if states[-1].kind is not StageKind.WON or born is None:
        return
    win = _win(states)
    if win.at >= born:
        yield of_deal(story, "cycle", "win", win.at, win, win.at - born)
    else:
        yield of_deal(story, "cycle_unknown", "win", win.at, win, 1)


def _given_up(story: Story, zone: ZoneInfo, states: Sequence[DealState]) -> Iterator[Contribution]:
    """What a sale brought less than was once asked in a late stage."""

    def peak(state: DealState) -> int:
        won = state.kind is StageKind.WON and state.amount_peak_late > 0
        return max(state.amount_peak_late, state.amount) if won else 0

    def given(state: DealState) -> int:
        return peak(state) - state.amount if peak(state) else 0

    if any(map(peak, states)):
        yield from _outcome(story, zone, "peak_amount", states, peak, money=True)
        yield from _outcome(story, zone, "amount_given_up", states, given, money=True)


def _repeated(story: Story, zone: ZoneInfo, states: Sequence[DealState]) -> Iterator[Contribution]:
    """A sale to a client who bought before it: one of his older deals was won by then."""
    won_at: dict[Instant, Instant] = {}  # of a won state: where its win began
    begun: Instant | None = None
    for state in states:
        begun = (begun or state.at) if state.kind is StageKind.WON else None
        if begun is not None:
            won_at[state.at] = begun

    def again(state: DealState) -> int:
        at = won_at.get(state.at)
        if at is None:
            return 0
        return int(any(left < at < right for one in story.older for left, right in one.wins or ()))

    yield from _outcome(story, zone, "repeat_sales", states, again)
    yield from _outcome(
        story, zone, "repeat_receipts", states, lambda s: again(s) * s.amount, money=True
    )


# --- cohorts: dated at birth, for whoever had the deal then ---------------------------------------


def cohort(
    story: Story,
    states: Sequence[DealState],
    first: DealState,
    born: Instant,
    config: Config,
) -> Iterator[Contribution]:
    """What became of a deal, and when: +1 where it comes to it, -1 where that is undone."""
    spam = config.spam_reasons

    def row(part: str, value: int, age: int) -> Contribution:
        return of_deal(story, part, str(age), born, first, value, age)

    became: tuple[tuple[str, int, Callable[[DealState], bool]], ...] = (
        ("cohort_won", 1, lambda s: s.kind is StageKind.WON),
        ("cohort_lost", 1, lambda s: _lost_target(s, spam)),
        ("created_spam", -1, lambda s: s.kind is StageKind.LOST and s.loss_reason in spam),
    )
    for part, sign, measure in became:
        before = False
        for state in states:
            now = measure(state)
            if now != before:
                age = max(0, state.at - born)
                yield row(part, sign if now else -sign, age)
            before = now
