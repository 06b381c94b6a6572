"""Section 3 of kpis.md, counted from the facts."""

from collections.abc import Callable, Iterator
from functools import partial

from tests.kpi.oracle.facts import LOST, OPEN, SPAM, WON, Deal, Department, Picture, Row, Rows
from tests.kpi.oracle.inflow import inquiries

Place = tuple[str, str]  # pipeline, stage


def _row(at: int, value: int, p: Picture, *, money: bool = False) -> Row:
    currency = p.currency if money else ""
    return Row(at, value, p.seller, p.stage, p.source, "", p.pipeline, currency)


def _moves(deal: Deal, measure: Callable[[Picture], int], *, money: bool = False) -> Iterator[Row]:
    """Differences of a measure; what corrects a closing belongs to who closed."""
    before, closer, kind = 0, deal.pictures[0], ""
    for p in deal.pictures:
        holder = closer
        if not p.is_open and p.stage != kind:
            closer = p
        kind = p.stage
        value = measure(p)
        if value != before:
            owner = holder if before and not value else closer
            yield _row(p.at, value - before, owner, money=money)._replace(since=owner.at)
        before = value


def _sum(measure: Callable[[Picture], int], *, money: bool = False) -> Rows:
    return lambda told: [row for deal in told.deals for row in _moves(deal, measure, money=money)]


def _is_won(p: Picture) -> int:
    return int(p.stage == WON)


def created(told: Department) -> list[Row]:
    return [_row(d.born, 1, d.pictures[0]) for d in told.deals]


def _losses(told: Department, measure: Callable[[Picture], int], *, money: bool) -> list[Row]:
    """By the last open stage of that pipeline and the reason; what changes is taken back first."""
    rows = []
    for deal in told.deals:
        stage, closer, held = ("", ""), deal.pictures[0], None
        for p in deal.pictures:
            if p.is_open:
                stage = p.place
            now = None
            if p.stage == LOST:
                closer = p if held is None else closer
                own = stage[1] if stage[0] == closer.pipeline else ""
                now = _row(p.at, measure(p), closer, money=money)._replace(
                    stage=own, reason=p.reason, since=closer.at
                )
            if held is not None and held[1:] != (now and now[1:]):
                rows.append(held._replace(at=p.at, value=-held.value))
                held = None
            if now is not None and held is None:
                rows.append(now)
                held = now
    return rows


def lost(told: Department) -> list[Row]:
    return _losses(told, lambda _: 1, money=False)


def value_lost(told: Department) -> list[Row]:
    return _losses(told, lambda p: p.amount, money=True)


def restated(rows_of: Callable[[Picture], int], *, money: bool = False) -> Rows:
    """Only what stands is counted, where it came to stand."""

    def rows(told: Department) -> list[Row]:
        found = []
        for deal in told.deals:
            standing: list[Row] = []
            level = 0
            for row in _moves(deal, rows_of, money=money):
                level += row.value
                standing = [*standing, row] if level else []
            found += standing
        return found

    return rows


def _standing(deal: Deal) -> Picture | None:
    """The picture of the win that stands."""
    win = None
    for p in deal.pictures:
        win = (win or p) if p.stage == WON else None
    return win


def checks(told: Department) -> list[Row]:
    wins = [(d, _standing(d)) for d in told.deals]
    return [
        _row(w.at, d.last.amount, w, money=True) for d, w in wins if w is not None and d.last.amount
    ]


def unpaid(told: Department) -> list[Row]:
    wins = [(d, _standing(d)) for d in told.deals]
    return [_row(w.at, 1, w) for d, w in wins if w is not None and not d.last.amount]


def cycles(told: Department) -> list[Row]:
    wins = [(d, _standing(d)) for d in told.deals]
    return [_row(w.at, w.at - d.born, w) for d, w in wins if w is not None and w.at >= d.born]


def cycles_unknown(told: Department) -> list[Row]:
    wins = [(d, _standing(d)) for d in told.deals]
    return [_row(w.at, 1, w) for d, w in wins if w is not None and w.at < d.born]


def _cohort(holds: Callable[[Picture], bool]) -> Rows:
    return lambda told: [_row(d.born, 1, d.pictures[0]) for d in told.deals if holds(d.last)]


