"""Writers of one SQLite file take turns; what came from outside goes first."""

import threading
import time

import pytest

from service.store.turns import Turns


def test_whoever_waits_longest_is_next_and_the_urgent_goes_first() -> None:
    turns, order = Turns(), list[str]()
    waiting = []

    def enter(name: str, *, urgent: bool) -> None:
        with turns.turn(urgent=urgent):
            order.append(name)

    with turns.turn():
        for name in ("one", "two", "urgent"):
            thread = threading.Thread(
                target=enter, args=(name,), kwargs={"urgent": name == "urgent"}
            )
            thread.start()
            waiting.append(thread)
            while len(turns._line) < len(waiting):
                time.sleep(0.001)
        assert order == []
    for thread in waiting:
        thread.join(10)
    assert order == ["urgent", "one", "two"]


def test_a_turn_ends_with_its_fault() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"), turns.turn():
        raise ValueError("broken")
    with turns.turn():
        assert turns._is_taken


def test_only_one_writes_at_a_time() -> None:
    turns, inside, most = Turns(), [0], [0]

    def write() -> None:
        for _ in range(200):
            with turns.turn():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most[0] == 1
