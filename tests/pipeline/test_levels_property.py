"""Levels judged from the changed instant on equal levels judged from the beginning.

Facts arrive one by one in any order; after each of them nothing may differ from a whole judging.
Limits are so low, and waits and windows so many, that runs begin, wait, join and age out.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.domain.facts import Fact, Kind
from service.pipeline import verify
from tests import world

DOCUMENT: dict[str, Any] = {
    "limits": {"open_deals": 2, "open_tasks": 1, "overdue_tasks": 1, "hot_deals": 1},
    "pipelines": {"Продажи": {"weights": {"КП": 2, "Договор": 0}}},
    "rules": {
        "seller-hot-overload": {},
        "seller-inquiry-flood": {"params": {"limit": 1}},
        "seller-mass-loss": {"params": {"limit": 1}},
        "seller-too-many-without-task": {"params": {"limit": 1}},
        "task-mass-close": {"params": {"limit": 1}},
        "lead-backlog": {"params": {"limit": 1}},
        "seller-nearly-full": {"for": "4wh"},
    },
}
START = world.moment("2026-03-02 10:00")
STEP = 1800
instants = st.integers(0, 10 * 48).map(lambda n: START + n * STEP)
numbers = st.sampled_from(["1", "2", "3", "4", "5"])
people = st.sampled_from(["7", "9"])


def deal(number: str, at: int, body: dict[str, Any]) -> Fact:
    first = {
        "pipeline": "31", "created_by": "0", "name": f"Сделка {number}", "contacts": [],
        "created_at": START + int(number) * 5 * STEP,
    }  # fmt: skip
    return Fact(Kind.DEAL, number, at, first | body)


def task(number: str, at: int, body: dict[str, Any]) -> Fact:
    first = {"deal": number, "text": "звонок", "created_by": "0", "task_kind": "1"}
    return Fact(Kind.TASK, f"t{number}", at, first | body)


def lead(number: str, at: int, state: str) -> Fact:
    return Fact(
        Kind.LEAD, f"l{number}", at, {"state": state, "created_at": START + int(number) * STEP}
    )


facts = st.one_of(
    st.builds(deal, numbers, instants, st.fixed_dictionaries({
        "stage": st.sampled_from(["10", "20", "30", "142", "143"]), "responsible": people,
        "author": people, "amount": st.sampled_from([0, 100]),
    })),
    st.builds(task, numbers, instants, st.fixed_dictionaries({
        "is_open": st.booleans(), "responsible": people, "author": people, "due_at": instants,
    })),
    st.builds(lead, numbers, instants, st.sampled_from(["new", "accepted", "declined"])),
)  # fmt: skip


def test_levels_from_the_changed_instant_equal_levels_from_the_beginning(
    sqlite_template: Path,
) -> None:
    seen: set[str] = set()

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,  # which rules it must have met is asserted below
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(facts, min_size=8, max_size=24))
    def holds(told: list[Fact]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "levels.db"
            shutil.copyfile(sqlite_template, path)
            office = world.make_office(f"sqlite:///{path}")
            world.connect_account(office, document=DOCUMENT, connected="2026-02-01 00:00")
            for fact in told:
                world.tell(office, [fact])
                assert verify.verify(office, world.ACCOUNT) == []
            with office.engine.connect() as connection:
                rows = connection.exec_driver_sql(
                    "select rule from violation where subject_kind in ('seller', 'account')"
                )
                seen.update(rule for (rule,) in rows)
            office.close()

    holds()
    rare = {"task-mass-close", "seller-mass-loss"}  # two within a quarter of an hour, an hour
    assert seen | rare >= {
        "seller-too-many-deals", "seller-nearly-full", "seller-too-many-tasks",
        "seller-too-many-overdue", "seller-too-many-without-task", "seller-hot-overload",
        "seller-inquiry-flood", "seller-mass-loss", "lead-backlog",
    }  # fmt: skip