def _spam(p: Picture) -> bool:
    return p.stage == LOST and p.reason in SPAM


def within(days: int, holds: Callable[[Picture], bool]) -> Rows:
    """Of the deals that are so old: what held when they were just so old."""

    def rows(told: Department) -> list[Row]:
        found = []
        for deal in told.deals:
            then = deal.born + days * 86_400
            if then <= told.now:
                last = [p for p in deal.pictures if p.at <= then][-1]
                found += [_row(deal.born, 1, deal.pictures[0])] if holds(last) else []
        return found

    return rows


def entries(deal: Deal, *, strict: bool) -> dict[Place, tuple[Row, int, bool]]:
    """Stage -> first entry, number of the picture, whether it was passed over."""
    found: dict[Place, tuple[Row, int, bool]] = {}
    before: Picture | None = None
    for n, p in enumerate(deal.pictures):
        ways = OPEN.get(p.pipeline, ())
        if before is not None and before.is_open and before.pipeline == p.pipeline and not strict:
            start = ways.index(before.stage) + 1
            end = ways.index(p.stage) if p.is_open else len(ways) if p.stage == WON else 0
            for stage in ways[start:end]:
                row = _row(p.at, 1, p)._replace(stage=stage)
                found.setdefault((p.pipeline, stage), (row, n, True))
        if p.is_open and (before is None or before.place != p.place):
            found.setdefault(p.place, (_row(p.at, 1, p), n, False))
        before = p
    return found


def entered(told: Department, *, strict: bool = False) -> list[Row]:
    return [row for d in told.deals for row, _, _ in entries(d, strict=strict).values()]


def _passed_at(deal: Deal, place: Place, since: int) -> int | None:
    pipeline, stage = place
    later = OPEN[pipeline][OPEN[pipeline].index(stage) + 1 :]
    return next(
        (
            p.at
            for p in deal.pictures[since:]
            if p.stage == WON or (p.pipeline == pipeline and p.stage in later)
        ),
        None,
    )


def _fates(told: Department, *, strict: bool) -> Iterator[tuple[Row, bool, bool]]:
    """Entries: whether it was passed, whether it was lost without that."""
    for d in told.deals:
        for place, (row, n, skipped) in entries(d, strict=strict).items():
            gone_on = skipped or _passed_at(d, place, n) is not None
            yield row, gone_on, not gone_on and d.last.stage == LOST


def passed(told: Department, *, strict: bool = False) -> list[Row]:
    return [row for row, gone_on, _ in _fates(told, strict=strict) if gone_on]


def passings(told: Department, *, strict: bool) -> list[Row]:
    """Each entry that was passed, at the instant of that."""
    rows = []
    for deal in told.deals:
        for place, (row, n, skipped) in entries(deal, strict=strict).items():
            at = row.at if skipped else _passed_at(deal, place, n)
            if at is not None:
                rows.append(row._replace(at=at))
    return rows


def stuck(told: Department, *, strict: bool = False) -> list[Row]:
    return [row for row, _, is_lost in _fates(told, strict=strict) if is_lost]


def times(told: Department) -> list[Row]:
    rows = []
    for deal in told.deals:
        for place in dict.fromkeys(p.place for p in deal.pictures if p.is_open):
            left = None
            for p, following in zip(deal.pictures, deal.pictures[1:], strict=False):
                if p.place == place != following.place:
                    left = (following.at, p)
            if left is not None:
                total = sum(
                    end - p.at for p, end in deal.ends()
                    if p.place == place and end is not None and end <= left[0]
                )  # fmt: skip
                rows.append(_row(left[0], total, left[1]))
    return rows


def _open(told: Department) -> list[Deal]:
    return [d for d in told.deals if d.last.is_open and not d.last.gone]


def open_now(told: Department) -> list[Row]:
    return [_row(d.born, 1, d.last) for d in _open(told)]


def value_now(told: Department) -> list[Row]:
    return [_row(d.born, d.last.amount, d.last, money=True) for d in _open(told)]


def ages(told: Department) -> list[Row]:
    return [_row(d.born, told.now - d.born, d.last) for d in _open(told)]


