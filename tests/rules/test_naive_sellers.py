"""The second layer against a judge that walks through time a quarter of an hour at a time.

It knows no steps, tracks or stretches: at each quarter it looks at the whole department again (who
has which deals, who called, which tasks are due) and remembers only what it saw a quarter before.
Everything happens on quarters, so looking at each of them sees all.
"""

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.domain.instant import FOREVER
from service.rules.loading import builtin_rules
from service.rules.schema import RuleTest
from service.rules.testing import intervals
from tests import world

QUARTER = timedelta(minutes=15)
START = datetime(2026, 3, 4, 9)  # noqa: DTZ001 - a Wednesday; Monday the 9th is a day off
DAYS = 8
LONG_MINUTES = 500
END = START + timedelta(days=DAYS)
OFF = {date(2026, 3, 9)}
AWAY = {"9": (date(2026, 3, 5), date(2026, 3, 6))}
LEFT = date(2026, 3, 10)  # the last day of seller 9 in the team
PEOPLE = ("7", "9")
MODELS = {model.id: model for model in builtin_rules()}
SETTINGS: dict[str, Any] = {
    "limits": {"open_deals": 2, "due_today": 1},
    "teams": {"Все": [7, {"id": 9, "to": str(LEFT)}]},
    "sellers": {"9": {"absent": [{"from": "2026-03-05", "to": "2026-03-06"}]}},
    "rules": {
        "seller-nearly-full": {"for": "3wh"},
        "seller-idle": {"for": "2wh"},
        "seller-no-activity-day": {"for": "5wh"},
        "seller-calls-below": {"params": {"norm": 2}},
        "team-imbalance": {"params": {"least": 2, "full": 40, "free": 60}, "for": "2wh"},
    },
}
Open = set[str]  # subjects in violation


def quarter(n: int) -> datetime:
    return START + n * QUARTER


quarters = st.integers(0, DAYS * 96 - 200).map(quarter)
people = st.sampled_from(PEOPLE)


class Department:
    """What happened, as it was drawn; `at` is asked anew for every quarter."""

    def __init__(self, deals: Sequence[Any], tasks: Sequence[Any], calls: Sequence[Any]) -> None:
        self.deals, self.tasks, self.calls = deals, tasks, calls

    def load(self, at: datetime) -> dict[str, int]:
        found = dict.fromkeys(PEOPLE, 0)
        for born, owner, handed, other, closed in self.deals:
            if born <= at < closed:
                found[other if at >= handed else owner] += 1
        return found

    def due_on(self, day: date, at: datetime) -> dict[str, int]:
        found = dict.fromkeys(PEOPLE, 0)
        for made, owner, due, done in self.tasks:
            found[owner] += made <= at < done and due.date() == day
        return found

    def long_on(self, who: str, day: date, at: datetime) -> int:
        """Minutes of a seller's tasks due on a day: every third takes longer than a day has."""
        return sum(
            LONG_MINUTES if n % 3 == 0 else 15
            for n, (made, owner, due, done) in enumerate(self.tasks)
            if owner == who and made <= at < done and due.date() == day
        )

    def acted(self, who: str, at: datetime) -> bool:
        """Whether a seller did something at exactly this quarter."""
        return any(start == at and author == who for start, author in self.calls) or any(
            owner == who and at in (made, done) for made, owner, _, done in self.tasks
        )

    def called(self, who: str, until: datetime) -> int:
        """Calls of the day of `until`, up to and with it."""
        return sum(
            author == who and start.date() == until.date() and start <= until
            for start, author in self.calls
        )

    def ever_called(self, who: str, at: datetime) -> bool:
        return any(author == who and start <= at for start, author in self.calls)

    def given(self) -> list[dict[str, Any]]:
        """The same as lines of a rule test."""
        lines: list[dict[str, Any]] = []
        for n, (born, owner, handed, other, closed) in enumerate(self.deals):
            lines.append(line(born, deal={"id": f"{n}", "stage": "open", "responsible": owner}))
            if born < handed < closed:
                lines.append(line(handed, deal={"id": f"{n}", "responsible": other}))
            lines.append(line(closed, deal={"id": f"{n}", "stage": "lost"}))
        for n, (made, owner, due, done) in enumerate(self.tasks):
            body = {"id": f"{n}", "is_open": True, "responsible": owner, "created_by": owner,
                    "due_at": due.isoformat()}  # fmt: skip
            if n % 3 == 0:
                body["starts_at"] = (due - timedelta(minutes=LONG_MINUTES)).isoformat()
            lines.append(line(made, task=body | {"deal": "t"}))
            lines.append(line(done, task={"id": f"{n}", "is_open": False, "author": owner}))
            lines[-1]["task"]["deal"] = "t"
        for n, (start, author) in enumerate(self.calls):
            body = {"id": f"{n}", "direction": "out", "answered": True, "seconds": 60,
                    "author": author, "deal": "t"}  # fmt: skip
            lines.append(line(start, call=body))
        return sorted(lines, key=lambda one: str(one["at"]))


