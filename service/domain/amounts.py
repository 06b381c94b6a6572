"""Classes of amounts: how often a deal counts in the index that is weighted by amount."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.domain.money import exponent

_MOST = 10**12  # major units


class Hygiene(BaseModel):
    """How the hygiene index is weighted, as the settings say it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    amount_classes: list[Annotated[int, Field(ge=1, le=_MOST)]] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="[low, high] in major units of the account's currency: in "
        "`hygiene_index_weighted` a deal of less than low counts once, of less than high twice, "
        "any other three times",
    )

    @field_validator("amount_classes")
    @classmethod
    def _rising(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and value[0] >= value[1]:
            msg = f"the first amount must lie below the second; {value[0]} is not below {value[1]}"
            raise ValueError(msg)
        return value


@dataclass(frozen=True, slots=True)
class Classes:
    """Bounds in minor units of a currency."""

    bounds: tuple[int, ...]
    currency: str

    @classmethod
    def of(cls, told: Hygiene, currency: str) -> "Classes | None":
        """As the settings tell them; None = they do not."""
        if told.amount_classes is None:
            return None
        minor = 10 ** exponent(currency)
        return cls(tuple(bound * minor for bound in told.amount_classes), currency)

    def weight(self, amount: int, currency: str) -> int:
        """1, 2 or 3; without an amount, or with one in another currency, 1."""
        if currency and currency != self.currency:
            return 1
        return 1 + sum(amount >= bound for bound in self.bounds)
