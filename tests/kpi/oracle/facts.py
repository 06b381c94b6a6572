"""How the facts of a random department read: pictures of deals, calls, leads, working time.

A section's module gives `SUMS`, `RATIOS`, ...: figure -> function of a `Department` (facts up to an
instant) that lists addends, and `grouped` puts them together by period, group and currency.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from service.domain.facts import Fact, Kind

ZONE = ZoneInfo("Europe/Berlin")  # its clocks change on 29 March 2026
HOUR, DAY = 3600, 86_400
OFF = {date(2025, 12, 31), date(2026, 2, 23), date(2026, 3, 9)} | {
    date(2026, 1, day) for day in range(1, 10)
}
OPEN = {"31": ("10", "20", "30"), "32": ("40", "50")}
WON, LOST = "142", "143"
EXCLUDED = "33"
SPAM = {"2"}
TEAMS = {"7": "1", "9": "1", "12": "2"}
MOVED = date(2026, 3, 18)  # from this day on seller 9 is in the other team
LATE = {"20", "30", "50"}  # the upper half of the open stages
MONEY = "RUB"


class Row(NamedTuple):
    """One addend: when, of whom, where, how much."""

    at: int
    value: int
    seller: str
    stage: str = ""
    source: str = ""
    reason: str = ""
    pipeline: str = ""
    currency: str = ""
    since: int = 0  # of a correction: when that began which it corrects


@dataclass
class Picture:
    """A deal from `at` on."""

    at: int
    pipeline: str
    stage: str
    seller: str
    amount: int
    source: str
    reason: str
    currency: str
    gone: bool = False  # deleted
    peak: int = 0  # the highest amount in late stages so far

    @property
    def is_open(self) -> bool:
        return self.stage in OPEN.get(self.pipeline, ())

    @property
    def place(self) -> tuple[str, str]:
        return self.pipeline, self.stage


@dataclass
class Deal:
    """A deal's pictures; `asked`: when its inquiry came; `older`: the client's earlier deals."""

    id: str
    born: int
    asked: int
    contact: str
    by_hand: bool  # a person made it, of no inquiry
    pictures: list[Picture] = field(default_factory=list)
    calls: list[tuple[int, int, bool, bool, str]] = field(default_factory=list)
    older: list["Deal"] = field(default_factory=list)
    inquiry: str = ""
    again: bool = False  # what it was born of is the client's second form
    has_elder: bool = False

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
    pipeline: str
    source: str
    states: list[tuple[int, str, str, str]] = field(default_factory=list)  # at, state, who, reason
    accepted: bool = False
    keys: frozenset[str] = frozenset()
    again: bool = False  # the client had asked within the day before, in that pipeline


@dataclass
class Department:
    """What is known at `now`."""

    now: int
    deals: list[Deal]
    leads: list[Lead]


# --- reading --------------------------------------------------------------------------------------


def read(facts: Iterable[Fact], now: int) -> Department:
    """The department at `now`. What is deleted or excluded by all the facts never was business."""
    every = sorted(facts, key=lambda f: f.at)
    out = _never_business(every)
    told = [f for f in every if f.at <= now]
    deals: dict[str, Deal] = {}
    leads: dict[str, Lead] = {}
    for fact in told:
        body = fact.body
        if fact.kind is Kind.DEAL:
            if fact.id not in deals:
                asked = body.get("inquired_at", body["created_at"])
                by_hand = body["created_by"] != "0" and "inquired_at" not in body
                deals[fact.id] = Deal(
                    fact.id, body["created_at"], asked, body["contacts"][0], by_hand,
                    inquiry=body.get("inquiry", ""),
                )  # fmt: skip
            _picture(deals[fact.id], fact)
        elif fact.kind is Kind.LEAD:
            _state(leads, fact)
    for fact in told:
        if fact.kind is Kind.CALL and fact.body["deal"] in deals:
            body = fact.body
            talk = body["answered"] and body["seconds"] >= 10
            deals[body["deal"]].calls.append(
                (body["started_at"], fact.at, talk, body["direction"] == "out", body["author"])
            )
    known = [deal for deal in deals.values() if deal.id not in out]
    for deal in known:
        deal.calls.sort()
        deal.has_elder = bool(_elder(deal, deals.values()))
        deal.older = _elder(deal, known)
    became = {f.id: f.body["deal"] for f in every if f.kind is Kind.LEAD and f.body.get("deal")}
    _ask_again(known, leads, {lead: deal for lead, deal in became.items() if deal in out}, became)
    return Department(now, known, [lead for lead in leads.values() if lead.pipeline != EXCLUDED])


def _ask_again(
    deals: list[Deal], leads: dict[str, Lead], lost: dict[str, str], became: dict[str, str]
) -> None:
    """Which inquiries are a client's second form; their deals take no other deal's place."""
    for lead in leads.values():
        near = [
            o for o in leads.values() if o.keys & lead.keys and abs(o.asked - lead.asked) <= DAY
        ]
        lead.again = any(
            (o.asked, o.id) < (lead.asked, lead.id) and lead.asked - o.asked < DAY
            and o.pipeline == lead.pipeline != EXCLUDED and o.id not in lost
            for o in near
        )  # fmt: skip
        later = {became.get(o.id) for o in near if (o.asked, o.id) > (lead.asked, lead.id)}
        for deal in deals:
            if deal.inquiry == lead.id:
                deal.again = lead.again
                deal.older = [d for d in deal.older if d.id not in later]


def _elder(deal: Deal, deals: Iterable[Deal]) -> list[Deal]:
    """The client's earlier deals."""
    return [
        d for d in deals
        if d.contact == deal.contact and (d.born, int(d.id)) < (deal.born, int(deal.id))
    ]  # fmt: skip