def line(at: datetime, **body: dict[str, Any]) -> dict[str, Any]:
    return {"at": at.isoformat(sep=" "), **body}


@st.composite
def departments(draw: st.DrawFn) -> Department:
    deals, tasks = [], []
    for _ in range(draw(st.integers(2, 6))):
        born, handed, closed = sorted(draw(st.lists(quarters, min_size=3, max_size=3, unique=True)))
        deals.append((born, draw(people), handed, draw(people), closed))
    for _ in range(draw(st.integers(3, 8))):
        made, done = sorted(draw(st.lists(quarters, min_size=2, max_size=2, unique=True)))
        made = min(made, draw(st.sampled_from([END, START + 5 * QUARTER])))
        owner = draw(st.sampled_from(("7", "7", "9")))
        tasks.append((made, owner, draw(st.sampled_from(DUES)), done))
    calls = draw(st.lists(st.tuples(quarters, people), max_size=8, unique_by=lambda c: c[0]))
    return Department(deals, tasks, sorted(calls))


def by_chance(seed: int) -> Department:
    """A department that does not depend on what the library draws."""
    chance = random.Random(seed)

    def moments(count: int) -> list[datetime]:
        return sorted(quarter(n) for n in chance.sample(range(DAYS * 96 - 200), count))

    deals, tasks = [], []
    for _ in range(6):
        born, handed, closed = moments(3)
        deals.append((born, chance.choice("779"), handed, chance.choice("79"), closed))
    for _ in range(8):
        made, done = moments(2)
        tasks.append((made, chance.choice("779"), chance.choice(DUES), done))
    return Department(deals, tasks, [(at, chance.choice("79")) for at in moments(8)])


DUES = [START.replace(day=day, hour=12) for day in (5, 6)]


# --- the naive judges: the set of violating subjects at each quarter ------------------------------


def works(who: str | None, day: date) -> bool:
    first, last = AWAY.get(who or "", (date.max, date.min))
    return day.weekday() < 5 and day not in OFF and not first <= day <= last


def worked(who: str | None, at: datetime) -> bool:
    """Whether the quarter that begins at `at` is working time."""
    return works(who, at.date()) and 10 <= at.hour < 18


def present(who: str, at: datetime) -> bool:
    first, last = AWAY.get(who, (date.max, date.min))
    return not first <= at.date() <= last


class Waited:
    """Counts working quarters while something holds; true once there are enough."""

    def __init__(self, who: str | None, needed: int) -> None:
        self.who, self.needed, self.count = who, needed, -1

    def look(self, at: datetime, *, holds: bool) -> bool:
        if not holds:
            self.count = -1
            return False
        self.count = 0 if self.count < 0 else self.count + worked(self.who, at - QUARTER)
        return self.count >= self.needed


def too_many(department: Department) -> Callable[[datetime], Open]:
    """Above the limit of two; gaps under half an hour join."""
    last: dict[str, datetime] = {}
    began: dict[str, bool] = {}

    def look(at: datetime) -> Open:
        load = department.load(at)
        for who in PEOPLE:
            if load[who] > 2:
                last[who], began[who] = at, True
        return {who for who in began if load[who] > 2}

    return look


def nearly_full(department: Department) -> Callable[[datetime], Open]:
    waits = {who: Waited(who, 12) for who in PEOPLE}

    def look(at: datetime) -> Open:
        load = department.load(at)
        return {w for w, wait in waits.items() if wait.look(at, holds=load[w] * 100 > 160)}

    return look