def _again(deal: Deal) -> Callable[[Picture], int]:
    spans = [
        (start.at, end) for one in deal.older for start, end in one.ends() if start.stage == WON
    ]
    win: Picture | None = None

    def measure(p: Picture) -> int:
        nonlocal win
        win = (win or p) if p.stage == WON else None
        if win is None:
            return 0
        return int(any(left < win.at and (end is None or win.at < end or _goes_on(deal, end, win))
                       for left, end in spans))  # fmt: skip

    return measure


def _goes_on(deal: Deal, end: int, win: Picture) -> bool:
    """A piece of a win that ended by then does not count (its next piece, if any, does)."""
    return end == win.at and any(
        p.stage == WON and p.at == end for one in deal.older for p in one.pictures
    )


def repeats(told: Department) -> list[Row]:
    return [row for d in told.deals for row in _moves(d, _again(d))]


def repeat_receipts(told: Department) -> list[Row]:
    return [row for d in told.deals for row in _moves(d, _again_worth(d), money=True)]


def _again_worth(deal: Deal) -> Callable[[Picture], int]:
    again = _again(deal)
    return lambda p: again(p) * p.amount


def _peak(p: Picture) -> int:
    return max(p.peak, p.amount) if p.stage == WON and p.peak else 0


def _worth(p: Picture) -> int:
    return p.amount if p.stage == WON else 0


def _lost_well(p: Picture) -> int:
    return int(p.stage == LOST and p.reason not in SPAM)


won = _sum(_is_won)
_receipts = _sum(_worth, money=True)
_created_well = _cohort(lambda p: not _spam(p))
_closed_well = _cohort(lambda p: p.stage in {WON, LOST} and not _spam(p))
_given_up = _sum(lambda p: _peak(p) - p.amount if _peak(p) else 0, money=True)
_with_amount = _sum(lambda p: int(p.stage == WON and p.amount > 0), money=True)
SUMS: dict[str, Rows] = {
    "deals_created": created,
    "deals_won": won,
    "deals_lost": lost,
    "losses_all": lost,
    "stage_lost_from": lost,
    "value_lost": value_lost,
    "lost_target": _sum(_lost_well),
    "won_with_amount": _with_amount,
    "won_without_amount": unpaid,
    "receipts": _receipts,
    "deal_value_won": _receipts,
    "repeat_sales": repeats,
    "repeat_receipts": repeat_receipts,
    "peak_amount": _sum(_peak, money=True),
    "amount_given_up": _given_up,
    "cycle_unknown": cycles_unknown,
    "cohort_created": _created_well,
    "cohort_won": _cohort(lambda p: p.stage == WON),
    "cohort_closed": _closed_well,
    "stage_entries": entered,
    "stage_passes": passed,
    "stage_lost": stuck,
    "stage_entered": partial(entered, strict=True),
    "stage_passed": partial(passed, strict=True),
    "stage_lost_strict": partial(stuck, strict=True),
}
RESTATED: dict[str, Rows] = {
    "deals_won": restated(_is_won),
    "receipts": restated(_worth, money=True),
    "lost_target": restated(_lost_well),
}
RATIOS: dict[str, tuple[Rows, Rows]] = {
    "average_check": (_receipts, _with_amount),
    "sales_per_inquiry": (_with_amount, inquiries),
    "conversion": (won, lambda told: won(told) + SUMS["lost_target"](told)),
    "conversion_cohort": (SUMS["cohort_won"], _created_well),
    "cohort_mature": (_closed_well, _created_well),
    "stage_conversion": (passed, entered),
    "repeat_share": (repeats, won),
    "discount_share": (_given_up, SUMS["peak_amount"]),
}
WITHIN: dict[str, tuple[Rows, Rows]] = {
    "conversion_cohort": (
        within(20, lambda p: p.stage == WON), within(20, lambda p: not _spam(p)),
    ),
}  # fmt: skip
STRICT: dict[str, tuple[Rows, Rows]] = {
    "stage_conversion": (SUMS["stage_passed"], SUMS["stage_entered"]),
}
LEVELS: dict[str, Rows] = {"deals_open": open_now, "pipeline_value": value_now}
PERCENTILES: dict[str, Rows] = {"median_check": checks, "cycle": cycles, "time_in_stage": times}
AGES: dict[str, Rows] = {"open_aging": ages}
