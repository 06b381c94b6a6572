"""Activity counted from bare facts (kpis.md 4): `{figure: {seller: [above, below]}}`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.kpi.oracle.bureau import (
    SAYS,
    SELLERS,
    Book,
    History,
    Image,
    Window,
    after_working,
    day_of,
    hours,
    image,
    is_human,
    worked,
)


class Where(NamedTuple):
    """Where something counts."""

    seller: str
    pipeline: str = ""
    stage: str = ""
    weekday: str = ""
    team: str | None = None


Counted = dict[str, dict[Where, list[int]]]


class Tally:
    """Adds up."""

    def __init__(self, book: Book) -> None:
        self.found: Counted = {}
        self._book = book

    def add(
        self, slug: str, seller: str, above: int = 0, below: int = 0,
        *, at: int = 0, deal: str = "", seen: int | None = None,
    ) -> None:  # fmt: skip
        """Something at an instant, where the deal was then (or when it was `seen`)."""
        place = self._book.place(deal, at if seen is None else seen) if deal else ("", "")
        self.put(slug, Where(seller, *place, str(day_of(at).isoweekday())), above, below)

    def put(self, slug: str, where: Where, above: int = 0, below: int = 0) -> None:
        cell = self.found.setdefault(slug, {}).setdefault(where, [0, 0])
        cell[0] += above
        cell[1] += below


def count(book: Book, window: Window) -> Counted:
    """All figures of a window."""
    tally = Tally(book)
    for deal in book.deals:
        if book.counts(deal):
            _calls(book, deal, window, tally)
            _sales(book, deal, window, tally)
    for note in book.notes.values():
        if book.counts(note["deal"]) and is_human(note["author"]):
            at = note["created_at"]
            tally.add("notes", note["author"], int(window.has(at)), at=at, deal=note["deal"])
    for message in book.messages.values():
        _message(book, message, window, tally)
    _meetings(book, window, tally)
    _days(book, window, tally)
    return tally.found


def _calls(book: Book, deal: str, window: Window, tally: Tally) -> None:
    for moment, who in attempts(book, deal):
        tally.add("dials", who, int(window.has(moment)), at=moment, deal=deal)
    for _, call in book.calls_of(deal):
        start, who, out = call["started_at"], call["author"], call["direction"] == "out"
        if not window.has(start):
            continue
        seconds = call["seconds"] if call["answered"] else 0
        answered = int(call["answered"])
        place: Any = {"at": start, "deal": deal}
        tally.add("calls", who, 1, **place)
        tally.add("calls_in", who, int(not out), **place)
        tally.add("calls_answered", who, answered, **place)
        tally.add("calls_missed", who, 1 - answered, **place)
        tally.add("talk_seconds", who, seconds, **place)
        tally.add("selling_time_share", who, seconds, **place)
        tally.add("calls_per_deal", who, 1, **place)
        tally.add("minutes_per_sale", who, seconds, **place)
        if out:
            tally.add("reach_rate", who, answered, 1, **place)
        if seconds >= 10:
            tally.add("talks", who, 1, **place)
            tally.add("average_talk", who, seconds, 1, **place)
        if seconds >= 30:
            tally.add("talk_documented", who, int(_documented(book, deal, call)), 1, **place)
        if not out and not call["answered"]:
            _missed(book, deal, start, window, tally)


def _message(book: Book, message: Image, window: Window, tally: Tally) -> None:
    at, deal = message["created_at"], message["deal"]
    if not window.has(at) or not book.counts(deal):
        return
    if message["direction"] == "in":
        seller = image(book.deals[deal], at)["responsible"]
        tally.add("messages_in", seller, 1, at=at, deal=deal)
    elif is_human(message["author"]):
        tally.add("messages_out", message["author"], 1, at=at, deal=deal)


def _missed(book: Book, deal: str, start: int, window: Window, tally: Tally) -> None:
    seller = image(book.deals[deal], start)["responsible"]
    over = after_working(seller, start, 1800)
    talked = [c["started_at"] for _, c in book.calls_of(deal) if c["seconds"] >= 10]
    talked += met(book, deal)
    back = any(start < moment <= over for moment in [*talked, *dict(tries(book, deal))])
    late = int(not back and over <= window.seen)
    tally.add("missed_calls", seller, 1, at=start, deal=deal)
    tally.add("missed_unreturned", seller, late, 1, at=start, deal=deal)


def tries(book: Book, deal: str) -> list[tuple[int, str]]:
    """Calls and messages to the client by people: when, by whom."""
    called = [(c["started_at"], c) for _, c in book.calls_of(deal)]
    written = [(m["created_at"], m) for m in book.messages.values() if m["deal"] == deal]
    return sorted(
        (moment, told["author"])
        for moment, told in [*called, *written]
        if told["direction"] == "out" and is_human(told["author"])
    )


def attempts(book: Book, deal: str) -> Iterator[tuple[int, str]]:
    """Those that did not follow another one within ten minutes."""
    last = None
    for moment, who in tries(book, deal):
        if last is None or moment - last > 600:
            yield moment, who
        last = moment


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
        for moment, told in results(history):
            yield moment, told["closed_by"] or told["responsible"]
    yield from wrote(book, deal)


def wrote(book: Book, deal: str) -> Iterator[tuple[int, str]]:
    """What people wrote to the client: when, by whom."""
    for message in book.messages.values():
        ours = message["direction"] == "out" and is_human(message["author"])
        if message["deal"] == deal and ours:
            yield message["created_at"], message["author"]


def results(history: History) -> Iterator[tuple[int, Image]]:
    """When a task was done with a result, or got another one."""
    before: Any = None
    for moment, told in history:
        now = (told.get("result"), told["is_open"])
        if told.get("result") and not told["is_open"] and now != before:
            yield moment, told
        before = now


def _documented(book: Book, deal: str, call: Image) -> bool:
    start, who = call["started_at"], call["author"]
    limit = after_working(who, start + call["seconds"], 3600)
    return any(start <= when <= limit and by == who for when, by in traces(book, deal))


def _sales(book: Book, deal: str, window: Window, tally: Tally) -> None:
    history = book.deals[deal]
    born, first = history[0]
    own: Any = {"at": born, "deal": deal}
    tally.add("calls_per_deal", first["responsible"], 0, int(window.has(born)), **own)
    if window.has(born):
        lived = len(book.calls_of(deal))
        tally.add("calls_per_deal_cohort", first["responsible"], lived, 1, **own)
    seen = next((h for h in history if h[1]["stage"] == "20"), None)
    if seen is not None and window.has(seen[0]):
        for slug in ("proposals", "proposals_per_sale"):
            tally.add(slug, seen[1]["responsible"], 1, at=seen[0], deal=deal)
    won: int | None = None
    for moment, told in history:
        if told["stage"] == "142" and won is None:
            won = moment
            _sale(book, deal, window, tally, moment, won, 1)
        elif told["stage"] != "142" and won is not None:
            _sale(book, deal, window, tally, moment, won, -1)
            won = None


def _sale(
    book: Book, deal: str, window: Window, tally: Tally, at: int, won: int, sign: int
) -> None:
    if window.has(at):
        seller = image(book.deals[deal], won)["responsible"]
        place: Any = {"at": at, "deal": deal, "seen": won}
        tally.add("touches_per_sale", seller, sign * _touches(book, deal, won), sign, **place)
        tally.add("minutes_per_sale", seller, 0, sign, **place)
        tally.add("proposals_per_sale", seller, 0, sign, **place)
        talked = sum(
            c["seconds"] for _, c in book.calls_of(deal) if c["answered"] and c["started_at"] <= won
        )
        tally.add("minutes_per_sale_cohort", seller, sign * talked, sign, **place)
        offered = any(told["stage"] == "20" for m, told in book.deals[deal] if m <= won)
        tally.add("proposals_per_sale_cohort", seller, sign * offered, sign, **place)


def _touches(book: Book, deal: str, until: int) -> int:
    tried = sum(1 for moment, _ in attempts(book, deal) if moment <= until)
    talks = [c for _, c in book.calls_of(deal) if c["answered"] and c["seconds"] >= 10]
    wrote = [m["created_at"] for m in book.messages.values()
             if m["deal"] == deal and m["direction"] == "in"]  # fmt: skip
    talked = [call["started_at"] for call in talks] + wrote + list(met(book, deal))
    return tried + sum(1 for moment in talked if moment <= until)


def met(book: Book, deal: str) -> Iterator[int]:
    """When somebody met the client: tasks of the kind that stand closed with a result."""
    for _, history in book.living_tasks():
        told = history[-1][1]
        closed = [moment for moment, picture in history if not picture["is_open"]]
        held = told["task_kind"] == "2" and not told["is_open"] and told.get("result")
        if told["deal"] == deal and held and is_human(told["closed_by"] or told["responsible"]):
            yield closed[-1]


def _meetings(book: Book, window: Window, tally: Tally) -> None:
    for _, history in book.living_tasks():
        held = False
        for moment, told in history:
            now = told["task_kind"] == "2" and not told["is_open"] and bool(told.get("result"))
            if now != held and window.has(moment):
                sign = 1 if now else -1
                tally.add("meetings", told["responsible"], sign, at=moment, deal=told["deal"])
            held = now
    for history in book.tasks.values():
        last = history[-1][1]
        begin, end = last.get("starts_at"), last.get("ends_at")
        if last["task_kind"] != "2" or begin is None or end is None or last.get("deleted"):
            continue
        if last.get("closed_at") is None or last["closed_at"] > begin:
            seconds = max(0, min(end, window.end) - max(begin, window.start))
            tally.add("selling_time_share", last["responsible"], seconds)
            tally.add("meeting_time", last["responsible"], seconds)


def _days(book: Book, window: Window, tally: Tally) -> None:
    acts: set[tuple[Any, str]] = set()
    for moment, who in _acts(book):
        if is_human(who) and window.has(moment) and hours(who, day_of(moment)):
            acts.add((day_of(moment), who))
    for on, who in acts:
        tally.put("active_days", Where(who, weekday=str(on.isoweekday())), 1)
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
