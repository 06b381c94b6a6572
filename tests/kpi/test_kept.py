"""Integrals of levels from sums by day: the same as from every step, whatever changes."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from service.domain import steps
from service.domain.facts import Fact, Kind
from service.domain.named import parse_document
from service.kpi import query as kpi
from service.kpi.metrics import METRICS
from service.kpi.question import Question
from service.kpi.reach import Reach
from service.pipeline import rejudge, verify
from service.pipeline.office import Office
from service.store import accounts, levels, mutes
from service.store.engine import reading, transaction
from tests import world
from tests.kpi.oracle.bureau import DIRECTORY, DOCUMENT, FIRST, LAST, at, bureau

SLUGS = (
    "open_deal_hours", "covered_deal_hours", "overdue_hours", "meeting_time", "hygiene_weight",
    "hygiene_kept", "violations_opened", "violations_open", "violation_hours",
    "card_completeness_avg", "deals_open_avg", "tasks_overdue_avg", "deals_without_task_avg",
)  # fmt: skip
LATE = at(30, 0)
ASKED: tuple[dict[str, Any], ...] = (
    {"dimensions": ("seller", "pipeline")},
    {"dimensions": ("team",), "grain": "week"},
    {"grain": "day", "filters": (("team", "eq", ("1",)),)},
    {"dimensions": ("seller",), "as_of": at(8, 245)},
    {"dimensions": ("seller",), "first": FIRST.replace(day=1), "last": FIRST.replace(day=31)},
    {"grain": "month", "first": date(2026, 2, 10), "last": date(2026, 4, 20)},
    {
        "dimensions": ("seller",),
        "first": LAST + timedelta(days=9),
        "last": LAST + timedelta(days=9),
    },
)


def brief() -> Iterator[Fact]:
    """Deals that somebody had for less than an hour, far from the ends of all periods but days."""
    first = {
        "name": "Окна", "pipeline": "31", "stage": "10", "responsible": "7", "author": "0",
        "created_at": at(1, 180), "created_by": "0", "amount": 1000, "currency": "RUB",
        "fields": {},
    }  # fmt: skip
    for deal in ("90", "91"):
        yield Fact(Kind.DEAL, deal, at(1, 180), first)
    yield Fact(Kind.DEAL, "90", at(1, 200), {"stage": "143", "pipeline": "31", "author": "7"})
    yield Fact(Kind.DEAL, "91", at(2, 200), {"responsible": "12", "author": "7"})
    yield Fact(Kind.DEAL, "91", at(2, 230), {"responsible": "7", "author": "12"})


@pytest.fixture
def office(database_url: str) -> Any:
    office = world.make_office(database_url, "2026-03-31 12:00")
    world.connect_account(office, directory=DIRECTORY, document=DOCUMENT, connected="2026-02-01")
    world.tell(office, [*bureau(2), *brief()])
    yield office
    office.close()


def told(office: Office) -> list[Any]:
    """The figures of all questions."""
    found = []
    with reading(office.engine) as connection:
        configs = {world.ACCOUNT: office.config(connection, world.ACCOUNT)}
        for asked in ASKED:
            more = {"first": FIRST, "last": LAST, "as_of": LATE, **asked}
            metrics = tuple(METRICS[slug] for slug in SLUGS)
            question = Question(metrics, more.pop("dimensions", ()), **more)
            rows = kpi.answer(connection, configs, question).rows
            found.append([row for row in rows if any(row["values"].values())])
    return found


def from_steps(office: Office, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The same, read step by step."""
    with monkeypatch.context() as patched:
        patched.setattr(Reach, "is_kept", False)
        return told(office)


def is_settled(office: Office) -> bool:
    with reading(office.engine) as connection:
        return levels.is_settled(connection, world.ACCOUNT)


def settle(office: Office) -> None:
    passes = (rejudge.rejudge, rejudge.derive_marked, rejudge.judge_dirty)
    while any(one(office, world.ACCOUNT) for one in passes):
        pass


def test_sums_by_day_say_what_the_steps_say(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = from_steps(office, monkeypatch)
    assert is_settled(office)
    assert told(office) == before
    document = parse_document({
        **DOCUMENT, "work": {"week": "mon-fri 09:00-13:00 13:40-19:10"},
        "sellers": {**DOCUMENT["sellers"],
                    "7": {"limit": 4, "absent": [{"from": "2026-03-05", "to": "2026-03-06"}]}},
    })  # fmt: skip
    with transaction(office.engine) as connection:
        accounts.save_settings(connection, world.ACCOUNT, document, "tests", office.now())
    assert not is_settled(office)  # what is kept is of the old hours: it is not asked
    unsettled = told(office)
    assert unsettled == from_steps(office, monkeypatch) != before
    settle(office)
    assert is_settled(office)
    assert told(office) == from_steps(office, monkeypatch)
    assert verify.verify(office, world.ACCOUNT) == []


def test_what_is_muted_leaves_the_sums_and_a_wrong_sum_is_made_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = told(office)
    with transaction(office.engine) as connection:
        mutes.add(connection, world.ACCOUNT, {"seller": "7"}, at(60, 0), ("акция", "key_1"),
                  at(6, 200))  # fmt: skip
    settle(office)
    after = told(office)
    assert after == from_steps(office, monkeypatch) != before
    assert verify.verify(office, world.ACCOUNT) == []
    spoiled = ("deals_open", steps.OPENED, steps.CLOSED)
    with transaction(office.engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE rollup_day SET moment = moment + 1 WHERE metric IN {spoiled}"
        )
        connection.exec_driver_sql("UPDATE rollup_month SET moment = 7 WHERE metric = 'meetings'")
    drifts = verify.sums(office, world.ACCOUNT)
    wrong = {f"day:{metric}" for metric in spoiled} | {"month:meetings"}
    assert {drift.subject.partition("/")[0] for drift in drifts} == wrong
    verify.mend_sums(office, world.ACCOUNT)
    assert verify.sums(office, world.ACCOUNT) == []
    assert told(office) == after
