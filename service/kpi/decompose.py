"""Splitting a plan so that its parts sum to it exactly (kpis.md 8.2). Integers, exact weights."""

from collections.abc import Sequence
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
    order = sorted(range(len(parts)), key=lambda i: (-(exact[i] - parts[i]), -shares[i], names[i]))
    for index in order[: steps - sum(parts)]:
        parts[index] += 1
    found = [part * step for part in parts]
    largest = min(range(len(parts)), key=lambda i: (-shares[i], names[i]))
    found[largest] += beyond
    return found


def cumulative(total: int, weights: Sequence[Weight]) -> list[int]:
    """Split `total` over days: the first i days together get their exact share, rounded.

    Never negative, sums exactly, spreads small counts evenly; days of weight 0 get 0. Without any
    weight all goes to the last day.
    """
    whole = sum((Fraction(w) for w in weights), Fraction(0))
    if not whole:
        return [0] * (len(weights) - 1) + [total] if weights else []
    found, before, running = [], 0, Fraction(0)
    for weight in weights:
        running += weight
        upto = int((2 * total * running + whole) // (2 * whole))
        found.append(upto - before)
        before = upto
    return found
