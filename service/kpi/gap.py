"""What explains a gap of receipts (kpis.md 7): receipts = inquiries x sales per inquiry x check.

The difference of two states is split over the three factors by the Shapley value: the mean of each
factor's effect over the 6 orders of replacement, in exact rationals; rounded by largest remainder
so that the parts sum to the difference. Where a factor is 0 or unknown only the volume can be told
apart; the rest is "not separable".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from math import floor

FACTORS = ("inquiries", "sales_per_inquiry", "average_check")
REST = "not_separable"


@dataclass(frozen=True)
class State:
    """Receipts and their factors; None = not known."""

    receipts: int
    inquiries: Fraction | None
    sales_per_inquiry: Fraction | None
    average_check: Fraction | None

    @property
    def factors(self) -> tuple[Fraction, Fraction, Fraction] | None:
        """All three, if none is 0 or unknown."""
        a, b, c = self.inquiries, self.sales_per_inquiry, self.average_check
        return (a, b, c) if a and b and c else None


def of_facts(receipts: int, inquiries: int, sales: int) -> State:
    """The state of counted facts; `sales`: deals won with an amount."""
    return State(
        receipts,
        Fraction(inquiries),
        Fraction(sales, inquiries) if inquiries else None,
        Fraction(receipts, sales) if sales else None,
    )


def of_plan(
    receipts: int | None, inquiries: int | None, sales: int | None, check: int | None
) -> State:
    """The state of a plan: receipts and inquiries, and either the check or the sales."""
    told = receipts or 0
    per = Fraction(check) if check else Fraction(told, sales) if sales else None
    volume = None if inquiries is None else Fraction(inquiries)
    rate = Fraction(told) / (volume * per) if volume and per else None
    return State(told, volume, rate, per)


def explain(before: State, after: State) -> dict[str, int]:
    """Effects that sum to `after.receipts - before.receipts` exactly."""
    difference = after.receipts - before.receipts
    old, new = before.factors, after.factors
    if old is not None and new is not None:
        return dict(zip(FACTORS, rounded(shapley(old, new), difference), strict=True))
    volume = 0
    if before.inquiries and after.inquiries is not None:
        per = Fraction(before.receipts) / before.inquiries
        volume = floor((after.inquiries - before.inquiries) * per + Fraction(1, 2))
        return {"inquiries": volume, REST: difference - volume}
    return {REST: difference}


def shapley(old: Sequence[Fraction], new: Sequence[Fraction]) -> list[Fraction]:
    """Each factor's mean effect over all orders of replacement."""
    found = [Fraction(0)] * len(old)
    orders = list(permutations(range(len(old))))
    for order in orders:
        now = list(old)
        before = _product(now)
        for index in order:
            now[index] = new[index]
            after = _product(now)
            found[index] += after - before
            before = after
    return [value / len(orders) for value in found]


def _product(values: Sequence[Fraction]) -> Fraction:
    found = Fraction(1)
    for value in values:
        found *= value
    return found


def rounded(exact: Sequence[Fraction], total: int) -> list[int]:
    """Whole parts that sum to `total` by largest remainder; ties to the first."""
    parts = [floor(value) for value in exact]
    order = sorted(range(len(parts)), key=lambda i: (-(exact[i] - parts[i]), i))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def shown(state: State) -> Mapping[str, float | int | None]:
    """The factors on the wire."""
    rate, check, volume = state.sales_per_inquiry, state.average_check, state.inquiries
    return {
        "receipts": state.receipts,
        "inquiries": None if volume is None else int(volume),
        "sales_per_inquiry": None if rate is None else float(round(rate, 6)),
        "average_check": None if check is None else floor(check + Fraction(1, 2)),
    }
