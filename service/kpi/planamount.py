"""A planned value as people write it in a table: `1 234,50 ₽`, `25%`, `600 мин`."""

import re
from decimal import Decimal, InvalidOperation

from service.domain.money import exponent
from service.kpi.metrics import Metric

_LARGEST = 10**15
_BLANKS = re.compile(r"[\s\u00a0\u202f]")
_SIGNS = {"RUB": r"₽|\?|руб\.?|р\.", "USD": r"\$", "EUR": "€", "KZT": r"₸|тг\.?", "BYN": "Br"}
"""`?` is what Excel makes of ₽ where it saves in Windows-1251."""
_SPAN = re.compile(r"(.+?)(сек|с|мин|ч|min|h|s)\.?", re.IGNORECASE)
_SECONDS = {"сек": 1, "с": 1, "s": 1, "мин": 60, "min": 60, "ч": 3600, "h": 3600}


def read_amount(text: str, metric: Metric | None, currency: str, *, by_title: bool) -> int | None:
    """The value in the unit of the figure: minor units, whole per cent, seconds; None = no plan.

    Args:
        text: the cell.
        metric: whose plan it is; None = not known, so any unit is taken.
        currency: of money, else "".
        by_title: people's words name the figure; then of a time the unit must be told.

    Raises:
        ValueError: says what is wrong.
    """
    bare = _BLANKS.sub("", text)
    if not bare:
        return None
    share = metric is None or metric.plan_scale != 1
    sign = _SIGNS.get(currency, re.escape(currency)) if currency else "%" if share else "$^"
    bare = re.sub(f"^(?:{sign})|(?:{sign})$", "", bare, flags=re.IGNORECASE)
    if metric is not None and metric.unit == "seconds":
        return _whole(*_seconds(bare, by_title=by_title), "A whole number of seconds.")
    places = exponent(currency) if currency else 0
    detail = f"At most {places} digits after the point." if places else "A whole number."
    if share:
        detail = "A share is planned in whole per cent; write for example 25."
    return _whole(_number(bare), 10**places, detail)


def _seconds(text: str, *, by_title: bool) -> tuple[Decimal, int]:
    span = _SPAN.fullmatch(text)
    if span is not None:
        return _number(span[1]), _SECONDS[span[2].casefold()]
    value = _number(text)
    if by_title and value:
        msg = "A time needs its unit; write for example 600 мин, 10 ч or 36000 с."
        raise ValueError(msg)
    return value, 1


def _number(text: str) -> Decimal:
    """A number with a decimal comma or point; the other one parts thousands."""
    if "," in text and "." in text:
        text = text.replace("." if text.rfind(",") > text.rfind(".") else ",", "")
    try:
        value = Decimal(text.replace(",", "."))
    except InvalidOperation:
        msg = "It is no number; write for example 1 234,50."
        raise ValueError(msg) from None
    if not value.is_finite() or not 0 <= value <= _LARGEST:
        msg = "A plan is a number from 0 to 10^15."
        raise ValueError(msg)
    return value


def _whole(value: Decimal, factor: int, detail: str) -> int:
    scaled = value * factor
    if scaled != int(scaled):
        raise ValueError(detail)
    return int(scaled)
