"""What custom fields of deals mean: what is in force, and what names and codes suggest."""

import re
from dataclasses import dataclass

from service.domain.config import Config
from service.domain.directory import CustomField

MEANINGS = ("source", "budget", "loss_reason")
_SUGGESTS = {
    "source": (
        re.compile(r"\b(utm_source|источник|source|рекламный канал|откуда)", re.IGNORECASE),
        re.compile(r"^(UTM_SOURCE|SOURCE|UF_CRM_(UTM_)?SOURCE)$"),
    ),
    "budget": (
        re.compile(r"\b(бюджет|сумма (сделки|договора)|budget|amount)", re.IGNORECASE),
        re.compile(r"^(BUDGET|UF_CRM_(BUDGET|AMOUNT))$"),
    ),
    "loss_reason": (
        re.compile(
            r"\b(причина (отказа|проигрыша|закрытия)|loss reason|lost reason)", re.IGNORECASE
        ),
        re.compile(r"^(LOSS_REASON|UF_CRM_(LOSS|REJECT|LOST)_REASON)$"),
    ),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A meaning: the field in force (None = the CRM's own member), and what would suit too."""

    name: str
    field: CustomField | None
    guesses: tuple[CustomField, ...]


def meanings(config: Config) -> list[Meaning]:
    """Every meaning that a custom field can have, in the order of `MEANINGS`."""
    chosen = {
        "source": config.source_field,
        "budget": config.budget_field,
        "loss_reason": config.loss_reason_field,
    }
    known = {one.id: one for one in config.directory.fields}
    return [
        Meaning(
            name,
            known.get(chosen[name] or ""),
            tuple(
                one
                for one in config.directory.fields
                if one.id != chosen[name] and _suits(name, one)
            ),
        )
        for name in MEANINGS
    ]


def _suits(meaning: str, one: CustomField) -> bool:
    by_name, by_code = _SUGGESTS[meaning]
    return bool(by_name.search(one.name)) or bool(one.code and by_code.match(one.code))
