"""Activity counted from bare facts (kpis.md 4): `{figure: {seller: [above, below]}}`."""

from collections.abc import Iterator
from typing import Any

from tests.kpi.oracle.bureau import (
    SAYS,
    SELLERS,
    Book,
    Image,
    Window,
    after_working,
    day_of,
    hours,
    image,
    is_human,
    worked,
)

Counted = dict[str, dict[str, list[int]]]


class Tally:
    """Adds up."""

    def __init__(self) -> None:
        self.found: Counted = {}

    def add(self, slug: str, seller: str, above: int = 0, below: int = 0) -> None:
        cell = self.found.setdefault(slug, {}).setdefault(seller, [0, 0])
        cell[0] += above
        cell[1] += below


def count(book: Book, window: Window) -> Counted:
    """All figures of a window."""
    tally = Tally()
    for deal in book.deals:
        if book.counts(deal):
            _calls(book, deal, window, tally)
            _sales(book, deal, window, tally)
    for note in book.notes.values():
        if book.counts(note["deal"]) and is_human(note["author"]):
            tally.add("notes", note["author"], int(window.has(note["created_at"])))
    _meetings(book, window, tally)
    _days(book, window, tally)
    return tally.found


def _calls(book: Book, deal: str, window: Window, tally: Tally) -> None:
    last_try = None
    for _, call in book.calls_of(deal):
        start, who, out = call["started_at"], call["author"], call["direction"] == "out"
        is_try = out and is_human(who) and (last_try is None or start - last_try > 600)
        if out and is_human(who):
            last_try = start
        if not window.has(start):
            continue
        seconds = call["seconds"] if call["answered"] else 0
        tally.add("calls", who, 1)
        tally.add("talk_seconds", who, seconds)
        tally.add("dials", who, int(is_try))
        tally.add("selling_time_share", who, seconds)
        tally.add("calls_per_deal", who, 1)
        tally.add("minutes_per_sale", who, seconds)
        if out:
            tally.add("reach_rate", who, int(call["answered"]), 1)
        if seconds >= 10:
            tally.add("talks", who, 1)
            tally.add("average_talk", who, seconds, 1)
        if seconds >= 30:
            tally.add("talk_documented", who, int(_documented(book, deal, call)), 1)
        if not out and not call["answered"]:
            _missed(book, deal, start, window, tally)


def _missed(book: Book, deal: str, start: int, window: Window, tally: Tally) -> None:
    seller = image(book.deals[deal], start)["responsible"]
    over = after_working(seller, start, 1800)
    back = any(
        start < call["started_at"] <= over
        and ((call["direction"] == "out" and is_human(call["author"]))
             or (call["answered"] and call["seconds"] >= 10))
        for _, call in book.calls_of(deal)
    )  # fmt: skip
    tally.add("missed_calls", seller, 1)
    tally.add("missed_unreturned", seller, int(not back and over <= window.seen), 1)


def traces(book: Book, deal: str) -> Iterator[tuple[int, str]]:
    """What was written down on a deal: when, by whom."""
    for note in book.notes.values():
        if note["deal"] == deal and len(note["text"]) > 10 and is_human(note["author"]):
            yield note["created_at"], note["author"]
    for history in book.tasks.values():
        first = history[0][1]
        if first["deal"] != deal:
            continue
        if first["text"] == SAYS:
            yield first["created_at"], first["created_by"]
        for moment, told in history:
            if told.get("result") and not told["is_open"]:
                yield moment, told["closed_by"] or told["responsible"]
                break


def _documented(book: Book, deal: str, call: Image) -> bool:
    start, who = call["started_at"], call["author"]
    limit = after_working(who, start + call["seconds"], 3600)
    return any(start <= when <= limit and by == who for when, by in traces(book, deal))


def _sales(book: Book, deal: str, window: Window, tally: Tally) -> None:
    history = book.deals[deal]
    tally.add("calls_per_deal", history[0][1]["responsible"], 0, int(window.has(history[0][0])))
    seen = next((h for h in history if h[1]["stage"] == "20"), None)
    if seen is not None and window.has(seen[0]):
        tally.add("proposals", seen[1]["responsible"], 1)
        tally.add("proposals_per_sale", seen[1]["responsible"], 1)
    winner: tuple[str, int] | None = None
    for moment, told in history:
        if told["stage"] == "142" and winner is None:
            winner = (told["responsible"], _touches(book, deal, moment))
            _sale(window, tally, moment, winner, 1)
        elif told["stage"] != "142" and winner is not None:
            _sale(window, tally, moment, winner, -1)
            winner = None


def _sale(window: Window, tally: Tally, at: int, winner: tuple[str, int], sign: int) -> None:
    if window.has(at):
        seller, touches = winner
        tally.add("touches_per_sale", seller, sign * touches, sign)
        tally.add("minutes_per_sale", seller, 0, sign)
        tally.add("proposals_per_sale", seller, 0, sign)


def _touches(book: Book, deal: str, until: int) -> int:
    tries, talks, last = 0, 0, None
    for _, call in book.calls_of(deal):
        if call["started_at"] > until:
            continue
        if call["direction"] == "out" and is_human(call["author"]):
            tries += last is None or call["started_at"] - last > 600
            last = call["started_at"]
        talks += call["answered"] and call["seconds"] >= 10
    return tries + talks


def _meetings(book: Book, window: Window, tally: Tally) -> None:
    for _, history in book.living_tasks():
        held = False
        for moment, told in history:
            now = told["task_kind"] == "2" and not told["is_open"] and bool(told.get("result"))
            if now != held and window.has(moment):
                tally.add("meetings", told["responsible"], 1 if now else -1)
            held = now
    for history in book.tasks.values():
        last = history[-1][1]
        begin, end = last.get("starts_at"), last.get("ends_at")
        if last["task_kind"] != "2" or begin is None or end is None or last.get("deleted"):
            continue
        if last.get("closed_at") is None or last["closed_at"] > begin:
            seconds = max(0, min(end, window.end) - max(begin, window.start))
            tally.add("selling_time_share", last["responsible"], seconds)


def _days(book: Book, window: Window, tally: Tally) -> None:
    acts: set[tuple[Any, str]] = set()
    for moment, who in _acts(book):
        if is_human(who) and window.has(moment) and hours(who, day_of(moment)):
            acts.add((day_of(moment), who))
    for _, who in acts:
        tally.add("active_days", who, 1)
    for seller in SELLERS:
        tally.add("selling_time_share", seller, 0, worked(seller, window.start, window.end))


def _acts(book: Book) -> Iterator[tuple[int, str]]:
    for history in book.deals.values():
        yield from ((moment, told["author"]) for moment, told in history)
    for call in book.calls.values():
        if call["direction"] == "out" or call["answered"]:
            yield call["started_at"], call["author"]
    for note in book.notes.values():
        yield note["created_at"], note["author"]
    for history in book.tasks.values():
        before = history[0][1]
        yield before["created_at"], before["created_by"]
        for moment, told in history[1:]:
            if before["is_open"] and not told["is_open"]:
                yield moment, told["author"]
            if told["due_at"] > before["due_at"]:
                yield moment, told["author"]
            before = told
