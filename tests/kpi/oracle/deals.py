"""Section 3 of kpis.md, counted from the facts."""

from collections.abc import Callable, Iterator

from tests.kpi.oracle.facts import LOST, OPEN, SPAM, WON, Deal, Department, Picture, Row, Rows
from tests.kpi.oracle.inflow import inquiries


def _row(at: int, value: int, p: Picture) -> Row:
    return Row(at, value, p.seller, p.stage, p.source)


def _moves(deal: Deal, measure: Callable[[Picture], int]) -> Iterator[Row]:
    """Differences of a measure; what corrects a closing belongs to who closed."""
    before, closer, kind = 0, deal.pictures[0], ""
    for p in deal.pictures:
        holder = closer
        if not p.is_open and p.stage != kind:
            closer = p
        kind = p.stage
        value = measure(p)
        if value != before:
            yield _row(p.at, value - before, holder if before and not value else closer)
        before = value


def _sum(measure: Callable[[Picture], int]) -> Rows:
    return lambda told: [row for deal in told.deals for row in _moves(deal, measure)]


def _is_won(p: Picture) -> int:
    return int(p.stage == WON)


def created(told: Department) -> list[Row]:
    return [_row(d.born, 1, d.pictures[0]) for d in told.deals]


def lost(told: Department) -> list[Row]:
    """By the last open stage and the reason; another reason takes one back and gives one."""
    rows = []
    for deal in told.deals:
        stage, closer, held = "", deal.pictures[0], None
        for p in deal.pictures:
            if p.stage in OPEN:
                stage = p.stage
            now = None
            if p.stage == LOST:
                closer = p if held is None else closer
                now = Row(p.at, 1, closer.seller, stage, closer.source, p.reason)
            if held is not None and (now is None or now.reason != held.reason):
                rows.append(held._replace(at=p.at, value=-1))
                held = None
            if now is not None and held is None:
                rows.append(now)
                held = now
    return rows


def restated(rows_of: Callable[[Picture], int]) -> Rows:
    """Only what stands is counted, where it came to stand."""

    def rows(told: Department) -> list[Row]:
        found = []
        for deal in told.deals:
            standing: list[Row] = []
            level = 0
            for row in _moves(deal, rows_of):
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
    return [_row(w.at, d.last.amount, w) for d, w in wins if w is not None and d.last.amount]


def cycles(told: Department) -> list[Row]:
    wins = [(d, _standing(d)) for d in told.deals]
    return [_row(w.at, w.at - d.born, w) for d, w in wins if w is not None]


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


def _entries(deal: Deal, *, strict: bool) -> dict[str, tuple[Row, int, bool]]:
    """Stage -> first entry, number of the picture, whether it was passed over."""
    found: dict[str, tuple[Row, int, bool]] = {}
    before: Picture | None = None
    for n, p in enumerate(deal.pictures):
        if before is not None and before.is_open and not strict:
            start = OPEN.index(before.stage) + 1
            end = OPEN.index(p.stage) if p.is_open else 3 if p.stage == WON else 0
            for stage in OPEN[start:end]:
                row = _row(p.at, 1, p)._replace(stage=stage)
                found.setdefault(stage, (row, n, True))
        if p.is_open and (before is None or before.stage != p.stage):
            found.setdefault(p.stage, (_row(p.at, 1, p), n, False))
        before = p
    return found


def entered(told: Department, *, strict: bool = False) -> list[Row]:
    return [row for d in told.deals for row, _, _ in _entries(d, strict=strict).values()]


def _passed(deal: Deal, stage: str, since: int) -> bool:
    later = {*OPEN[OPEN.index(stage) + 1 :], WON}
    return any(p.stage in later for p in deal.pictures[since:])


def passed(told: Department, *, strict: bool = False) -> list[Row]:
    return [
        row
        for d in told.deals
        for stage, (row, n, skipped) in _entries(d, strict=strict).items()
        if skipped or _passed(d, stage, n)
    ]


def times(told: Department) -> list[Row]:
    rows = []
    for deal in told.deals:
        for stage in OPEN:
            left = None
            for p, following in zip(deal.pictures, deal.pictures[1:], strict=False):
                if p.stage == stage != following.stage:
                    left = (following.at, p)
            if left is not None:
                total = sum(
                    end - p.at for p, end in deal.ends()
                    if p.stage == stage and end is not None and end <= left[0]
                )  # fmt: skip
                rows.append(_row(left[0], total, left[1]))
    return rows


def open_now(told: Department) -> list[Row]:
    return [_row(d.born, 1, d.last) for d in told.deals if d.last.is_open]


def value_now(told: Department) -> list[Row]:
    return [_row(d.born, d.last.amount, d.last) for d in told.deals if d.last.is_open]


def ages(told: Department) -> list[Row]:
    return [_row(d.born, told.now - d.born, d.last) for d in told.deals if d.last.is_open]


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


def _peak(p: Picture) -> int:
    return max(p.peak, p.amount) if p.stage == WON and p.peak else 0


won = _sum(_is_won)
SUMS: dict[str, Rows] = {
    "deals_created": created,
    "deals_won": won,
    "deals_lost": lost,
    "stage_lost_from": lost,
    "lost_target": _sum(lambda p: int(p.stage == LOST and p.reason not in SPAM)),
    "receipts": _sum(lambda p: p.amount if p.stage == WON else 0),
    "deal_value_won": _sum(lambda p: p.amount if p.stage == WON else 0),
    "repeat_sales": repeats,
    "cohort_won": _cohort(lambda p: p.stage == WON),
    "stage_entries": entered,
    "stage_passes": passed,
}
RESTATED: dict[str, Rows] = {
    "deals_won": restated(_is_won),
    "receipts": restated(lambda p: p.amount if p.stage == WON else 0),
    "lost_target": restated(lambda p: int(p.stage == LOST and p.reason not in SPAM)),
}
_with_amount = _sum(lambda p: int(p.stage == WON and p.amount > 0))
RATIOS: dict[str, tuple[Rows, Rows]] = {
    "average_check": (SUMS["receipts"], _with_amount),
    "sales_per_inquiry": (_with_amount, inquiries),
    "conversion": (won, lambda told: won(told) + SUMS["lost_target"](told)),
    "conversion_cohort": (SUMS["cohort_won"], _cohort(lambda p: not _spam(p))),
    "cohort_mature": (
        _cohort(lambda p: not p.is_open and not _spam(p)), _cohort(lambda p: not _spam(p)),
    ),
    "stage_conversion": (passed, entered),
    "repeat_share": (repeats, won),
    "discount_share": (
        _sum(lambda p: _peak(p) - p.amount if _peak(p) else 0), _sum(_peak),
    ),
}  # fmt: skip
WITHIN: dict[str, tuple[Rows, Rows]] = {
    "conversion_cohort": (
        within(20, lambda p: p.stage == WON), within(20, lambda p: not _spam(p)),
    ),
}  # fmt: skip
STRICT: dict[str, tuple[Rows, Rows]] = {
    "stage_conversion": (
        lambda told: passed(told, strict=True), lambda told: entered(told, strict=True),
    ),
}  # fmt: skip
LEVELS: dict[str, Rows] = {"deals_open": open_now, "pipeline_value": value_now}
PERCENTILES: dict[str, Rows] = {"median_check": checks, "cycle": cycles, "time_in_stage": times}
AGES: dict[str, Rows] = {"open_aging": ages}
