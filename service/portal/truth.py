"""The department's own bookkeeping: what Dozor should say, counted a second, independent way.

Everything is read off the journal and computed anew for each question, by stepping through states;
working time is counted with a loop over days of its own. No code of the rules or figures is shared.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.portal.book import Book, Call, Deal, Inquiry, Message, Note, Task
from service.portal.neglect import Check, Deadline, more_checks
from service.portal.worktime import NEVER, after_days, after_work

LIMIT = 50
SEVERITY = {
    "task-overdue": "warning", "deal-no-task": "warning", "deal-stuck": "warning",
    "card-incomplete": "warning", "deal-no-first-touch": "critical",
    "deal-lost-no-reason": "warning", "call-without-note": "warning",
    "seller-too-many-deals": "critical", "task-overdue-long": "critical",
    "deal-left-in-first-stage": "warning", "deal-too-old": "warning",
    "deal-no-amount": "warning", "deal-won-without-amount": "critical",
    "deal-no-contact": "warning", "deal-too-few-attempts": "warning",
    "deal-lost-untouched": "warning", "lead-not-processed": "critical",
    "deal-client-waits": "critical",
}  # fmt: skip
SHORT_TEXTS = {"ок", "перезвонить", "звонок", "тест", "связаться"}


@dataclass(frozen=True)
class Interval:
    """A violation: rule, subject as the CRM numbers it, seller at the breach, from, to."""

    rule: str
    kind: str
    subject: str
    seller: int | str
    breach_at: datetime
    resolved_at: datetime | None

    def open_at(self, at: datetime) -> bool:
        """Whether it is open at an instant."""
        return self.breach_at <= at and (self.resolved_at is None or at < self.resolved_at)


# --- histories from the journal -------------------------------------------------------------------


class History:
    """The journal sorted out: images of each deal and task in order, calls and notes by deal."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.kind = "amocrm" if any(p.id == "31" for p in book.pipelines.values()) else "bitrix24"
        self.deals: dict[int, list[tuple[datetime, Deal]]] = defaultdict(list)
        self.tasks: dict[int, list[tuple[datetime, Task]]] = defaultdict(list)
        self.calls: list[Call] = []
        self.notes: list[Note] = []
        self.messages: list[Message] = []
        self.inquiries: dict[str, Inquiry] = {}
        self.inquiries_told: dict[str, list[tuple[datetime, Inquiry]]] = defaultdict(list)
        self._sort()
        self._by_deal()

    def _sort(self) -> None:
        for change in self.book.journal:
            entity = change.after
            if isinstance(entity, Deal):
                self.deals[entity.id].append((change.at, entity))
            elif isinstance(entity, Task):
                self.tasks[entity.id].append((change.at, entity))
            elif isinstance(entity, Call):
                self.calls.append(entity)
            elif isinstance(entity, Note):
                self.notes.append(entity)
            elif isinstance(entity, Message):
                self.messages.append(entity)
            elif isinstance(entity, Inquiry):
                self.inquiries[entity.uid] = entity
                self.inquiries_told[entity.uid].append((change.at, entity))

    def _by_deal(self) -> None:
        self.tasks_of: dict[int, list[int]] = defaultdict(list)
        for task_id, images in self.tasks.items():
            if images[0][1].deal_id is not None:
                self.tasks_of[images[0][1].deal_id].append(task_id)
        self.calls_of: dict[int, list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.deal_id is not None:
                self.calls_of[call.deal_id].append(call)
        self.messages_of: dict[int, list[Message]] = defaultdict(list)
        for message in self.messages:
            self.messages_of[message.deal_id].append(message)
        self.notes_of: dict[int, list[Note]] = defaultdict(list)
        for note in self.notes:
            self.notes_of[note.deal_id].append(note)

    def stage_kind(self, deal: Deal) -> str:
        """open, won, lost or incoming."""
        return self.book.pipelines[deal.pipeline_id].stage(deal.stage_id).kind

    def deal_at(self, deal_id: int, at: datetime) -> Deal | None:
        """The image of a deal at an instant."""
        found = None
        for when, image in self.deals[deal_id]:
            if when <= at:
                found = image
        return found

    def task_at(self, task_id: int, at: datetime) -> Task | None:
        """The image of a task at an instant."""
        found = None
        for when, image in self.tasks[task_id]:
            if when <= at:
                found = image
        return found


# --- violations -----------------------------------------------------------------------------------


def intervals(book: Book) -> list[Interval]:
    """All violations that follow from the journal, also those that lie ahead."""
    history = History(book)
    found: list[Interval] = []
    for deal_id in history.deals:
        found += _of_deal(history, deal_id)
    for task_id in history.tasks:
        found += _overdue(history, task_id)
        found += _overdue(history, task_id, "task-overdue-long", lambda due: after_days(due, 1))
    for call in history.calls:
        found += _silent_call(history, call)
    return found + _overloads(history) + _unsorted(history)


def _unsorted(history: History) -> list[Interval]:
    """Inquiries that wait longer than half an hour of work."""
    found = []
    for images in history.inquiries_told.values():
        first = images[0][1]
        breach = after_work(first.created_at, 1800)
        ended = next((at for at, image in images if image.outcome != "new"), None)
        if ended is None or ended > breach:
            who = first.responsible or ""
            found.append(Interval("lead-not-processed", "lead", first.uid, who, breach, ended))
    return found


def _of_deal(history: History, deal_id: int) -> list[Interval]:
    marks = {when for when, _ in history.deals[deal_id]}
    for task_id in history.tasks_of[deal_id]:
        marks |= {when for when, _ in history.tasks[task_id]}
    marks |= {call.started_at for call in history.calls_of[deal_id]}
    marks |= {message.sent_at for message in history.messages_of[deal_id]}
    born = history.deals[deal_id][0][0]
    instants = sorted(mark for mark in marks if mark >= born)

    def open_tasks(at: datetime) -> int:
        images = [history.task_at(t, at) for t in history.tasks_of[deal_id]]
        return sum(1 for t in images if t and t.done_at is None and t.deleted_at is None)

    def is_open(deal: Deal) -> bool:
        return history.stage_kind(deal) == "open" and deal.deleted_at is None

    def touched(at: datetime) -> bool:
        return any(
            call.started_at <= at
            and (call.direction == "out" or (call.answered and call.seconds >= 10))
            for call in history.calls_of[deal_id]
        ) or any(message.sent_at <= at for message in history.messages_of[deal_id])

    checks: list[tuple[str, Check, Deadline]] = [
        ("deal-no-task", lambda d, at: is_open(d) and open_tasks(at) == 0,
         lambda _d, held, _at: after_work(held, 3600)),
        ("deal-stuck", lambda d, _: is_open(d),
         lambda d, _held, _at: after_days(d.stage_entered_at, 5)),
        ("deal-no-first-touch", lambda d, at: is_open(d) and not touched(at),
         lambda d, _held, _at: after_work(d.created_at, 1800)),
    ]  # fmt: skip
    if history.kind == "amocrm":
        checks += [
            ("card-incomplete", lambda d, _: is_open(d) and _lacks(history, d),
             lambda _d, held, _at: after_work(held, 3600)),
            ("deal-lost-no-reason",
             lambda d, _: history.stage_kind(d) == "lost" and d.loss_reason_id is None,
             lambda d, _held, _at: after_work(d.closed_at or born, 3600)),
        ]  # fmt: skip
    checks += more_checks(history, deal_id)
    found: list[Interval] = []
    for rule, check, deadline in checks:
        found += _step(history, deal_id, instants, rule, check, deadline)
    return found


def _lacks(history: History, deal: Deal) -> bool:
    stages = history.book.pipelines[deal.pipeline_id].stages
    place = next(s.sort for s in stages if s.id == deal.stage_id)
    have = {number for number, value in deal.fields if value.strip()}
    for number, places in history.book.required.items():
        for pipeline_id, stage_id in places:
            asked = next(s.sort for s in stages if s.id == stage_id)
            if pipeline_id == deal.pipeline_id and place >= asked and number not in have:
                return True
    return False


def _step(
    history: History,
    deal_id: int,
    instants: list[datetime],
    rule: str,
    check: Check,
    deadline: Deadline,
) -> list[Interval]:
    """Walk from change to change; a violation begins at the deadline or at the change."""
    found: list[Interval] = []
    held: datetime | None = None
    running: tuple[datetime, int] | None = None
    for index, at in enumerate(instants):
        deal = history.deal_at(deal_id, at)
        following = instants[index + 1] if index + 1 < len(instants) else NEVER
        if deal is None or not check(deal, at):
            held = None
            begins = NEVER
        else:
            held = at if held is None else held
            begins = max(deadline(deal, held, at), at)
        if running is not None and begins > at:
            found.append(Interval(rule, "deal", str(deal_id), running[1], running[0], at))
            running = None
        if running is None and deal is not None and begins < following:
            running = (begins, deal.responsible)
    if running is not None:
        found.append(Interval(rule, "deal", str(deal_id), running[1], running[0], None))
    return found


def _overdue(
    history: History,
    task_id: int,
    rule: str = "task-overdue",
    grace: Callable[[datetime], datetime] = lambda due: due,
) -> list[Interval]:
    name = str(task_id) if history.kind == "amocrm" else f"t{task_id}"
    images = history.tasks[task_id]
    found: list[Interval] = []
    running: tuple[datetime, int] | None = None
    for index, (at, task) in enumerate(images):
        following = images[index + 1][0] if index + 1 < len(images) else NEVER
        waits = task.done_at is None and task.deleted_at is None
        begins = max(grace(task.due_at), at) if waits else NEVER
        if running is not None and begins > at:
            found.append(Interval(rule, "task", name, running[1], running[0], at))
            running = None
        if running is None and begins < following:
            running = (begins, task.responsible)
    if running is not None:
        found.append(Interval(rule, "task", name, running[1], running[0], None))
    return found


def _letters(text: str) -> int:
    return sum(1 for letter in text if letter.isalpha())


def _says_something(text: str) -> bool:
    words = {word for word in text.lower().split() if any(c.isalnum() for c in word)}
    return _letters(text) >= 10 and len(words) >= 2 and text.lower() not in SHORT_TEXTS


def _traces(history: History, deal_id: int, who: int) -> list[datetime]:
    found = [
        note.created_at
        for note in history.notes_of[deal_id]
        if note.author == who and _letters(note.text) >= 10
    ]
    found += [
        message.sent_at
        for message in history.messages_of[deal_id]
        if message.direction == "out" and message.author == who
    ]
    for task_id in history.tasks_of[deal_id]:
        first = history.tasks[task_id][0][1]
        if first.created_by == who and _says_something(first.text):
            found.append(first.created_at)
        for _, task in history.tasks[task_id]:
            told = history.kind == "amocrm" and task.result_text  # Bitrix24 lists no results
            if task.done_at is not None and told and task.updated_by == who:
                found.append(task.done_at)
    return sorted(found)


def _silent_call(history: History, call: Call) -> list[Interval]:
    if not call.answered or call.seconds < 30 or call.deal_id is None:
        return []
    ended = call.started_at + timedelta(seconds=call.seconds)
    trace = next(
        (t for t in _traces(history, call.deal_id, call.author) if t >= call.started_at), None
    )
    breach = after_work(ended, 3600)
    if trace is not None and trace <= breach:
        return []
    return [Interval("call-without-note", "call", f"c{call.id}", call.author, breach, trace)]


def _overloads(history: History) -> list[Interval]:
    steps: list[tuple[datetime, int, int]] = []
    for images in history.deals.values():
        owner: int | None = None
        for at, deal in images:
            now = deal.responsible if history.stage_kind(deal) == "open" else None
            if now != owner:
                if owner is not None:
                    steps.append((at, owner, -1))
                if now is not None:
                    steps.append((at, now, 1))
            owner = now
    found: list[Interval] = []
    for seller in sorted({who for _, who, _ in steps}):
        runs = _runs([(at, delta) for at, who, delta in steps if who == seller])
        found += [
            Interval("seller-too-many-deals", "seller", str(seller), seller, begin, end)
            for begin, end in runs
        ]
    return found


def _runs(steps: list[tuple[datetime, int]]) -> list[tuple[datetime, datetime | None]]:
    """Stretches above the limit; gaps of under half an hour are none."""
    by_instant: dict[datetime, int] = defaultdict(int)
    for at, delta in steps:
        by_instant[at] += delta
    runs: list[tuple[datetime, datetime | None]] = []
    level, begin = 0, None
    for at in sorted(by_instant):
        level += by_instant[at]
        if level > LIMIT and begin is None:
            begin = at
            if runs and runs[-1][1] is not None and at - runs[-1][1] < timedelta(minutes=30):
                begin = runs.pop()[0]
        elif level <= LIMIT and begin is not None:
            runs.append((begin, at))
            begin = None
    if begin is not None:
        runs.append((begin, None))
    return runs


def open_at(book: Book, at: datetime) -> set[tuple[str, str, str, datetime]]:
    """(rule, kind, subject, breach) of everything open at an instant, from what is known now."""
    return {(v.rule, v.kind, v.subject, v.breach_at) for v in intervals(book) if v.open_at(at)}


def report(book: Book, params: dict[str, str]) -> dict[str, object]:
    """What the control interface tells (see `service.portal.report`)."""
    from service.portal.report import report as whole

    return whole(book, params)
