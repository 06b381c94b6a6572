"""Tasks counted from bare facts (kpis.md 5), and levels of violations."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.kpi.oracle.activity import Counted, Tally, results, wrote
from tests.kpi.oracle.bureau import (
    OPEN,
    SAYS,
    Book,
    History,
    Image,
    Window,
    image,
    is_human,
    worked,
)

Row = Mapping[str, Any]


def count(book: Book, rows: Sequence[Row], window: Window) -> Counted:
    """All figures of a window; `rows`: the violations as they are stored."""
    tally = Tally(book)
    for _, history in book.living_tasks():
        _task(book, history, window, tally)
    for deal, history in book.deals.items():
        if book.counts(deal):
            _deal(book, deal, history, window, tally)
    for row in rows:
        _violation(book, row, window, tally)
    return tally.found


def _task(book: Book, history: History, window: Window, tally: Tally) -> None:
    first, last = history[0][1], history[-1][1]
    deal, made = last["deal"], first["created_at"]
    if window.has(made):
        place: Any = {"at": made, "deal": deal}
        author = first["created_by"] if is_human(first["created_by"]) else ""
        tally.add("tasks_set_by_author", author, 1, **place)
        by_robot = int(first["created_by"] == "0")
        tally.add("tasks_set", first["responsible"], 1, **place)
        tally.add("tasks_set_by_robot", first["responsible"], by_robot, **place)
    is_open = True
    for moment, told in history:
        if told["is_open"] != is_open and window.has(moment):
            sign = -1 if told["is_open"] else 1
            tally.add("tasks_done", told["responsible"], sign, at=moment, deal=deal)
        is_open = told["is_open"]
    due, promise, closed = last["due_at"], first["due_at"], last.get("closed_at")
    if window.has(due):
        seller = image(history, due)["responsible"]
        tally.add("tasks_on_time", seller, int(closed is not None and closed <= due), 1,
                  at=due, deal=deal)  # fmt: skip
        tally.add("postponement_rate", seller, 0, 1, at=due, deal=deal)
    if window.has(promise):
        seller = image(history, promise)["responsible"]
        in_time = closed is not None and closed <= promise
        has_result = closed is not None and _is_traced(book, last, closed)
        says = last["text"] == SAYS
        for slug, holds in (
            ("tasks_on_time_first_deadline", in_time), ("tasks_quality_with_result", has_result),
            ("tasks_quality_with_text", says),
            ("tasks_quality", in_time and has_result and says),
        ):  # fmt: skip
            tally.add(slug, seller, int(holds), 1, at=promise, deal=deal)
    for moment in _postponed(history):
        if window.has(moment):
            seller = image(history, moment)["responsible"]
            tally.add("postponement_rate", seller, 1, at=moment, deal=deal)


def _is_traced(book: Book, last: Image, closed: int) -> bool:
    """A note, result, talk, move of the deal or next task from an hour before the end on."""
    return any(moment >= closed - 3600 for moment in _signs(book, last))


def _signs(book: Book, last: Image) -> Iterator[int]:
    """Whatever says what came of a task, on its deal."""
    deal = last["deal"]
    for note in book.notes.values():
        if note["deal"] == deal and len(note["text"]) > 10 and is_human(note["author"]):
            yield note["created_at"]
    for _, call in book.calls_of(deal):
        if call["answered"] and call["seconds"] >= 10 and is_human(call["author"]):
            yield call["started_at"]
    yield from (moment for moment, _ in wrote(book, deal))
    for (_, before), (moment, told) in pairwise(book.deals[deal]):
        if told["stage"] != before["stage"]:
            yield moment
    for history in book.tasks.values():
        if history[0][1]["deal"] == deal:
            yield from _of_task(history, history[-1][1] is last)


def _of_task(history: History, is_own: bool) -> Iterator[int]:
    """A task that says what to do, and the result of any task."""
    first = history[0][1]
    if first["text"] == SAYS and not is_own and is_human(first["created_by"]):
        yield first["created_at"]
    for moment, told in results(history):
        if is_human(told["closed_by"] or told["responsible"]):
            yield moment


def _postponed(history: History) -> list[int]:
    seller = history[-1][1]["responsible"]
    found: list[int] = []
    for (_, before), (moment, told) in pairwise(history):
        if told["due_at"] <= before["due_at"] or not is_human(told["author"]):
            continue
        if found and moment - found[-1] <= 600:
            continue
        if moment >= before["due_at"] or worked(seller, moment, before["due_at"]) < 8 * 3600:
            found.append(moment)
    return found


def has_task(book: Book, deal: str, moment: int) -> bool:
    """Whether a deal has an open task at an instant."""
    for history in book.tasks.values():
        now = [told for when, told in history if when <= moment]
        if now and now[-1]["deal"] == deal and now[-1]["is_open"] and not now[-1].get("deleted"):
            return True
    return False


def cuts(book: Book, deal: str, window: Window) -> list[int]:
    """Instants between which nothing changes on a deal."""
    found = {window.start, window.end}
    found |= {moment for moment, _ in book.deals[deal]}
    for history in book.tasks.values():
        if history[0][1]["deal"] == deal:
            found |= {moment for moment, _ in history}
    return sorted(moment for moment in found if window.start <= moment <= window.end)


def _deal(book: Book, deal: str, history: History, window: Window, tally: Tally) -> None:
    edges = cuts(book, deal, window)
    for left, right in pairwise(edges):
        now = image(history, left)
        if left >= history[0][0] and now["stage"] in OPEN:
            seconds = worked(now["responsible"], left, right)
            covered = seconds if has_task(book, deal, left) else 0
            place: Any = {"at": left, "deal": deal}
            tally.add("next_step_coverage", now["responsible"], covered, seconds, **place)
            if now["stage"] in {"20", "30"}:
                filled = seconds if "501" in now["fields"] else 0
                tally.add("card_completeness_avg", now["responsible"], filled, seconds, **place)


_LEVELS = {
    "task-overdue": ("tasks_overdue",),
    "deal-no-task": ("deals_without_task", "deals_without_task_share"),
    "deal-stuck": ("deals_stuck",),
}


def _violation(book: Book, row: Row, window: Window, tally: Tally) -> None:
    slugs = _LEVELS.get(row["rule"], ())
    if not slugs:
        return
    is_task = row["subject_kind"] == "task"
    history = (book.tasks if is_task else book.deals)[row["subject_id"]]
    end = row["resolved_at"] or 1 << 60
    # A task counts where its deal was at the breach, a deal where it is.
    seen = row["breach_at"] if is_task else window.moment
    place: Any = {"at": window.moment, "deal": row["deal"], "seen": seen}
    if row["breach_at"] <= window.moment < end:
        now = image(history, window.moment)
        for slug in slugs:
            tally.add(slug, now["responsible"], 1, **place)
        if row["rule"] == "deal-stuck":
            tally.add("deals_stuck_value", now["responsible"], now["amount"], **place)
    if is_task and window.has(row["breach_at"]) and row["breach_at"] < end:
        breach: Any = {"at": row["breach_at"], "deal": row["deal"]}
        tally.add("became_overdue", row["seller"], 1, **breach)
    _lasting(book, row, history, window, tally)


def _lasting(book: Book, row: Row, history: History, window: Window, tally: Tally) -> None:
    """The hours of an overdue task, and the average of each level."""
    is_task = row["subject_kind"] == "task"
    average = f"{_LEVELS[row['rule']][0]}_avg"
    for left, right in _stretches(row, history, window.start, window.end):
        who = image(history, left)["responsible"]
        seen = row["breach_at"] if is_task else left
        place: Any = {"at": left, "deal": row["deal"], "seen": seen}
        tally.add(average, who, worked("", left, right), **place)
    for left, right in _stretches(row, history, window.start, window.end) if is_task else ():
        who = image(history, left)["responsible"]
        place = {"at": left, "deal": row["deal"], "seen": row["breach_at"]}
        tally.add("overdue_hours", who, worked(who, left, right), **place)


def _stretches(row: Row, history: History, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Pieces of a violation inside a span in which its subject does not change."""
    begin, end = max(row["breach_at"], start), min(row["resolved_at"] or 1 << 60, stop)
    if begin < end:
        yield from pairwise(sorted({begin, end} | {m for m, _ in history if begin < m < end}))
