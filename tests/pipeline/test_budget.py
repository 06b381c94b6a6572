"""A portal's rate limit is one for all processes: reserved in the database."""

from datetime import UTC, datetime

import pytest

from service.clock import Clock
from service.pipeline.budget import SharedLimiter
from service.store import budgets
from service.store.engine import open_engine, reading


class Still(Clock):
    """Stands at an instant that is set by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()

    def timestamp(self) -> float:
        return self.at


KEY = "amocrm demo.example"


def test_processes_leave_one_after_another_at_the_rate(database_url: str) -> None:
    clock = Still()
    engines = [open_engine(database_url) for _ in range(3)]
    processes = [SharedLimiter(engine, clock, KEY, 6.7, 1.0) for engine in engines]
    waits = [processes[n % 3].take() for n in range(14)]
    assert waits == pytest.approx([n / 6.7 for n in range(14)], abs=1e-4)
    assert sum(wait < 1.0 for wait in waits) <= 7  # in any second no more than amoCRM allows
    clock.at += 60
    assert processes[1].take() == 0.0
    with reading(engines[0]) as connection:
        found = budgets.left(budgets.budget(connection, KEY), clock.at, 6.7, 1.0)
    assert 0.8 < found.share < 0.9
    for engine in engines:
        engine.dispose()


def test_bitrix24_may_send_many_at_once_and_then_two_a_second(database_url: str) -> None:
    clock = Still()
    engine = open_engine(database_url)
    limiter = SharedLimiter(engine, clock, "bitrix24 x", 1.95, 48.0)
    waits = [limiter.take() for _ in range(50)]
    assert waits[:48] == [0.0] * 48
    assert waits[48:] == pytest.approx([1 / 1.95, 2 / 1.95], abs=1e-4)
    engine.dispose()


def test_pause_that_one_process_is_asked_for_holds_all(database_url: str) -> None:
    clock = Still()
    engines = [open_engine(database_url) for _ in range(2)]
    asked, other = (SharedLimiter(engine, clock, KEY, 5.0, 1.0) for engine in engines)
    assert other.take() == 0.0
    asked.pause(30.0)
    asked.pause(10.0)  # a shorter one changes nothing
    assert other.take() == pytest.approx(30.2, abs=0.01)
    assert other.take() == pytest.approx(30.4, abs=0.01)  # no crowd at its end
    with reading(engines[0]) as connection:
        found = budgets.left(budgets.budget(connection, KEY), clock.at, 5.0, 1.0)
    assert (found.share, found.paused_until) == (0.0, int(clock.at) + 30)
    for engine in engines:
        engine.dispose()


def test_accelerated_time_reserves_blocks_and_keeps_the_rate(database_url: str) -> None:
    clock = Still()
    clock.speed = 600.0
    engine = open_engine(database_url)
    limiter = SharedLimiter(engine, clock, KEY, 5.0, 1.0)  # 3,000 a real second
    waits = [limiter.take() for _ in range(3001)]
    assert waits[0] == 0.0
    assert max(waits) == pytest.approx(1.0, abs=0.21)
    engine.dispose()


def test_what_a_wrong_clock_reserved_is_forgotten(database_url: str) -> None:
    clock = Still()
    engine = open_engine(database_url)
    clock.at += 86400 * 300  # somebody's clock was wrong for a minute
    wrong = SharedLimiter(engine, clock, KEY, 5.0, 1.0)
    wrong.take()
    wrong.pause(60.0)
    clock.at -= 86400 * 300
    right = SharedLimiter(engine, clock, KEY, 5.0, 1.0)
    assert right.take() == 0.0
    assert right.take() == pytest.approx(0.2, abs=0.01)
    engine.dispose()
