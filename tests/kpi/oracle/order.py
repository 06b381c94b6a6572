"""Order and load counted from bare facts and stored violations (kpis.md 6)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.kpi.oracle.activity import Counted, Tally, Where
from tests.kpi.oracle.bureau import (
    LIMITS,
    MOVED,
    OPEN,
    SELLERS,
    Book,
    Window,
    day_of,
    image,
    team_of,
    worked,
)
from tests.kpi.oracle.tasks import Row, cuts

COSTS = {"info": 1, "warning": 4, "critical": 10}


def count(book: Book, rows: Sequence[Row], window: Window) -> Counted:
    """All figures of a window; `rows`: the violations as they are stored."""
    tally = Tally(book)
    for deal in book.deals:
        if book.counts(deal):
            _hygiene(book, deal, rows, window, tally)
            _handed(book, deal, window, tally)
    _levels(book, window, tally)
    for row in rows:
        _violation(row, window, tally)
    return tally.found


def _hygiene(book: Book, deal: str, rows: Sequence[Row], window: Window, tally: Tally) -> None:
    mine = [r for r in rows if r["deal"] == deal and not r["notice"]]
    edges = set(cuts(book, deal, window))
    edges |= {r["breach_at"] for r in mine} | {r["resolved_at"] for r in mine if r["resolved_at"]}
    edges.add(Window(MOVED, MOVED, 0).start)
    cut = sorted(e for e in edges if window.start <= e <= window.end)
    weight: dict[Where, int] = {}
    cost: dict[Where, int] = {}
    by_amount: dict[Where, list[int]] = {}
    long: dict[tuple[str, str], int] = {}
    for left, right in pairwise(cut):
        now = image(book.deals[deal], left)
        if left < book.deals[deal][0][0] or now["stage"] not in OPEN:
            continue
        who = now["responsible"]
        graves = [
            COSTS[r["severity"]]
            for r in mine
            if r["breach_at"] <= left and (r["resolved_at"] or 1 << 60) >= right
        ]
        seconds = worked(who, left, right)
        place = Where(who, now["pipeline"], team=team_of(who, day_of(left)))
        long[place[:2]] = long.get(place[:2], 0) + seconds
        weight[place] = weight.get(place, 0) + seconds
        cost[place] = cost.get(place, 0) + seconds * max(graves, default=0)
        often = {0: 1, 1000: 2, 2000: 3}[now["amount"]] * seconds  # minor units
        spent = by_amount.setdefault(place, [0, 0])
        spent[0] += often * (10 - max(graves, default=0))
        spent[1] += often * 10
    for place, seconds in weight.items():
        if long[place[:2]] >= 3600:
            kept = 10 * seconds - cost[place]
            tally.put("hygiene_index", place, kept, 10 * seconds)
            tally.put("hygiene_index_weighted", place, *by_amount[place])


def _handed(book: Book, deal: str, window: Window, tally: Tally) -> None:
    before = None
    for moment, told in book.deals[deal]:
        who = told["responsible"]
        if before is not None and who != before and told["author"] != "0" and window.has(moment):
            tally.add("reassignments", before, 1, at=moment, deal=deal)
            tally.add("reassignments_to", who, 1, at=moment, deal=deal)
        before = who


def _levels(book: Book, window: Window, tally: Tally) -> None:
    moment = window.moment
    held = dict.fromkeys(SELLERS, 0)
    for deal, history in book.deals.items():
        now = image(history, moment)
        if not book.counts(deal) or moment < history[0][0] or now["stage"] not in OPEN:
            continue
        who = now["responsible"]
        held[who] += 1
        place: Any = {"at": moment, "deal": deal}
        tally.add("deals_open", who, 1, **place)
        tally.add("deals_without_task_share", who, 0, 1, **place)
        tally.add("deals_per_seller", who, 1)
        if now["stage"] in {"20", "30"}:
            tally.add("card_completeness", who, int("501" in now["fields"]), 1, **place)
    for seller in SELLERS:
        if LIMITS[seller]:
            tally.add("load", seller, held[seller], LIMITS[seller])
            away = seller == "9" and day_of(moment).day in {11, 12}
            tally.add("deals_per_seller", seller, 0, int(not away))


def _violation(row: Row, window: Window, tally: Tally) -> None:
    who, end = row["seller"], row["resolved_at"] or 1 << 60
    if end <= row["breach_at"]:
        return
    on = str(day_of(row["breach_at"]).isoweekday())
    where = Where(who, row["pipeline"] or "", row["stage"] or "", on)
    tally.put("violations_opened", where, int(window.has(row["breach_at"])))
    tally.put("violations_open", where, int(row["breach_at"] <= window.moment < end))
    start, stop = max(row["breach_at"], window.start), min(end, window.end)
    seconds = worked(who, start, stop) if start < stop else 0
    tally.put("violation_hours", where, seconds)
    if row["rule"] == "seller-too-many-deals":
        tally.put("overload_hours", where, seconds)


def fixes(rows: Sequence[Row], window: Window) -> list[int]:
    """Working seconds of what was put right, in order of size."""
    return sorted(
        worked(row["seller"], row["breach_at"], row["resolved_at"])
        for row in rows
        if row["resolution"] in {"fixed", "moved"} and window.has(row["resolved_at"])
        if row["resolved_at"] > row["breach_at"]
    )


def ages(rows: Sequence[Row], window: Window) -> list[int]:
    """Working seconds since their breach of what is open at the end, in order of size."""
    return sorted(
        worked(row["seller"], row["breach_at"], window.moment)
        for row in rows
        if row["breach_at"] <= window.moment
        if row["resolved_at"] is None or row["resolved_at"] > window.moment
    )


def spread(book: Book, window: Window) -> float | None:
    """Highest less lowest load, in points."""
    tally = Tally(book)
    _levels(book, window, tally)
    loads = [100 * held / limit for held, limit in tally.found.get("load", {}).values()]
    return max(loads) - min(loads) if len(loads) > 1 else None
