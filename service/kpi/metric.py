"""What a figure is: its definition, nothing about how it is asked for (kpis.md 1).

- `sum`: contribution parts added up; `level`: their running sum at the end of a period;
- `ratio`: sums or levels divided, at every grain anew. `cohort`: both parts are dated at the
  cohort's instant and say what became of it so far; with a `horizon` only members that are at least
  so old count, the younger ones are `immature`;
- `percentile`: by nearest rank from the values themselves, at every grain anew, null under `FEW`;
- `derived`: a formula over other figures, at every grain anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Unit = Literal["count", "money", "ratio", "seconds", "minutes", "hours", "points", "number"]
Kind = Literal["sum", "ratio", "level", "percentile", "derived"]
Direction = Literal["up", "down", "neutral"]
Number = int | float | None
Recipe = Callable[[Mapping[str, Number]], Number]
ALL_GRAINS = ("day", "week", "month", "quarter", "year")
DIMENSIONS = (
    "account", "seller", "team", "person", "pipeline", "source", "stage", "reason", "weekday",
    "currency", "rule", "severity",
)  # fmt: skip
OF_CONTRIBUTIONS = tuple(name for name in DIMENSIONS if name not in {"rule", "severity"})
PLAIN_DIMENSIONS = tuple(
    name for name in DIMENSIONS if name not in {"stage", "reason", "rule", "severity"}
)
KINDS: Mapping[Kind, str] = {"percentile": "distribution"}  # as api.md calls them
FEW = 5  # values below which a percentile says nothing


@dataclass(frozen=True)
class Metric:
    """One figure. `part`: the contributions it sums, else those of its own name.

    `adds`: instead of one part, several; `takes`: parts that are taken off; `scale`: what the sums
    are multiplied by. A ratio and a derived figure name other figures (`numerator`, `denominator`,
    `factors`); `beside`: figures that are shown with it, as (name, figure); `notes`: what a
    derived one tells beside it, if not its factors. A percentile ranks the values of its part, or
    their `age` (`ranks`), by `percents`, the first of which is the figure; `of_level`: the ages, at
    the period's end, of the deals that are open then (`parts.STAYS`); `staged`: the part of a level
    that knows stages. `trailing`: factors are of so many days up to the period's end.
    """

    slug: str
    ru: str
    en: str
    formula: str
    kind: Kind = "sum"
    unit: Unit = "count"
    part: str = ""
    adds: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    scale: Fraction = Fraction(1)
    least: tuple[str, int] | None = None  # with less of this level at the end it says nothing
    numerator: str = ""
    denominator: tuple[str, ...] = ()
    cohort: bool = False
    horizon: int = 0  # seconds
    percents: tuple[int, ...] = (50,)
    ranks: Literal["value", "age"] = "value"
    of_level: bool = False
    staged: str = ""
    factors: tuple[str, ...] = ()
    notes: tuple[str, ...] | None = None
    recipe: Recipe | None = None
    trailing: int = 0  # days
    beside: tuple[tuple[str, str], ...] = ()
    direction: Direction = "up"
    attributed_to: str = "responsible at the instant of the fact"
    subject_kind: str = "deal"
    plannable: bool = False
    limit: bool = False  # its plan is a limit: more is over it
    telephony: bool = False
    needs: str = ""  # a thing of the settings or the directory without which it is null
    version: int = 1
    dimensions: tuple[str, ...] = field(default=OF_CONTRIBUTIONS)

    @property
    def missing(self) -> str:
        """What stands where there is nothing: `zero`, or `null`."""
        known = not (self.telephony or self.needs)
        return "zero" if self.kind in {"sum", "level"} and known else "null"

    @property
    def parts(self) -> tuple[str, ...]:
        """The contribution parts that it adds up or ranks; what is made of figures has none."""
        if self.kind in {"ratio", "derived"}:
            return ()
        return (self.adds or (self.part or self.slug,)) + self.takes

    @property
    def plan_scale(self) -> int:
        """What the figure is multiplied by to stand beside its plan: shares are planned in %."""
        return 100 if self.unit == "ratio" else 1

    @property
    def components(self) -> tuple[str, ...]:
        """The figures that it is made of."""
        if self.kind == "ratio":
            return (self.numerator, *self.denominator)
        return self.factors

    def title(self, lang: str) -> str:
        """The title in Russian or English."""
        return self.ru if lang == "ru" else self.en
