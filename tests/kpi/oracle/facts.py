"""Random departments as facts, and how they read: pictures of deals, calls, leads, working time.

A section's module gives `ROWS`: figure -> function of a `Department` (facts up to an instant) that
lists addends, and `figures(...)` puts them together by period and group.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from service.domain.facts import Fact, Kind

ZONE = ZoneInfo("Europe/Moscow")
HOUR, DAY = 3600, 86_400
OFF = {date(2026, 2, 23), date(2026, 3, 9)}
OPEN, WON, LOST = ("10", "20", "30"), "142", "143"
SPAM = {"2"}
TEAMS = {"7": "1", "9": "1", "12": "2"}
LATE = {"20", "30"}  # the upper half of three open stages


class Row(NamedTuple):
    """One addend: when, of whom, where, how much."""

    at: int
    value: int
    seller: str
    stage: str = ""
    source: str = ""
    reason: str = ""


@dataclass
class Picture:
    """A deal from `at` on."""

    at: int
    stage: str
    seller: str
    amount: int
    source: str
    reason: str
    peak: int = 0  # the highest amount in late stages so far

    @property
    def is_open(self) -> bool:
        return self.stage in OPEN


@dataclass
class Deal:
    """A deal's pictures; `asked`: when its inquiry came; `older`: the client's earlier deals."""

    id: str
    born: int
    asked: int
    contact: str
    by_hand: bool = False
    pictures: list[Picture] = field(default_factory=list)
    calls: list[tuple[int, int, bool, bool, str]] = field(default_factory=list)
    older: list["Deal"] = field(default_factory=list)

    @property
    def last(self) -> Picture:
        return self.pictures[-1]

    def ends(self) -> list[tuple[Picture, int | None]]:
        nexts: list[int | None] = [p.at for p in self.pictures[1:]]
        return list(zip(self.pictures, [*nexts, None], strict=True))


@dataclass
class Lead:
    """An inquiry that stands alone: its states."""

    id: str
    asked: int
    source: str
    states: list[tuple[int, str, str, str]] = field(default_factory=list)  # at, state, who, reason
    accepted: bool = False


@dataclass
class Department:
    """What is known at `now`."""

    now: int
    deals: list[Deal]
    leads: list[Lead]


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp())


START, END = moment("2026-02-02 09:00"), moment("2026-04-10 12:00")


def make(seed: int, deals: int = 45) -> list[Fact]:
    """Facts of a department; nothing is undone within ten minutes, no two facts at one instant."""
    chance = random.Random(seed)
    facts: list[Fact] = []
    for n in range(deals):
        facts += _deal(chance, str(100 + n))
    for n in range(deals // 3):
        facts += _lead(chance, str(n))
    return facts


def _deal(chance: random.Random, name: str) -> list[Fact]:
    born = START + chance.randrange(0, 60 * DAY, 7)
    asked, body = born, {}
    facts: list[Fact] = []
    source = chance.choice(["site", "call", ""])
    if chance.random() < 0.3:
        asked = born - chance.randrange(600, 2 * DAY)
        first = {"state": "new", "created_at": asked, "pipeline": "31", "source": source}
        facts.append(Fact(Kind.LEAD, f"u{name}", asked, first))
        facts.append(Fact(Kind.LEAD, f"u{name}", born, {"state": "accepted", "deal": name}))
        body = {"inquiry": f"u{name}", "accepted_at": born, "inquired_at": asked}
    sellers = ["7", "9", "12"]
    first = {
        "name": name, "pipeline": "31", "stage": chance.choice(["10", "10", "10", "20"]),
        "responsible": chance.choice(sellers), "created_at": born,
        "created_by": "7" if int(name) % 3 == 0 else "0",
        "author": "0", "amount": chance.choice([0, 0, 5_000, 70_000, 123_457]), "currency": "RUB",
        "fields": {}, "source": source or None, "contacts": [str(500 + chance.randrange(14))],
    }  # fmt: skip
    facts.append(Fact(Kind.DEAL, name, born, first | body))
    if chance.random() < 0.75:
        facts.append(_call(chance, f"c{name}", name, asked + chance.randrange(-300, 2 * DAY)))
    at = born
    for _ in range(chance.randrange(0, 9)):
        at += chance.randrange(HOUR, 9 * DAY)
        if at < END:
            facts.append(Fact(Kind.DEAL, name, at, _change(chance, sellers)))
    return facts


def _change(chance: random.Random, sellers: list[str]) -> dict[str, Any]:
    drawn = chance.random()
    if drawn < 0.6:
        stage = chance.choice([*OPEN, "30", WON, WON, LOST])
        body: dict[str, Any] = {"stage": stage, "pipeline": "31", "author": "7"}
        if stage == LOST and chance.random() < 0.7:
            body["loss_reason"] = chance.choice(["1", "2"])
        return body
    if drawn < 0.75:
        return {"responsible": chance.choice(sellers), "author": "9"}
    if drawn < 0.85:
        return {"loss_reason": chance.choice(["1", "2"])}
    return {"amount": chance.choice([0, 5_000, 70_000, 99_999, 150_001]), "author": "7"}


def _call(chance: random.Random, name: str, deal: str, at: int) -> Fact:
    seconds = chance.choice([0, 40, 400])
    body = {
        "deal": deal, "direction": chance.choice(["in", "out", "out"]), "answered": seconds > 0,
        "seconds": seconds, "started_at": at, "author": chance.choice(["7", "9"]),
    }  # fmt: skip
    return Fact(Kind.CALL, name, at + seconds, body)


def _lead(chance: random.Random, name: str) -> list[Fact]:
    asked = START + chance.randrange(0, 60 * DAY, 11)
    first = {"state": "new", "created_at": asked, "pipeline": "31", "source": "site"}
    facts = [Fact(Kind.LEAD, name, asked, first)]
    if chance.random() < 0.6:
        taken = asked + chance.randrange(HOUR, DAY)
        who = chance.choice(["7", "9"])
        facts.append(Fact(Kind.LEAD, name, taken, {"state": "in_work", "responsible": who}))
    if chance.random() < 0.5:
        body = {"state": "declined", "author": "12", "decline_reason": chance.choice(["1", "2"])}
        facts.append(Fact(Kind.LEAD, name, asked + chance.randrange(DAY, 5 * DAY), body))
    return facts


# --- reading --------------------------------------------------------------------------------------


def read(facts: Iterable[Fact], now: int) -> Department:
    """The department as its facts up to `now` tell it."""
    told = sorted((f for f in facts if f.at <= now), key=lambda f: f.at)
    deals: dict[str, Deal] = {}
    leads: dict[str, Lead] = {}
    for fact in told:
        body = fact.body
        if fact.kind is Kind.DEAL:
            if fact.id not in deals:
                asked = body.get("inquired_at", body["created_at"])
                deals[fact.id] = Deal(fact.id, body["created_at"], asked, body["contacts"][0])
                deals[fact.id].by_hand = body["created_by"] != "0" and "inquiry" not in body
            _picture(deals[fact.id], fact)
        elif fact.kind is Kind.LEAD:
            lead = leads.setdefault(fact.id, Lead(fact.id, body.get("created_at", 0), ""))
            lead.source = body.get("source") or lead.source
            who = body.get("responsible") or (lead.states[-1][2] if lead.states else "")
            reason = body.get("decline_reason") or ""
            lead.states.append((fact.at, body["state"], who, reason))
            lead.accepted = lead.accepted or body["state"] == "accepted"
    for fact in told:
        if fact.kind is Kind.CALL and fact.body["deal"] in deals:
            body = fact.body
            talk = body["answered"] and body["seconds"] >= 10
            deals[body["deal"]].calls.append(
                (body["started_at"], fact.at, talk, body["direction"] == "out", body["author"])
            )
    for deal in deals.values():
        deal.calls.sort()
        deal.older = [
            d for d in deals.values()
            if d.contact == deal.contact and (d.born, int(d.id)) < (deal.born, int(deal.id))
        ]  # fmt: skip
    return Department(now, list(deals.values()), list(leads.values()))


def _picture(deal: Deal, fact: Fact) -> None:
    body = fact.body
    old = deal.pictures[-1] if deal.pictures else None
    stage = body.get("stage", old.stage if old else "")
    reason = old.reason if old else ""
    if old is not None and (stage == LOST) != (old.stage == LOST):
        reason = ""
    if "loss_reason" in body:
        reason = body["loss_reason"]
    amount = body.get("amount", old.amount if old else 0)
    peak = max(old.peak if old else 0, amount if stage in LATE else 0)
    seller = body.get("responsible", old.seller if old else "")
    source = body.get("source", old.source if old else "") or ""
    deal.pictures.append(Picture(fact.at, stage, seller, amount, source, reason, peak))


def pieces(start: int, end: int) -> Iterable[tuple[int, int]]:
    """Working pieces Monday to Friday 10:00-18:00 between two instants."""
    on = datetime.fromtimestamp(start, ZONE).date()
    while int(datetime.combine(on, time(), ZONE).timestamp()) < end:
        if on.weekday() < 5 and on not in OFF:
            opens = int(datetime.combine(on, time(10), ZONE).timestamp())
            left, right = max(opens, start), min(opens + 8 * HOUR, end)
            if left < right:
                yield left, right
        on += timedelta(days=1)


def working(start: int, end: int) -> int:
    """Working seconds between two instants."""
    return sum(right - left for left, right in pieces(start, end))


def after_working(start: int, seconds: int) -> int:
    """The instant at which so many working seconds have passed."""
    for left, right in pieces(start, start + 60 * DAY):
        if right - left >= seconds:
            return left + seconds
        seconds -= right - left
    raise AssertionError


# --- putting together -----------------------------------------------------------------------------

Key = tuple[Any, ...]
Rows = Callable[[Department], list[Row]]


def day_of(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).date()


def first_of(on: date, grain: str | None) -> date | None:
    if grain == "day" or grain is None:
        return on if grain else None
    if grain == "week":
        return on - timedelta(days=on.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    return date(on.year, (on.month - 1) // months * months + 1, 1)


def grouped(
    rows: Iterable[Row], grain: str | None, dimensions: tuple[str, ...], first: date, last: date
) -> dict[Key, list[int]]:
    """Values by (first day of the period, group)."""
    found: dict[Key, list[int]] = defaultdict(list)
    for row in rows:
        on = day_of(row.at)
        if first <= on <= last:
            start = first_of(on, grain)
            shown = None if start is None else max(start, first)
            found[shown, *(group_of(row, d) for d in dimensions)].append(row.value)
    return found


def group_of(row: Row, dimension: str) -> str | None:
    if dimension == "team":
        return TEAMS.get(row.seller)
    if dimension == "stage":
        return f"romashka.31.{row.stage}" if row.stage else None
    if dimension == "source":
        return row.source or None
    value: str = getattr(row, dimension)
    return f"romashka.{value}" if value else None


def nearest(values: list[int], percent: int) -> int | None:
    """The value at position ceil(p x n / 100); None under five."""
    if len(values) < 5:
        return None
    return sorted(values)[(len(values) * percent + 99) // 100 - 1]


def share(above: list[int], below: list[int]) -> Fraction | None:
    """A ratio of sums."""
    return Fraction(sum(above), sum(below)) if sum(below) > 0 else None
