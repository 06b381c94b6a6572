"""How numbers and spans of time are said to people, in Russian and English."""

from service.domain.calendar import WorkCalendar
from service.domain.instant import Instant
from service.domain.money import exponent
from service.domain.span import Span

MINUTE, HOUR, DAY = 60, 3600, 86400
_UNITS = {
    "ru": {"m": "мин", "h": "ч", "d": "дн.", "wm": "раб. мин", "wh": "раб. ч", "wd": "раб. дн."},
    "en": {
        "m": "min", "h": "h", "d": "days", "wm": "working min", "wh": "working h",
        "wd": "working days",
    },
}  # fmt: skip
_ONE = {"days": "day", "working days": "working day"}


def plural(count: int, one: str, few: str, many: str) -> str:
    """The Russian form that goes with a number: 1 задача, 2 задачи, 5 задач."""
    tail = abs(count) % 100
    if 11 <= tail <= 14:
        return many
    tail %= 10
    if tail == 1:
        return one
    return few if 2 <= tail <= 4 else many


def deals(count: int, lang: str) -> str:
    """`51 сделка`, `51 deals`."""
    if lang == "ru":
        return f"{count} {plural(count, 'сделка', 'сделки', 'сделок')}"
    return f"{count} deal{'' if count == 1 else 's'}"


def tasks(count: int, lang: str) -> str:
    """`21 задача`, `5 tasks`."""
    if lang == "ru":
        return f"{count} {plural(count, 'задача', 'задачи', 'задач')}"
    return f"{count} task{'' if count == 1 else 's'}"


def elapsed(seconds: int, lang: str) -> str:
    """`40 с`, `5 мин`, `2 ч 15 мин`, `3 дн. 4 ч`: at most two units."""
    left = max(0, seconds)
    second = "с" if lang == "ru" else "s"
    if left < MINUTE:
        return f"{left} {second}"
    units = _UNITS["ru" if lang == "ru" else "en"]
    day = units["d"] if lang == "ru" else "d"
    parts = []
    for size, name in ((DAY, day), (HOUR, units["h"]), (MINUTE, units["m"])):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
        elif parts:
            break
    return " ".join(parts[:2])


def working_days(start: Instant, end: Instant, calendar: WorkCalendar, lang: str) -> str:
    """How long in working time: `6 раб. дн.`, under a day `3 раб. ч`."""
    seconds = calendar.working_seconds(start, end)
    day = calendar.full_day_seconds
    units = _UNITS["ru" if lang == "ru" else "en"]
    if seconds >= day:
        return _counted(seconds // day, units["wd"])
    return f"{seconds // HOUR} {units['wh']}"


def span(text: str, lang: str) -> str:
    """`5wd` -> `5 раб. дн.`."""
    parsed = Span.parse(text)
    return _counted(parsed.count, _UNITS["ru" if lang == "ru" else "en"][parsed.unit])


def _counted(count: int, unit: str) -> str:
    return f"{count} {_ONE.get(unit, unit) if count == 1 else unit}"


def money(minor: int, currency: str, lang: str) -> str:
    """`1 250 000 ₽` from minor units; the fraction only where there is one."""
    places = exponent(currency)
    whole, part = divmod(abs(minor), 10**places)
    digits = f"{whole:,}".replace(",", "\u00a0" if lang == "ru" else ",")
    tail = f"{',' if lang == 'ru' else '.'}{part:0{places}}" if part else ""
    return f"{'-' if minor < 0 else ''}{digits}{tail}\u00a0{_SIGNS.get(currency, currency)}"


_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "KZT": "₸", "BYN": "Br", "UZS": "UZS"}
