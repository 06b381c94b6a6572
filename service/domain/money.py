"""Money is whole minor units with a currency (ISO 4217 exponents)."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

USUAL, MOST_DIGITS = 2, 3
ODD: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""The exponents that are not 2."""
_LARGEST = Decimal(10) ** 15
_CODE = re.compile(r"[A-Z]{3}")


def is_currency(code: str) -> bool:
    """Whether a text has the form of a currency's code."""
    return _CODE.fullmatch(code) is not None


def exponent(currency: str) -> int:
    """How many digits follow the point of a major unit: 2 for most."""
    return ODD.get(currency, USUAL)


def minor_units(amount: str, currency: str) -> int:
    """`1000.50` RUB -> 100050; what is no number, or absurdly large, is 0."""
    try:
        value = Decimal(amount.strip().replace(" ", "").replace(",", "."))
    except (InvalidOperation, ValueError):
        return 0
    if not value.is_finite() or abs(value) > _LARGEST:
        return 0
    scaled = value.scaleb(exponent(currency))
    return int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def major_units(minor: int, currency: str) -> Decimal:
    """100050 RUB -> Decimal("1000.50")."""
    return Decimal(minor).scaleb(-exponent(currency))
