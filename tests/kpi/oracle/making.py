"""Random departments as facts: two pipelines that count and one that does not, two currencies,
a zone that changes its clocks, deals that are reopened, handed over, corrected, deleted, merged.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from service.domain.directory import Directory, Pipeline, Seller, Stage
from service.domain.facts import Fact, Kind
from tests import world
from tests.kpi.oracle.facts import DAY, HOUR, LOST, MOVED, OPEN, WON, ZONE

DOCUMENT: dict[str, Any] = {
    "timezone": ZONE.key, "pipelines": {"exclude": ["Доставка"]},
    "teams": {
        "1": [7, {"id": 9, "to": str(MOVED - timedelta(days=1))}],
        "2": [12, {"id": 9, "from": str(MOVED)}],
    },
    "hygiene": {"amount_classes": [100, 1000]},
}  # fmt: skip
DIRECTORY: Directory = msgspec.structs.replace(
    world.DIRECTORY,
    timezone=ZONE.key,
    sellers=(
        *world.DIRECTORY.sellers,
        Seller(id="15", name="Уволенный", active=False, listed=False),
    ),
    pipelines=(
        *world.DIRECTORY.pipelines,
        Pipeline(id="32", name="Опт", stages=(
            Stage(id="40", name="Заявка", sort=10), Stage(id="50", name="Счёт", sort=20),
            *world.STAGES[-2:],
        )),
        Pipeline(id="33", name="Доставка", stages=(Stage(id="60", name="Едет", sort=10),)),
    ),
)  # fmt: skip
_OF_INQUIRY = {"inquiry", "accepted_at", "inquired_at"}
SELLERS = ("7", "7", "9", "9", "12", "12", "15")


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp())


START, END = moment("2026-02-02 09:00"), moment("2026-04-10 12:00")


def make(
    seed: int, deals: int = 45, currencies: Sequence[str] = ("RUB", "RUB", "RUB", "USD")
) -> list[Fact]:
    """Facts of a department; nothing is undone within ten minutes, no two facts at one instant."""
    chance = random.Random(seed)
    facts: list[Fact] = []
    for n in range(deals):
        facts += _deal(chance, str(100 + n), currencies)
        if n % 6 == 0:  # the same form once more, sooner or later
            told = next(f for f in reversed(facts) if "contacts" in f.body)
            born = told.at + chance.choice([HOUR, 5 * HOUR, DAY - 1, DAY, 2 * DAY])
            body = told.body | {"created_at": born, "created_by": "0"}
            again = {name: value for name, value in body.items() if name not in _OF_INQUIRY}
            facts.append(Fact(Kind.DEAL, str(500 + n), born, again))
    for n in range(deals // 3):
        facts += _lead(chance, str(n))
    return facts + _asked_again(random.Random(-1 - seed), facts)


def _asked_again(chance: random.Random, facts: list[Fact]) -> list[Fact]:
    """Most inquiries say who asked; some clients ask once more, sooner or later."""
    found: list[Fact] = []
    for fact in [f for f in facts if f.kind is Kind.LEAD and "created_at" in f.body]:
        if chance.random() < 0.7:
            fact.body["keys"] = [f"k{chance.randrange(12)}", f"of {fact.id}"]
        if chance.random() < 0.4:
            asked = fact.at + chance.choice([-HOUR, HOUR, 5 * HOUR, DAY - 1, DAY, 2 * DAY])
            body = fact.body | {"created_at": asked}
            found.append(Fact(Kind.LEAD, f"{700 + len(found)}", asked, body))
    return found


def _deal(chance: random.Random, name: str, currencies: Sequence[str]) -> list[Fact]:
    born = START + chance.randrange(0, 60 * DAY, 7)
    asked, body = born, {}
    facts: list[Fact] = []
    source = chance.choice(["site", "call", ""])
    pipeline = chance.choice(["31", "31", "32"])
    if chance.random() < 0.3:
        asked = born - chance.randrange(600, 2 * DAY)
        first = {"state": "new", "created_at": asked, "pipeline": pipeline, "source": source}
        facts.append(Fact(Kind.LEAD, f"u{name}", asked, first))
        facts.append(Fact(Kind.LEAD, f"u{name}", born, {"state": "accepted", "deal": name}))
        body = {"inquiry": f"u{name}", "accepted_at": born, "inquired_at": asked}
    first = {
        "name": name, "pipeline": pipeline, "stage": chance.choice(OPEN[pipeline]),
        "responsible": chance.choice(SELLERS), "created_at": born,
        "created_by": chance.choice(["0", "0", "7"]), "author": "0",
        "amount": chance.choice([0, 0, 5_000, 70_000, 123_457]),
        "currency": chance.choice(currencies), "fields": {},
        "source": source or None, "contacts": [str(500 + chance.randrange(8))],
    }  # fmt: skip
    facts.append(Fact(Kind.DEAL, name, born, first | body))
    if chance.random() < 0.75:
        facts.append(_call(chance, f"c{name}", name, asked + chance.randrange(-300, 2 * DAY)))
    at = born
    for _ in range(chance.randrange(0, 9)):
        at += chance.randrange(HOUR, 9 * DAY)
        if at < END:
            facts.append(Fact(Kind.DEAL, name, at, _change(chance, pipeline)))
            pipeline = facts[-1].body.get("pipeline", pipeline)
    return facts + _fate(chance, name, at, pipeline)


def _fate(chance: random.Random, name: str, at: int, pipeline: str) -> list[Fact]:
    """What may befall a deal after all: deleted, restored, merged, sent to where it is none."""
    at += chance.randrange(HOUR, 3 * DAY)
    drawn = chance.random()
    if at + 40 * HOUR >= END or drawn > 0.4:
        return []
    if drawn < 0.1:
        return [Fact(Kind.DEAL, name, at, {"deleted": True, "author": "7"})]
    if drawn < 0.2:
        gone = {"deleted": True, "merged_into": "100", "author": "7"}
        return [Fact(Kind.DEAL, name, at, gone)]
    if drawn < 0.3:
        return [Fact(Kind.DEAL, name, at, {"pipeline": "33", "stage": "60", "author": "7"})]
    moved = {"stage": OPEN[pipeline][0], "pipeline": pipeline, "author": "7"}
    return [
        Fact(Kind.DEAL, name, at, {"deleted": True, "author": "7"}),
        Fact(Kind.DEAL, name, at + 30 * HOUR, {"restored": True, "author": "7"}),
        Fact(Kind.DEAL, name, at + 40 * HOUR, moved),
    ]


def _change(chance: random.Random, pipeline: str) -> dict[str, Any]:
    drawn = chance.random()
    if drawn < 0.6:
        to = chance.choice(["31", "32"]) if chance.random() < 0.15 else pipeline
        stage = chance.choice([*OPEN[to], OPEN[to][-1], WON, WON, LOST])
        body: dict[str, Any] = {"stage": stage, "pipeline": to, "author": "7"}
        if stage == LOST and chance.random() < 0.7:
            body["loss_reason"] = chance.choice(["1", "2"])
        return body
    if drawn < 0.75:
        return {"responsible": chance.choice(SELLERS), "author": "9"}
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
    first = {
        "state": "new", "created_at": asked, "pipeline": chance.choice(["31", "32", "33"]),
        "source": "site",
    }  # fmt: skip
    facts = [Fact(Kind.LEAD, name, asked, first)]
    if chance.random() < 0.6:
        taken = asked + chance.randrange(HOUR, DAY)
        who = chance.choice(["7", "9"])
        facts.append(Fact(Kind.LEAD, name, taken, {"state": "in_work", "responsible": who}))
    if chance.random() < 0.5:
        body = {"state": "declined", "author": "12", "decline_reason": chance.choice(["1", "2"])}
        facts.append(Fact(Kind.LEAD, name, asked + chance.randrange(DAY, 5 * DAY), body))
    return facts
