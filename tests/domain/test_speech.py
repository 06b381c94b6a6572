"""How numbers are said to people."""

import pytest

from service.domain import speech


@pytest.mark.parametrize(
    ("minor", "currency", "lang", "said"),
    [
        (125_000_000, "RUB", "ru", "1\u00a0250\u00a0000\u00a0₽"),
        (-150_05, "EUR", "en", "-150.05\u00a0€"),
        (1_250, "JPY", "en", "1,250\u00a0JPY"),
        (1_250, "KWD", "ru", "1,250\u00a0KWD"),
    ],
)
def test_money_is_said_in_its_own_minor_units(
    minor: int, currency: str, lang: str, said: str
) -> None:
    assert speech.money(minor, currency, lang) == said


def test_one_day_is_no_days() -> None:
    assert speech.span("1wd", "en") == "1 working day"
    assert speech.span("5wd", "en") == "5 working days"
    assert speech.span("1wd", "ru") == "1 раб. дн."