def _never_business(facts: Iterable[Fact]) -> set[str]:
    gone: dict[str, bool] = {}
    place: dict[str, str] = {}
    for fact in facts:
        if fact.kind is Kind.DEAL:
            gone[fact.id] = _is_gone(fact.body, before=gone.get(fact.id, False))
            place[fact.id] = fact.body.get("pipeline", place.get(fact.id, ""))
    return {d for d in gone if gone[d] or place[d] == EXCLUDED}


def _is_gone(body: Any, *, before: bool) -> bool:
    return bool(body.get("deleted") or (before and not body.get("restored")))


def _state(leads: dict[str, Lead], fact: Fact) -> None:
    body = fact.body
    lead = leads.setdefault(
        fact.id, Lead(fact.id, body.get("created_at", 0), body.get("pipeline", ""), "")
    )
    lead.source = body.get("source") or lead.source
    lead.keys |= frozenset(body.get("keys", ()))
    who = body.get("responsible") or (lead.states[-1][2] if lead.states else "")
    reason = body.get("decline_reason") or ""
    lead.states.append((fact.at, body["state"], who, reason))
    lead.accepted = lead.accepted or body["state"] == "accepted"


def _picture(deal: Deal, fact: Fact) -> None:
    body = fact.body
    old = deal.pictures[-1] if deal.pictures else None
    stage = body.get("stage", old.stage if old else "")
    pipeline = body.get("pipeline", old.pipeline if old else "")
    reason = old.reason if old else ""
    if old is not None and (stage == LOST) != (old.stage == LOST):
        reason = ""
    if "loss_reason" in body:
        reason = body["loss_reason"]
    amount = body.get("amount", old.amount if old else 0)
    peak = max(old.peak if old else 0, amount if stage in LATE else 0)
    seller = body.get("responsible", old.seller if old else "")
    source = body.get("source", old.source if old else "") or ""
    currency = body.get("currency", old.currency if old else "")
    gone = _is_gone(body, before=old.gone if old else False)
    deal.pictures.append(
        Picture(fact.at, pipeline, stage, seller, amount, source, reason, currency, gone, peak)
    )


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


def midnight(on: date) -> int:
    """The first instant of a day."""
    return int(datetime.combine(on, time(), ZONE).timestamp())


def first_of(on: date, grain: str | None) -> date | None:
    if grain == "day" or grain is None:
        return on if grain else None
    if grain == "week":
        return on - timedelta(days=on.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    return date(on.year, (on.month - 1) // months * months + 1, 1)


def grouped(
    rows: Iterable[Row],
    grain: str | None,
    dimensions: tuple[str, ...],
    first: date,
    last: date,
    seen_on: date | None = None,
) -> dict[Key, list[int]]:
    """Values by (first day of the period, group, currency); levels have teams of `seen_on`."""
    found: dict[Key, list[int]] = defaultdict(list)
    for row in rows:
        on = day_of(row.at)
        if first <= on <= last:
            start = first_of(on, grain)
            shown = None if start is None else max(start, first)
            groups = (group_of(row, d, seen_on) for d in dimensions)
            found[shown, *groups, row.currency or MONEY].append(row.value)
    return found


def team_of(seller: str, on: date) -> str | None:
    """The team of a seller on a day."""
    return "2" if seller == "9" and on >= MOVED else TEAMS.get(seller)


def group_of(row: Row, dimension: str, seen_on: date | None = None) -> str | None:
    if dimension == "account":
        return "romashka"
    if dimension == "team":
        return team_of(row.seller, seen_on or day_of(row.since or row.at))
    if dimension == "stage":
        return f"romashka.{row.pipeline}.{row.stage}" if row.stage else None
    if dimension == "source":
        return row.source or None
    if dimension == "weekday":
        return str(day_of(row.at).isoweekday())
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
