"""A sales department that misbehaves on purpose: late tasks, no next step, empty cards, overload.

Deterministic for a seed. `populate` writes history into a book; `live` yields what happens next, in
order of time, for the driver to do when the clock gets there. What each deal goes through is a
small script drawn when the deal is born; two changes of one entity are at least eleven minutes
apart and nothing is undone within ten minutes: Bitrix24 shows only the present state when asked.
History holds only what REST can tell afterwards: inquiries of amoCRM are declined and reasons added
later only while it lives.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from service.portal.book import Book, Call, Contact, Deal, Inquiry, Note, Task, User
from service.portal.cast import (
    ADMIN,
    DROWNING,
    FIRST_SELLER,
    INN,
    NOTES,
    PIPELINES,
    REASONS,
    SELLERS,
    STREETS,
    TASK_TEXTS,
    THINGS,
    ZONE,
)
from service.portal.letters import correspond

GAP = timedelta(minutes=11)
READING = timedelta(hours=9)
MOST_OPEN = 50

Action = Callable[[], None]


@dataclass(order=True)
class _Planned:
    at: datetime
    order: int
    do: Action = field(compare=False)


class Department:
    """Sellers at work on one book."""

    def __init__(self, book: Book, kind: str, seed: int, *, live: bool) -> None:
        self.book = book
        self.kind = kind
        self.live = live
        self.random = random.Random(f"{kind}:{seed}:{live}")
        self.pipeline = PIPELINES[kind]
        self.open_stages = [s.id for s in self.pipeline.stages if s.kind == "open"]
        self.won = next(s.id for s in self.pipeline.stages if s.kind == "won")
        self.lost = next(s.id for s in self.pipeline.stages if s.kind == "lost")
        self.began: datetime | None = None
        self._queue: list[_Planned] = []
        self._order = 0
        self._touched: dict[tuple[str, int], datetime] = {}

    # --- agenda ---------------------------------------------------------------------------------

    def plan(self, at: datetime, do: Callable[[datetime], None]) -> None:
        """Put something on the agenda; it will be told its instant."""
        self._order += 1
        at = at.replace(microsecond=0)
        heapq.heappush(self._queue, _Planned(at, self._order, partial(do, at)))

    def run(self, until: datetime | None) -> Iterator[tuple[datetime, Action]]:
        """What happens, in order of time; ends at `until`."""
        while self._queue and (until is None or self._queue[0].at < until):
            planned = heapq.heappop(self._queue)
            yield planned.at, planned.do

    def after(self, at: datetime, low: float, high: float) -> datetime:
        """Some minutes later, at an odd second."""
        return at + timedelta(seconds=round(self.random.uniform(low, high) * 60))

    def may_touch(self, kind: str, entity: int, at: datetime) -> bool:
        """Whether an entity was left alone long enough; remembers this touch if so."""
        last = self._touched.get((kind, entity))
        if last is not None and at - last < GAP:
            return False
        self._touched[kind, entity] = at
        return True

    # --- people ---------------------------------------------------------------------------------

    @property
    def sellers(self) -> list[int]:
        """Ids of those who sell."""
        return [FIRST_SELLER + n for n in range(len(SELLERS))]

    def seller(self) -> int:
        """Who gets the next deal: the drowning one gets too many."""
        weights = [3 if who == DROWNING else 1 for who in self.sellers]
        return self.random.choices(self.sellers, weights)[0]

    def hire(self, at: datetime) -> None:
        """Put users, pipeline, reasons and fields into the book."""
        self.book.pipelines[self.pipeline.id] = self.pipeline
        self.book.edit_user(User(ADMIN, "Смирнова Ольга", 0, is_admin=True), at, 0)
        for number, name in enumerate(SELLERS):
            self.book.edit_user(User(FIRST_SELLER + number, name, 1 + number % 2), at, 0)
        self.book.loss_reasons |= REASONS
        self.book.field_names[INN] = "ИНН"
        if self.kind == "amocrm":
            self.book.required[INN] = ((self.pipeline.id, "3120"),)

    # --- what happens ---------------------------------------------------------------------------

    def arrive(self, at: datetime) -> None:
        """A new deal; sometimes over an inquiry that waits to be accepted first."""
        if self.random.random() < 0.15:
            self._inquire(at)
        else:
            self.begin(self._new_deal(at, self.seller(), 0), at)

    def _inquire(self, at: datetime) -> None:
        number = self.book.next_id()
        uid = f"{number:040x}" if self.kind == "amocrm" else str(number)
        self.book.inquire(
            Inquiry(uid, number, "forms", "Сайт", self.pipeline.id, at, at, f"Заявка {number}")
        )
        heard = self.kind == "bitrix24" or self._is_watched(at)
        then = self.after(at, 12, 50 if heard else 29)  # amoCRM tells no past of those accepted
        if self.random.random() < 0.2 and heard:
            self.plan(then, lambda now: self._decline(uid, now))
        else:
            self.plan(then, lambda now: self._accept(uid, now))

    def _accept(self, uid: str, at: datetime) -> None:
        who = self.seller()
        deal = self._make_deal(at, who, who, uid)
        self.book.accept_inquiry(uid, deal, at, who)
        self._touched["deal", deal.id] = at
        self.begin(deal, at)

    def _decline(self, uid: str, at: datetime) -> None:
        self.book.decline_inquiry(uid, at, self.random.choice(self.sellers))

    def _new_deal(self, at: datetime, who: int, author: int) -> Deal:
        deal = self.book.create_deal(self._make_deal(at, who, author, None))
        self._touched["deal", deal.id] = at
        return deal

    def _make_deal(self, at: datetime, who: int, author: int, uid: str | None) -> Deal:
        contact = Contact(
            self.book.next_id(), "Клиент", "+79990000000" if self.random.random() < 0.8 else None,
            None, at, at,
        )  # fmt: skip
        self.book.edit_contact(contact, at, author)
        thing, street = self.random.choice(THINGS), self.random.choice(STREETS)
        card = None  # in amoCRM what waits is the deal itself
        if uid is not None and self.kind == "amocrm":
            card = self.book.inquiries[uid].id
        return Deal(
            card or self.book.next_id(), f"{thing}, ул. {street} {self.random.randint(1, 99)}",
            self.pipeline.id, self.open_stages[0],
            self.random.randint(20, 900) * 1000 if self.random.random() < 0.7 else 0,
            who, at, author, at, author, at, contact_ids=(contact.id,), inquiry_uid=uid,
        )  # fmt: skip

    def begin(self, deal: Deal, at: datetime) -> None:
        """Draw what will become of a deal."""
        if self.random.random() < 0.85:
            then = self.after(at, 3, 90)
            self.plan(then, lambda now: self._call(deal.id, now))
        if self.random.random() < 0.75:
            then = self.after(at, 5, 120)
            self.plan(then, lambda now: self._set_task(deal.id, now))
        correspond(self, deal.id, at)
        patience = 2.5 if deal.responsible == DROWNING else 1.0
        then = self.after(at, 700 * patience, 9000 * patience)
        self.plan(then, lambda now: self._move_on(deal.id, now))

    def open(self, deal_id: int) -> Deal | None:
        """A deal, if it is open."""
        deal = self.book.deals[deal_id]
        kind = self.pipeline.stage(deal.stage_id).kind
        return deal if kind == "open" and deal.deleted_at is None else None

    def _call(self, deal_id: int, at: datetime) -> None:
        deal = self.book.deals[deal_id]
        answered = self.random.random() < 0.7
        seconds = self.random.randint(12, 700) if answered else 0
        call_id = self.book.next_id()
        end = at + timedelta(seconds=seconds)
        call = Call(
            call_id, deal_id, None, "out" if self.random.random() < 0.8 else "in", answered,
            seconds, at, deal.responsible, f"pbx.{call_id}", "+79990000000",
        )  # fmt: skip
        self.plan(end, lambda now: self._hang_up(call, now))

    def _hang_up(self, call: Call, at: datetime) -> None:
        self.book.call(call, at)
        if call.answered and call.deal_id is not None and self.random.random() < 0.6:
            deal_id, then = call.deal_id, self.after(at, 1, 100)
            self.plan(then, lambda now: self._write(deal_id, call.author, now))

    def _write(self, deal_id: int, who: int, at: datetime) -> None:
        text = self.random.choice(NOTES) if self.random.random() < 0.85 else "ок"
        self.book.note(Note(self.book.next_id(), deal_id, text, at, who))

    def _set_task(self, deal_id: int, at: datetime) -> None:
        deal = self.open(deal_id)
        if deal is None:
            return
        due = self.after(at, 60, 2400)
        due = due.replace(second=0)
        who = deal.responsible
        task = Task(
            self.book.next_id(), self.random.choice(TASK_TEXTS), 1, deal_id, who, at, who, at, who,
            due,
        )  # fmt: skip
        self.book.set_task(task)
        self._touched["task", task.id] = at
        luck = self.random.random()
        if luck < 0.55:
            then = max(self.after(at, 15, 15), self.after(due, -50, -2))
            self.plan(then, lambda now: self._finish(task.id, now))
        elif luck < 0.85:
            then = self.after(due, 20, 900)
            self.plan(then, lambda now: self._finish(task.id, now))
        elif luck < 0.95:
            then = self.after(due, -8, 240)
            self.plan(then, lambda now: self._postpone(task.id, now))

    def _finish(self, task_id: int, at: datetime) -> None:
        task = self.book.tasks[task_id]
        if task.done_at is not None or not self.may_touch("task", task_id, at):
            return
        result = self.random.choice(NOTES) if self.random.random() < 0.7 else None
        self.book.finish_task(task_id, at, task.responsible, result)
        if task.deal_id is not None and self.random.random() < 0.7:
            deal_id, then = task.deal_id, self.after(at, 1, 150)
            self.plan(then, lambda now: self._set_task(deal_id, now))

    def _postpone(self, task_id: int, at: datetime) -> None:
        task = self.book.tasks[task_id]
        if task.done_at is not None or not self.may_touch("task", task_id, at):
            return
        due = self.after(max(at, task.due_at), 300, 1500).replace(second=0)
        self.book.edit_task(task_id, at, task.responsible, due_at=due)
        then = self.after(due, -40, 400)
        self.plan(then, lambda now: self._finish(task_id, now))

    def _move_on(self, deal_id: int, at: datetime) -> None:
        """The next stage, the end, or another seller."""
        deal = self.open(deal_id)
        if deal is None:
            return
        if not self.may_touch("deal", deal_id, at):
            then = at + GAP
            self.plan(then, lambda now: self._move_on(deal_id, now))
            return
        place = self.open_stages.index(deal.stage_id)
        luck = self.random.random()
        if luck < 0.08 and (self.kind == "amocrm" or self._is_watched(at)):
            who = self.random.choice([s for s in self.sellers if s != deal.responsible])
            self.book.hand_over_deal(deal_id, who, at, ADMIN)
        elif luck < 0.30:
            self._lose(deal, at)
        elif place + 1 < len(self.open_stages):
            self.book.move_deal(deal_id, self.open_stages[place + 1], at, deal.responsible)
            self._fill_in(deal_id, at)
        else:
            self._win(deal, at)
        then = self.after(at, 600, 8000)
        self.plan(then, lambda now: self._move_on(deal_id, now))

    def _is_watched(self, at: datetime) -> bool:
        """Whether somebody who connected has read the history by now: told, or surely after hours.

        Bitrix24 cannot tell afterwards who had a deal before, amoCRM what was declined.
        """
        if self.book.watched is not None:
            return self.live and self.book.watched
        return self.live and self.began is not None and at - self.began > READING

    def _fill_in(self, deal_id: int, at: datetime) -> None:
        """The card gets its field in time, late, or never."""
        if self.kind != "amocrm" or self.random.random() < 0.3:
            return
        then = self.after(at, 15, 240)
        self.plan(then, lambda now: self._edit(deal_id, now, fields={INN: "7701234567"}))

    def _edit(
        self,
        deal_id: int,
        at: datetime,
        *,
        fields: dict[int, str] | None = None,
        amount: int | None = None,
        reason: int | None = None,
    ) -> None:
        deal = self.book.deals[deal_id]
        if reason is not None and self.pipeline.stage(deal.stage_id).kind != "lost":
            return
        if not self.may_touch("deal", deal_id, at):
            then = at + GAP
            self.plan(
                then,
                lambda now: self._edit(deal_id, now, fields=fields, amount=amount, reason=reason),
            )
            return
        self.book.edit_deal(
            deal_id, at, deal.responsible, fields=fields, amount=amount, loss_reason_id=reason
        )

    def _lose(self, deal: Deal, at: datetime) -> None:
        told = not self.live and self.random.random() < 0.6
        reason = self.random.choice(list(REASONS)) if told and self.kind == "amocrm" else None
        self.book.move_deal(deal.id, self.lost, at, deal.responsible, reason)
        if self.kind == "amocrm" and self.live and self.random.random() < 0.7:
            then = self.after(at, 12, 200)
            reason = self.random.choice(list(REASONS))
            self.plan(then, lambda now: self._edit(deal.id, now, reason=reason))
        if self.random.random() < 0.15 and reason is None:
            then = self.after(at, 300, 1500)
            self.plan(then, lambda now: self._reopen(deal.id, now))

    def _win(self, deal: Deal, at: datetime) -> None:
        self.book.move_deal(deal.id, self.won, at, deal.responsible)
        if self.random.random() < 0.2 and (self.kind == "amocrm" or self._is_watched(at)):
            then = self.after(at, 15, 300)
            amount = self.random.randint(20, 900) * 1000
            self.plan(then, lambda now: self._edit(deal.id, now, amount=amount))

    def _reopen(self, deal_id: int, at: datetime) -> None:
        deal = self.book.deals[deal_id]
        if self.open(deal_id) is not None or not self.may_touch("deal", deal_id, at):
            return
        self.book.move_deal(deal_id, self.open_stages[0], at, deal.responsible)
        then = self.after(at, 300, 3000)
        self.plan(then, lambda now: self._move_on(deal_id, now))


def populate(
    book: Book, *, kind: str, seed: int, deals: int, start: datetime, end: datetime
) -> None:
    """Write history of `[start, end)` into a book: about `deals` open deals at its end."""
    department = Department(book, kind, seed, live=False)
    department.hire(start)
    for _ in range(int(deals * 1.6)):
        at = _somewhere(department.random, start, end)
        department.plan(at, department.arrive)
    flood = end - timedelta(days=2)
    for number in range(MOST_OPEN):
        at = department.after(flood.replace(hour=8, minute=0), number * 6, number * 6 + 4)
        department.plan(at, partial(_give, department))
    for _, do in department.run(end):
        do()
    _AT_WORK[id(book)] = department


_AT_WORK: dict[int, Department] = {}
"""Departments between history and live: what is on their agenda goes on."""


def _give(department: Department, at: datetime) -> None:
    deal = department._new_deal(at, DROWNING, ADMIN)  # noqa: SLF001 - its own module
    department.begin(deal, at)


def _somewhere(chance: random.Random, start: datetime, end: datetime) -> datetime:
    """An instant mostly in working hours, now and then at night or on a weekend."""
    while True:
        day = start + timedelta(days=chance.uniform(0, (end - start).total_seconds() / 86400))
        local = day.astimezone(ZONE)
        minute = chance.randint(600, 1075) if chance.random() < 0.92 else chance.randint(0, 1439)
        at = local.replace(
            hour=minute // 60, minute=minute % 60, second=chance.randint(0, 59), microsecond=0
        ).astimezone(UTC)
        quiet = local.weekday() >= 5 and chance.random() < 0.9
        if start <= at < end and not quiet:
            return at


def live(book: Book, *, kind: str, seed: int, start: datetime) -> Iterator[tuple[datetime, Action]]:
    """What happens from `start` on, endlessly, in order of time."""
    department = _AT_WORK.pop(id(book), None) or Department(book, kind, seed, live=True)
    department.live = True
    department.began = start
    for day in range(10_000):
        first = start + timedelta(days=day)
        for _ in range(24):
            at = _somewhere(department.random, first, first + timedelta(days=1))
            department.plan(at, department.arrive)
        yield from department.run(first + timedelta(days=1))
