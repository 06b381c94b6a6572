"""Tasks counted from bare facts (kpis.md 5), and levels of violations."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.kpi.oracle.activity import Counted, Tally
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
    tally = Tally()
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
    if window.has(first["created_at"]):
        tally.add("tasks_set", first["responsible"], 1)
        tally.add("tasks_set_by_robot", first["responsible"], int(first["created_by"] == "0"))
    is_open = True
    for moment, told in history:
        if told["is_open"] != is_open and window.has(moment):
            tally.add("tasks_done", told["responsible"], -1 if told["is_open"] else 1)
        is_open = told["is_open"]
    due, promise, closed = last["due_at"], first["due_at"], last.get("closed_at")
    if window.has(due):
        seller = image(history, due)["responsible"]
        tally.add("tasks_on_time", seller, int(closed is not None and closed <= due), 1)
        tally.add("postponement_rate", seller, 0, 1)
    if window.has(promise):
        seller = image(history, promise)["responsible"]
        in_time = closed is not None and closed <= promise
        has_result = closed is not None and _is_traced(book, last, closed)
        says = last["text"] == SAYS
        tally.add("tasks_on_time_first_deadline", seller, int(in_time), 1)
        tally.add("tasks_quality", seller, int(in_time and has_result and says), 1)
        tally.add("tasks_quality_with_result", seller, int(has_result), 1)
        tally.add("tasks_quality_with_text", seller, int(says), 1)
    for moment in _postponed(history):
        if window.has(moment):
            tally.add("postponement_rate", image(history, moment)["responsible"], 1)


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
    for moment, told in history:
        if told.get("result") and not told["is_open"]:
            if is_human(told["closed_by"] or told["responsible"]):
                yield moment
            return


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
            tally.add("next_step_coverage", now["responsible"], covered, seconds)


_LEVELS = {
    "task-overdue": ("tasks_overdue",),
    "deal-no-task": ("deals_without_task", "deals_without_task_share"),
    "deal-stuck": ("deals_stuck",),
}


def _violation(book: Book, row: Row, window: Window, tally: Tally) -> None:
    slugs = _LEVELS.get(row["rule"], ())
    if not slugs:
        return
    histories = book.tasks if row["subject_kind"] == "task" else book.deals
    history = histories[row["subject_id"]]
    end = row["resolved_at"] or 1 << 60
    if row["breach_at"] <= window.moment < end:
        now = image(history, window.moment)
        for slug in slugs:
            tally.add(slug, now["responsible"], 1)
        if row["rule"] == "deal-stuck":
            tally.add("deals_stuck_value", now["responsible"], now["amount"])
    if row["rule"] == "task-overdue":
        edges = {max(row["breach_at"], window.start), min(end, window.end)}
        edges |= {m for m, _ in history if min(edges) < m < max(edges)}
        cut = sorted(edges)
        if row["breach_at"] < window.end and end > window.start:
            for left, right in pairwise(cut):
                who = image(history, left)["responsible"]
                tally.add("overdue_hours", who, worked(who, left, right))