def imbalance(department: Department) -> Callable[[datetime], Open]:
    wait = Waited(None, 8)

    def look(at: datetime) -> Open:
        team = [who for who in PEOPLE if present(who, at) and (who == "7" or at.date() <= LEFT)]
        load = [n for who, n in department.load(at).items() if who in team]
        uneven = len(load) == 2 and max(load) * 50 > 40 and min(load) * 50 < 60
        return {"Все"} if wait.look(at, holds=uneven) else set()

    return look


def overbooked(department: Department) -> Callable[[datetime], Open]:
    def look(at: datetime) -> Open:
        found = set()
        for due in DUES:
            for who, count in department.due_on(due.date(), at).items():
                full = count > 1 or department.long_on(who, due.date(), at) > 8 * 60
                if not full or not works(who, due.date()) or at.date() > due.date():
                    continue
                before = due.date() - timedelta(days=1)
                while not works(who, before):
                    before -= timedelta(days=1)
                if at >= START.replace(month=before.month, day=before.day, hour=16):
                    found.add(f"{who}:{due:%Y%m%d}")
        return found

    return look


def idle(department: Department, needed: int, *, mornings: bool) -> Callable[[datetime], Open]:
    """Working quarters since the last action; a new morning begins anew unless it is too late."""
    silent: dict[str, int] = {}
    broken: Open = set()

    def look(at: datetime) -> Open:
        load = department.load(at)
        for who in PEOPLE:
            if who in silent and worked(who, at - QUARTER):
                silent[who] += 1
            morning = mornings and (at.hour, at.minute) == (10, 0) and works(who, at.date())
            if morning and 0 <= silent.get(who, -1) < needed:
                silent[who] = 0
            if department.acted(who, at):
                silent[who] = 0
                broken.discard(who)
            if mornings and who not in silent and load[who]:
                silent[who] = 0  # nothing was ever done: the first open deal starts the clock
            if silent.get(who, -1) >= needed and load[who]:
                broken.add(who)
            if not load[who]:
                broken.discard(who)
        return set(broken)

    return look


def calls_below(department: Department) -> Callable[[datetime], Open]:
    broken: dict[str, date] = {}
    known: Open = set()

    def look(at: datetime) -> Open:
        for who in PEOPLE:
            count = department.called(who, at)
            known.update({who} if department.ever_called(who, at) else set())
            today = at.date()
            later = who in broken and broken[who] < today
            if later and count >= 2 and works(who, today):
                del broken[who]
            evening = (at.hour, at.minute) == (18, 0) and works(who, today)
            if evening and count < 2 and who in known and who not in broken:
                broken[who] = today
        return set(broken)

    return look


NAIVE: dict[str, Callable[[Department], Callable[[datetime], Open]]] = {
    "seller-too-many-deals": too_many,
    "seller-nearly-full": nearly_full,
    "team-imbalance": imbalance,
    "seller-day-overbooked": overbooked,
    "seller-no-activity-day": lambda d: idle(d, 20, mornings=False),
    "seller-idle": lambda d: idle(d, 8, mornings=True),
    "seller-calls-below": calls_below,
}


@pytest.mark.parametrize("rule", sorted(NAIVE))
def test_engine_agrees_with_walking_through_time(rule: str) -> None:
    met: list[int] = []
    model = MODELS[rule]
    if model.join != "0m":
        model = model.model_copy(update={"join": "0m"})

    def check(department: Department) -> None:
        test = RuleTest(name="case", settings=SETTINGS, given=department.given())
        _, found = intervals(model, test)
        spans = [(f.subject_id, f.breach_at, f.resolved_at or FOREVER) for f in found]
        look = NAIVE[rule](department)
        at = START
        while at < END:
            now = world.moment(at.isoformat(sep=" "))
            judged = {subject for subject, begun, ended in spans if begun <= now < ended}
            seen = look(at)
            if judged != seen:
                told = map(str, [f"{at}: {judged} != {seen}", *spans, *department.given()])
                pytest.fail("\n".join(told))
            at += QUARTER
        met.append(len(spans))

    @settings(
        max_examples=60, deadline=None, derandomize=True,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(departments())
    def agrees(department: Department) -> None:
        check(department)

    for seed in range(20):
        check(by_chance(seed))
    assert sum(met) > 10, "these departments hardly ever break the rule"
    agrees()
