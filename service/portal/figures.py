"""The department's own figures by seller and local day, counted from the journal alone."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from service.portal.book import Book
from service.portal.truth import History, intervals
from service.portal.worktime import ZONE

SUMS = (
    "inquiries", "deals_created", "deals_won", "deals_lost", "lost_target", "receipts",
    "won_with_amount", "calls", "talk_seconds", "tasks_set", "tasks_done", "tasks_due",
    "tasks_due_done", "messages_in", "messages_out",
)  # fmt: skip
LEVELS = ("tasks_overdue", "deals_open")

Figures = dict[tuple[str, int | None], int]


class Add(Protocol):
    """Adds to a figure of a seller at an instant."""

    def __call__(self, metric: str, at: datetime, seller: int | None, value: int = 1) -> None:
        """Add `value`."""


def day_of(at: datetime) -> date:
    """The local date of an instant."""
    return at.astimezone(ZONE).date()


def day_end(on: date) -> datetime:
    """The first instant after a local date."""
    return datetime.combine(on + timedelta(days=1), time(), ZONE).astimezone(UTC)


def by_day(book: Book, until: datetime) -> dict[date, Figures]:
    """Sums by day: (metric, seller) -> value; nothing later than `until` counts."""
    history = History(book)
    days: dict[date, Figures] = defaultdict(lambda: defaultdict(int))

    def add(metric: str, at: datetime, seller: int | None, value: int = 1) -> None:
        if at <= until:
            days[day_of(at)][metric, seller] += value

    _inflow(history, add)
    for deal_id in history.deals:
        _outcomes(history, deal_id, add)
    for call in history.calls:
        add("calls", call.started_at, call.author)
        if call.answered:
            add("talk_seconds", call.started_at, call.author, call.seconds)
    for message in history.messages:
        deal = history.deal_at(message.deal_id, message.sent_at)
        who = deal.responsible if deal is not None else None
        if message.direction == "in":
            add("messages_in", message.sent_at, who)
        else:
            add("messages_out", message.sent_at, message.author)
    _tasks(history, add)
    return days


def _inflow(history: History, add: Add) -> None:
    for inquiry in history.inquiries.values():
        images = history.deals.get(inquiry.deal_id or 0)
        add("inquiries", inquiry.created_at, images[0][1].responsible if images else None)
    for deals in history.deals.values():
        at, first = deals[0]
        add("deals_created", at, first.responsible)
        if first.inquiry_uid is None:
            add("inquiries", at, first.responsible)


def _outcomes(history: History, deal_id: int, add: Add) -> None:
    spam = {number for number, name in history.book.loss_reasons.items() if "спам" in name.lower()}
    was, counted, amount, closer = "open", False, 0, 0
    for at, deal in history.deals[deal_id]:
        now = history.stage_kind(deal)
        if now != was and was == "won":
            add("deals_won", at, closer, -1)
            if amount:
                add("receipts", at, closer, -amount * 100)
                add("won_with_amount", at, closer, -1)
            amount = 0
        if now != was and was == "lost":
            add("deals_lost", at, closer, -1)
            if counted:
                add("lost_target", at, closer, -1)
            counted = False
        if now != was and now in {"won", "lost"}:
            closer = deal.responsible
            add("deals_won" if now == "won" else "deals_lost", at, closer)
        if now == "won" and deal.amount != amount:
            add("receipts", at, closer, (deal.amount - amount) * 100)
            add("won_with_amount", at, closer, (deal.amount > 0) - (amount > 0))
            amount = deal.amount
        target = now == "lost" and deal.loss_reason_id not in spam
        if now == "lost" and target != counted:
            add("lost_target", at, closer, 1 if target else -1)
            counted = target
        was = now


def _tasks(history: History, add: Add) -> None:
    for images in history.tasks.values():
        first, last = images[0][1], images[-1][1]
        add("tasks_set", first.created_at, first.responsible)
        if last.done_at is not None:
            add("tasks_done", last.done_at, last.responsible)
        owner = first.responsible
        for at, task in images:
            if at <= last.due_at:
                owner = task.responsible
        add("tasks_due", last.due_at, owner)
        if last.done_at is not None and last.done_at <= last.due_at:
            add("tasks_due_done", last.due_at, owner)


def levels(book: Book, at: datetime) -> Figures:
    """(metric, seller) -> level just before or at an instant."""
    history = History(book)
    found: Figures = defaultdict(int)
    for deal_id in history.deals:
        deal = history.deal_at(deal_id, at)
        if deal is not None and history.stage_kind(deal) == "open":
            found["deals_open", deal.responsible] += 1
    for violation in intervals(book):
        if violation.rule == "task-overdue" and violation.open_at(at):
            task_id = int(violation.subject.removeprefix("t"))
            task = history.task_at(task_id, at)
            if task is not None:
                found["tasks_overdue", task.responsible] += 1
    return found
