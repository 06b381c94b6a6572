"""Splitting a plan so that its parts sum to it exactly (kpis.md 8.2). Integers, exact weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

Weight = int | Fraction


def largest_remainder(
    total: int, weights: Sequence[Weight], names: Sequence[str], step: int = 1
) -> list[int]:
    """Split `total` over sellers in whole steps; ties to the larger weight, then the smaller id.

    What `total` holds beyond whole steps goes to the largest weight. Without any weight all are
    equal.

    Raises:
        ValueError: a negative total or weight, or nobody to split over.
    """
    if total < 0 or any(weight < 0 for weight in weights) or not weights or step < 1:
        msg = "a plan, its weights and its step must not be negative"
        raise ValueError(msg)
    shares = [Fraction(w) for w in weights]
    if not any(shares):
        shares = [Fraction(1)] * len(shares)
    whole = sum(shares)
    steps, beyond = divmod(total, step)
    exact = [steps * share / whole for share in shares]
    parts = [int(value) for value in exact]
    order = sorted(
        range(len(parts)), key=lambda i: (-(exact[i] - parts[i]), -shares[i], _id(names[i]))
    )
    for index in order[: steps - sum(parts)]:
        parts[index] += 1
    found = [part * step for part in parts]
    largest = min(range(len(parts)), key=lambda i: (-shares[i], _id(names[i])))
    found[largest] += beyond
    return found


def _id(name: str) -> tuple[int, str]:
    """Ids in the order that people see: 7 before 12."""
    return (len(name), name)


def cumulative(total: int, weights: Sequence[Weight]) -> list[int]:
    """Split `total` over days: the first i days together get their exact share, rounded.

    Never negative, sums exactly, spreads small counts evenly; days of weight 0 get 0. Without any
    weight all goes to the last day.
    """
    whole = sum(weights)
    if not whole:
        return [0] * (len(weights) - 1) + [total] if weights else []
    found, before = [], 0
    running: Weight = 0
    for weight in weights:
        running += weight
        upto = int((2 * total * running + whole) // (2 * whole))
        found.append(upto - before)
        before = upto
    return found


def fill(total: int, fixed: Mapping[int, int], weights: Sequence[Weight]) -> list[int]:
    """Days of a plan: fixed ones as they are, the rest over the others; never more than `total`.

    What no other day can take (all are fixed, or none is worked on) goes to the last day.
    """
    found = [0] * len(weights)
    left = total
    for index in sorted(fixed):
        found[index] = min(fixed[index], left)
        left -= found[index]
    if left:
        free = [0 if index in fixed else weight for index, weight in enumerate(weights)]
        found = [a + b for a, b in zip(found, cumulative(left, free), strict=True)]
    return found


class Excess(ValueError):  # noqa: N818 - an answer, not a failure
    """What is fixed does not fit: `amount` too much, or too little with nothing left to take it."""

    def __init__(self, amount: int) -> None:
        super().__init__(str(amount))
        self.amount = amount


@dataclass(frozen=True)
class Share:
    """Somebody who gets a part: `fixed` = locked at this value, `least` = frozen already."""

    name: str
    weight: Weight
    fixed: int | None = None
    least: int = 0


def over_scope(total: int, shares: Sequence[Share], step: int = 1) -> list[int]:
    """Down the scope: locked parts stay, the rest by largest remainder on top of what is frozen.

    Raises:
        Excess: locked and frozen parts exceed the total, or leave over what nobody can take.
    """
    free = [share for share in shares if share.fixed is None]
    held = sum(share.fixed or 0 for share in shares) + sum(share.least for share in free)
    rest = total - held
    if rest < 0 or (rest and not free):
        raise Excess(-rest)
    parts: dict[str, int] = {}
    if free:
        weights, names = [share.weight for share in free], [share.name for share in free]
        parts = dict(zip(names, largest_remainder(rest, weights, names, step), strict=True))
    return [
        share.least + parts[share.name] if share.fixed is None else share.fixed for share in shares
    ]


def over_time(total: int, fixed: Mapping[int, int], weights: Sequence[Weight]) -> list[int]:
    """Down the time: fixed pieces stay, the rest by cumulative rounding.

    Raises:
        Excess: fixed pieces exceed the total, or leave over what no piece can take.
    """
    rest = total - sum(fixed.values())
    if rest < 0 or (rest and len(fixed) == len(weights)):
        raise Excess(-rest)
    free = [0 if index in fixed else weight for index, weight in enumerate(weights)]
    if not any(free):
        free = [0 if index in fixed else 1 for index in range(len(weights))]
    found = cumulative(rest, free) if any(free) else [0] * len(weights)
    return [fixed.get(index, part) for index, part in enumerate(found)]
