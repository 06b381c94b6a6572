"""What a figure is: its definition, nothing about how it is asked for (kpis.md 1).

`sum` and `level` add up one contribution part; `ratio` divides sums of parts, at every grain anew.
"""

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["count", "money", "ratio", "seconds"]
Kind = Literal["sum", "ratio", "level"]
Direction = Literal["up", "down", "neutral"]
ALL_GRAINS = ("day", "week", "month", "quarter", "year")
DIMENSIONS = ("account", "seller", "team", "pipeline", "source", "stage", "weekday", "currency")


@dataclass(frozen=True)
class Metric:
    """One figure. `part`: the contributions it sums, else those of its own name.

    A ratio names the figures that it divides.
    """

    slug: str
    ru: str
    en: str
    formula: str
    kind: Kind = "sum"
    unit: Unit = "count"
    part: str = ""
    numerator: str = ""
    denominator: tuple[str, ...] = ()
    direction: Direction = "up"
    attributed_to: str = "responsible at the instant of the fact"
    subject_kind: str = "deal"
    plannable: bool = False
    telephony: bool = False
    version: int = 1
    dimensions: tuple[str, ...] = field(default=DIMENSIONS)

    @property
    def missing(self) -> str:
        """What stands where there is nothing: `zero`, or `null`."""
        return "null" if self.kind == "ratio" or self.telephony else "zero"

    @property
    def parts(self) -> tuple[str, ...]:
        """All contribution parts that the figure needs."""
        if self.kind != "ratio":
            return (self.part or self.slug,)
        return (self.numerator, *self.denominator)

    def title(self, lang: str) -> str:
        """The title in Russian or English."""
        return self.ru if lang == "ru" else self.en
