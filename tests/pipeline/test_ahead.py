"""Reading ahead keeps the order, hands faults over, and never runs away."""

import threading
import time
from collections.abc import Iterator

import pytest

from service.pipeline.ahead import ahead


def test_pages_come_in_order_and_a_fault_after_them() -> None:
    def pages() -> Iterator[int]:
        yield from range(10)
        raise ValueError("the portal is gone")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the portal is gone"):
        seen.extend(ahead(pages()))
    assert seen == list(range(10))


def test_no_more_is_read_than_may_wait() -> None:
    read: list[int] = []

    def pages() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    piece = ahead(pages(), depth=2)
    assert next(piece) == 0
    time.sleep(0.3)
    assert len(read) <= 4  # taken, two waiting, one in hand
    piece.close()  # type: ignore[attr-defined]
    time.sleep(0.3)
    assert len(read) <= 5
    assert not [t for t in threading.enumerate() if t.name == "read-ahead"]


def test_nothing_is_nothing() -> None:
    assert list(ahead(iter(()))) == []
