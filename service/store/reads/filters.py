"""One condition of a list query, as the API reads it from the address."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Filter:
    """`field op value`.

    `op`: `eq` and `ne` (value: a tuple, any of), `gte gt lte lt` (a number), `null` (a flag).
    """

    field: str
    op: str
    value: Any
