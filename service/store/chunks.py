"""Long lists of keys go to the database in pieces: bound parameters are limited."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

SIZE = 400
T = TypeVar("T")


def chunks(items: Iterable[T], size: int = SIZE) -> Iterator[list[T]]:
    """Pieces of at most `size`, without repetitions, in order."""
    part: list[T] = []
    for item in dict.fromkeys(items):
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
