"""A random department as bare facts, and a second way of reading them: plain histories."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import msgspec

from service.domain.directory import Directory, Pipeline, Stage, TaskKind
from service.domain.facts import Fact, Kind
from tests import world

SELLERS = ("7", "9", "12")
LIMITS = {"7": 4, "9": 3, "12": 0}
DOCUMENT: dict[str, Any] = {
    "sellers": {
        "7": {"limit": 4},
        "9": {"limit": 3, "absent": [{"from": "2026-03-11", "to": "2026-03-12"}]},
        "12": {"limit": 0},
    },
    "rules": {"deal-stuck": {"for": "1wd"}},
    "teams": {"1": [7, {"id": 9, "to": "2026-03-09"}], "2": [12, {"id": 9, "from": "2026-03-10"}]},
}
MOVED = date(2026, 3, 10)  # from this day on seller 9 is in the other team
DIRECTORY: Directory = msgspec.structs.replace(
    world.DIRECTORY,
    pipelines=(
        *world.DIRECTORY.pipelines,
        Pipeline(
            id="32",
            name="Опт",
            stages=(
                Stage(id="40", name="Заявка", sort=10),
                *world.STAGES[-2:],
            ),
        ),
    ),
    task_kinds=(TaskKind(id="1", name="Звонок"), TaskKind(id="2", name="Встреча")),
)
SAYS = "Отправить договор на подпись до пятницы"
NOTHING = "ок"
OPEN = ("10", "20", "30", "40")
MOVES = {"31": ("10", "20", "30", "142", "143"), "32": ("40", "142", "143")}
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 15)


def at(day: int, minute: int) -> int:
    """An instant: so many days after 2 March, so many minutes after 9:00 in Moscow."""
    return world.moment("2026-03-02 09:00") + day * 86_400 + minute * 60


class _Chance(random.Random):
    def moments(self, count: int, first: int = 0) -> list[int]:
        """Instants in order, 20 minutes apart at least, between 9:00 and 19:00."""
        found = {at(self.randrange(14), 20 * self.randrange(30)) for _ in range(count)}
        return sorted(moment for moment in found if moment > first)


def bureau(seed: int, deals: int = 12) -> list[Fact]:
    """Deals with their moves, hand-overs, tasks, calls and notes."""
    chance = _Chance(seed)
    facts: list[Fact] = []
    for number in range(1, deals + 1):
        facts += _deal(chance, str(number))
    return facts


def _deal(chance: _Chance, deal: str) -> Iterator[Fact]:
    born = at(chance.randrange(6), 20 * chance.randrange(30))
    seller = chance.choice(SELLERS)
    pipeline = "32" if deal in {"3", "8", "11"} else "31"
    first = {
        "name": f"Сделка {deal}", "pipeline": pipeline, "stage": MOVES[pipeline][0],
        "responsible": seller,
        "created_at": born, "created_by": "0", "author": "0", "amount": 1000, "currency": "RUB",
        "fields": {},
    }  # fmt: skip
    yield Fact(Kind.DEAL, deal, born, first)
    for moment in chance.moments(7, born):
        pipeline = "31" if deal == "11" and moment > at(9, 0) else pipeline
        yield Fact(Kind.DEAL, deal, moment, _change(chance, pipeline))
    if deal == "5":
        yield Fact(Kind.DEAL, deal, at(13, 500), {"deleted": True, "author": "7"})
    for number in range(chance.randrange(4)):
        yield from _task(chance, f"{deal}0{number}", deal, born)
    for number in range(chance.randrange(9)):
        yield from _calls(chance, f"c{deal}.{number}", deal, born)
    for number, moment in enumerate(chance.moments(chance.randrange(3), born)):
        body = {
            "deal": deal, "direction": chance.choice(["in", "out"]), "created_at": moment,
            "author": chance.choice([*SELLERS, "0"]),
        }  # fmt: skip
        yield Fact(Kind.MESSAGE, f"m{deal}.{number}", moment, body)
    for number, moment in enumerate(chance.moments(chance.randrange(4), born)):
        text = chance.choice(["Клиент просит счёт и договор", NOTHING])
        body = {
            "deal": deal, "text": text, "author": chance.choice([*SELLERS, "0"]),
            "created_at": moment,
        }  # fmt: skip
        yield Fact(Kind.NOTE, f"n{deal}.{number}", moment, body)


def _change(chance: _Chance, pipeline: str) -> dict[str, Any]:
    author = chance.choice([*SELLERS, "0"])
    return {"author": author} | chance.choice([
        {"stage": chance.choice(MOVES[pipeline]), "pipeline": pipeline},
        {"responsible": chance.choice(SELLERS)},
        {"fields": chance.choice([{}, {"501": "7701"}])},
        {"amount": chance.choice([1000, 2000, 0])},
    ])  # fmt: skip


def _task(chance: _Chance, task: str, deal: str, born: int) -> Iterator[Fact]:
    moments = chance.moments(5, born)
    if not moments:
        return
    made = moments[0]
    first: dict[str, Any] = {
        "deal": deal, "text": chance.choice([SAYS, NOTHING]), "task_kind": chance.choice("12"),
        "responsible": chance.choice(SELLERS), "created_at": made,
        "created_by": chance.choice([*SELLERS, "0"]), "is_open": True,
        "due_at": at(chance.randrange(14), 7 + 20 * chance.randrange(30)),
    }  # fmt: skip
    if chance.random() < 0.5:
        begin = at(chance.randrange(14), 20 * chance.randrange(30))
        first |= {"starts_at": begin, "ends_at": begin + 3600}
    first["author"] = first["created_by"]
    yield Fact(Kind.TASK, task, made, first)
    for moment in moments[1:]:
        author = chance.choice([*SELLERS, "0"])
        body: dict[str, Any] = chance.choice([
            {"is_open": False, "result": chance.choice(["Договорились о встрече в среду", ""])},
            {"is_open": True},
            {"due_at": at(chance.randrange(14), 7 + 20 * chance.randrange(30))},
            {"responsible": chance.choice(SELLERS)},
        ])  # fmt: skip
        yield Fact(Kind.TASK, task, moment, {"deal": deal, "author": author} | body)
    if task.endswith("3"):
        yield Fact(Kind.TASK, task, at(13, 520), {"deal": deal, "deleted": True})


def _calls(chance: _Chance, call: str, deal: str, born: int) -> Iterator[Fact]:
    """A call, often with another one soon after it."""
    begin = at(chance.randrange(14), chance.randrange(600)) + chance.randrange(60)
    for number in range(chance.choice([1, 1, 2])):
        answered = chance.random() < 0.6
        seconds = chance.choice([4, 9, 10, 29, 30, 200]) if answered else 0
        started = begin + number * chance.choice([300, 600, 601, 1500])
        if started > born:
            body = {
                "deal": deal, "direction": chance.choice(["out", "out", "in"]),
                "answered": answered, "seconds": seconds, "started_at": started,
                "author": chance.choice([*SELLERS, "0"]),
            }  # fmt: skip
            yield Fact(Kind.CALL, f"{call}.{number}", started + seconds, body)
            if chance.random() < 0.4:
                written = started + chance.choice([250, 3900])
                note = {"deal": deal, "author": body["author"], "created_at": written,
                        "text": "Договорились созвониться в среду"}  # fmt: skip
                yield Fact(Kind.NOTE, f"n{call}.{number}", written, note)


def team_of(seller: str, on: date) -> str | None:
    """The team of a seller on a day."""
    return {"7": "1", "9": "2" if on >= MOVED else "1", "12": "2"}.get(seller)


# --- working time, in its own way -----------------------------------------------------------------

OFF = {date(2026, 3, 9)}


def day_of(moment: int) -> date:
    """The date in Moscow (three hours before UTC, no changes of clocks)."""
    return date(1970, 1, 1) + timedelta(days=(moment + 10_800) // 86_400)


def hours(seller: str, on: date) -> tuple[int, int] | None:
    """The working day of a seller, as instants."""
    away = seller == "9" and date(2026, 3, 11) <= on <= date(2026, 3, 12)
    if on.weekday() > 4 or on in OFF or away:
        return None
    midnight = (on - date(1970, 1, 1)).days * 86_400 - 10_800
    return midnight + 36_000, midnight + 64_800


def worked(seller: str, start: int, end: int) -> int:
    """Working seconds of `[start, end)`."""
    total, on = 0, day_of(start)
    while start < end and on <= day_of(end):
        day = hours(seller, on)
        if day is not None:
            total += max(0, min(end, day[1]) - max(start, day[0]))
        on += timedelta(days=1)
    return total


def after_working(seller: str, start: int, seconds: int) -> int:
    """The instant at which so many working seconds are used up."""
    left, on = seconds, day_of(start)
    while True:
        day = hours(seller, on)
        if day is not None and day[1] > start:
            begin = max(start, day[0])
            if day[1] - begin >= left:
                return begin + left
            left -= day[1] - begin
        on += timedelta(days=1)


# --- histories ------------------------------------------------------------------------------------

Image = Mapping[str, Any]
History = Sequence[tuple[int, Image]]


def image(history: History, moment: int) -> Image:
    """What is so at an instant; before the beginning: the first image."""
    found = history[0][1]
    for when, told in history:
        if when <= moment:
            found = told
    return found


@dataclass
class Book:
    """The facts, subject by subject."""

    deals: dict[str, list[tuple[int, Image]]] = field(default_factory=dict)
    tasks: dict[str, list[tuple[int, Image]]] = field(default_factory=dict)
    calls: dict[str, Image] = field(default_factory=dict)
    notes: dict[str, Image] = field(default_factory=dict)
    messages: dict[str, Image] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> "Book":
        """Read facts that are in order for each subject."""
        book = cls()
        for fact in facts:
            if fact.kind is Kind.CALL:
                book.calls[fact.id] = fact.body
            elif fact.kind is Kind.NOTE:
                book.notes[fact.id] = fact.body
            elif fact.kind is Kind.MESSAGE:
                book.messages[fact.id] = fact.body
            else:
                histories = book.deals if fact.kind is Kind.DEAL else book.tasks
                history = histories.setdefault(fact.id, [])
                told = dict(history[-1][1]) if history else {}
                told["author"] = None
                closing = told.get("is_open") is True and fact.body.get("is_open") is False
                told |= {k: v for k, v in fact.body.items() if not (k == "result" and not v)}
                if closing:
                    told |= {"closed_at": fact.at, "closed_by": fact.body.get("author")}
                elif told.get("is_open"):
                    told |= {"closed_at": None, "closed_by": None}
                history.append((fact.at, told))
        return book

    def counts(self, deal: str) -> bool:
        """Whether a deal is business: it was not deleted."""
        return not self.deals[deal][-1][1].get("deleted")

    def place(self, deal: str, moment: int) -> tuple[str, str]:
        """Pipeline and stage of a deal at an instant."""
        now = image(self.deals[deal], moment)
        return now["pipeline"], now["stage"]

    def calls_of(self, deal: str) -> list[tuple[str, Image]]:
        """Its calls by their start."""
        found = [(name, c) for name, c in self.calls.items() if c["deal"] == deal]
        return sorted(found, key=lambda pair: (pair[1]["started_at"], pair[0]))

    def living_tasks(self) -> Iterator[tuple[str, list[tuple[int, Image]]]]:
        """Tasks that count."""
        for name, history in self.tasks.items():
            last = history[-1][1]
            if not last.get("deleted") and self.counts(last["deal"]):
                yield name, history


def is_human(who: str | None) -> bool:
    """A listed user."""
    return who in SELLERS


@dataclass(frozen=True)
class Window:
    """A span of whole days as seen at an instant."""

    first: date
    last: date
    seen: int

    @property
    def start(self) -> int:
        """Its first second."""
        return (self.first - date(1970, 1, 1)).days * 86_400 - 10_800

    @property
    def after(self) -> int:
        """The first second after it."""
        return (self.last - date(1970, 1, 1)).days * 86_400 + 86_400 - 10_800

    @property
    def end(self) -> int:
        """Where time stops counting."""
        return max(self.start, min(self.after, self.seen))

    @property
    def moment(self) -> int:
        """Where levels are looked at."""
        return min(self.after - 1, self.seen)

    def pieces(self) -> "list[Window]":
        """The same in pieces within which nobody moves."""
        if not self.first < MOVED <= self.last:
            return [self]
        before = MOVED - timedelta(days=1)
        return [Window(self.first, before, self.seen), Window(MOVED, self.last, self.seen)]

    def has(self, moment: int) -> bool:
        """Whether something that happened then counts."""
        return self.start <= moment < self.after and moment <= self.seen
