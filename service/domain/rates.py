"""Rates of currencies that an account gives: money is converted by nothing else (kpis.md 1.6)."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, Field

from service.domain.money import exponent, is_currency

MOST_RATES = 4000  # of one currency: ten years of days
_MOST = 10**9
Rate = Annotated[Decimal, Field(gt=0, le=_MOST, allow_inf_nan=False)]


def _checked(rates: dict[str, dict[date, Decimal]]) -> dict[str, dict[date, Decimal]]:
    for currency, days in rates.items():
        if not is_currency(currency):
            msg = f"{currency[:20]!r} is no currency; write for example USD"
            raise ValueError(msg)
        if not days or len(days) > MOST_RATES:
            msg = f"{currency}: 1 to {MOST_RATES} rates, each by the day from which it holds"
            raise ValueError(msg)
    return rates


Rates = Annotated[
    dict[str, dict[date, Rate]],
    AfterValidator(_checked),
    Field(
        description="what one unit of a currency is worth in the account's own, from a day on "
        "until the next one: `{USD: {2026-01-01: 91.5}}`"
    ),
]


@dataclass(frozen=True)
class Exchange:
    """The rates of one account."""

    own: str
    rates: Mapping[str, Mapping[date, Decimal]]

    def knows(self, currency: str) -> bool:
        """Whether it has rates of a currency."""
        return currency == self.own or currency in self.rates

    def factor(self, told: str, target: str, on: date) -> Fraction | None:
        """By what minor units become those of another currency; None = no rate is that old."""
        if told == target:
            return Fraction(1)
        worth, unit = self._rate(told, on), self._rate(target, on)
        if worth is None or unit is None:
            return None
        return worth / unit * Fraction(10) ** (exponent(target) - exponent(told))

    def _rate(self, currency: str, on: date) -> Fraction | None:
        if currency == self.own:
            return Fraction(1)
        days = sorted(self.rates.get(currency, {}))
        number = bisect_right(days, on)
        return Fraction(self.rates[currency][days[number - 1]]) if number else None


def converted(value: int, factor: Fraction) -> int:
    """A value in other minor units, half away from 0: what is taken back takes back the same."""
    amount = int(abs(value) * factor + Fraction(1, 2))
    return amount if value >= 0 else -amount
