"""What a custom field is probably for."""

import pytest

from service.domain.account import AccountDocument
from service.domain.directory import CustomField, Directory
from service.domain.fieldmap import meanings
from service.domain.resolving import resolve


@pytest.mark.parametrize(
    ("name", "code", "guess"),
    [
        ("Источник", None, "source"),
        ("utm_source", "UTM_SOURCE", "source"),
        ("Рекламный канал", None, "source"),
        ("Бюджет клиента", None, "budget"),
        ("Сумма договора", "UF_CRM_17", "budget"),
        ("Причина отказа", None, "loss_reason"),
        ("Поле 5", "UF_CRM_LOSS_REASON", "loss_reason"),
        ("ИНН", "INN", None),
        ("Ресурс", "RESOURCE", None),
    ],
)
def test_names_and_codes_suggest_a_meaning(name: str, code: str | None, guess: str | None) -> None:
    directory = Directory(fields=(CustomField(id="5", name=name, code=code),))
    config = resolve("a", "amocrm", directory, AccountDocument())
    assert [one.name for one in meanings(config) if one.guesses] == ([guess] if guess else [])
    assert all(one.field is None for one in meanings(config))


def test_chosen_field_is_in_force_and_no_guess() -> None:
    directory = Directory(fields=(CustomField(id="5", name="Источник"),))
    document = AccountDocument(fields={"source": "Источник"})
    [source, *_] = meanings(resolve("a", "amocrm", directory, document))
    assert source.field is not None
    assert (source.field.id, source.guesses) == ("5", ())
